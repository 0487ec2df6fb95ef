"""The theseus.yaml that `init` writes: what the cluster showed, and every other key explained."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator
from typing import Any

import msgspec

from theseus_ci.config.docs import DOCS
from theseus_ci.config.plain import to_plain
from theseus_ci.config.types import Bake, Config, Waits
from theseus_ci.quantities import counted

WIDTH = 100
COLUMN = 20
_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9./_-]*(?<![.-])")
_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What was found out about a running service."""

    service: str
    namespace: str
    previous: str | None = None  # the Deployment that carries the traffic
    replicas: int | None = None  # its pods
    manifest: str | None = None  # path, when one is known
    version_label: str | None = None  # the previous Deployment's, if its pods have one
    has_hpa: bool = False
    virtual_services: tuple[str, ...] = ()  # [namespace/]name
    must_name_them: bool = False  # a rollout may not look for them in all namespaces
    gateways: tuple[str, ...] = ()
    entrypoint: str | None = None  # a guess
    host: str | None = None
    ports: tuple[int, ...] = ()  # container ports, the service's first
    probe_path: str | None = None  # path of the readiness probe


def render(facts: Facts) -> str:
    """The file's text. Lines that begin with `#` and no blank are keys to uncomment."""
    return "\n".join(_lines(facts)).rstrip() + "\n"


def _lines(facts: Facts) -> Iterator[str]:
    yield from _comment(_found(facts))
    yield ""
    yield from _key("service", facts.service)
    yield from _key("namespace", facts.namespace)
    yield from _key("manifest", facts.manifest or f"k8s/{facts.service}.yaml")
    yield from _key("deployment", facts.previous or facts.service, active=False)
    yield from _key("version", "1.4.2", active=False)
    yield from _key("previous", facts.previous or facts.service, active=False)
    yield from _key(
        "virtualServices",
        list(facts.virtual_services) or [facts.service],
        active=facts.must_name_them and bool(facts.virtual_services),
    )
    no_route = bool(facts.gateways) and not facts.virtual_services
    yield from _key("gateways", list(facts.gateways) or ["mesh"], active=no_route)
    yield from _key(
        "entrypoint", facts.entrypoint or "http://127.0.0.1:8080", active=bool(facts.entrypoint)
    )
    yield from _key("entrypoints", ["http://127.0.0.1:8081"], active=False)
    yield from _key("host", facts.host or f"{facts.service}.example.com", active=bool(facts.host))
    yield from _key("probePath", "/", active=False)
    yield from _matchers()
    yield from _smoke(facts)
    yield from _performance(facts)
    yield from _key("flow", "canary", active=False)
    yield from _key("firstReplicas", 1, active=False)
    yield from _section("bake", "Bake", Bake())
    yield from _section("waits", "Waits", Waits())
    for key in (key for key in Config.__struct_encode_fields__ if key.startswith("allow")):
        yield from _key(key, False, active=False)


def _found(facts: Facts) -> str:
    pods = f" with {counted(facts.replicas, 'pod')}" if facts.replicas is not None else ""
    scaled = ", scaled by an autoscaler that the candidate gets a copy of" if facts.has_hpa else ""
    told = (
        f"Its pods carry the label version={facts.version_label}."
        if facts.version_label
        else "Its pods carry no version label: the candidate gets one from --version."
    )
    running = f"{facts.previous} carries the traffic now{pods}{scaled}. {told}"
    if facts.previous is None:
        running = "Nothing carries traffic yet: this will be a first release."
    return (
        f"How theseus-ci releases {facts.service}. {running} Commented keys show their default or "
        "an example; `theseus-ci plan --diff` shows what a release would change."
    )


def _comment(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent="# ", subsequent_indent="# ")


def _key(key: str, value: Any, *, active: bool = True) -> Iterator[str]:
    yield from _comment(DOCS[f"Config.{key}"])
    yield f"{'' if active else '#'}{key}: {_text(value)}"
    yield ""


def _matchers() -> Iterator[str]:
    yield from _comment(DOCS["Config.matchers"])
    yield "#matchers:"
    yield "#  - header: {name: x-release, exact: candidate}"
    yield '#  - cookie: {name: tester, regex: "^(alice|bob)$"}'
    yield '#  - userAgent: {prefix: "theseus/"}'
    yield ""


def _smoke(facts: Facts) -> Iterator[str]:
    known = bool(facts.probe_path and facts.entrypoint)
    mark = "" if known else "#"
    path = _text(facts.probe_path or "/health", inline=True)
    port = facts.ports[0] if facts.ports else 8080
    yield from _comment(DOCS["Config.smoke"])
    yield f"{mark}smoke:"
    yield f"{mark}  - name: health"
    yield f"{mark}    http: {{path: {path}, expect: {{status: 200, within: 1s}}}}"
    yield "#  - name: accepts connections"
    yield f"#    tcp: {{port: {port}, connect: true}}"
    yield "#  - name: seen from another host"
    yield '#    ssh: {host: ops@batch-1, command: "check-release --host {{host}}"}'
    yield "#  - name: acceptance"
    yield "#    bash: {inline: 'test -n \"$THESEUS_SERVICE\"'}"
    yield ""


def _performance(facts: Facts) -> Iterator[str]:
    path = _text(facts.probe_path or "/", inline=True)
    yield from _comment(DOCS["Config.performance"])
    yield "#performance:"
    yield f"#  requests: [{{path: {path}}}]"
    tolerance = "{p50: 10%, p95: 15%, p99: 25%}"
    for key, value in (("rate", "50"), ("tolerance", tolerance), ("anchorTolerance", "30%")):
        yield from _explained(f"#  {key}: {value}", DOCS[f"Performance.{key}"])
    yield ""


def _section(key: str, kind: str, defaults: msgspec.Struct) -> Iterator[str]:
    yield from _comment(DOCS[f"Config.{key}"])
    yield f"#{key}:"
    for inner, value in to_plain(defaults).items():
        yield from _explained(f"#  {inner}: {_text(value)}", DOCS[f"{kind}.{inner}"])
    yield ""


def _explained(line: str, meaning: str) -> Iterator[str]:
    """A key inside a commented section: its meaning beside it, or above it where that is long."""
    beside = f"{line:<{COLUMN}} # {meaning}"
    if len(beside) <= WIDTH:
        yield beside
    else:
        yield f"#  # {meaning}"
        yield line


def _text(value: Any, *, inline: bool = False) -> str:
    """The value in YAML, quoted where that keeps it text."""
    if isinstance(value, list):
        return f"[{', '.join(_text(one, inline=True) for one in value)}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"{value:g}"
    plain = _PLAIN.fullmatch(value) and value.lower() not in _WORDS
    duration = re.fullmatch(r"(\d+(ms|s|m|h))+", value)
    url = not inline and re.fullmatch(r"https?://[A-Za-z0-9.:/-]+[A-Za-z0-9/]", value)
    return value if plain or duration or url else json.dumps(value, ensure_ascii=False)
