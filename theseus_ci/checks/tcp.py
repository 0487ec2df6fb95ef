"""tcp checks: a conversation with every pod of the candidate.

No header can route tcp, so the mesh is passed by: each pod is asked at its own address. All are
asked at once, and all must hold.
"""

from __future__ import annotations

import asyncio
import errno
import re
import shlex
import ssl
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

from theseus_ci.checks.address import bracketed, fold
from theseus_ci.checks.context import Context
from theseus_ci.checks.evidence import Capture
from theseus_ci.checks.findings import Finding, match_text, show
from theseus_ci.checks.tls import client_context
from theseus_ci.config.smoke import TcpCheck, TextMatch, text_match
from theseus_ci.errors import ConfigError
from theseus_ci.model import CheckResult, PodAddress, Verdict

ANSWER_LIMIT = 1024 * 1024  # bytes read of a pod's answer
AT_ONCE = 32  # pods
NO_WAY_THERE = (errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EACCES, errno.EPERM, errno.EMFILE)
"""Failures to connect that are on our side: they say nothing of the pod."""


@dataclass(kw_only=True)
class Talk:
    """A conversation with one pod."""

    pod: PodAddress
    host: str
    port: int
    verdict: Verdict = Verdict.FAIL
    problem: str = ""  # what was not as expected
    heard: bytearray = field(default_factory=bytearray)


def run_tcp(tcp: TcpCheck, context: Context) -> list[CheckResult]:
    """Talk to every pod at once. Raises ConfigError for what cannot be done as written."""
    talks = [_talk(tcp, pod, context) for pod in context.target.pods]
    if not talks:
        return [context.result(Verdict.ERROR, "the candidate has no pod, so nothing was asserted")]
    tls = client_context(tcp.tls, context.directory) if tcp.tls is not None else None
    finished = _run(_all(talks, tcp, context, tls), context)
    if not finished:
        for talk in talks:
            if not talk.problem and talk.verdict is not Verdict.PASS:
                talk.problem = f"no answer as expected within {context.check.timeout}"
    return [_result(talks, tcp, context)]


def _talk(tcp: TcpCheck, pod: PodAddress, context: Context) -> Talk:
    port = _port(tcp, pod, context)
    try:
        host, folded = fold(pod.ip, port, context.target.pod_network)
    except ValueError as error:
        raise ConfigError(f"pod {pod.name} has no usable address: {error}") from error
    return Talk(pod=pod, host=host, port=folded)


def _port(tcp: TcpCheck, pod: PodAddress, context: Context) -> int:
    if isinstance(tcp.port, int):
        return tcp.port
    if context.port_names is None:
        raise ConfigError("ports cannot be looked up by name here: write the number", where="port")
    port = context.port_names(context.target.namespace, pod, tcp.port)
    if port is None:
        raise ConfigError(f"pod {pod.name} has no container port named {tcp.port!r}", where="port")
    return port


def _run(work: Coroutine[Any, Any, None], context: Context) -> bool:
    """Run `work` until it ends, the deadline or an abort; tell whether it ended by itself."""

    async def bounded() -> bool:
        loop = asyncio.get_running_loop()
        task = asyncio.ensure_future(work)

        def cancel() -> None:
            loop.call_soon_threadsafe(task.cancel)

        with context.abort.calls(cancel):
            done, _ = await asyncio.wait({task}, timeout=context.remaining())
        if not done:
            task.cancel()
        await asyncio.wait({task})
        if not task.cancelled():
            task.result()
        return bool(done) and not task.cancelled()

    return asyncio.run(bounded())


async def _all(
    talks: list[Talk], tcp: TcpCheck, context: Context, tls: ssl.SSLContext | None
) -> None:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(talk: Talk) -> None:
        async with gate:
            await _converse(talk, tcp, context, tls)

    await asyncio.gather(*(one(talk) for talk in talks))


async def _converse(
    talk: Talk, tcp: TcpCheck, context: Context, tls: ssl.SSLContext | None
) -> None:
    server_name = None
    if tls is not None and tcp.tls is not None:
        target = context.target
        server_name = tcp.tls.server_name or target.host.partition(":")[0] or target.service
    try:
        reader, writer = await asyncio.open_connection(
            talk.host, talk.port, ssl=tls, server_hostname=server_name
        )
    except OSError as error:  # ssl.SSLError is one, whose errno is TLS's own
        own = not isinstance(error, ssl.SSLError) and error.errno in NO_WAY_THERE
        talk.verdict = Verdict.ERROR if own else Verdict.FAIL
        talk.problem = f"no connection: {_reason(error)}"
        return
    try:
        if tcp.send is not None:
            writer.write(tcp.send.encode(tcp.encoding))
            await writer.drain()
        await _listen(talk, reader, tcp)
    except OSError as error:
        talk.problem = f"the connection broke off: {_reason(error)}"
    finally:
        writer.transport.abort()


async def _listen(talk: Talk, reader: asyncio.StreamReader, tcp: TcpCheck) -> None:
    """Read until the expectation holds, or can hold no more."""
    match = text_match(tcp.expect)
    if match is None:
        talk.verdict = Verdict.PASS if tcp.connect else Verdict.ERROR
        talk.problem = "" if tcp.connect else "asserted nothing, so it can say nothing"
        return
    while True:
        chunk = await reader.read(65536)
        talk.heard += chunk
        if _heard(talk, tcp, match).holds:
            talk.verdict = Verdict.PASS
            return
        if not chunk or len(talk.heard) > ANSWER_LIMIT:
            ending = "closed by the pod" if not chunk else f"after {ANSWER_LIMIT:,} bytes"
            talk.problem = f"{_heard(talk, tcp, match).actual} ({ending})"
            return


def _heard(talk: Talk, tcp: TcpCheck, match: TextMatch) -> Finding:
    return match_text("answer", match, talk.heard.decode(tcp.encoding, "replace"))


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason or error}"
    if error.errno:
        return f"{errno.errorcode.get(error.errno, '')} {error.strerror or ''}".strip()
    return str(error) or type(error).__name__


def _result(talks: list[Talk], tcp: TcpCheck, context: Context) -> CheckResult:
    bad = [talk for talk in talks if talk.verdict is not Verdict.PASS]
    evidence = "\n\n".join(_evidence(talk, tcp, context) for talk in talks)
    repeat = _repeat((bad or talks)[0], tcp, context)
    if bad and context.abort.reason is not None:
        return context.ended(evidence=evidence, repeat=repeat)
    failing = any(talk.verdict is Verdict.FAIL for talk in bad)
    verdict = Verdict.FAIL if failing else Verdict.ERROR if bad else Verdict.PASS
    good = f"{len(talks) - len(bad)} of {len(talks)} pods answered as expected"
    problems = "; ".join(f"{talk.pod.name}: {talk.problem}" for talk in bad[:5])
    match = text_match(tcp.expect)
    wanted = match_text("answer", match, "").expected if match else "a connection"
    return context.result(
        verdict,
        f"{good}: {problems}" if bad else good,
        expected=f"from every pod: {wanted}",
        actual="\n".join(f"{t.pod.name}: {t.problem or 'as expected'}" for t in talks),
        evidence=evidence,
        repeat=repeat,
        details={"pods": len(talks), "pods as expected": len(talks) - len(bad)},
    )


def _evidence(talk: Talk, tcp: TcpCheck, context: Context) -> str:
    where = f"{bracketed(talk.pod.ip)}:{tcp.port}"
    if talk.host != talk.pod.ip:
        where += f" (reached at {bracketed(talk.host)}:{talk.port})"
    lines = [f"{talk.pod.name} {where}"]
    if tcp.send is not None:
        lines.append(f"> {show(tcp.send)}")
    if talk.heard:
        kept = Capture(4_000)
        kept.add(bytes(talk.heard))
        lines.append(f"< {kept.text(context.scrubber)}")
    if talk.problem:
        lines.append(talk.problem)
    return "\n".join(lines)


def _repeat(talk: Talk, tcp: TcpCheck, context: Context) -> str:
    """A command that shows what the pod says, by nothing but bash where there is no TLS."""
    sent = (tcp.send or "").encode(tcp.encoding, "replace")
    octal = re.sub(rb"[^ -~]|['\"$`\\%!]", lambda found: b"\\%03o" % found[0][0], sent)
    say = f'printf "{octal.decode()}"'
    limit = ["timeout", f"{context.check.timeout:g}"]
    if tcp.tls is None:
        path = f"/dev/tcp/{talk.host}/{talk.port}"
        return shlex.join([*limit, "bash", "-c", f"exec 3<>{path}; {say} >&3; cat <&3"])
    name = tcp.tls.server_name or context.target.host.partition(":")[0] or context.target.service
    words = [*limit, "openssl", "s_client", "-quiet", "-servername", name]
    words += ["-connect", f"{bracketed(talk.host)}:{talk.port}"]
    return f"({say}; sleep 1) | {shlex.join(words)}"
