"""performance: measure the candidate beside the previous version, and judge."""

from __future__ import annotations

import argparse
import secrets
from collections.abc import Generator, Iterator

import msgspec

from theseus_ci.config.load import require_variables
from theseus_ci.config.performance import Performance
from theseus_ci.errors import ConfigError, NoData
from theseus_ci.measure import Arm, Judgement, LoadTarget, SlicePair, read_anchor
from theseus_ci.mesh import headers
from theseus_ci.model import CheckResult, Outcome, Verdict
from theseus_ci.quantities import counted
from theseus_ci.rollout import load_job, repeat
from theseus_ci.rollout.capacity import await_version, raise_candidate, replicas_for
from theseus_ci.rollout.context import Rollout
from theseus_ci.rollout.measured import keep_first_run
from theseus_ci.rollout.routes import test_headers
from theseus_ci.stages.result import failed, skipped

CASES = (
    "load-valid",
    "errors",
    *(f"{kind}-{quantile}" for kind in ("latency", "anchor") for quantile in ("p50", "p95", "p99")),
)


def run(rollout: Rollout, args: argparse.Namespace) -> Outcome:
    state = rollout.state
    performance = rollout.config.performance
    if performance is None:
        return skipped("load-valid", "theseus.yaml has no performance section")
    require_variables(performance, "theseus.yaml: performance")
    state.judgements.pop(rollout.editor.step, None)
    if args.anchor is not None:
        state.anchor, source = read_anchor(args.anchor, state.service)
        rollout.note(f"latencies are held against those of the last promoted release: {source}")
    weak = _equal_strength(rollout)
    if weak is not None:
        return weak
    target = load_target(rollout)
    pairs = _pairs(rollout, target, performance)
    workers = performance.load.workers
    rollout.log(
        f"measuring {' and '.join(arm.version for arm in target.arms)} at "
        f"{performance.rate:g} requests a second, at most {performance.max_duration}"
        + (f", from {workers} workers" if workers else "")
        if performance.driver is None
        else f"measuring by {performance.driver.tool}, at most {performance.max_duration}"
    )
    watched = _watched(rollout, pairs)
    if args.baseline and state.anchor is None:
        judgement = rollout.world.judge.baseline(watched, performance)
    else:
        anchor = state.first_run
        if anchor is None and len(target.arms) == 1:
            raise NoData(
                "there is no first run to compare with, and no previous version beside it",
                remedy="theseus-ci performance --baseline first",
            )
        judgement = rollout.world.judge.compare(watched, performance, anchor)
    if args.baseline:
        keep_first_run(state, _without_samples(judgement))
    rollout.clock.check()
    state.judgements[rollout.editor.step] = _without_samples(judgement)
    return Outcome(
        verdict=judgement.verdict,
        summary=judgement.sentence,
        results=tuple(
            _repeatable(rollout, result) for result in rollout.world.judge.results(judgement)
        ),
    )


def _repeatable(rollout: Rollout, result: CheckResult) -> CheckResult:
    """What went wrong with the request that shows it."""
    if result.verdict not in (Verdict.FAIL, Verdict.ERROR):
        return result
    command = next(
        (step.command for step in rollout.state.plan.steps if step.id == rollout.editor.step),
        ("performance", "--compare"),
    )
    again = f"theseus-ci {' '.join(command)} --step {rollout.editor.step} --again"
    return msgspec.structs.replace(result, repeat=f"{again}\n{repeat.load(rollout)}")


def _equal_strength(rollout: Rollout) -> Outcome | None:
    """Give the candidate as many pods as the version it is measured beside; else pods that share
    the same load among fewer would be called slow. An outcome when they do not get ready."""
    state = rollout.state
    if state.previous is None or not state.previous_routed:
        return None
    replicas = replicas_for(rollout, 100)
    raise_candidate(rollout, replicas)
    readiness = await_version(rollout, state.candidate, replicas)
    if not readiness.problem:
        return None
    return failed(
        "load-valid",
        f"{state.candidate.deployment} cannot be measured at equal strength: {readiness.problem}",
        expected=f"{counted(replicas, 'ready pod')} within {rollout.config.waits.ready}",
        actual=readiness.problem,
        repeat=repeat.pods(rollout),
    )


def load_target(rollout: Rollout) -> LoadTarget:
    """Both versions through their test routes; the candidate alone once the other is drained."""
    state = rollout.state
    entrypoints = rollout.config.all_entrypoints()
    if not entrypoints:
        raise ConfigError(
            "nothing can be measured without an entrypoint",
            where="theseus.yaml: entrypoint",
            remedy="give the URL at which tests enter the mesh, or drop the performance section",
        )
    candidate = Arm(version="candidate", headers=test_headers(rollout, headers.TO_CANDIDATE))
    if state.previous is None or not state.previous_routed:
        arms: tuple[Arm, ...] = (candidate,)
    else:
        previous = Arm(version="previous", headers=test_headers(rollout, headers.TO_PREVIOUS))
        arms = (previous, candidate)
    return LoadTarget(url=entrypoints[0], host=rollout.config.host or "", arms=arms)


def _pairs(rollout: Rollout, target: LoadTarget, performance: Performance) -> Iterator[SlicePair]:
    """From this process, or from workers in the cluster."""
    seed = secrets.randbits(32)
    if performance.load.workers:
        return load_job.measure(rollout, target, performance, seed=seed)
    return rollout.world.load.pairs(target, performance, seed=seed, stopped=rollout.world.stopped)


def _watched(rollout: Rollout, pairs: Iterator[SlicePair]) -> Iterator[SlicePair]:
    """The same pairs, the lease renewed and progress told between them."""
    requests = 0
    try:
        for pair in pairs:
            rollout.alive()
            requests += sum(len(one.latencies) for one in pair.slices)
            rollout.world.progress(f"{requests} requests measured")
            yield pair
    finally:
        if isinstance(pairs, Generator):
            pairs.close()


def _without_samples(judgement: Judgement) -> Judgement:
    """The figures alone: what was answered is evidence, and has no place in the state."""
    candidate = msgspec.structs.replace(judgement.candidate, samples=())
    previous = judgement.previous
    if previous is not None:
        previous = msgspec.structs.replace(previous, samples=())
    return msgspec.structs.replace(judgement, candidate=candidate, previous=previous)
