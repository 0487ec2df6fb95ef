"""JUnit files that a check left, as results of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from theseus_ci.checks.evidence import Scrubber
from theseus_ci.model import CheckResult, Verdict
from theseus_ci.report.junit_reader import read_junit

FILE_LIMIT = 200
SCRUB_LIMIT = 64 * 1024 * 1024  # bytes of a file that is searched for the secret
MERGED = ".merged"


def import_reports(check: str, folder: Path) -> list[CheckResult]:
    """Return the cases of every *.xml below `folder`, named after the check; what cannot be read
    is a case of its own with verdict ERROR.

    Files that were read get the suffix .merged, so that a pattern for JUnit files counts no case
    twice.
    """
    return list(_cases(check, folder))


def _cases(check: str, folder: Path) -> Iterator[CheckResult]:
    files = sorted(path for path in folder.rglob("*.xml") if path.is_file())
    for path in files[:FILE_LIMIT]:
        name = str(path.relative_to(folder))
        try:
            for case in read_junit(path):
                yield msgspec.structs.replace(case, name=f"{check}: {case.name}")
            path.rename(path.with_name(path.name + MERGED))
        except (ValueError, OSError) as error:
            yield _unreadable(f"{check}: {name}", f"the JUnit file {name} cannot be used: {error}")
    if len(files) > FILE_LIMIT:
        message = f"{len(files)} JUnit files are more than the {FILE_LIMIT} that are read"
        yield _unreadable(f"{check}: other JUnit files", message)


def _unreadable(name: str, message: str) -> CheckResult:
    return CheckResult(
        name=name,
        verdict=Verdict.ERROR,
        message=message,
        seconds=0.0,
        expected="a JUnit file with at least one case",
    )


def scrub_files(folder: Path, scrubber: Scrubber) -> None:
    """Take the secret out of every file below `folder`: it will be archived. A file too large to
    search is removed, and so is a link that leads outside."""
    root = folder.resolve()
    for path in list(folder.rglob("*")):
        if path.is_symlink() and not path.resolve().is_relative_to(root):
            path.unlink()
        elif path.is_file() and not path.is_symlink():
            _scrub_file(path, scrubber)


def _scrub_file(path: Path, scrubber: Scrubber) -> None:
    if path.stat().st_size > SCRUB_LIMIT:
        note = f"removed: {path.stat().st_size:,} bytes are too many to search for the secret\n"
        path.unlink()
        path.with_name(path.name + ".removed").write_text(note, encoding="utf-8")
        return
    data = path.read_bytes()
    clean = scrubber.scrub_bytes(data)
    if clean != data:
        path.write_bytes(clean)
