"""Runs the demo service until it is told to stop, or crashes as it was told to."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time

from theseus_ci.sandbox.demo_service.behaviour import Behaviour, BehaviourError, read_behaviour
from theseus_ci.sandbox.demo_service.connection import Connection, OpenConnections
from theseus_ci.sandbox.demo_service.line_protocol import LineConnection
from theseus_ci.sandbox.demo_service.service import Service


async def serve(behaviour: Behaviour) -> None:
    """Listen, serve, and shut down as told on SIGTERM or SIGINT. Raises OSError on a taken port."""
    loop = asyncio.get_running_loop()
    service = Service(behaviour)
    connections = OpenConnections()
    servers = [
        await loop.create_server(
            lambda: Connection(service, connections),
            behaviour.address,
            behaviour.port,
            backlog=1024,
        )
    ]
    if behaviour.tcp_port is not None:
        servers.append(
            await loop.create_server(
                lambda: LineConnection(behaviour.version), behaviour.address, behaviour.tcp_port
            )
        )
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGINT, stop.set)
    if behaviour.ignore_sigterm:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        loop.add_signal_handler(signal.SIGTERM, stop.set)
    for server in servers:
        host, port = server.sockets[0].getsockname()[:2]
        print(f"version {behaviour.version} listens on {host}:{port}", flush=True)
    await stop.wait()
    await shut_down(service, servers, connections)


async def shut_down(
    service: Service, servers: list[asyncio.Server], connections: OpenConnections
) -> None:
    """Either drop everything, or serve a while longer, then finish what is under way."""
    service.terminating = True
    if not service.behaviour.drop_on_shutdown:
        print(f"terminating: serving {service.behaviour.shutdown_serve:g} s more", flush=True)
        await asyncio.sleep(service.behaviour.shutdown_serve)
    service.closing = True
    for server in servers:
        server.close()
    await connections.end(abort=service.behaviour.drop_on_shutdown)
    print("stopped", flush=True)


def new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop  # noqa: PLC0415 - optional: the service runs without it, only slower
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def main() -> int:
    try:
        behaviour = read_behaviour(os.environ)
    except BehaviourError as error:
        print(f"demo service: {error}", file=sys.stderr)
        return 2
    if behaviour.startup_time:
        time.sleep(behaviour.startup_time)
    if behaviour.crash_at_start:
        print("crashed as told: at start", file=sys.stderr)
        return behaviour.crash_exit_code
    loop = new_loop()
    try:
        loop.run_until_complete(serve(behaviour))
    except OSError as error:
        print(f"demo service: cannot listen: {error}", file=sys.stderr)
        return 1
    finally:
        loop.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
