"""Options that commands share, spelled and explained once."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping

DEFAULT_STATE = "theseus-state.json"
DEFAULT_CONFIG = "theseus.yaml"
DEFAULT_REPORTS = "reports"
OVERRIDES = {
    "service": "service",
    "namespace": "namespace",
    "manifest": "manifest",
    "deployment": "deployment",
    "version": "version",
    "previous": "previous",
    "entrypoint": "entrypoint",
    "host": "host",
    "flow": "flow",
    "anchor": "performance.anchor",
}


def add_cluster(parser: argparse.ArgumentParser) -> None:
    """How to reach the cluster."""
    group = parser.add_argument_group("cluster")
    group.add_argument("--kubeconfig", help="default: $KUBECONFIG, ~/.kube/config, or in-cluster")
    group.add_argument("--context", help="context of the kubeconfig (default: the current one)")


def add_state(parser: argparse.ArgumentParser) -> None:
    """Where the rollout's files are."""
    group = parser.add_argument_group("files")
    group.add_argument(
        "--state",
        default=os.environ.get("THESEUS_STATE", DEFAULT_STATE),
        metavar="FILE",
        help=f"state artefact, handed from stage to stage (default: {DEFAULT_STATE})",
    )
    group.add_argument(
        "--reports",
        default=os.environ.get("THESEUS_REPORTS_DIR", DEFAULT_REPORTS),
        metavar="FOLDER",
        help=f"JUnit XML and evidence go here (default: {DEFAULT_REPORTS})",
    )


def add_config(parser: argparse.ArgumentParser, *, overrides: bool) -> None:
    """Where the configuration is, and which of its keys the command line may set."""
    group = parser.add_argument_group("configuration")
    group.add_argument(
        "--config",
        action=_Given,
        default=os.environ.get("THESEUS_CONFIG", DEFAULT_CONFIG),
        metavar="FILE",
        help=f"default: {DEFAULT_CONFIG}; - reads the standard input",
    )
    if not overrides:
        return
    for name, key in OVERRIDES.items():
        variable = f"THESEUS_{name.upper()}"
        group.add_argument(
            f"--{name}",
            default=None,
            metavar="VALUE",
            help=f"instead of `{key}:` in the file (or ${variable})",
        )


class _Given(argparse.Action):
    """Keeps that the option stood on the command line, besides what it says."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        setattr(namespace, self.dest, values)
        namespace.given = self.dest


def gives_config(args: argparse.Namespace) -> bool:
    """Whether the command line says which configuration is meant."""
    return getattr(args, "given", "") == "config"


def names_config(args: argparse.Namespace, environment: Mapping[str, str]) -> bool:
    """Whether it or the environment says so: the standard input, begin has read."""
    named = environment.get("THESEUS_CONFIG", DEFAULT_CONFIG)
    return gives_config(args) or named not in (DEFAULT_CONFIG, "-")


def overrides(
    args: argparse.Namespace, environment: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, str]]:
    """Keys set from outside the file, and where each comes from, for error messages."""
    values: dict[str, str] = {}
    sources: dict[str, str] = {}
    for name, key in OVERRIDES.items():
        variable = f"THESEUS_{name.upper()}"
        given = getattr(args, name, None)
        if given is not None:
            values[key], sources[key] = given, f"--{name}"
        elif environment.get(variable):
            values[key], sources[key] = environment[variable], f"${variable}"
    return values, sources
