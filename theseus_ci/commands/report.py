"""report: the whole rollout as a page of HTML, or as a few lines of Markdown."""

from __future__ import annotations

import argparse
from pathlib import Path

from theseus_ci.arguments.options import gives_config
from theseus_ci.commands.report_page import last_moment, page_of
from theseus_ci.commands.report_refused import refused_begin
from theseus_ci.errors import EXIT_DONE, CannotKnow
from theseus_ci.report.evidence import read_evidence
from theseus_ci.report.files import write_whole
from theseus_ci.report.html import site
from theseus_ci.report.page_model import Page
from theseus_ci.rollout.artefact import read_artefact
from theseus_ci.rollout.state import State

PAGE = "index.html"


def run(args: argparse.Namespace) -> int:
    page = _page(args)
    if args.markdown:
        from theseus_ci.report.markdown import markdown  # noqa: PLC0415 - for --markdown alone

        print(markdown(page), end="")
    else:
        folder = Path(args.output) if args.output else Path(args.reports) / "html"
        print(_write(folder, page))
    return EXIT_DONE


def _page(args: argparse.Namespace) -> Page:
    """The rollout's page, or that of a begin which was refused since."""
    reports = Path(args.reports)
    state = read_artefact(Path(args.state))
    refused = refused_begin(reports, after=last_moment(state) if state else 0.0)
    if refused is not None:
        return refused
    if state is None:
        state = _from_cluster(args)
    elif gives_config(args):
        _require_told(args)
    steps = tuple(record.id for record in state.steps)
    return page_of(state, read_evidence(reports, state.rollout, steps))


def _from_cluster(args: argparse.Namespace) -> State:
    """The copy of a rollout that is under way. Raises StateError when there is none."""
    from theseus_ci.commands.session import Session  # noqa: PLC0415 - the artefact needs none

    state, _ = Session(args).load_state(write=False)
    return state


def _require_told(args: argparse.Namespace) -> None:
    """Raise UsageError when the artefact is of another service than --config names."""
    from theseus_ci.commands.session import Session  # noqa: PLC0415 - only with --config

    Session(args).which()


def _write(folder: Path, page: Page) -> Path:
    """Write all files, the page last and whole: it never names a picture that is not there yet.

    Pictures of an earlier report that this one does not have are removed.
    """
    files = site(page)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            if name != PAGE:
                (folder / name).write_text(text, encoding="utf-8", newline="\n")
        write_whole(folder / PAGE, files[PAGE])
        for old in folder.glob("latency-*.svg"):
            if old.name not in files:
                old.unlink()
    except OSError as error:
        raise CannotKnow(
            f"cannot write the report to {folder}: {error.strerror}",
            remedy="free disk space or give another place with --output",
        ) from error
    return folder / PAGE
