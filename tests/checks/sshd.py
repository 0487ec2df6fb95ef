"""A real sshd on loopback, run by the current user with keys made for it."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from theseus_ci.checks.processes import dying_with_parent

HOW_TO_INSTALL = "sshd is not installed: apt-get install openssh-server"


@dataclass
class Sshd:
    """A running sshd."""

    port: int
    key: str
    known_hosts: str
    user: str

    @property
    def host(self) -> str:
        return f"{self.user}@127.0.0.1"

    @property
    def options(self) -> dict[str, str]:
        """What the user's own ~/.ssh/config would say."""
        return {"UserKnownHostsFile": self.known_hosts, "IdentitiesOnly": "yes"}


def find_sshd() -> str:
    """Path of sshd; without one the test is skipped, or fails where everything is required."""
    path = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if path is None or shutil.which("ssh") is None:
        if os.environ.get("THESEUS_REQUIRE") == "all":
            pytest.fail(HOW_TO_INSTALL)
        pytest.skip(HOW_TO_INSTALL)
    return path


@contextlib.contextmanager
def run_sshd(folder: Path) -> Iterator[Sshd]:
    """Start sshd, wait until it answers, and stop it in the end."""
    program = find_sshd()
    for name in ("host_key", "user_key"):
        keygen = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(keygen, check=True)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    host_key = (folder / "host_key.pub").read_text()
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_key}")
    (folder / "config").write_text(
        f"ListenAddress 127.0.0.1:{port}\n"
        f"HostKey {folder}/host_key\n"
        f"AuthorizedKeysFile {folder}/user_key.pub\n"
        "PasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM no\n"
        "StrictModes no\nPidFile none\nPermitRootLogin prohibit-password\n"
    )
    if os.geteuid() == 0:  # where sshd drops privileges to; the package's service makes it
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    log = (folder / "log").open("wb")
    with (
        log,
        subprocess.Popen(
            dying_with_parent([program, "-D", "-e", "-f", str(folder / "config")]),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        ) as process,
    ):
        try:
            _wait_for_banner(port, process, folder / "log")
            yield Sshd(
                port, str(folder / "user_key"), str(folder / "known_hosts"), getpass.getuser()
            )
        finally:
            process.terminate()


def _wait_for_banner(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", port), timeout=1) as sock,
        ):
            if sock.recv(4) == b"SSH-":
                return
        time.sleep(0.02)
    raise AssertionError(f"sshd does not answer: {log.read_text()}")
