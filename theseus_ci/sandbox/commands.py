"""`theseus-ci sandbox up | down | status`."""

from __future__ import annotations

import argparse
import asyncio
import json
import shlex
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from theseus_ci.errors import EXIT_CANNOT_KNOW, EXIT_DONE, TheseusError, UsageError

if TYPE_CHECKING:
    from theseus_ci.sandbox.cluster import Sandbox


def run(args: argparse.Namespace) -> int:
    """Returns the exit code. Raises TheseusError."""
    actions = {"up": _up, "down": _down, "status": _status}
    return actions[args.action](args)


def _sandbox(name: str) -> Sandbox:
    from theseus_ci.sandbox.cluster import Sandbox  # noqa: PLC0415 - not before it is needed
    from theseus_ci.sandbox.layout import named_directory  # noqa: PLC0415

    return Sandbox(named_directory(name))


# -- up ---------------------------------------------------------------------------------------


def _up(args: argparse.Namespace) -> int:
    from theseus_ci.sandbox.cluster import Sandbox, require_packages  # noqa: PLC0415
    from theseus_ci.sandbox.layout import DEFAULT_NAME, named_directory  # noqa: PLC0415

    require_packages()
    known = _sandbox(args.name)
    if known.is_running():
        if args.directory and args.directory.resolve() != known.directory:
            raise UsageError(
                f"sandbox {args.name} is already up in {known.directory}",
                remedy=f"{_down_command(args.name)}, or choose another --name",
            )
        known.refuse_if_busy()
        print(f"sandbox {args.name} is already up, with the options it has", file=sys.stderr)
        _print_access(known, args.name)
        return EXIT_DONE
    link = named_directory(args.name)
    known.stop()
    if link.is_symlink():
        link.unlink()
    sandbox = Sandbox.start(
        args.directory or link,
        _settings(args),
        name=args.name,
        prefer_fixed_ports=args.name == DEFAULT_NAME,
        outlive_us=True,
        progress=lambda line: print(line, file=sys.stderr, flush=True),
    )
    if args.directory and sandbox.directory != link:
        link.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        link.symlink_to(sandbox.directory)
    _print_access(sandbox, args.name)
    return EXIT_DONE


def _settings(args: argparse.Namespace) -> Any:
    from theseus_ci.sandbox.settings import REAL, Settings  # noqa: PLC0415

    usual = 0.0 if args.control_plane == REAL else Settings.gateway_delay
    delays = [
        usual if delay is None else float(delay)
        for delay in (args.gateway_delay, args.sidecar_delay)
    ]
    return Settings(
        control_plane=args.control_plane,
        api_port=args.api_port,
        gateway_port=args.gateway_port,
        sidecar_port=args.sidecar_port,
        gateway_delay=delays[0],
        sidecar_delay=delays[1],
        client_namespace=args.client_namespace,
        hpa_stabilization=float(args.hpa_stabilization),
        crash_back_off=float(args.crash_back_off),
        images=_read_images(args.images) if args.images else "",
    )


def _read_images(path: Path) -> str:
    from theseus_ci.sandbox.kubelet.images import ImageMapError, parse_images  # noqa: PLC0415

    try:
        text = path.read_text(encoding="utf-8")
        parse_images(text)
    except (OSError, UnicodeDecodeError, ImageMapError) as error:
        raise UsageError(f"--images {path}: {error}") from error
    return text


def _print_access(sandbox: Sandbox, name: str) -> None:
    """For people, and for `eval "$(theseus-ci sandbox up)"`."""
    print(f"export KUBECONFIG={shlex.quote(str(sandbox.kubeconfig))}")
    print(f"export THESEUS_GATEWAY={sandbox.gateway}")
    print(f"export THESEUS_SIDECAR={sandbox.sidecar}")
    print(f"# stop it: {_down_command(name)}")


def _down_command(name: str) -> str:
    return "theseus-ci sandbox down" + ("" if name == "default" else f" --name {name}")


# -- down -------------------------------------------------------------------------------------


def _down(args: argparse.Namespace) -> int:
    from theseus_ci.sandbox.layout import existing_names  # noqa: PLC0415

    names = existing_names() if args.all else [args.name]
    if not names:
        print("no sandbox is up", file=sys.stderr)
    failed: TheseusError | None = None
    for name in names:
        try:
            _take_down(name)
        except TheseusError as error:  # the others still go down
            print(f"sandbox {name}: {error}", file=sys.stderr)
            failed = error
    if failed is not None:
        raise failed
    return EXIT_DONE


def _take_down(name: str) -> None:
    from theseus_ci.sandbox.layout import base_directory, named_directory  # noqa: PLC0415

    link = named_directory(name)
    sandbox = _sandbox(name)
    existed = sandbox.exists()
    sandbox.stop()
    if link.is_symlink():
        link.unlink()
    for folder in (base_directory(), base_directory().parent):
        with suppress(OSError):  # not empty, or not there: as it should be
            folder.rmdir()
    print(f"sandbox {name} is {'down' if existed else 'not up'}", file=sys.stderr)


# -- status -----------------------------------------------------------------------------------


def _status(args: argparse.Namespace) -> int:
    sandbox = _sandbox(args.name)
    report = _describe(sandbox, args.name)
    if args.json:
        print(json.dumps(report, indent=2))
    else:
        _print_status(report)
    return EXIT_DONE if report["healthy"] else EXIT_CANNOT_KNOW


def _describe(sandbox: Sandbox, name: str) -> dict[str, Any]:
    from theseus_ci.sandbox.layout import read_json  # noqa: PLC0415

    state = sandbox.state()
    works = sandbox.running_components()
    addresses = read_json(sandbox.layout.mesh)
    pods, reachable = _pods(sandbox) if sandbox.is_running() else ([], False)
    return {
        "name": name,
        "directory": str(sandbox.directory),
        "up": sandbox.is_running(),
        "healthy": sandbox.is_healthy() and reachable,
        "supervisor": state.get("pid"),
        "kubeconfig": str(sandbox.kubeconfig),
        "gateway": addresses.get("gateway"),
        "sidecar": addresses.get("sidecar"),
        "processes": [
            {
                "name": component,
                "pid": child["pid"],
                "works": works[component],
                "restarts": child["restarts"],
            }
            for component, child in (state.get("components") or {}).items()
        ],
        "pods": pods,
    }


def _pods(sandbox: Sandbox) -> tuple[list[dict[str, Any]], bool]:
    """The pods, and whether the API server could be asked."""
    from theseus_ci.sandbox.client import ApiClient, ApiError  # noqa: PLC0415
    from theseus_ci.sandbox.kubeconfig import KubeconfigError  # noqa: PLC0415

    async def ask() -> list[dict[str, Any]]:
        async with ApiClient.from_kubeconfig(sandbox.kubeconfig) as client:
            return await client.list("/api/v1/pods")

    try:
        found = asyncio.run(ask())
    except (ApiError, KubeconfigError):
        return [], False
    return [_pod_summary(pod) for pod in found], True


def _pod_summary(pod: dict[str, Any]) -> dict[str, Any]:
    status = pod.get("status") or {}
    conditions = {item["type"]: item["status"] for item in status.get("conditions") or []}
    containers = status.get("containerStatuses") or []
    return {
        "namespace": pod["metadata"]["namespace"],
        "name": pod["metadata"]["name"],
        "phase": status.get("phase", "Unknown"),
        "ready": conditions.get("Ready") == "True",
        "restarts": sum(int(item.get("restartCount") or 0) for item in containers),
        "address": status.get("podIP"),
    }


def _print_status(report: dict[str, Any]) -> None:
    if not report["up"]:
        left = " (stopped without cleaning up)" if report["supervisor"] else ""
        print(f"sandbox {report['name']} is not up{left}")
        return
    state = "healthy" if report["healthy"] else "not healthy"
    print(f"sandbox {report['name']} is up and {state}, in {report['directory']}")
    print(f"  KUBECONFIG   {report['kubeconfig']}")
    print(f"  gateway      {report['gateway']}")
    print(f"  sidecar      {report['sidecar']}")
    print(f"  logs         {Path(report['directory'], 'logs')}")
    for process in report["processes"]:
        word = "works" if process["works"] else "does not work"
        print(
            f"  {process['name']:<12} {word}, process {process['pid']},"
            f" {process['restarts']} restarts"
        )
    for pod in report["pods"]:
        ready = "ready" if pod["ready"] else "not ready"
        print(f"  pod          {pod['namespace']}/{pod['name']}: {pod['phase']}, {ready}")
