"""The state as a file: written so that a crash leaves the old file or the new one, never half."""

from __future__ import annotations

import os
from pathlib import Path

from theseus_ci.errors import StateError
from theseus_ci.rollout.state import State, decode, encode


def write_artefact(path: Path, state: State) -> None:
    """Write to a temporary file beside it, fsync, rename. Raises StateError."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(encode(state))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise StateError(
            f"cannot write the state to {path}: {error.strerror}",
            remedy="free disk space or give another place with --state; the cluster holds a copy",
        ) from error


def read_artefact(path: Path) -> State | None:
    """The state in the file, None when there is no file. Raises StateError when unusable."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StateError(f"cannot read the state {path}: {error.strerror}") from error
    return decode(data, str(path))
