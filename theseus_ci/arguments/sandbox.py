"""Help and options of `sandbox`."""

from __future__ import annotations

import argparse
from pathlib import Path

from theseus_ci.quantities import Duration


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the three sub-commands and their options."""
    parser.epilog = 'example:\n  eval "$(theseus-ci sandbox up)"'
    actions = parser.add_subparsers(dest="action", required=True, metavar="up|down|status")
    _configure_up(actions.add_parser("up", help="start a cluster with a mesh on this machine"))
    down = actions.add_parser("down", help="stop it; leaves no process and no file")
    _add_name(down)
    down.add_argument("--all", action="store_true", help="every sandbox of this user")
    status = actions.add_parser("status", help="what runs; exit code 0 if healthy, else 3")
    _add_name(status)
    status.add_argument("--json", action="store_true", help="as JSON")


def _configure_up(up: argparse.ArgumentParser) -> None:
    _add_name(up)
    for option, what in (
        ("--api-port", "of the API server"),
        ("--gateway-port", "of the mesh's gateway"),
        ("--sidecar-port", "of a client's sidecar"),
    ):
        up.add_argument(option, type=_port, default=0, metavar="PORT", help=what)
    for proxy in ("gateway", "sidecar"):
        up.add_argument(
            f"--{proxy}-delay",
            type=_duration,
            metavar="DURATION",
            help=f"from a change to its effect at the {proxy} (default 300ms); with real servers,"
            " on top of what Istio takes (default 0s)",
        )
    for option, default, what in (
        ("--hpa-stabilization", "5s", "how long an autoscaler waits before it scales down"),
        ("--crash-back-off", "10s", "first pause of a container that keeps crashing"),
    ):
        up.add_argument(
            option,
            type=_duration,
            default=Duration.parse(default),
            metavar="DURATION",
            help=f"{what} (default {default})",
        )
    up.add_argument(
        "--control-plane",
        choices=("sandbox", "real"),
        default="sandbox",
        help="whose API server, controllers and mesh: the sandbox's own (default), or etcd,"
        " kube-apiserver, kube-controller-manager and Istio's translation, where they were built",
    )
    up.add_argument(
        "--client-namespace",
        default="default",
        metavar="NAMESPACE",
        help="where the sidecar's client runs (default: default)",
    )
    up.add_argument(
        "--images",
        type=Path,
        metavar="FILE",
        help="YAML list of {image, command, env, useContainerCommand}: the program that stands "
        "for an image, and whether the command and args of containers count",
    )
    up.add_argument("--directory", type=Path, metavar="DIR", help="for all its files")


def _add_name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", default="default", help="which sandbox (default: default)")


def _duration(text: str) -> Duration:
    try:
        return Duration.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: 1 to 65535")
    return int(text)
