"""What the types of theseus.yaml cannot say: forms, ranges, and what must fit together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from theseus_ci.config import names, performance, regex, smoke
from theseus_ci.config.types import Config, Matcher, NamedMatch, StringMatch, Waits
from theseus_ci.quantities import Duration

Problem = tuple[str, str]
"""Key path as text, and what is wrong there."""

_MAX_BAKE_RATE = 1000
ZERO_ALLOWED = ("settle",)


def validate(config: Config) -> Iterator[Problem]:
    """Every rule that the configuration breaks."""
    yield from _names(config)
    yield from _entrypoints(config)
    for index, matcher in enumerate(config.matchers):
        yield from _inside(f"matchers[{index}]", _matcher(matcher))
    yield from _smoke(config)
    if config.performance is not None:
        yield from _inside("performance", performance.validate(config.performance))
    if config.first_replicas < 1:
        yield "firstReplicas", f"is {config.first_replicas}: must be 1 or more"
    if not 0 < config.bake.rate <= _MAX_BAKE_RATE:
        yield (
            "bake.rate",
            f"is {config.bake.rate:g}: must be above 0 and at most {_MAX_BAKE_RATE} a second",
        )
    if config.bake.poll <= 0:
        yield "bake.poll", "must be more than 0"
    yield from _inside("waits", _waits(config.waits))


def missing_files(config: Config) -> Iterator[Problem]:
    """Files that checks and load need, and that are not there."""
    for index, check in enumerate(config.smoke):
        at = f"smoke[{index}]"
        if isinstance(check.bash, str):
            yield from _missing(f"{at}.bash", check.bash)
        elif check.bash is not None:
            yield from _missing(f"{at}.bash.script", check.bash.script)
        if check.http is not None:
            yield from _missing_tls(f"{at}.http.tls", check.http.tls)
        if check.tcp is not None and check.tcp.tls is not None:
            yield from _missing_tls(f"{at}.tcp.tls", check.tcp.tls)
        if check.ssh is not None:
            yield from _missing(f"{at}.ssh.identityFile", check.ssh.identity_file)
    if config.performance is not None:
        yield from _missing("performance.tls.ca", config.performance.tls.ca)
        driver = config.performance.driver
        if driver is not None:
            yield from _missing(f"performance.driver.{driver.tool}", driver.script)
        yield from _missing("performance.anchor", config.performance.anchor)


def _missing_tls(at: str, tls: smoke.Tls) -> Iterator[Problem]:
    yield from _missing(f"{at}.ca", tls.ca)
    yield from _missing(f"{at}.clientCert", tls.client_cert)
    yield from _missing(f"{at}.clientKey", tls.client_key)


def _missing(at: str, path: str | None) -> Iterator[Problem]:
    if path is not None and not Path(path).expanduser().is_file():
        yield at, f"there is no file {path}"


def _inside(at: str, problems: Iterator[Problem]) -> Iterator[Problem]:
    for path, message in problems:
        yield (f"{at}{path}" if path.startswith("[") else f"{at}.{path}".rstrip("."), message)


def _names(config: Config) -> Iterator[Problem]:
    single: list[tuple[str, str | None, Callable[[str], str | None]]] = [
        ("service", config.service, names.label_problem),
        ("namespace", config.namespace, names.label_problem),
        ("deployment", config.deployment, names.name_problem),
        ("previous", config.previous, names.name_problem),
        ("version", config.version, names.version_problem),
    ]
    many = [("virtualServices", config.virtual_services), ("gateways", config.gateways)]
    for key, values in many:
        for index, value in enumerate(values):
            single.append((f"{key}[{index}]", value, names.qualified_problem))
            if value in values[:index]:
                yield f"{key}[{index}]", f"{value} is in the list twice"
    for key, name, problem in single:
        message = problem(name) if name is not None else None
        if message:
            yield key, message
    for key, text in (("manifest", config.manifest), ("flow", config.flow)):
        if text is not None and not text.strip():
            yield key, "is empty"


def _entrypoints(config: Config) -> Iterator[Problem]:
    urls = [("entrypoint", config.entrypoint)]
    urls += [(f"entrypoints[{index}]", url) for index, url in enumerate(config.entrypoints)]
    for key, url in urls:
        message = names.url_problem(url) if url is not None else None
        if message:
            yield key, message
    if config.host is not None and names.host_problem(config.host):
        yield "host", names.host_problem(config.host) or ""
    if config.probe_path is not None and names.path_problem(config.probe_path):
        yield "probePath", names.path_problem(config.probe_path) or ""


def _matcher(matcher: Matcher) -> Iterator[Problem]:
    listed = isinstance(matcher.header, list)
    headers = matcher.header if isinstance(matcher.header, list) else [matcher.header]
    entries: list[tuple[str, StringMatch | None]] = [
        *((f"header[{i}]" if listed else "header", header) for i, header in enumerate(headers)),
        ("cookie", matcher.cookie),
        ("userAgent", matcher.user_agent),
    ]
    given = [(at, entry) for at, entry in entries if entry is not None]
    if not given:
        yield "header" if listed else "", "is empty: give header, cookie or userAgent"
    taken: dict[str, str] = {}
    for at, entry in given:
        yield from _inside(at, _string_match(entry))
        header = _header_of(at, entry)
        if header in taken:
            yield at, f"asks for the header {header} a second time, after {taken[header]}"
        taken.setdefault(header, at)


def _header_of(at: str, entry: StringMatch) -> str:
    if at.startswith("header") and isinstance(entry, NamedMatch):
        return entry.name.lower()
    return "cookie" if at == "cookie" else "user-agent"


def _string_match(match: StringMatch) -> Iterator[Problem]:
    if isinstance(match, NamedMatch):
        message = names.token_problem(match.name)
        if message:
            yield "name", message
    given = {"exact": match.exact, "prefix": match.prefix, "regex": match.regex}
    kinds = {kind: value for kind, value in given.items() if value is not None}
    if len(kinds) != 1:
        found = f"not {' and '.join(kinds)}" if kinds else "it has no value to compare with"
        yield "", f"needs exactly one of exact, prefix and regex; {found}"
    for kind, value in kinds.items():
        if not value:
            yield kind, "is empty"
        elif not value.isprintable():
            yield kind, "holds a character that no header can hold"
        elif kind == "regex":
            yield from (("regex", message) for message in regex.problems(value))


def _smoke(config: Config) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for index, check in enumerate(config.smoke):
        yield from _inside(f"smoke[{index}]", smoke.validate(check))
        if check.name in first:
            other = first[check.name]
            yield f"smoke[{index}].name", f"{check.name!r} is taken by smoke[{other}] already"
        first.setdefault(check.name, index)


def _waits(waits: Waits) -> Iterator[Problem]:
    encoded = zip(waits.__struct_fields__, waits.__struct_encode_fields__, strict=True)
    for name, key in encoded:
        value = getattr(waits, name)
        if isinstance(value, Duration) and value <= 0 and key not in ZERO_ALLOWED:
            yield key, "must be more than 0"
    if waits.consecutive < 1:
        yield "consecutive", f"is {waits.consecutive}: must be 1 or more"
    if waits.poll >= waits.mesh:
        yield "poll", f"{waits.poll} must be shorter than mesh, {waits.mesh}"
