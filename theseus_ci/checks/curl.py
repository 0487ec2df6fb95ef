"""A request as a command that people can paste, without the secret in it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from urllib.parse import SplitResult

from theseus_ci.checks.address import bracketed, default_port
from theseus_ci.config.smoke import HttpCheck
from theseus_ci.model import CheckTarget


def where_is_the_secret(target: CheckTarget) -> str:
    """Comment lines that say how to get the secret headers' values, "" where there are none."""
    return "\n".join(
        f"# ${variable} is the value matched for header {name} in:\n"
        f"#   kubectl -n {target.namespace} get virtualservices -o yaml"
        for name, variable in secret_variables(target).items()
    )


def secret_variables(target: CheckTarget) -> dict[str, str]:
    """Secret headers' names, and the shell variables that stand for their values."""
    names = list(target.secret_headers)
    if len(names) == 1:
        return {names[0]: "SECRET"}
    return {name: f"SECRET_{number}" for number, name in enumerate(names, 1)}


def curl(
    http: HttpCheck,
    target: CheckTarget,
    entrypoint: SplitResult,
    *,
    headers: Mapping[str, str],
    body: bytes | None,
    seconds: float,
) -> str:
    """Return the command that repeats a check's request. `headers` are those sent."""
    words = ["curl", "-sS", "-i", "--max-time", f"{seconds:g}"]
    if http.method == "HEAD":
        words.append("--head")
    elif http.method != ("GET" if body is None else "POST"):
        words += ["-X", http.method]
    if http.redirects:
        words.append("-L")
    words += _tls_words(http)
    host = next((value for name, value in headers.items() if name.lower() == "host"), "")
    url = f"{entrypoint.geturl().rstrip('/')}{http.path}"
    if entrypoint.scheme == "https" and host:
        # curl takes the name for TLS from the URL, so the address goes elsewhere.
        port = default_port(entrypoint)
        address = f"{bracketed(entrypoint.hostname or '')}:{port}"
        words += ["--connect-to", f"::{address}"]
        url = f"https://{host}{entrypoint.path.rstrip('/')}{http.path}"
    command = shlex.join(words)
    variables = {name.lower(): variable for name, variable in secret_variables(target).items()}
    for name, value in headers.items():
        if name.lower() in variables:
            command += f' -H "{name}: ${variables[name.lower()]}"'
        elif name.lower() not in ("accept-encoding", "connection", "content-length"):
            command += f" -H {shlex.quote(f'{name}: {value}')}"
    if body is not None:
        if not any(name.lower() == "content-type" for name in headers):
            command += " -H Content-Type:"  # curl would add one of its own
        command += f" --data-raw {shlex.quote(body.decode('utf-8', 'replace'))}"
    hint = where_is_the_secret(target)
    return f"{hint}\n{command} {shlex.quote(url)}".lstrip("\n")


def _tls_words(http: HttpCheck) -> list[str]:
    words = [] if http.tls.verify else ["-k"]
    for option, value in (
        ("--cacert", http.tls.ca),
        ("--cert", http.tls.client_cert),
        ("--key", http.tls.client_key),
    ):
        if value:
            words += [option, value]
    return words
