"""A container's process with its two output streams captured in a log file."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from theseus_ci.sandbox.kubelet.handlers import Target
from theseus_ci.sandbox.kubelet.logs import LogFile
from theseus_ci.sandbox.processes import spawn


def start_logged(command: list[str], target: Target, output: LogFile) -> subprocess.Popen[bytes]:
    """Start the command; the log closes when both streams have. Raises OSError."""
    readers, writers = zip(os.pipe(), os.pipe(), strict=True)
    try:
        if not command:
            raise OSError("no command specified")
        process = spawn(
            command,
            environment=target.environment,
            directory=target.directory,
            stdout=writers[0],
            stderr=writers[1],
        )
    except OSError as error:
        for descriptor in readers:
            os.close(descriptor)
        output.feed("stderr", f"{error}\n".encode())
        output.close()
        raise
    finally:
        for descriptor in writers:
            os.close(descriptor)
    for stream, descriptor in zip(("stdout", "stderr"), readers, strict=True):
        output.capture(stream, descriptor)
    return process


def drop_logs_but(kept: set[Path]) -> None:
    """Remove the logs of earlier runs beside those to keep."""
    names = {path.name for path in kept}
    for folder in {path.parent for path in kept}:
        if folder.exists():
            for path in folder.iterdir():
                if path.name.removesuffix(".1") not in names:
                    path.unlink()
