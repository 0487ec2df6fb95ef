"""A load tool as a child process, run by `sh`."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
from pathlib import Path
from typing import Any, BinaryIO

import sh

from theseus_ci.errors import ConfigError, NoData

_PR_SET_PDEATHSIG = 1
_SHOWN = 500  # characters of what a failed tool said
_libc = ctypes.CDLL(None)


class Tool:
    """Runs from when it is made until it ends or `kill` is called."""

    def __init__(
        self, program: str, arguments: list[str], environment: dict[str, str], folder: Path
    ) -> None:
        """What it prints goes to `folder`. Raises errors.ConfigError when there is no `program`."""
        self._name = program
        self._printed = folder / "printed"
        self._said = folder / "said"
        try:
            command = sh.Command(program)
        except sh.CommandNotFound as error:
            raise ConfigError(
                f"there is no {program} on the PATH",
                where="theseus.yaml: performance.driver",
                remedy=f"install {program} on this agent, or drop performance.driver",
            ) from error
        with self._printed.open("wb") as out, self._said.open("wb") as err:
            self._process = self._start(command, arguments, environment, out, err)

    @staticmethod
    def _start(
        command: Any,
        arguments: list[str],
        environment: dict[str, str],
        out: BinaryIO,
        err: BinaryIO,
    ) -> Any:
        return command(
            *arguments,
            _bg=True,
            _bg_exc=False,
            _out=out,
            _err=err,
            _tty_out=False,
            _new_session=True,
            _preexec_fn=_die_with_parent,
            _return_cmd=True,
            _env={**os.environ, **environment},
        )

    def running(self) -> bool:
        """Whether it has not ended yet."""
        return bool(self._process.is_alive())

    def kill(self) -> None:
        """End it and all that it started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.process.pgid, signal.SIGKILL)
        with contextlib.suppress(sh.ErrorReturnCode):
            self._process.wait()

    def printed(self) -> str:
        """What it printed. Raises errors.NoData when it failed."""
        with contextlib.suppress(sh.ErrorReturnCode):
            self._process.wait()
        status = self._process.process.exit_code
        printed = self._printed.read_text(encoding="utf-8", errors="replace")
        if status:
            said = self._said.read_text(encoding="utf-8", errors="replace") or printed
            raise NoData(
                f"{self._name} ended with {status}: {said.strip()[-_SHOWN:] or 'without a word'}",
                remedy="run the script by hand with THESEUS_URL set to a test system; thresholds "
                "of its own have no place in it",
            )
        return printed


def _die_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
