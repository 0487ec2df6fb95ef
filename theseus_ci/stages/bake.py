"""bake: let time pass under watch."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from typing import NamedTuple

import msgspec

from theseus_ci.config.performance import ErrorRate, Performance, Request
from theseus_ci.measure import BadAnswer, SlicePair
from theseus_ci.model import Outcome
from theseus_ci.quantities import Duration, counted
from theseus_ci.rollout import repeat
from theseus_ci.rollout.capacity import replicas_for
from theseus_ci.rollout.context import Rollout
from theseus_ci.rollout.ground import require_subsets
from theseus_ci.rollout.readiness import (
    first_problem,
    ready_pods,
    restarts_by_pod,
    selector_text,
)
from theseus_ci.rollout.routes import report_drift, secret
from theseus_ci.stages.performance import load_target
from theseus_ci.stages.result import failed, passed

CASES = ("pods", "answers")
MOST_SAMPLES = 5
SLICE = 1  # requests to each version between two looks at the clock


def run(rollout: Rollout, args: argparse.Namespace) -> Outcome:
    watch = _Watch(rollout, args.duration)
    problem = watch.answers() if rollout.view.can_observe else watch.pods_only()
    require_subsets(rollout)
    report_drift(rollout, secret(rollout))
    if problem is not None:
        return _failed(rollout, problem, f"{problem.sentence}, {watch.waited:.0f} s into the bake")
    return passed(
        "answers", f"{watch.requests} requests and all pods were fine for {args.duration}"
    )


class _Problem(NamedTuple):
    """What is wrong with the candidate."""

    case: str
    sentence: str
    expected: str
    answers: tuple[BadAnswer, ...] = ()


def _failed(rollout: Rollout, problem: _Problem, sentence: str) -> Outcome:
    seen = (f"{one.request}: {one.status or one.kind} {one.text}" for one in problem.answers)
    by_pods = problem.case == "pods"
    return failed(
        problem.case,
        sentence,
        expected=problem.expected,
        actual=problem.sentence,
        evidence="\n".join(seen),
        repeat=repeat.pods(rollout) if by_pods else repeat.load(rollout),
    )


class _Watch:
    """What is seen of the candidate while time passes."""

    def __init__(self, rollout: Rollout, seconds: float) -> None:
        self._rollout = rollout
        self._seconds = seconds
        self._started = rollout.clock.monotonic()
        self._restarts = restarts_by_pod(self._pods())
        self._wanted = replicas_for(rollout, rollout.state.weight)
        self._looked = 0.0
        self._bad: tuple[BadAnswer, ...] = ()
        self.requests = 0

    @property
    def waited(self) -> float:
        return self._rollout.clock.monotonic() - self._started

    def answers(self) -> _Problem | None:
        """Watch pods and answers until the time is over or something is wrong."""
        rates = (self._rollout.config.performance or _NO_PERFORMANCE).error_rate
        judge: Callable[[SlicePair], str | None] = self._rollout.world.judge.watch(rates)
        for pair in self._pairs():
            self.requests += sum(len(one.latencies) for one in pair.slices)
            alarm = judge(pair)
            candidate = pair.of("candidate")
            if candidate is not None:
                self._bad = (*self._bad, *candidate.samples)[-MOST_SAMPLES:]
            if alarm is not None:
                expected = f"at most {rates.acceptable} of the requests fail, and no row of them"
                return _Problem("answers", alarm, expected, self._bad)
            problem = self._look()
            if problem is not None:
                return problem
            if self.waited >= self._seconds:
                return None
        return None

    def pods_only(self) -> _Problem | None:
        """Watch the pods alone: there is no entrypoint for answers."""
        while self.waited < self._seconds:
            problem = self._look()
            if problem is not None:
                return problem
            left = max(0.0, self._seconds - self.waited)
            self._rollout.clock.pause(min(self._rollout.config.bake.poll, left))
        return None

    def _pairs(self) -> Iterator[SlicePair]:
        rollout = self._rollout
        configured = rollout.config.performance or _NO_PERFORMANCE
        requests = configured.requests or (Request(path=rollout.view.path),)
        load = msgspec.structs.replace(
            configured,
            requests=requests,
            driver=None,
            rate=rollout.config.bake.rate,
            max_duration=Duration(self._seconds + 60),
        )
        return rollout.world.load.pairs(
            load_target(rollout), load, seed=1, stopped=rollout.world.stopped, slice_size=SLICE
        )

    def _look(self) -> _Problem | None:
        """What is wrong with the candidate's pods, looked at every `bake.poll`."""
        rollout = self._rollout
        rollout.alive()
        left = max(0.0, self._seconds - self.waited)
        rollout.world.progress(f"baking, {left:.0f} s left, {self.requests} requests fine")
        if self.waited - self._looked < rollout.config.bake.poll:
            return None
        self._looked = self.waited
        pods = self._pods()
        expected = f"{counted(self._wanted, 'ready pod')}, and no restart"
        for name, count in restarts_by_pod(pods).items():
            if count > self._restarts.get(name, 0):
                why = first_problem(pods) or "it crashed"
                return _Problem("pods", f"pod {name} has restarted: {why}", expected)
        ready = ready_pods(pods)
        if ready < self._wanted:
            why = first_problem(pods) or "no pod says why"
            sentence = f"only {ready} of {self._wanted} pods are ready: {why}"
            return _Problem("pods", sentence, expected)
        return None

    def _pods(self) -> list[dict[str, object]]:
        state = self._rollout.state
        labels = selector_text(state.candidate.pod_labels)
        return self._rollout.cluster.list("Pod", state.namespace, labels=labels)


_NO_PERFORMANCE = Performance(requests=(), rate=1, error_rate=ErrorRate())
