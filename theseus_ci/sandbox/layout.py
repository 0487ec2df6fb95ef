"""Where a sandbox keeps its files, and which sandboxes there are.

A sandbox is a directory, by default one named after it below $XDG_STATE_HOME/theseus-ci/sandboxes;
for a directory elsewhere a symbolic link stands there, so that every sandbox is found by its name.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from theseus_ci.errors import CannotKnow, UsageError

DEFAULT_NAME = "default"
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?")


def base_directory() -> Path:
    """The folder that holds the sandboxes of this user."""
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(state) / "theseus-ci" / "sandboxes"


def named_directory(name: str) -> Path:
    """The default place of a sandbox, or the link to it. Raises UsageError for a bad name."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} is not a name for a sandbox: use a-z, 0-9 and -")
    return base_directory() / name


def existing_names() -> list[str]:
    """The names of all sandboxes of this user that have files."""
    base = base_directory()
    if not base.is_dir():
        return []
    return sorted(entry.name for entry in base.iterdir() if _NAME.fullmatch(entry.name))


@dataclass(frozen=True)
class Layout:
    """The files in a sandbox's directory."""

    directory: Path

    @property
    def settings(self) -> Path:
        """What the sandbox was started with; its presence marks the directory as ours."""
        return self.directory / "sandbox.json"

    @property
    def state(self) -> Path:
        """What the supervisor last knew."""
        return self.directory / "state.json"

    @property
    def kubeconfig(self) -> Path:
        return self.directory / "kubeconfig"

    @property
    def mesh(self) -> Path:
        """The addresses of gateway and sidecar, written once they answer."""
        return self.directory / "mesh.json"

    @property
    def kubelet(self) -> Path:
        return self.directory / "kubelet"

    def log(self, component: str) -> Path:
        return self.directory / "logs" / f"{component}.log"

    def prepare(self) -> None:
        """Make the directory, private. Raises UsageError when it cannot be used."""
        try:
            self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            foreign = not self.settings.exists() and any(self.directory.iterdir())
            if foreign:
                raise UsageError(
                    f"{self.directory} holds other files",
                    remedy="name an empty or new folder with --directory",
                )
            self.directory.chmod(0o700)
            self.log("supervisor").parent.mkdir(exist_ok=True)
        except OSError as error:
            raise UsageError(
                f"{self.directory} cannot be used: {error.strerror}",
                remedy="name a writable folder with --directory",
            ) from error


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold the directory against any other `up` or `down` (it must exist).

    Raises CannotKnow when another one is at it.
    """
    busy = CannotKnow(
        f"{directory} is being started or stopped by another command",
        remedy="wait for it, then try again",
    )
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        raise busy from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not directory.exists() or directory.stat().st_ino != os.fstat(descriptor).st_ino:
            raise busy  # removed while we came to lock it
        yield
    except BlockingIOError:
        raise busy from None
    finally:
        os.close(descriptor)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write as a whole or not at all."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    fresh.replace(path)


def read_json(path: Path) -> dict[str, Any]:
    """The content, or an empty dictionary when there is no (usable) file."""
    with suppress(OSError, ValueError):
        content = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(content, dict):
            return content
    return {}
