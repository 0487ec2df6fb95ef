"""Smoke checks as people write them in theseus.yaml.

`SmokeCheck` and its parts are types alone, decoded by `load`; `validate` says what types cannot.
"""

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from theseus_ci.config.part import Part
from theseus_ci.quantities import Duration

PLACEHOLDERS = ("host", "entrypoint", "candidate", "previous", "namespace", "service")
"""What an ssh command may name as `{{host}}`; each is quoted for the remote shell."""

PLACEHOLDER = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")

JSON_MATCHERS = ("exact", "regex", "contains", "prefix", "exists", "min", "max")
"""Keys of an object that says what the value at a JSONPath must be like."""

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PORT_NAME = r"(?=.{1,15}\Z)(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*"
_VARIABLE = r"[A-Za-z_][A-Za-z0-9_]*"


class TextMatch(Part, frozen=True):
    """What a text must be like; exactly one of the four holds a value."""

    exact: str | None = None
    prefix: str | None = None
    contains: str | None = None
    regex: str | None = None  # searched anywhere in the text: use ^ and $ to anchor


class Tls(Part, frozen=True):
    """How a TLS server proves who it is, and how we do; paths are relative to theseus.yaml."""

    verify: bool = True
    ca: str | None = None  # PEM file; default: the system's, or requests' own
    server_name: str | None = None  # SNI and expected certificate name; default: the host
    client_cert: str | None = None  # PEM file, with its key unless client_key is given
    client_key: str | None = None


class Retry(Part, frozen=True):
    """Ask again until the check passes; the check's timeout bounds it all."""

    attempts: int | None = None  # at most so many requests; default: as many as fit
    deadline: Duration | None = None  # no new attempt later than this; default: the timeout
    interval: Duration = Duration(1)  # between the end of one attempt and the next


class HttpExpect(Part, frozen=True):
    """What the answer must be like: everything given must hold."""

    status: int | tuple[int, ...] = 200
    body: str | TextMatch | None = None  # a text alone: contained in the body
    # JSONPath: value, or one of JSON_MATCHERS; holds for every match
    json: dict[str, Any] = msgspec.field(default_factory=dict)
    # a text alone: exactly this value
    header: dict[str, str | TextMatch] = msgspec.field(default_factory=dict)
    within: Duration | None = None  # from the request's start to the answer's last byte


class HttpCheck(Part, frozen=True):
    """One request through the mesh to the candidate."""

    path: str = "/"
    method: str = "GET"
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    body: str | None = None
    json: Any = None  # sent as JSON; `body` and `json` exclude each other
    expect: HttpExpect = HttpExpect()
    tls: Tls = Tls()
    redirects: bool = False  # follow them, on the entrypoint only
    retry: Retry | None = None


class TcpCheck(Part, frozen=True):
    """A conversation with every pod of the candidate."""

    port: int | str  # number, or the container port's name
    connect: bool = False  # true: that the pod accepts a connection is all that is asserted
    send: str | None = None
    expect: str | TextMatch | None = None  # a text alone: contained in what the pod says
    encoding: str = "utf-8"  # of send and expect; latin-1 makes "\xff" one byte
    tls: Tls | None = None


class SshExpect(Part, frozen=True):
    """What the remote command must end with: everything given must hold."""

    exit: int = 0
    stdout: str | TextMatch | None = None  # a text alone: contained in the output
    stderr: str | TextMatch | None = None


class SshCheck(Part, frozen=True):
    """A command on another host, run by the system's ssh."""

    host: str  # host or user@host, as ssh takes it; ~/.ssh/config applies
    command: str  # for the remote shell; {{host}} and the other PLACEHOLDERS come quoted
    port: int | None = None
    identity_file: str | None = None
    options: dict[str, str] = msgspec.field(default_factory=dict)  # ssh -o Key=Value
    expect: SshExpect = SshExpect()


class BashCheck(Part, frozen=True):
    """A script whose exit status is the verdict."""

    script: str | None = None  # path, relative to theseus.yaml
    inline: str | None = None  # the script's text
    env: dict[str, str] = msgspec.field(default_factory=dict)


class SmokeCheck(Part, frozen=True):
    """One check; exactly one of the four kinds holds a value."""

    name: str  # the case's name in reports: the same on every run, unique
    http: HttpCheck | None = None
    tcp: TcpCheck | None = None
    ssh: SshCheck | None = None
    bash: str | BashCheck | None = None  # a text alone: the script's path
    timeout: Duration = Duration(30)


def text_match(given: str | TextMatch | None, *, exact: bool = False) -> TextMatch | None:
    """The long form of an expectation: a text alone is contained, or `exact`."""
    if not isinstance(given, str):
        return given
    return TextMatch(exact=given) if exact else TextMatch(contains=given)


def bash_check(given: str | BashCheck) -> BashCheck:
    """The long form of a bash check."""
    return BashCheck(script=given) if isinstance(given, str) else given


Problem = tuple[str, str]
"""Key path inside the check ("" for the check itself), and what is wrong there."""


def validate(check: SmokeCheck) -> Iterator[Problem]:
    """Yield what the types alone cannot say; nothing when the check is sound.

    That names are unique, and that files exist, is for the caller to find out.
    """
    if not check.name.strip() or not check.name.isprintable():
        yield "name", "must be one line of printable text"
    if check.timeout <= 0:
        yield "timeout", "must be more than 0"
    kinds = [kind for kind in ("http", "tcp", "ssh", "bash") if getattr(check, kind) is not None]
    if len(kinds) != 1:
        given = " and ".join(kinds) if kinds else "none"
        yield "", f"needs exactly one of http, tcp, ssh and bash, not {given}"
    if check.http is not None:
        yield from _inside("http", _validate_http(check.http, check.timeout))
    if check.tcp is not None:
        yield from _inside("tcp", _validate_tcp(check.tcp))
    if check.ssh is not None:
        yield from _inside("ssh", _validate_ssh(check.ssh))
    if check.bash is not None:
        yield from _inside("bash", _validate_bash(bash_check(check.bash)))


def _inside(key: str, problems: Iterator[Problem]) -> Iterator[Problem]:
    for path, message in problems:
        yield (f"{key}{path}" if path.startswith("[") else f"{key}.{path}".rstrip("."), message)


def _validate_http(http: HttpCheck, timeout: Duration) -> Iterator[Problem]:
    if not http.path.startswith("/"):
        yield "path", f"{http.path!r} must start with /; the entrypoint is set at the top"
    if not http.path.isprintable() or " " in http.path:
        yield "path", f"{http.path!r} holds blanks or control characters: write %20 for a blank"
    if not re.fullmatch(_TOKEN, http.method):
        yield "method", f"{http.method!r} is not an HTTP method"
    for name, value in http.headers.items():
        if not re.fullmatch(_TOKEN, name):
            yield f'headers["{name}"]', "is not the name of a header"
        if not value.isprintable() or not value.isascii():
            yield f'headers["{name}"]', "must be one line of printable ASCII"
    if http.body is not None and http.json is not None:
        yield "json", "body and json exclude each other"
    yield from _inside("expect", _validate_http_expect(http.expect, timeout))
    yield from _inside("tls", _validate_tls(http.tls))
    if http.retry is not None:
        yield from _inside("retry", _validate_retry(http.retry, timeout))


def _validate_http_expect(expect: HttpExpect, timeout: Duration) -> Iterator[Problem]:
    statuses = (expect.status,) if isinstance(expect.status, int) else expect.status
    if not statuses:
        yield "status", "is empty: name the statuses that pass"
    for status in statuses:
        if not 200 <= status <= 599:
            yield "status", f"{status} is not the status of an answer (200 to 599)"
    yield from _inside("body", _validate_match(text_match(expect.body)))
    for name, value in expect.header.items():
        if not re.fullmatch(_TOKEN, name):
            yield f'header["{name}"]', "is not the name of a header"
        yield from _inside(f'header["{name}"]', _validate_match(text_match(value, exact=True)))
    for path, wanted in expect.json.items():
        yield from _inside(f'json["{path}"]', _validate_json(path, wanted))
    if expect.within is not None and expect.within <= 0:
        yield "within", "must be more than 0"
    if expect.within is not None and expect.within > timeout:
        yield "within", f"{expect.within} is more than the check's timeout, {timeout}"


def _validate_json(path: str, wanted: object) -> Iterator[Problem]:
    # Slow to import, and only needed by those who use it.
    from jsonpath_ng.exceptions import JSONPathError  # noqa: PLC0415
    from jsonpath_ng.ext.parser import parse  # noqa: PLC0415

    try:
        parse(path)
    except JSONPathError as error:
        yield "", f"is not a JSONPath: {error}"
    if not isinstance(wanted, dict):
        return
    if len(wanted) != 1 or next(iter(wanted)) not in JSON_MATCHERS:
        known = ", ".join(JSON_MATCHERS)
        yield "", f"needs exactly one of {known} (an object to compare with goes under exact)"
        return
    ((kind, value),) = wanted.items()
    if kind in ("regex", "contains", "prefix") and not isinstance(value, str):
        yield kind, "must be a text"
    elif kind == "exists" and not isinstance(value, bool):
        yield kind, "must be true or false"
    elif kind in ("min", "max") and (isinstance(value, bool) or not isinstance(value, int | float)):
        yield kind, "must be a number"
    elif kind == "regex":
        yield from _inside(kind, _validate_regex(value))


def _validate_tcp(tcp: TcpCheck) -> Iterator[Problem]:
    if isinstance(tcp.port, int) and not 1 <= tcp.port <= 65535:
        yield "port", f"{tcp.port} is not a port (1 to 65535)"
    if isinstance(tcp.port, str) and not re.fullmatch(_PORT_NAME, tcp.port):
        yield "port", f"{tcp.port!r} is neither a number nor the name of a container port"
    if tcp.expect is None and not tcp.connect:
        yield "expect", "asserts nothing: give expect, or connect: true if a connection is enough"
    match = text_match(tcp.expect)
    yield from _inside("expect", _validate_match(match))
    if match is not None and match.exact is not None:
        yield "expect.exact", "has no end on a connection: use prefix, contains or regex"
    try:
        (tcp.send or "").encode(tcp.encoding)
        if match is not None and match.regex is None:
            (match.prefix or match.contains or "").encode(tcp.encoding)
    except LookupError:
        yield "encoding", f"{tcp.encoding!r} is not known"
    except UnicodeEncodeError as error:
        yield "encoding", f"{error.object[error.start : error.end]!r} is not in {tcp.encoding}"
    if tcp.tls is not None:
        yield from _inside("tls", _validate_tls(tcp.tls))


def _validate_ssh(ssh: SshCheck) -> Iterator[Problem]:
    if not ssh.host or ssh.host.startswith("-") or not ssh.host.isprintable() or " " in ssh.host:
        yield "host", f"{ssh.host!r} is not a host or user@host"
    if not ssh.command.strip():
        yield "command", "is empty, and would assert nothing"
    for name in PLACEHOLDER.findall(ssh.command):
        if name not in PLACEHOLDERS:
            known = ", ".join(f"{{{{{known}}}}}" for known in PLACEHOLDERS)
            yield "command", f"{{{{{name}}}}} is not known; there are {known}"
    if ssh.port is not None and not 1 <= ssh.port <= 65535:
        yield "port", f"{ssh.port} is not a port (1 to 65535)"
    for name, value in ssh.options.items():
        if not name.isalnum() or not value.isprintable():
            yield f'options["{name}"]', "is not an option of ssh_config"
    if not 0 <= ssh.expect.exit <= 254:
        yield "expect.exit", "must be 0 to 254; 255 is ssh's own failure"
    yield from _inside("expect.stdout", _validate_match(text_match(ssh.expect.stdout)))
    yield from _inside("expect.stderr", _validate_match(text_match(ssh.expect.stderr)))


def _validate_bash(bash: BashCheck) -> Iterator[Problem]:
    if (bash.script is None) == (bash.inline is None):
        yield "", "needs exactly one of script and inline"
    if bash.script is not None and not bash.script.strip():
        yield "script", "is empty"
    if bash.inline is not None and not bash.inline.strip():
        yield "inline", "is empty, and would assert nothing"
    for name, value in bash.env.items():
        if not re.fullmatch(_VARIABLE, name) or "\0" in value:
            yield f'env["{name}"]', "is not a variable of the environment"
        if name.startswith("THESEUS_"):
            yield f'env["{name}"]', "names that begin with THESEUS_ are ours"


def _validate_retry(retry: Retry, timeout: Duration) -> Iterator[Problem]:
    if retry.attempts is not None and retry.attempts < 1:
        yield "attempts", "must be 1 or more"
    if retry.deadline is not None and not 0 < retry.deadline <= timeout:
        yield "deadline", f"must be more than 0, and at most the check's timeout, {timeout}"
    if retry.interval < 0:
        yield "interval", "must not be negative"


def _validate_tls(tls: Tls) -> Iterator[Problem]:
    if tls.client_key is not None and tls.client_cert is None:
        yield "clientKey", "needs clientCert"
    if not tls.verify and tls.ca is not None:
        yield "ca", "is not used when verify is false"


def _validate_match(match: TextMatch | None) -> Iterator[Problem]:
    if match is None:
        return
    kinds = [k for k in ("exact", "prefix", "contains", "regex") if getattr(match, k) is not None]
    if len(kinds) != 1:
        yield "", "needs exactly one of exact, prefix, contains and regex"
        return
    if match.regex is not None:
        yield from _inside("regex", _validate_regex(match.regex))
    if getattr(match, kinds[0]) == "" and kinds[0] != "exact":
        yield kinds[0], "is empty, and would hold for any text"


def _validate_regex(pattern: str) -> Iterator[Problem]:
    try:
        re.compile(pattern)
    except re.error as error:
        yield "", f"is not a regular expression: {error}"
