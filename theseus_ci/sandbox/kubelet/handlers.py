"""The actions that probes and lifecycle hooks are made of: httpGet, tcpSocket, exec, sleep.

Each is carried out once, within its time limit, at the pod's folded address.
"""

from __future__ import annotations

import asyncio
import os
import signal
import ssl
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from pathlib import Path
from subprocess import STDOUT
from typing import Any, TypeVar

from theseus_ci.sandbox import network
from theseus_ci.sandbox.kubelet.environment import expand
from theseus_ci.sandbox.processes import exited, signal_group, spawn

T = TypeVar("T")
USER_AGENT = "kube-probe/1.36"
MOST_OUTPUT = 10 * 1024


@dataclass(frozen=True)
class Target:
    """The running container that a handler is about."""

    address: str
    ports: Mapping[str, int]
    environment: Mapping[str, str]
    directory: Path

    def port(self, wanted: int | str) -> int:
        """The number of a port given by number or name. Raises HandlerError."""
        if isinstance(wanted, int):
            return wanted
        if wanted in self.ports:
            return self.ports[wanted]
        if wanted.isdecimal():
            return int(wanted)
        raise HandlerError(f"couldn't find port: {wanted}")


class HandlerError(Exception):
    """The action failed; the message is what the kubelet would report."""


async def perform(handler: dict[str, Any], target: Target, seconds: float) -> None:
    """Carry out a handler. Raises HandlerError, also when it takes longer than `seconds`."""
    try:
        await within(_perform(handler, target), seconds)
    except asyncio.TimeoutError:
        kind = "exec" if "exec" in handler else "HTTP" if "httpGet" in handler else "TCP"
        raise HandlerError(
            f"{kind} timed out after {seconds:g}s: context deadline exceeded"
        ) from None


async def within(action: Awaitable[T], seconds: float) -> T:
    """The action's result. Raises asyncio.TimeoutError when it takes longer.

    asyncio.wait_for would do, but before Python 3.12 it forgets a cancellation that comes together
    with the action's own end. A probe fails in the very moment its container's process ends, and is
    cancelled for that: one that went on would keep the pod from ever being removed.
    """
    task = asyncio.ensure_future(action)
    try:
        await asyncio.wait({task}, timeout=seconds)
        if not task.done():
            raise asyncio.TimeoutError
        return task.result()
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
        elif not task.cancelled():
            task.exception()  # nobody else asks for it when we are cancelled


async def _perform(handler: dict[str, Any], target: Target) -> None:
    if "httpGet" in handler:
        await _http_get(handler["httpGet"], target)
    elif "tcpSocket" in handler:
        await _tcp_connect(handler["tcpSocket"], target)
    elif "exec" in handler:
        await _execute(handler["exec"].get("command") or [], target)
    elif "sleep" in handler:
        await asyncio.sleep(float(handler["sleep"].get("seconds", 0)))
    else:
        kinds = ", ".join(key for key in handler if key in {"grpc"}) or "empty"
        raise HandlerError(f"a handler of kind {kinds} is not supported in the sandbox")


async def _open(
    host: str | None, port: int, target: Target, tls: ssl.SSLContext | None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    address, real_port = network.fold(target.address, port) if not host else (host, port)
    try:
        return await asyncio.open_connection(address, real_port, ssl=tls)
    except OSError as error:
        shown = f"{host or target.address}:{port}"
        reason = os.strerror(error.errno).lower() if error.errno else str(error)
        raise HandlerError(f"dial tcp {shown}: connect: {reason}") from None


async def _tcp_connect(action: dict[str, Any], target: Target) -> None:
    _, writer = await _open(action.get("host"), target.port(action["port"]), target, None)
    writer.close()


async def _http_get(action: dict[str, Any], target: Target) -> None:
    port = target.port(action["port"])
    tls = None
    if action.get("scheme", "HTTP") == "HTTPS":
        tls = ssl.create_default_context()
        tls.check_hostname = False
        tls.verify_mode = ssl.CERT_NONE  # a kubelet does not verify a pod's certificate either
    reader, writer = await _open(action.get("host"), port, target, tls)
    try:
        writer.write(_request(action, f"{action.get('host') or target.address}:{port}"))
        status_line = await reader.readline()
    except (OSError, ValueError) as error:
        raise HandlerError(f"HTTP probe failed: {error}") from None
    finally:
        writer.close()
    words = status_line.split(b" ", 2)
    if len(words) < 2 or not words[1].isdigit():
        raise HandlerError(
            "HTTP probe failed: EOF" if not status_line else "malformed HTTP response"
        )
    if not 200 <= int(words[1]) < 400:
        raise HandlerError(f"HTTP probe failed with statuscode: {int(words[1])}")


def _request(action: dict[str, Any], host: str) -> bytes:
    headers = {"Host": host, "User-Agent": USER_AGENT, "Accept": "*/*", "Connection": "close"}
    for header in action.get("httpHeaders") or []:
        known = next((name for name in headers if name.lower() == header["name"].lower()), None)
        headers[known or header["name"]] = header["value"]
    path = action.get("path") or "/"
    lines = [f"GET {path if path.startswith('/') else '/' + path} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


async def _execute(command: list[str], target: Target) -> None:
    read_end, write_end = os.pipe()
    arguments = [expand(part, target.environment) for part in command]
    try:
        process = spawn(
            arguments,
            environment=target.environment,
            directory=target.directory,
            stdout=write_end,
            stderr=STDOUT,
        )
    except (OSError, IndexError) as error:
        os.close(read_end)
        raise HandlerError(f"exec {command[:1]}: {error}") from None
    finally:
        os.close(write_end)
    try:
        code = await exited(process)
        os.set_blocking(read_end, False)
        try:
            output = os.read(read_end, MOST_OUTPUT).decode("utf-8", "replace").strip()
        except BlockingIOError:
            output = ""
    finally:
        signal_group(process.pid, signal.SIGKILL)
        os.close(read_end)
        if process.poll() is None:
            process.wait()
    if code != 0:
        raise HandlerError(output or f"command {command!r} exited with {code}")
