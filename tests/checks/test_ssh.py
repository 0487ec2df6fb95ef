"""ssh checks through a real sshd."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.checks.conftest import SECRET, Run
from tests.checks.servers import free_port, tcp_server
from tests.checks.sshd import Sshd, run_sshd
from theseus_ci.model import CheckResult, Verdict

# sh forks while our threads run; newer Pythons warn about any such fork.
pytestmark = pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with run_sshd(tmp_path_factory.mktemp("sshd")) as running:
        yield running


def remote(run: Run, sshd: Sshd, command: str, timeout: str = "10s", /, **more: Any) -> CheckResult:
    target = more.pop("target", {})
    ssh: dict[str, Any] = {
        "host": sshd.host,
        "port": sshd.port,
        "identityFile": sshd.key,
        "options": sshd.options,
        "command": command,
    }
    (result,) = run({"ssh": ssh | more, "timeout": timeout}, **target)
    assert SECRET not in repr(result)
    return result


def test_the_exit_status_is_the_verdict(run: Run, sshd: Sshd) -> None:
    result = remote(run, sshd, "echo hello; echo warned >&2")
    assert result.verdict is Verdict.PASS, result
    assert "hello" in result.evidence
    assert "warned" in result.evidence
    result = remote(run, sshd, "echo no >&2; exit 3")
    assert result.verdict is Verdict.FAIL
    assert "expected exit status 0, got 3" in result.message


def test_another_exit_status_may_be_expected(run: Run, sshd: Sshd) -> None:
    assert remote(run, sshd, "exit 3", expect={"exit": 3}).verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("expect", "verdict"),
    [
        ({"stdout": "ell"}, Verdict.PASS),
        ({"stdout": {"exact": "hello"}}, Verdict.PASS),
        ({"stdout": {"regex": "^h.*o$"}}, Verdict.PASS),
        ({"stdout": "bye"}, Verdict.FAIL),
        ({"stderr": {"exact": ""}}, Verdict.PASS),
        ({"stderr": "hello"}, Verdict.FAIL),
    ],
)
def test_output(run: Run, sshd: Sshd, expect: dict[str, Any], verdict: Verdict) -> None:
    options = sshd.options | {"LogLevel": "ERROR"}
    result = remote(run, sshd, "echo hello", expect=expect, options=options)
    assert result.verdict is verdict, result


def test_placeholders_are_quoted_for_the_remote_shell(run: Run, sshd: Sshd) -> None:
    nasty = 'reviews\'; echo pwned $(id) "`id`"'
    command = "printf '%s|' {{candidate}} {{ previous }} {{namespace}} {{service}} {{host}}"
    result = remote(
        run,
        sshd,
        command,
        expect={"stdout": {"exact": f"{nasty}|reviews-v1|bookinfo|reviews|gateway.example.com|"}},
        target={"candidate": nasty, "entrypoint": "http://gateway.example.com:80"},
    )
    assert result.verdict is Verdict.PASS, result


def test_host_is_the_host_header_when_there_is_one(run: Run, sshd: Sshd) -> None:
    result = remote(
        run,
        sshd,
        "echo {{host}} {{entrypoint}}",
        expect={"stdout": {"exact": "reviews.example.com http://127.0.0.1:1"}},
        target={"host": "reviews.example.com", "entrypoint": "http://127.0.0.1:1"},
    )
    assert result.verdict is Verdict.PASS, result


def test_an_unknown_placeholder_is_an_error(run: Run, sshd: Sshd) -> None:
    result = remote(run, sshd, "echo {{hots}}")
    assert result.verdict is Verdict.ERROR
    assert "{{hots}} is not known" in result.message


def test_nobody_there_is_an_error(run: Run, sshd: Sshd) -> None:
    result = remote(run, sshd, "true", port=free_port())
    assert result.verdict is Verdict.ERROR
    assert "refused" in result.message


def test_an_unknown_host_key_is_an_error(run: Run, sshd: Sshd, tmp_path: Path) -> None:
    options = {"UserKnownHostsFile": str(tmp_path / "none"), "StrictHostKeyChecking": "yes"}
    result = remote(run, sshd, "true", options=options)
    assert result.verdict is Verdict.ERROR
    assert "verification failed" in result.message


def test_a_key_that_is_not_let_in_is_an_error(run: Run, sshd: Sshd, tmp_path: Path) -> None:
    key = tmp_path / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    result = remote(run, sshd, "true", identityFile=str(key))
    assert result.verdict is Verdict.ERROR
    assert "denied" in result.message


def test_a_server_that_never_speaks_is_given_up(run: Run, sshd: Sshd) -> None:
    def silent(connection: Any) -> None:
        connection.recv(10_000)
        connection.recv(10_000)

    with tcp_server(silent) as port:
        result = remote(run, sshd, "true", "700ms", port=port)
    assert result.verdict is Verdict.FAIL
    assert result.message == "no result within 700ms"


def test_a_command_that_hangs_is_given_up(run: Run, sshd: Sshd) -> None:
    result = remote(run, sshd, "echo begun; sleep 30", "4s")
    assert result.verdict is Verdict.FAIL
    assert "begun" in result.evidence


def test_a_stop_ends_ssh(run: Run, sshd: Sshd, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    command = f"touch {shlex.quote(str(ready))}; sleep 30"
    result = remote(run, sshd, command, target={"stopped": ready.exists})
    assert result.verdict is Verdict.ERROR
    assert "stopped" in result.message
    port = f"\0-p\0{sshd.port}\0".encode()
    assert not [path for path in Path("/proc").glob("[0-9]*/cmdline") if port in read(path)]


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_output_without_end_is_bounded(run: Run, sshd: Sshd) -> None:
    result = remote(run, sshd, "head -c 5000000 /dev/zero | tr '\\0' x; echo; echo the end")
    assert result.verdict is Verdict.PASS
    assert len(result.evidence) < 100_000
    assert "the end" in result.evidence


def test_repeat_is_a_command_that_works(run: Run, sshd: Sshd) -> None:
    result = remote(run, sshd, "echo {{service}}")
    again = subprocess.run(shlex.split(result.repeat), stdout=subprocess.PIPE, check=True)
    assert again.stdout == b"reviews\n"
