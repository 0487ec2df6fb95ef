"""The state as a file: written so that a crash leaves the old file or the new one, never half."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

from theseus_ci.errors import StateError
from theseus_ci.rollout.state import State, decode, encode


def write_artefact(path: Path, state: State) -> None:
    """Write to a temporary file beside it, fsync, rename. Raises StateError."""
    try:
        _write_beside(path, state).replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise _unwritable(path, error) from error


def require_writable(path: Path, state: State) -> None:
    """Raise StateError where `write_artefact` would; what is there stays as it is."""
    try:
        _write_beside(path, state).unlink()
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    except OSError as error:
        raise _unwritable(path, error) from error


def read_artefact(path: Path) -> State | None:
    """The state in the file, None when there is no file. Raises StateError when unusable."""
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise StateError(f"cannot read the state {path}: {error.strerror}") from error
    return decode(data, str(path))


def _write_beside(path: Path, state: State) -> Path:
    """The temporary file; none is left where this fails. Raises OSError."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(encode(state))
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        with contextlib.suppress(OSError):  # on a read-only disk not even this can be done
            temporary.unlink()
        raise
    return temporary


def _unwritable(path: Path, error: OSError) -> StateError:
    return StateError(
        f"cannot write the state to {path}: {error.strerror}",
        remedy="free disk space, or give another place with --state",
    )
