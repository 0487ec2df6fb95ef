"""HTTP checks: a request through the mesh, routed to the candidate by the rollout's secret.

The entrypoint is ours to reach: when it cannot be connected to, nothing is known of the candidate
(ERROR). From then on every silence and every broken answer is the candidate's (FAIL).
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urljoin, urlsplit

import msgspec
import requests
from requests.structures import CaseInsensitiveDict

import theseus_ci
from theseus_ci.checks.address import default_port, split_entrypoint
from theseus_ci.checks.context import Context, Reason
from theseus_ci.checks.curl import curl
from theseus_ci.checks.evidence import Capture
from theseus_ci.checks.findings import Finding, judge, match_text
from theseus_ci.checks.http_transport import Line, open_session
from theseus_ci.config.smoke import HttpCheck, HttpExpect, Retry, text_match
from theseus_ci.errors import ConfigError
from theseus_ci.model import CheckResult, Verdict

BODY_LIMIT = 4 * 1024 * 1024  # bytes read of an answer
CONNECT_LIMIT = 10.0  # seconds to connect to the entrypoint
REDIRECT_LIMIT = 10


class UnreachableError(Exception):
    """The entrypoint could not be connected to."""


class BrokenOffError(Exception):
    """The connection stood, but no whole answer came."""


@dataclass(kw_only=True)
class Exchange:
    """A request, and as much of its answer as came."""

    url: str
    method: str
    headers: CaseInsensitiveDict[str]
    body: bytes | None
    status: int = 0
    reason: str = ""
    answer_headers: CaseInsensitiveDict[str] = field(default_factory=CaseInsensitiveDict)
    answer: bytearray = field(default_factory=bytearray)
    whole: bool = False  # False where the body is longer than BODY_LIMIT
    seconds: float = 0.0


def run_http(http: HttpCheck, context: Context) -> list[CheckResult]:
    """Ask until the expectations hold or the retries are used up; the last attempt counts.

    Raises ConfigError for what cannot be asked as written.
    """
    if not context.target.entrypoint:
        raise ConfigError(
            "an HTTP check needs the URL at which tests enter the mesh", where="entrypoint"
        )
    retry = http.retry or Retry(attempts=1)
    last_start = context.started + (retry.deadline or context.check.timeout)
    attempt = 1
    before = ""
    while True:
        result = _attempt(http, context, attempt)
        if before and result.verdict is not Verdict.PASS and context.is_over():
            message = f"{result.message}; the attempt before it: {before}"
            return [msgspec.structs.replace(result, message=message)]
        enough = retry.attempts is not None and attempt >= retry.attempts
        too_late = time.monotonic() + retry.interval >= last_start
        if result.verdict is Verdict.PASS or enough or too_late:
            return [result]
        if context.abort.wait(retry.interval):
            stopped = context.abort.reason is Reason.STOPPED
            return [context.ended(evidence=result.evidence) if stopped else result]
        attempt, before = attempt + 1, result.message


def _attempt(http: HttpCheck, context: Context, number: int) -> CheckResult:
    exchange = _first_request(http, context)
    entrypoint = split_entrypoint(context.target.entrypoint)
    repeat = curl(
        http,
        context.target,
        entrypoint,
        headers=exchange.headers,
        body=exchange.body,
        seconds=context.check.timeout,
    )
    started = time.perf_counter()
    try:
        for _ in range(REDIRECT_LIMIT + 1):
            _exchange(exchange, http, context)
            following = _redirected(exchange, context) if http.redirects else None
            if following is None:
                break
            exchange = following
        exchange.seconds = time.perf_counter() - started
    except (UnreachableError, BrokenOffError) as error:
        evidence = _evidence(exchange, context)
        reachable = isinstance(error, BrokenOffError)
        if context.abort.reason is not None or (reachable and context.is_over()):
            return context.ended(evidence=evidence, repeat=repeat)
        return context.result(
            Verdict.FAIL if reachable else Verdict.ERROR,
            str(error),
            expected="an answer" if reachable else f"a connection to {context.target.entrypoint}",
            actual=str(error),
            evidence=evidence,
            repeat=repeat,
            details={"attempts": number},
        )
    judgement = judge(list(_findings(http.expect, exchange)), _summary(exchange))
    return context.result(
        judgement.verdict,
        judgement.message,
        expected=judgement.expected,
        actual=judgement.actual,
        evidence=_evidence(exchange, context),
        repeat=repeat,
        charted_seconds=exchange.seconds,
        details={
            "status": exchange.status,
            "milliseconds": round(exchange.seconds * 1000, 3),
            "bytes": len(exchange.answer),
            "attempts": number,
        },
    )


def _first_request(http: HttpCheck, context: Context) -> Exchange:
    target = context.target
    headers = CaseInsensitiveDict(
        {"Accept": "*/*", "User-Agent": f"theseus-ci/{theseus_ci.__version__} smoke"}
    )
    body = http.body.encode() if http.body is not None else None
    if http.json is not None:
        body = json.dumps(http.json, ensure_ascii=False).encode()
        headers["Content-Type"] = "application/json"
    if target.host:
        headers["Host"] = target.host
    headers.update(http.headers)
    headers.update(target.secret_headers)
    url = target.entrypoint.rstrip("/") + http.path
    return Exchange(url=url, method=http.method, headers=headers, body=body)


def _exchange(exchange: Exchange, http: HttpCheck, context: Context) -> None:
    """Send the request and fill in the answer.

    Raises UnreachableError, BrokenOffError and ConfigError.
    """
    line = Line()
    host = exchange.headers.get("Host", "")
    server_name = http.tls.server_name or urlsplit(f"//{host}").hostname
    server_name = server_name or urlsplit(exchange.url).hostname or ""
    session = open_session(line, http.tls, server_name, context.directory)
    with session, context.abort.calls(line.hang_up):
        try:
            _send(session, exchange, context)
        except (requests.exceptions.InvalidURL, requests.exceptions.InvalidHeader) as error:
            raise ConfigError(str(error), where="http") from error
        except requests.exceptions.Timeout as error:
            if line.established:
                raise BrokenOffError(f"no whole answer within {context.check.timeout}") from error
            raise UnreachableError(f"no connection to {exchange.url}: timed out") from error
        except (requests.exceptions.RequestException, OSError) as error:
            if line.established:
                raise BrokenOffError(f"the answer broke off: {_root(error)}") from error
            raise UnreachableError(f"no connection to {exchange.url}: {_root(error)}") from error
        finally:
            line.close()


def _send(session: requests.Session, exchange: Exchange, context: Context) -> None:
    request = requests.Request(
        exchange.method, exchange.url, headers=exchange.headers, data=exchange.body
    )
    remaining = context.remaining()
    response = session.send(
        session.prepare_request(request),
        stream=True,
        allow_redirects=False,
        timeout=(min(CONNECT_LIMIT, remaining), remaining),
        verify=session.verify,
        cert=session.cert,
    )
    with response:
        exchange.status = response.status_code
        exchange.reason = response.reason or ""
        exchange.answer_headers = response.headers
        for chunk in response.iter_content(65536):
            exchange.answer += chunk
            if len(exchange.answer) > BODY_LIMIT:
                return
        exchange.whole = True
        announced = response.headers.get("Content-Length", "")
        came = response.raw.tell()
        bodiless = exchange.method == "HEAD" or exchange.status in (204, 304)
        if announced.isdigit() and not bodiless and came < int(announced):
            raise BrokenOffError(f"the answer broke off: {came:,} of {int(announced):,} bytes came")


def _root(error: BaseException) -> str:
    """The innermost reason: requests and urllib3 wrap it twice."""
    while error.args and isinstance(error.args[-1], BaseException):
        error = error.args[-1]
    inner = getattr(error, "reason", None)
    if isinstance(inner, BaseException) and inner is not error:
        return _root(inner)
    return str(error) or type(error).__name__


def _redirected(exchange: Exchange, context: Context) -> Exchange | None:
    """The next request; None where the answer is none, or leads away from the entrypoint: the
    secret goes nowhere else, and neither do we."""
    location = exchange.answer_headers.get("Location")
    if exchange.status not in (301, 302, 303, 307, 308) or not location:
        return None
    entrypoint = split_entrypoint(context.target.entrypoint)
    host = exchange.headers.get("Host") or entrypoint.netloc
    try:
        there = urlsplit(
            urljoin(f"{entrypoint.scheme}://{host}{urlsplit(exchange.url).path}", location)
        )
        same_place = there.scheme == entrypoint.scheme and (
            there.netloc in (host, entrypoint.netloc)
            or (there.hostname, default_port(there))
            == (entrypoint.hostname, default_port(entrypoint))
        )
    except ValueError:
        return None
    if not same_place:
        return None
    keeps = exchange.status in (307, 308) or exchange.method == "HEAD"
    query = f"?{there.query}" if there.query else ""
    return Exchange(
        url=f"{entrypoint.scheme}://{entrypoint.netloc}{there.path or '/'}{query}",
        method=exchange.method if keeps else "GET",
        headers=exchange.headers,
        body=exchange.body if keeps else None,
    )


def _findings(expect: HttpExpect, exchange: Exchange) -> Iterator[Finding]:
    statuses = (expect.status,) if isinstance(expect.status, int) else expect.status
    if statuses:
        actual = f"status {exchange.status}"
        location = exchange.answer_headers.get("Location")
        if location:
            actual += f" (to {location})"
        wanted = "status " + " or ".join(map(str, statuses))
        yield Finding(wanted, actual, exchange.status in statuses)
    for name, value in expect.header.items():
        match = text_match(value, exact=True)
        given = exchange.answer_headers.get(name)
        if match is not None:
            finding = match_text(f"header {name}", match, given or "")
            absent = Finding(finding.expected, f"no header {name}", holds=False)
            yield absent if given is None else finding
    match = text_match(expect.body)
    if match is not None:
        text = exchange.answer.decode("utf-8", "replace")
        yield match_text("body", match, text, whole=exchange.whole)
    if expect.json:
        from theseus_ci.checks.json_match import match_json  # noqa: PLC0415 - slow to import

        yield from match_json(bytes(exchange.answer), expect.json)
    if expect.within is not None:
        took = f"{exchange.seconds * 1000:.1f}ms"
        wanted = f"an answer within {expect.within}"
        yield Finding(wanted, f"one after {took}", exchange.seconds <= expect.within)


def _summary(exchange: Exchange) -> str:
    size = f"{len(exchange.answer):,}{'' if exchange.whole else ' and more'}"
    return f"status {exchange.status} in {exchange.seconds * 1000:.1f} ms, {size} bytes"


def _evidence(exchange: Exchange, context: Context) -> str:
    secret = {name.lower() for name in context.target.secret_headers}
    lines = [f"> {exchange.method} {exchange.url}"]
    for name, value in exchange.headers.items():
        lines.append(f"> {name}: {'<secret>' if name.lower() in secret else value}")
    if exchange.body is not None:
        sent = Capture(4_000)
        sent.add(exchange.body)
        lines += [">", sent.text(context.scrubber)]
    if exchange.status:
        lines += ["", f"< {exchange.status} {exchange.reason}".rstrip()]
        lines += [f"< {name}: {value}" for name, value in exchange.answer_headers.items()]
        came = Capture(32_000)
        came.add(bytes(exchange.answer))
        lines += ["<", came.text(context.scrubber)]
    return "\n".join(lines)
