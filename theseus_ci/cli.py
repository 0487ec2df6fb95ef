"""The command line: finds the command, imports only its module, turns errors into exit codes.

This is the only place that catches everything, but for `run`, which has a release to take back
first. Importing it costs little, so that `--help` and `--version` answer at once: what a command
takes is in `arguments`, and the module that runs it is imported when it is about to run.
"""

from __future__ import annotations

import argparse
import os
import sys

from theseus_ci import __version__, importing, streams
from theseus_ci.arguments import listing, of_command
from theseus_ci.errors import EXIT_CANNOT_KNOW, EXIT_USAGE, TheseusError
from theseus_ci.unforeseen import tell_unforeseen

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing takes as long as everything of ours here
    from typing import Any, NoReturn, Protocol

    class Command(Protocol):
        """A module that runs a command."""

        def run(self, args: argparse.Namespace) -> int: ...


PROGRAM = "theseus-ci"
WIDEST = 100  # columns
USUAL = 80  # columns, where nobody tells
EPILOG = """\
exit codes: 0 done or passed; 1 the release was judged bad; 2 usage or configuration; 3 could not
know or could not act; 128+n stopped by signal n. Every failure ends with where production traffic
is now and the next command.

example:
  theseus-ci sandbox up
  theseus-ci init --service front-end > theseus.yaml
  theseus-ci plan --diff
  theseus-ci run"""


class Help(argparse.RawDescriptionHelpFormatter):
    """argparse's, which makes one for options too, and finds out by itself how wide it may be."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_columns() - 2)


class Parser(argparse.ArgumentParser):
    """argparse, whose errors end as every failure of this program does."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"formatter_class": Help, **options})

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        sys.stdout.flush()  # the help: here it can still be said that it could not be printed
        super().exit(status, message)

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(
            EXIT_USAGE,
            f"{self.prog}: {message}\n"
            "production traffic: as before, this command has touched nothing\n"
            f"next: {self.prog} --help\n",
        )


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    if argv is None:  # else the streams are the caller's
        streams.prepare()
    arguments = sys.argv[1:] if argv is None else argv
    command = _named(arguments)
    try:
        code = _run(arguments)
        sys.stdout.flush()
    except TheseusError as error:
        print(f"{PROGRAM} {command}".rstrip() + f": {error}", file=sys.stderr)
        if error.remedy:
            print(f"  {error.remedy}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        return EXIT_CANNOT_KNOW
    except Exception:  # noqa: BLE001 (the traceback is kept, the code is ours)
        tell_unforeseen(command)
        return EXIT_CANNOT_KNOW
    return code


def _run(arguments: list[str]) -> int:
    parser = _parser(arguments)
    args = parser.parse_args(arguments)
    if args.command is None:
        parser.print_help()
        return EXIT_USAGE
    return int(load(args.command).run(args))


def _named(arguments: list[str]) -> str:
    """The word that should be a command; "" where there is none."""
    return next((word for word in arguments if not word.startswith("-")), "")


def _parser(arguments: list[str]) -> argparse.ArgumentParser:
    """The parser; of the commands it knows the one that `arguments` name."""
    chosen = _named(arguments)
    of_all = arguments[:1] != [chosen]  # --help before a command is about all of them
    parser = Parser(
        prog=PROGRAM,
        usage=f"{PROGRAM} [-h] [--version] COMMAND ...",
        description="Zero-downtime releases for Kubernetes and Istio.",
        epilog=_all_commands() if of_all else None,
    )
    parser.add_argument("--version", action="version", version=f"theseus-ci {__version__}")
    commands = parser.add_subparsers(prog=PROGRAM, dest="command", help=argparse.SUPPRESS)
    if listing.known(chosen):
        command = commands.add_parser(chosen, description=listing.summary(chosen))
        of_command.configure(command, chosen)
    elif chosen:
        parser.error(listing.unknown(chosen))
    return parser


def _all_commands() -> str:
    return f"{listing.listing(min(_columns(), WIDEST))}\n\n{EPILOG}"


def _columns() -> int:
    """As shutil.get_terminal_size has it, whose module takes longer to import than argparse's."""
    given = os.environ.get("COLUMNS", "")
    if given.isdecimal() and int(given):
        return int(given)
    try:
        return os.get_terminal_size().columns or USUAL
    except OSError:  # closed, or no terminal
        return USUAL


def load(command: str) -> Command:
    """What runs a command; only its own module is imported."""
    name = f"theseus_ci.commands.{command.replace('-', '_')}"
    if of_command.is_step(command):
        name = "theseus_ci.commands.step"
    elif command == "sandbox":
        name = "theseus_ci.sandbox.commands"
    module: Command = importing.load(name)
    return module


if __name__ == "__main__":
    sys.exit(main())
