"""jenkins: set up jobs, see and answer gates, follow builds, fetch the last baseline."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time

import msgspec

from theseus_ci import __version__
from theseus_ci.clock import SystemClock
from theseus_ci.commands.jenkins_values import job_parameters, pairs, without_login
from theseus_ci.console import Console
from theseus_ci.errors import (
    EXIT_BAD_RELEASE,
    EXIT_CANNOT_KNOW,
    EXIT_DONE,
    CannotKnow,
    Interrupted,
    UsageError,
)
from theseus_ci.jenkins import address, baseline, gates, library
from theseus_ci.jenkins.client import Client, job_name
from theseus_ci.jenkins.follow import Follower, Watching
from theseus_ci.jenkins.gates import Gate
from theseus_ci.jenkins.install import changes, install
from theseus_ci.jenkins.job import Parameter, PipelineJob
from theseus_ci.quantities import Duration
from theseus_ci.streams import telling

BAD_RESULTS = frozenset({"FAILURE", "UNSTABLE"})


def run(args: argparse.Namespace) -> int:
    """Returns the exit code. Raises TheseusError."""
    clock = SystemClock()
    clock.listen()
    with clock.interruptible():
        where = address.from_environment(os.environ, args.url)
        args.job = job_name(args.job, where.url)
        client = Client(where, seconds=float(args.timeout))
        if args.action == "watch":
            return _watch(client, args, clock)
        return ACTIONS[args.action](client, args)


def _install(client: Client, args: argparse.Namespace) -> int:
    repository = without_login(args.repository, "--repository")
    library_repository = without_login(args.library_repository, "--library-repository")
    wanted = PipelineJob(
        repository=repository,
        branch=args.branch,
        script=args.script,
        credentials=args.credentials,
        description=args.description,
        parameters=tuple(Parameter(*one) for one in job_parameters(args.parameter)),
    )
    todo = changes(client, args.job, wanted)
    for change in todo:
        print(change.diff)
    if not todo:
        print(f"{args.job} is as wanted: nothing to do")
    elif args.dry_run:
        print(f"dry run: nothing was changed; {len(todo)} to change", file=sys.stderr)
    else:
        install(client, args.job, wanted, todo, print)
    version = args.library_version or f"v{__version__}"
    print("\nThe shared library is set once for the whole Jenkins by an administrator; the REST")
    print("interface cannot. With Configuration as Code:\n")
    print(library.casc(library_repository, version))
    print("Or by hand:\n")
    print(library.steps(library_repository, version))
    return EXIT_DONE


def _gates(client: Client, args: argparse.Namespace) -> int:
    found = gates.pending(client, args.job, args.number)
    if args.json:
        print(json.dumps([_as_json(gate) for gate in found], indent=2))
    elif not found:
        print(f"no build of {args.job} waits at a gate")
    else:
        for gate in found:
            _describe(gate)
        print("\nWho may answer, Jenkins tells only when somebody tries.")
    return EXIT_DONE


def _describe(gate: Gate) -> None:
    since = ""
    if gate.since is not None:
        waited = Duration(max(0, round(time.time() - gate.since)))
        started = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(gate.since))
        since = f", waits since {started} ({waited})"
    print(f"{gate.id}  build {gate.build}{since}")
    for line in gate.message.splitlines():
        print(f"  {line}")
    for asked in gate.parameters:
        print(f"  asks: {asked.shown}{f': {asked.description}' if asked.description else ''}")
    print(f"  {gate.url}")


def _as_json(gate: Gate) -> dict[str, object]:
    return {
        "job": gate.job,
        "build": gate.build,
        "url": gate.url,
        "id": gate.id,
        "message": gate.message,
        "proceed": gate.proceed,
        "since": gate.since,
        "parameters": [
            {
                "name": asked.name,
                "type": asked.type,
                "default": None if asked.secret else asked.default,
                "choices": list(asked.choices),
                "description": asked.description,
            }
            for asked in gate.parameters
        ],
    }


def _approve(client: Client, args: argparse.Namespace) -> int:
    given = pairs(args.parameter, os.environ)
    gate = _chosen(client, args)
    values = gates.approve(client, gate, given)
    lines = [f"approved {gate.id} of build {gate.build} of {gate.job}"]
    for asked in gate.parameters:
        if not asked.secret:
            source = "given" if asked.name in given else "default"
            lines.append(f"  {asked.name} = {json.dumps(values[asked.name])} ({source})")
    _tell(lines)
    return EXIT_DONE


def _reject(client: Client, args: argparse.Namespace) -> int:
    gate = _chosen(client, args)
    gates.reject(client, gate)
    _tell([f"rejected {gate.id} of build {gate.build} of {gate.job}"])
    return EXIT_DONE


def _tell(lines: list[str]) -> None:
    """What has been done, and would not be by running it again: so it is no failure to lose it."""
    print("\n".join(lines), file=telling(sys.stdout), flush=True)


def _chosen(client: Client, args: argparse.Namespace) -> Gate:
    """The gate that is meant. Raises UsageError when several could be, CannotKnow when none."""
    waiting = gates.pending(client, args.job, args.number)
    found = waiting
    if args.gate:  # Jenkins makes the first letter of an id a capital
        ids = {args.gate, args.gate[:1].upper() + args.gate[1:]}
        found = [gate for gate in waiting if gate.id in ids]
    if len(found) > 1:
        listed = ", ".join(f"{gate.id} of build {gate.build}" for gate in found)
        raise UsageError(f"several gates wait: {listed}", remedy="name one: --gate ID --number N")
    if not found:
        build = f"build {args.number} of {args.job}" if args.number else f"no build of {args.job}"
        which = f"the gate {args.gate}" if args.gate else "a gate"
        verb = "does not wait" if args.number else "waits"
        others = ", ".join(f"{gate.id} of build {gate.build}" for gate in waiting)
        raise CannotKnow(
            f"{build} {verb} at {which}",
            remedy=f"waiting: {others}" if others else "has somebody answered it already?",
        )
    return found[0]


def _watch(client: Client, args: argparse.Namespace, clock: SystemClock) -> int:
    console = Console(sys.stderr if args.log else sys.stdout)
    watching = Watching(float(args.interval), float(args.deadline), float(args.outage))
    follower = Follower(
        client,
        clock,
        watching,
        tell=console.log,
        progress=console.progress,
        log=_print_log if args.log else None,
    )
    started = ""
    try:
        if args.build:
            item = client.trigger(args.job, _build_parameters(args))
            started = f"queue item {item} of {args.job}"
            console.log(f"queued: item {item}")
            number = follower.wait_for_start(args.job, item)
        else:
            number = _which(client, args)
        started = f"build {number} of {args.job}"
        console.log(f"{started}: {client.page(args.job, number)}")
        result = follower.follow(args.job, number)
        console.log(f"{started}: {result}")
    except Interrupted:
        if started:
            console.log(f"{started} goes on: {client.address.url}")
        raise
    finally:
        console.close()
    if result == "SUCCESS":
        return EXIT_DONE
    return EXIT_BAD_RELEASE if result in BAD_RESULTS else EXIT_CANNOT_KNOW


def _build_parameters(args: argparse.Namespace) -> dict[str, str]:
    if args.number is not None:
        raise UsageError("--build starts a new build: its number is not known beforehand")
    return pairs(args.parameter, os.environ)


def _which(client: Client, args: argparse.Namespace) -> int:
    if args.parameter:
        raise UsageError("--parameter is for a new build", remedy="add --build")
    if args.number in (None, "last"):
        newest = client.builds(args.job, "number", 0, 1)
        if not newest:
            raise CannotKnow(f"{args.job} has no build yet", remedy="start one: --build")
        return int(newest[0]["number"])
    if not args.number.isdecimal():
        raise UsageError(f"{args.number!r} is no number of a build, nor last")
    return int(args.number)


def _print_log(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _baseline(client: Client, args: argparse.Namespace) -> int:
    found = baseline.newest(client, args.job, service=args.service, builds=args.builds)
    data = msgspec.json.format(msgspec.json.encode(found.baseline), indent=1)
    partial = args.output.with_name(f".{args.output.name}.{os.getpid()}")
    try:
        partial.write_bytes(data + b"\n")
        partial.replace(args.output)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise UsageError(f"cannot write {args.output}: {error.strerror}") from error
    print(f"{args.output}: {found.baseline.service} as promoted by build {found.build}")
    for version, measured in sorted(found.baseline.versions.items()):
        figures = ", ".join(
            f"{name} {value * 1000:.1f} ms" for name, value in measured.quantiles.items()
        )
        print(f"  {version}: {measured.requests} requests, {figures}")
    return EXIT_DONE


ACTIONS = {
    "install": _install,
    "gates": _gates,
    "approve": _approve,
    "reject": _reject,
    "baseline": _baseline,
}
