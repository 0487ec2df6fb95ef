"""A flow and a configuration become the plan of one rollout."""

from __future__ import annotations

from collections.abc import Iterator

from theseus_ci.config.types import Config
from theseus_ci.flowfile import NEEDS_PREVIOUS, Flow, FlowGate, FlowStep, load_flow, shipped_flows
from theseus_ci.plan import Gate, LeftOut, Plan, Step, plan_from_dict, plan_to_dict

__all__ = [
    "Flow",
    "Gate",
    "LeftOut",
    "Plan",
    "Step",
    "build_plan",
    "load_flow",
    "plan_from_dict",
    "plan_to_dict",
    "shipped_flows",
]

_OBSERVING = ("smoke", "performance", "bake")
_MOVING = ("shift", *NEEDS_PREVIOUS)
_NO_PREVIOUS = "first release: there is no previous version"

_TITLES = {
    "begin": "Check everything, take the lease, record the way back",
    "base-route": "Give the previous version a route of its own",
    "deploy": "Deploy the candidate beside the previous version",
    "dark-route": "Route test traffic, and nothing else, to the candidate",
    "await-mesh": "Wait until the mesh answers with the candidate",
    "smoke": "Smoke-test the candidate",
    "autoscale": "Give the candidate its autoscaler",
    "performance baseline": "Measure the previous version and the candidate side by side",
    "performance compare": "Compare the candidate's performance with the previous version's",
    "drain-previous": "Take the previous version out of the routes and wait until it is quiet",
    "scale-down-previous": "Let the previous version scale down to one replica",
    "await-scale-down": "Watch the previous version scale down",
    "promote": "Delete the previous version and end the rollout",
}
_FIRST_TITLES = {
    "base-route": "Install the probe routes",
    "deploy": "Deploy the candidate",
    "performance baseline": "Measure the candidate",
    "promote": "End the rollout",
}


def build_plan(flow: Flow, config: Config, *, has_previous: bool) -> Plan:
    """The steps of this rollout, in order.

    Without a previous version there is nothing to move traffic from: partial weights, the steps
    that retire the previous version, and what would only repeat a check at an unchanged weight
    are left out, with the reason; what would compare becomes a measurement. Steps whose section
    the configuration does not have stay, since a report must say that nothing was checked.
    """
    kept: list[Step] = []
    left: list[LeftOut] = []
    chosen = _all(flow) if has_previous else _first_release(flow)
    for step, reason in chosen:
        title = _title(step, has_previous=has_previous)
        if reason:
            left.append(LeftOut(id=step.id, title=title, reason=reason))
        else:
            kept.append(_step(step, title, config))
    return Plan(
        flow=flow.name,
        title=flow.title,
        has_previous=has_previous,
        steps=tuple(kept),
        left_out=tuple(left),
        on_failure=flow.on_failure,
    )


def _all(flow: Flow) -> Iterator[tuple[FlowStep, str]]:
    for step in flow.steps:
        yield step, ""


def _first_release(flow: Flow) -> Iterator[tuple[FlowStep, str]]:
    """Each step, and why it is left out ("" when it is not)."""
    moved = True  # something has changed since the last time the candidate was observed
    measured = False
    for step in flow.steps:
        reason = ""
        always = step.options.when == "always"
        partial = step.command == "shift" and step.argument != "100"
        if step.options.when == "previous" or step.command in NEEDS_PREVIOUS:
            reason = _NO_PREVIOUS
        elif partial:
            reason = f"{_NO_PREVIOUS} to share traffic with"
        first_measurement = step.command == "performance" and not measured
        if step.command in _MOVING:
            moved = not reason
        elif step.command in _OBSERVING and not (reason or moved or always or first_measurement):
            reason = f"{_NO_PREVIOUS}, and the traffic is as it was at the check before"
        if step.command == "performance" and not reason:
            measured = True
            yield _as_baseline(step), reason
        else:
            yield step, reason


def _as_baseline(step: FlowStep) -> FlowStep:
    return FlowStep(id=step.id, command=step.command, argument="baseline", options=step.options)


def _step(step: FlowStep, title: str, config: Config) -> Step:
    gate, timeout = step.options.gate, step.options.timeout
    return Step(
        id=step.id,
        command=_command(step),
        title=title,
        timeout=None if timeout is None else float(timeout),
        gate=None if gate is None else _gate(gate),
        skip_reason=_skip_reason(step, config),
    )


def _gate(gate: FlowGate) -> Gate:
    return Gate(message=gate.message, submitter=gate.submitter, timeout=float(gate.timeout))


def _command(step: FlowStep) -> tuple[str, ...]:
    if step.command == "performance":
        return (step.command, f"--{step.argument}")
    return (step.command, step.argument) if step.argument else (step.command,)


def _title(step: FlowStep, *, has_previous: bool) -> str:
    if step.options.title:
        return step.options.title
    if step.command == "shift":
        share = "all" if step.argument == "100" else f"{step.argument} % of"
        return f"Shift {share} production traffic to the candidate"
    if step.command == "bake":
        return f"Let the candidate bake for {step.argument}, watching"
    key = f"{step.command} {step.argument}".strip()
    return _TITLES[key] if has_previous else _FIRST_TITLES.get(key, _TITLES[key])


def _skip_reason(step: FlowStep, config: Config) -> str:
    if step.command == "smoke" and not config.smoke:
        return "theseus.yaml has no smoke checks"
    if step.command == "performance" and config.performance is None:
        return "theseus.yaml has no performance section"
    return ""
