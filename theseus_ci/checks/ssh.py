"""ssh checks: a command on another host, by the system's ssh and the user's own settings."""

from __future__ import annotations

import contextlib
import shlex
import signal
from collections.abc import Iterator

import sh

from theseus_ci.checks.address import split_entrypoint
from theseus_ci.checks.context import Context
from theseus_ci.checks.evidence import Capture
from theseus_ci.checks.findings import Finding, judge, match_text
from theseus_ci.checks.processes import die_with_parent, signal_group
from theseus_ci.config.smoke import PLACEHOLDER, SshCheck, text_match
from theseus_ci.errors import ConfigError
from theseus_ci.model import CheckResult, CheckTarget, Verdict

SSH_FAILED = 255  # ssh's own exit status; a remote command that ends so cannot be told apart
CONNECT_LIMIT = 10  # seconds
CONNECT_SHARE = 0.8  # of the timeout: a host that is away is ssh's failure, not the candidate's
CHUNK = 4096  # bytes of output


def run_ssh(ssh: SshCheck, context: Context) -> list[CheckResult]:
    """Run the command on the host. Raises ConfigError for what cannot be run as written."""
    arguments = _arguments(ssh, context)
    repeat = shlex.join(["ssh", *arguments])
    stdout, stderr = Capture(), Capture()
    status = _run(arguments, context, stdout, stderr)
    evidence = _evidence(repeat, status, stdout, stderr, context)
    if context.abort.reason is not None:
        return [context.ended(evidence=evidence, repeat=repeat)]
    if status == SSH_FAILED or status < 0:
        reason = _last_line(stderr.text(context.scrubber)) or "no reason given"
        how = "ssh itself failed" if status == SSH_FAILED else f"ssh was ended by signal {-status}"
        return [
            context.result(
                Verdict.ERROR,
                f"{how}, nothing was checked on {ssh.host}: {reason}",
                expected=f"a connection to {ssh.host}",
                actual=reason,
                evidence=evidence,
                repeat=repeat,
            )
        ]
    out, err = stdout.text(context.scrubber), stderr.text(context.scrubber)
    judgement = judge(list(_findings(ssh, status, out, err)), f"exit status {status}")
    return [
        context.result(
            judgement.verdict,
            judgement.message,
            expected=judgement.expected,
            actual=judgement.actual,
            evidence=evidence,
            repeat=repeat,
            details={"exit status": status},
        )
    ]


def _arguments(ssh: SshCheck, context: Context) -> list[str]:
    """ssh's own arguments. Of an option given twice ssh heeds the first: ours stand first."""
    limit = max(1, min(CONNECT_LIMIT, int(context.check.timeout * CONNECT_SHARE)))
    arguments = ["-n", "-T", "-o", "BatchMode=yes", "-o", f"ConnectTimeout={limit}"]
    # A master that this ssh would leave behind would outlive the check, and hold its output open.
    arguments += ["-o", "ControlMaster=no"]
    if ssh.port is not None:
        arguments += ["-p", str(ssh.port)]
    if ssh.identity_file is not None:
        arguments += ["-i", str(context.path(ssh.identity_file))]
    for name, value in ssh.options.items():
        arguments += ["-o", f"{name}={value}"]
    return [*arguments, "--", ssh.host, fill_in(ssh.command, context.target)]


def fill_in(command: str, target: CheckTarget) -> str:
    """Put values for {{placeholders}}, each quoted for a POSIX shell.

    Raises ConfigError for a placeholder that is not known.
    """
    entrypoint_host = ""
    if target.entrypoint:
        entrypoint_host = split_entrypoint(target.entrypoint).hostname or ""
    values = {
        "host": target.host or entrypoint_host,
        "entrypoint": target.entrypoint,
        "candidate": target.candidate,
        "previous": target.previous,
        "namespace": target.namespace,
        "service": target.service,
    }
    for name in PLACEHOLDER.findall(command):
        if name not in values:
            raise ConfigError(f"{{{{{name}}}}} is not known", where="ssh.command")
    return PLACEHOLDER.sub(lambda found: shlex.quote(values[found[1]]), command)


def _run(arguments: list[str], context: Context, stdout: Capture, stderr: Capture) -> int:
    """Run ssh to its end and return its exit status, negative for a signal."""
    try:
        command = sh.Command("ssh")
    except sh.CommandNotFound as error:
        raise ConfigError("there is no ssh here: install openssh-client") from error
    running = command(
        *arguments,
        _bg=True,
        _bg_exc=False,
        _out=lambda chunk: stdout.add(chunk.encode()),
        _err=lambda chunk: stderr.add(chunk.encode()),
        _out_bufsize=CHUNK,  # 0 would be byte by byte
        _err_bufsize=CHUNK,
        _decode_errors="replace",
        _tty_out=False,
        _new_session=True,
        _preexec_fn=die_with_parent,
        _return_cmd=True,
    )
    process = running.process
    with (
        context.abort.calls(lambda: signal_group(process.pgid, signal.SIGKILL)),
        contextlib.suppress(sh.ErrorReturnCode),  # any status is an answer here
    ):
        running.wait()
    assert process.exit_code is not None
    return process.exit_code


def _findings(ssh: SshCheck, status: int, stdout: str, stderr: str) -> Iterator[Finding]:
    yield Finding(f"exit status {ssh.expect.exit}", f"{status}", status == ssh.expect.exit)
    for what, given, text in (
        ("stdout", ssh.expect.stdout, stdout),
        ("stderr", ssh.expect.stderr, stderr),
    ):
        match = text_match(given)
        if match is not None:
            yield match_text(what, match, text.removesuffix("\n"))


def _evidence(command: str, status: int, stdout: Capture, stderr: Capture, context: Context) -> str:
    parts = [f"$ {command}", f"exit status {status}"]
    for name, capture in (("stdout", stdout), ("stderr", stderr)):
        text = capture.text(context.scrubber).rstrip("\n")
        if text:
            parts.append(f"{name}:\n{text}")
    return "\n".join(parts)


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else ""
