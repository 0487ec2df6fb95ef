"""Give a parser the options of a command; only the module of that command is imported."""

from __future__ import annotations

import argparse
import importlib
from types import ModuleType

from theseus_ci.arguments import options
from theseus_ci.arguments.catalogue import STAGES

OUTSIDE_THE_PLAN = frozenset({"begin", "rollback"})  # stages, but commands of their own
STEP_HELP = "the plan's step id; default: the next unfinished step with this command"


def is_step(command: str) -> bool:
    """Whether it is run as a step of a plan."""
    return command in STAGES and command not in OUTSIDE_THE_PLAN


def configure(parser: argparse.ArgumentParser, command: str) -> None:
    """Description, example and all options."""
    module = _module(command)
    if not is_step(command):
        module.configure(parser)
        return
    parser.description = module.DESCRIPTION
    parser.epilog = f"example:\n  {getattr(module, 'EXAMPLE', f'theseus-ci {command}')}"
    module.add_options(parser)
    parser.add_argument("--step", metavar="ID", help=STEP_HELP)
    parser.add_argument(
        "--again", action="store_true", help="run the step even though it is done already"
    )
    options.add_config(parser, overrides=False)
    options.add_cluster(parser)
    options.add_state(parser)


def add_step_options(parser: argparse.ArgumentParser, command: str) -> None:
    """Only what belongs to the step itself, as a plan writes it."""
    _module(command).add_options(parser)


def _module(command: str) -> ModuleType:
    return importlib.import_module(f"theseus_ci.arguments.{command.replace('-', '_')}")
