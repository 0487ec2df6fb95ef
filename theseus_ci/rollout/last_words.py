"""What a version's pods wrote last: why they do not start or crash, kept before they are gone."""

from __future__ import annotations

from itertools import islice

import msgspec

from theseus_ci.errors import CannotKnow, Interrupted, UsageError
from theseus_ci.model import Object, Outcome, Verdict
from theseus_ci.rollout.context import Rollout
from theseus_ci.rollout.readiness import selector_text
from theseus_ci.rollout.state import Version

LINES = 40
CHARACTERS = 8_000  # of all of it
PODS = 2  # more of them say the same


def with_last_words(rollout: Rollout, outcome: Outcome) -> Outcome:
    """A bad outcome whose first failed case also says what the candidate's pods wrote last."""
    words = last_words(rollout, rollout.state.candidate)
    first = next((one for one in outcome.results if one.verdict is Verdict.FAIL), None)
    if not words or first is None:
        return outcome
    evidence = "\n".join(filter(None, (first.evidence, words)))
    told = msgspec.structs.replace(first, evidence=evidence)
    results = tuple(told if one is first else one for one in outcome.results)
    return msgspec.structs.replace(outcome, results=results)


def last_words(rollout: Rollout, version: Version) -> str:
    """The end of the logs of containers that are not ready or were started again; "" where there
    are none.

    It helps people and decides nothing: a log that cannot be read is a remark.
    """
    namespace = rollout.state.namespace
    try:
        pods = rollout.cluster.list("Pod", namespace, labels=selector_text(version.pod_labels))
        said = list(islice(filter(None, (_of_pod(rollout, pod) for pod in pods)), PODS))
    except Interrupted:
        raise
    except CannotKnow as error:
        return f"the pods could not be read: {error}"
    return "\n".join(said)[-CHARACTERS:]


def _of_pod(rollout: Rollout, pod: Object) -> str:
    name = pod["metadata"]["name"]
    parts = []
    for status in (pod.get("status") or {}).get("containerStatuses") or []:
        parts += _of_container(rollout, name, status)
    return "\n".join(parts)


def _of_container(rollout: Rollout, pod: str, status: Object) -> list[str]:
    """What it writes now and, where it was started again, what it wrote before it crashed."""
    container = status["name"]
    head = f"$ kubectl -n {rollout.state.namespace} logs {pod} -c {container} --tail {LINES}"
    parts = []
    if not status.get("ready"):
        parts.append(f"{head}\n{_log(rollout, pod, container)}")
    if status.get("restartCount"):
        parts.append(f"{head} --previous\n{_log(rollout, pod, container, previous=True)}")
    return parts


def _log(rollout: Rollout, pod: str, container: str, *, previous: bool = False) -> str:
    namespace = rollout.state.namespace
    try:
        data = rollout.world.logs.read(namespace, pod, container, "", tail=LINES, previous=previous)
    except Interrupted:
        raise
    except (CannotKnow, UsageError) as error:  # not allowed to, or the container never started
        return f"({error})"
    lines = data.decode("utf-8", "replace").splitlines()
    return "\n".join(line.partition(" ")[2] for line in lines) or "(nothing)"
