"""A stage as a command: its options and help, around the one way every step is run."""

from __future__ import annotations

import argparse
import importlib
from dataclasses import dataclass

from theseus_ci.commands import options
from theseus_ci.plan import Step
from theseus_ci.runner import Stage

STEP_HELP = "the plan's step id; default: the next unfinished step with this command"


@dataclass(frozen=True)
class StageCommand:
    """What the command line needs of a stage."""

    name: str
    stage: Stage

    def configure(self, parser: argparse.ArgumentParser) -> None:
        parser.description = self.stage.DESCRIPTION
        parser.epilog = f"example:\n  {getattr(self.stage, 'EXAMPLE', f'theseus-ci {self.name}')}"
        self.stage.configure(parser)
        parser.add_argument("--step", metavar="ID", help=STEP_HELP)
        parser.add_argument(
            "--again", action="store_true", help="run the step even though it is done already"
        )
        options.add_config(parser, overrides=False)
        options.add_cluster(parser)
        options.add_state(parser)

    def run(self, args: argparse.Namespace) -> int:
        step = importlib.import_module("theseus_ci.commands.step")
        return int(step.run_stage_command(args, self.stage))


def command(name: str) -> StageCommand:
    """The command of the stage `name`."""
    return StageCommand(name, load_stage(name))


def load_stage(name: str) -> Stage:
    """The stage's module."""
    module: Stage = importlib.import_module(f"theseus_ci.stages.{name.replace('-', '_')}")  # type: ignore[assignment]
    return module


def step_arguments(step: Step) -> argparse.Namespace:
    """A planned step's command line, parsed by its own stage."""
    parser = argparse.ArgumentParser(prog=step.command[0], add_help=False)
    load_stage(step.command[0]).configure(parser)
    return parser.parse_args(list(step.command[1:]))
