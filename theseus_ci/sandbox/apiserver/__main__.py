"""Run the API server: python -m theseus_ci.sandbox.apiserver --directory DIR --port N"""

from __future__ import annotations

import argparse
import asyncio
import signal
import socket
import ssl
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TextIO

import uvloop
from aiohttp import web

from theseus_ci.sandbox.apiserver import pki
from theseus_ci.sandbox.apiserver.bootstrap import fill
from theseus_ci.sandbox.apiserver.identity import TokenFile
from theseus_ci.sandbox.apiserver.kinds import Registry
from theseus_ci.sandbox.apiserver.server import Server
from theseus_ci.sandbox.apiserver.store import Store
from theseus_ci.sandbox.apiserver.verbs import Verbs

HOST = "127.0.0.1"
SHUTDOWN_SECONDS = 1.0
REQUEST_LOG = "apiserver-requests.log"


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m theseus_ci.sandbox.apiserver")
    made.add_argument("--directory", type=Path, required=True, help="certificates, tokens, logs")
    made.add_argument("--port", type=int, default=0, help="0 (the default) takes a free port")
    made.add_argument("--watch-history", type=int, default=5000, help="changes kept per kind")
    made.add_argument("--request-log", action="store_true", help=f"write logs/{REQUEST_LOG}")
    return made


async def serve(directory: Path, port: int, history: int, log: TextIO | None) -> None:
    """Serve until SIGTERM or SIGINT; DIR/kubeconfig appears when requests are answered."""
    kubeconfig = directory / "kubeconfig"
    kubeconfig.unlink(missing_ok=True)
    tokens = directory / "tokens.csv"
    token = pki.admin_token(tokens)
    certificate, key = pki.create_certificates(directory / "pki")
    verbs = Verbs(Store(history), Registry())
    fill(verbs)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    application = Server(verbs, TokenFile(tokens), log).application()
    runner = web.AppRunner(
        application,
        access_log=None,
        handler_cancellation=True,
        shutdown_timeout=SHUTDOWN_SECONDS,
    )
    await runner.setup()
    listener = socket.create_server((HOST, port), backlog=1024)
    await web.SockSite(runner, listener, ssl_context=context).start()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    url = f"https://{HOST}:{listener.getsockname()[1]}"
    pki.write_kubeconfig(kubeconfig, url, directory / "pki" / "ca.crt", token)
    print(f"serving at {url}, kubeconfig {kubeconfig}", flush=True)
    await stop.wait()
    kubeconfig.unlink(missing_ok=True)
    await runner.cleanup()


def main(arguments: list[str]) -> int:
    """Run the server; returns the exit code."""
    options = parser().parse_args(arguments)
    directory: Path = options.directory.resolve()
    directory.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        log: TextIO | None = None
        if options.request_log:
            (directory / "logs").mkdir(exist_ok=True)
            path = directory / "logs" / REQUEST_LOG
            log = stack.enter_context(path.open("a", buffering=1, encoding="utf-8"))
        uvloop.run(serve(directory, options.port, options.watch_history, log))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
