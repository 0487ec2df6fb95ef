"""From the name of a stage, or a step of a plan, to what runs it."""

from __future__ import annotations

import argparse

from theseus_ci import importing
from theseus_ci.arguments.of_command import add_step_options
from theseus_ci.plan import Step
from theseus_ci.runner import Stage


def load_stage(name: str) -> Stage:
    """The stage's module."""
    module: Stage = importing.load(f"theseus_ci.stages.{name.replace('-', '_')}")  # type: ignore[assignment]
    return module


def step_arguments(step: Step) -> argparse.Namespace:
    """A planned step's command line, parsed as its own command would."""
    parser = argparse.ArgumentParser(prog=step.command[0], add_help=False)
    add_step_options(parser, step.command[0])
    return parser.parse_args(list(step.command[1:]))
