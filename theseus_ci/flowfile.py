"""A flow: the order of a release's steps and their parameters, shipped or the user's own.

    name: canary
    title: …
    onFailure: rollback
    steps:
      - begin
      - shift: 50
      - smoke: {id: smoke-half, title: …, when: previous, timeout: 10m}
      - promote: {gate: {message: Promote?, submitter: release-managers, timeout: 4h}}

A command that takes an argument has a key for it in the long form: `{shift: {weight: 50, …}}`,
`{bake: {for: 1m, …}}`, `{performance: {mode: compare, …}}`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec

from theseus_ci.config.decode import decode, describe, nearest, raise_all, value_at
from theseus_ci.config.document import Document, DocumentError, parse_yaml, read_source
from theseus_ci.config.keypath import KeyPath
from theseus_ci.config.part import Part
from theseus_ci.errors import ConfigError
from theseus_ci.quantities import Duration

SHIPPED = Path(__file__).parent / "flows"
_ID = re.compile(r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?")


class Command(NamedTuple):
    """What a flow must know of a command."""

    argument: str = ""  # its key in the long form
    repeats: bool = False
    after: tuple[tuple[str, str], ...] = ()  # commands that must come before it, and why


_UNSEEN = "until the mesh shows the dark route, requests meant for the candidate reach the previous"
COMMANDS: dict[str, Command] = {
    "begin": Command(),
    "base-route": Command(
        after=(("begin", "begin checks, takes the lease and records the way back"),)
    ),
    "deploy": Command(
        after=(
            (
                "base-route",
                "without the previous version's own route, the Service's selector sends users to "
                "the new pods at once",
            ),
        )
    ),
    "dark-route": Command(after=(("deploy", "there is no candidate to route to before"),)),
    "await-mesh": Command(after=(("dark-route", "it waits for the dark route to show"),)),
    "smoke": Command(repeats=True, after=(("await-mesh", _UNSEEN),)),
    "autoscale": Command(after=(("deploy", "there is no candidate to scale before"),)),
    "shift": Command("weight", repeats=True, after=(("await-mesh", _UNSEEN),)),
    "performance": Command("mode", repeats=True, after=(("await-mesh", _UNSEEN),)),
    "bake": Command(
        "for", repeats=True, after=(("deploy", "there is no candidate to watch before"),)
    ),
    "drain-previous": Command(
        after=(("shift 100", "the previous version still carries traffic before"),)
    ),
    "scale-down-previous": Command(
        after=(("drain-previous", "pods that still get requests would lose them"),)
    ),
    "await-scale-down": Command(after=(("scale-down-previous", "nothing scales down before"),)),
    "promote": Command(
        after=(("drain-previous", "it deletes the previous version, which must be quiet by then"),)
    ),
}


NEEDS_PREVIOUS = ("drain-previous", "scale-down-previous", "await-scale-down")
"""Commands that a first release has no use for."""


class FlowGate(Part, frozen=True, kw_only=True):
    """Consent before a step, as the flow's file has it."""

    message: str
    submitter: str = ""
    timeout: Duration = Duration(24 * 3600)


class Options(Part, frozen=True, kw_only=True):
    """What every step of a flow may set."""

    id: str | None = None
    title: str | None = None
    when: Literal["previous", "always"] | None = None
    timeout: Duration | None = None
    gate: FlowGate | None = None
    weight: Any = None  # arguments, each for its own command alone
    for_: Any = msgspec.field(default=None, name="for")
    mode: Any = None


ARGUMENTS = ("weight", "for", "mode")


class FlowStep(msgspec.Struct, frozen=True, kw_only=True):
    """One step as the flow has it; the argument is "50", "1m" or "compare", "" for none."""

    id: str
    command: str
    argument: str = ""
    options: Options = Options()


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """A flow that has passed every check."""

    name: str
    title: str
    steps: tuple[FlowStep, ...]
    on_failure: str = "rollback"


class _Head(Part, frozen=True, kw_only=True):
    steps: list[Any]
    name: str | None = None
    title: str = ""
    on_failure: Literal["rollback"] = "rollback"


def load_flow(name_or_path: str, folder: Path | str = ".") -> Flow:
    """A shipped flow by its name, or the flow in a file; relative paths start at `folder`.

    Raises ConfigError with file, line and column.
    """
    if "/" in name_or_path or name_or_path.endswith((".yaml", ".yml")):
        path = Path(folder) / name_or_path
    else:
        path = SHIPPED / f"{name_or_path}.yaml"
        if not path.is_file():
            hint = nearest(name_or_path, shipped_flows())
            raise ConfigError(
                f"there is no flow {name_or_path!r}; {hint}",
                where="flow",
                remedy="a flow of your own is given by its path, such as ./my-flow.yaml",
            )
    return parse_flow(_read(path), default_name=path.stem)


def shipped_flows() -> list[str]:
    """Names of the flows that come with this program."""
    return sorted(path.stem for path in SHIPPED.glob("*.yaml"))


def parse_flow(document: Document, *, default_name: str) -> Flow:
    """The flow in a document. Raises ConfigError."""
    head = decode(document, _Head)
    if not head.steps:
        raise ConfigError("is empty", where=document.where(("steps",)))
    steps: list[FlowStep] = []
    taken = _given_ids(head.steps)
    for index in range(len(head.steps)):
        step = _step(document, ("steps", index))
        if not step.id:
            step = msgspec.structs.replace(step, id=_free_id(step.command, taken))
        taken.add(step.id)
        steps.append(step)
    raise_all([(document.where(("steps", at)), text) for at, text in _order_problems(steps)])
    name = head.name or default_name
    return Flow(name=name, title=head.title or name, steps=tuple(steps), on_failure=head.on_failure)


def _read(path: Path) -> Document:
    try:
        documents = [
            one for one in parse_yaml(read_source(path), str(path)) if one.value is not None
        ]
    except DocumentError as error:
        raise ConfigError(str(error), where=error.at(str(path))) from error
    if len(documents) != 1:
        found = "is empty" if not documents else "holds several documents; a flow is one"
        raise ConfigError(found, where=str(path))
    return documents[0]


def _given_ids(items: list[Any]) -> set[str]:
    inner = [value for item in items if isinstance(item, dict) for value in item.values()]
    return {str(value["id"]) for value in inner if isinstance(value, dict) and "id" in value}


def _free_id(command: str, taken: set[str]) -> str:
    number = 1
    while (found := command if number == 1 else f"{command}-{number}") in taken:
        number += 1
    return found


def _step(document: Document, at: KeyPath) -> FlowStep:
    item = document.value["steps"][at[-1]]
    if isinstance(item, str):
        command, given, inside = item, None, at
    elif isinstance(item, dict) and len(item) == 1:
        command, given = next(iter(item.items()))
        inside = (*at, command)
    elif isinstance(item, dict) and item:
        several = " and ".join(item)
        message = f"one command per step, not {several}; options go below it: {{command: {{…}}}}"
        raise ConfigError(message, where=document.where(at))
    else:
        message = f"expected a command or {{command: …}}, got {describe(document, at)}"
        raise ConfigError(message, where=document.where(at))
    if command not in COMMANDS:
        near = difflib.get_close_matches(command, COMMANDS, 1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(COMMANDS)}"
        raise ConfigError(
            f"unknown command {command!r}; {hint}", where=document.where(inside, key=True)
        )
    return _with_options(document, command, given, inside)


def _with_options(document: Document, command: str, given: Any, at: KeyPath) -> FlowStep:
    key = COMMANDS[command].argument
    options, argument, argument_at = Options(), given, at
    if isinstance(given, dict):
        options = _options(document, key, at)
        argument = given.get(key) if key else None
        argument_at = (*at, key) if key in given else at
    if not key and argument is not None:
        raise ConfigError(f"{command} takes no argument", where=document.where(argument_at))
    step_id = options.id or ""
    if options.id is not None and not _ID.fullmatch(step_id):
        message = "must be at most 40 of a-z, 0-9 and '-', begin with a letter, not end with '-'"
        raise ConfigError(f"{step_id!r} {message}", where=document.where((*at, "id")))
    text = _argument(document, command, argument, argument_at) if key else ""
    return FlowStep(id=step_id, command=command, argument=text, options=options)


def _options(document: Document, argument: str, at: KeyPath) -> Options:
    known = [
        key for key in Options.__struct_encode_fields__ if key not in ARGUMENTS or key == argument
    ]
    for name in value_at(document.value, at):
        if name not in known:
            message = f"unknown key {name!r}; {nearest(name, known)}"
            raise ConfigError(message, where=document.where((*at, name), key=True))
    options = decode(document, Options, at)
    waits: dict[KeyPath, Duration | None] = {(*at, "timeout"): options.timeout}
    if options.gate is not None:
        gate_at: KeyPath = (*at, "gate", "timeout")
        waits[gate_at] = options.gate.timeout
    for path, wait in waits.items():
        if wait is not None and wait <= 0:
            raise ConfigError("must be more than 0", where=document.where(path))
    if options.gate is not None and not options.gate.message.strip():
        where = document.where((*at, "gate", "message"))
        raise ConfigError("is empty: say what is asked for", where=where)
    return options


def _argument(document: Document, command: str, given: Any, at: KeyPath) -> str:
    """The argument as the command line has it. Raises ConfigError."""
    where = document.where(at)
    if command == "shift":
        if isinstance(given, int) and not isinstance(given, bool) and 0 < given <= 100:
            return str(given)
        got = "nothing" if given is None else describe(document, at)
        raise ConfigError(
            f"shift needs a weight, a whole percentage from 1 to 100, got {got}", where=where
        )
    if command == "performance":
        if given in ("baseline", "compare"):
            return str(given)
        raise ConfigError("performance is either baseline or compare", where=where)
    if given is None:
        raise ConfigError("bake needs a duration, such as 1m", where=where)
    try:
        duration = Duration.parse(given)
    except ValueError as error:
        raise ConfigError(str(error), where=where) from error
    if duration <= 0:
        raise ConfigError("bake needs more than 0", where=where)
    return str(duration)


def _order_problems(steps: list[FlowStep]) -> Iterator[tuple[int, str]]:
    """What is wrong with the order: index of the step, and why."""
    if steps[0].command != "begin":
        yield 0, "the first step must be begin: nothing is safe to change before it has checked"
    if steps[-1].command != "promote":
        yield len(steps) - 1, "the last step must be promote: it ends the rollout"
    seen: set[str] = set()
    ids: set[str] = set()
    weight = 0
    for index, step in enumerate(steps):
        yield from ((index, message) for message in _misplaced(step, seen))
        if step.id in ids:
            yield index, f"the id {step.id!r} is taken by an earlier step"
        ids.add(step.id)
        if step.command == "shift":
            if int(step.argument) <= weight:
                yield index, f"shift {step.argument} does not go beyond the {weight} % before it"
            weight = max(weight, int(step.argument))
        seen |= {step.command, f"{step.command} {step.argument}"}


def _misplaced(step: FlowStep, seen: set[str]) -> Iterator[str]:
    command = COMMANDS[step.command]
    if step.command in seen and not command.repeats:
        yield f"{step.command} is in the flow already: once is all"
    for needed, why in command.after:
        if needed not in seen:
            yield f"{step.command} needs {needed} before it: {why}"
    if step.argument == "compare" and "performance baseline" not in seen:
        yield "performance compare needs performance baseline before it: that is the first run"
    if "promote" in seen:
        yield f"{step.command} comes after promote: the previous version is gone by then"
    partial = step.command == "shift" and step.argument != "100"
    if step.options.when == "always" and (partial or step.command in NEEDS_PREVIOUS):
        yield f"{step.command} cannot run always: a first release has no previous version"
