"""bash checks: a script whose exit status is the verdict.

The script is told of the release by its environment (see `environment`), and finds the secret
headers in a file that is gone after the check, never in the environment itself. JUnit files it
leaves in $THESEUS_REPORTS become cases of their own.
"""

from __future__ import annotations

import hashlib
import os
import re
import selectors
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from theseus_ci.checks.address import fold
from theseus_ci.checks.context import Context
from theseus_ci.checks.curl import secret_variables, where_is_the_secret
from theseus_ci.checks.evidence import Capture
from theseus_ci.checks.junit_import import import_reports, scrub_files
from theseus_ci.checks.processes import dying_with_parent, kill_marked, signal_group
from theseus_ci.config.smoke import BashCheck
from theseus_ci.errors import ConfigError
from theseus_ci.model import CheckResult, CheckTarget, Verdict

GRACE = 0.3  # seconds between SIGTERM and SIGKILL
POLL = 0.02  # seconds between two looks whether the script has ended
NOT_STARTED = {126: "something in it cannot be executed", 127: "a command in it was not found"}
MARK = "THESEUS_CHECK_RUN"


def run_bash(bash: BashCheck, context: Context) -> list[CheckResult]:
    """Run the script; its JUnit cases come behind its own.

    Raises ConfigError for what cannot be run as written.
    """
    arguments = _arguments(bash, context)
    output = Capture()
    with _reports(context) as reports, _headers_file(context.target) as headers:
        variables = environment(context.target, reports, headers) | bash.env
        status = _run(arguments, variables, context, output)
        cases = import_reports(context.check.name, reports)
        scrub_files(reports, context.scrubber)
    repeat = _repeat(bash, variables, context)
    evidence = f"$ bash {shlex.join(arguments[1:])}\n{output.text(context.scrubber)}"
    if context.abort.reason is not None:
        return [context.ended(evidence=evidence, repeat=repeat), *cases]
    verdict, message = _judge(status, output.text(context.scrubber))
    own = context.result(
        verdict,
        message,
        expected="exit status 0",
        actual=f"exit status {status}" if status >= 0 else f"ended by signal {-status}",
        evidence=evidence,
        repeat=repeat,
        details={"exit status": status, "cases": len(cases)},
    )
    return [own, *cases]


def environment(target: CheckTarget, reports: Path, headers: Path) -> dict[str, str]:
    """What a script is told of the release.

    THESEUS_PODS are addresses as the cluster knows them. THESEUS_POD_ADDRESSES, in the same order,
    are where they are reached from here; ports below 1024 are to be moved up by
    THESEUS_PRIVILEGED_PORT_OFFSET (0 in a real cluster). THESEUS_HEADERS_FILE holds one header a
    line, the Host header included, for `curl -H @file`.
    """
    network = target.pod_network
    addresses = [fold(pod.ip, 1024, network)[0] for pod in target.pods]
    return {
        "THESEUS_SERVICE": target.service,
        "THESEUS_NAMESPACE": target.namespace,
        "THESEUS_ROLLOUT": target.rollout,
        "THESEUS_CANDIDATE": target.candidate,
        "THESEUS_PREVIOUS": target.previous,
        "THESEUS_CANDIDATE_VERSION": target.candidate_version,
        "THESEUS_PREVIOUS_VERSION": target.previous_version,
        "THESEUS_ENTRYPOINT": target.entrypoint,
        "THESEUS_HOST": target.host,
        "THESEUS_PODS": " ".join(pod.ip for pod in target.pods),
        "THESEUS_POD_NAMES": " ".join(pod.name for pod in target.pods),
        "THESEUS_POD_ADDRESSES": " ".join(addresses),
        "THESEUS_PRIVILEGED_PORT_OFFSET": str(network.privileged_port_offset if network else 0),
        "THESEUS_WEIGHT": str(target.weight),
        "THESEUS_HEADERS_FILE": str(headers),
        "THESEUS_REPORTS": str(reports),
    }


def _arguments(bash: BashCheck, context: Context) -> list[str]:
    program = shutil.which("bash")
    if program is None:
        raise ConfigError("there is no bash here", where="bash")
    strict = [str(Path(program).absolute()), "-euo", "pipefail"]
    if bash.script is None:
        return [*strict, "-c", bash.inline or "", "bash"]
    script = context.path(bash.script)
    if not script.is_file():
        raise ConfigError(f"there is no script {script}", where="bash.script")
    if not os.access(script, os.R_OK):
        raise ConfigError(f"the script {script} cannot be read", where="bash.script")
    return [*strict, str(script)]


@contextmanager
def _headers_file(target: CheckTarget) -> Iterator[Path]:
    """A file of header lines that nobody else can read, for as long as the check runs."""
    with tempfile.TemporaryDirectory(prefix="theseus-") as folder:
        headers = ({"Host": target.host} if target.host else {}) | target.secret_headers
        path = Path(folder, "headers")
        path.touch(mode=0o600, exist_ok=False)
        path.write_text("".join(f"{name}: {value}\n" for name, value in headers.items()))
        yield path


@contextmanager
def _reports(context: Context) -> Iterator[Path]:
    """An empty folder of this check's own. It stays, unless there is no folder for reports."""
    name = context.check.name
    slug = re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-")
    if slug != name:
        slug += "-" + hashlib.sha256(name.encode()).hexdigest()[:6]
    if not context.target.reports:
        with tempfile.TemporaryDirectory(prefix="theseus-") as folder:
            yield Path(folder)
        return
    path = Path(context.target.reports).absolute() / slug
    if path.exists():  # an earlier run's files would be taken for this one's
        shutil.rmtree(path)
    path.mkdir(parents=True)
    yield path


def _run(arguments: list[str], variables: dict[str, str], context: Context, output: Capture) -> int:
    """Run to the end of bash and return its exit status, negative for a signal. Nothing that it
    started is left."""
    mark = uuid.uuid4().hex
    process = subprocess.Popen(  # noqa: S603 - running the user's script is the purpose
        dying_with_parent(arguments),
        env=os.environ | variables | {MARK: mark},
        cwd=context.directory,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        bufsize=0,
    )
    try:
        with context.abort.calls(lambda: signal_group(process.pid, signal.SIGTERM)):
            _follow(process, context, output)
    finally:
        # Before the leader is waited for: as long as it is a zombie its number is not reused.
        signal_group(process.pid, signal.SIGKILL)
        process.wait()
        kill_marked(f"{MARK}={mark}")
        _drain(process, output)
    return process.returncode


def _follow(process: subprocess.Popen[bytes], context: Context, output: Capture) -> None:
    """Take the output until bash has ended, or a while after the check was."""
    assert process.stdout is not None
    os.set_blocking(process.stdout.fileno(), False)
    ended_at: float | None = None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while not _has_ended(process):
            if context.abort.reason is not None:
                ended_at = ended_at or time.monotonic()
                if time.monotonic() >= ended_at + GRACE:
                    return
            if selector.get_map() and selector.select(POLL):
                if not _read(process, output):
                    selector.unregister(process.stdout)
            elif not selector.get_map():
                context.abort.wait(POLL)


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Tell without waiting for it, so that its group's number stays ours."""
    options = os.WEXITED | os.WNOHANG | os.WNOWAIT
    return os.waitid(os.P_PID, process.pid, options) is not None


def _read(process: subprocess.Popen[bytes], output: Capture) -> bool:
    """Take what is there; False at the end of the output."""
    assert process.stdout is not None
    chunk = process.stdout.read(65536)
    if chunk:
        output.add(chunk)
    return chunk != b""


def _drain(process: subprocess.Popen[bytes], output: Capture) -> None:
    """Take what bash still wrote; nobody is left to write more."""
    assert process.stdout is not None
    while chunk := process.stdout.read(65536):
        output.add(chunk)
    process.stdout.close()


def _judge(status: int, output: str) -> tuple[Verdict, str]:
    if status == 0:
        return Verdict.PASS, "exit status 0"
    if status < 0:
        return Verdict.ERROR, f"ended by {signal.Signals(-status).name}, not by itself"
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    last = f": {lines[-1]}" if lines else ", without any output"
    if status in NOT_STARTED:
        return Verdict.ERROR, f"exit status {status}, {NOT_STARTED[status]}{last}"
    return Verdict.FAIL, f"exit status {status}{last}"


def _repeat(bash: BashCheck, variables: dict[str, str], context: Context) -> str:
    """Commands for a shell, from the header file on."""
    headers = [f"Host: {context.target.host}"] if context.target.host else []
    headers = [shlex.quote(line) for line in headers]
    for name, variable in secret_variables(context.target).items():
        headers.append(f'"{name}: ${variable}"')
    shown = variables | {"THESEUS_HEADERS_FILE": "headers", "THESEUS_REPORTS": "."}
    words = " ".join(f"{name}={shlex.quote(value)}" for name, value in shown.items())
    script = ["-c", bash.inline or ""] if bash.script is None else [bash.script]
    lines = [
        where_is_the_secret(context.target),
        f"printf '%s\\n' {' '.join(headers)} > headers" if headers else ": > headers",
        f"env {words} bash -euo pipefail {shlex.join(script)}",
    ]
    return "\n".join(line for line in lines if line)
