"""All commands in the words of `theseus-ci --help`, without making a parser for each.

Thirty of argparse's parsers take longer to make than all the rest of `--help`.
"""

from __future__ import annotations

from collections.abc import Mapping

from theseus_ci.arguments.catalogue import COMMANDS, STAGES

_NAMES = 2 + max(map(len, (*STAGES, *COMMANDS))) + 2  # columns that the names take
_FEWEST = 24  # columns for what a command does, however narrow the terminal


def listing(columns: int) -> str:
    """Every command with what it does, broken to `columns`."""
    return (
        f"a release, step by step:\n{_lines(STAGES, columns)}\n\n"
        f"around it:\n{_lines(COMMANDS, columns)}"
    )


def known(command: str) -> bool:
    """Whether there is such a command."""
    return command in STAGES or command in COMMANDS


def summary(command: str) -> str:
    """What a command does, as a sentence."""
    line = STAGES.get(command) or COMMANDS[command]
    return line[0].upper() + line[1:] + "."


def unknown(command: str) -> str:
    """That there is no such command, with the one that may have been meant."""
    import difflib  # noqa: PLC0415 - for a mistake alone

    near = difflib.get_close_matches(command, (*STAGES, *COMMANDS), n=1)
    return f"there is no command {command!r}" + (f"; did you mean {near[0]}?" if near else "")


def _lines(commands: Mapping[str, str], columns: int) -> str:
    import textwrap  # noqa: PLC0415 - for --help alone

    room = max(_FEWEST, columns - _NAMES)
    told = []
    for name, line in commands.items():
        first, *rest = textwrap.wrap(line, room)
        told.append(f"  {name:{_NAMES - 2}}{first}")
        told += [" " * _NAMES + more for more in rest]
    return "\n".join(told)
