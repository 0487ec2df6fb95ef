"""What a rollout did to each object that takes part, told from its journal."""

from __future__ import annotations

import re

from theseus_ci.report.page_model import ObjectRow
from theseus_ci.rollout.state import (
    PHASE_PROMOTED,
    PHASE_ROLLED_BACK,
    Ref,
    State,
    Version,
)

_WORD = r"[\w./-]+"


def objects(state: State) -> tuple[ObjectRow, ...]:
    """Versions first, then routes, then what else was created."""
    rows = _version_rows(state, state.candidate, candidate=True)
    if state.previous is not None:
        rows += _version_rows(state, state.previous, candidate=False)
    routes = (*state.routes.virtual_services, state.routes.destination_rule)
    rows += [_route_row(state, ref) for ref in routes]
    known = {ref.name for ref in routes} | {state.candidate.deployment, state.candidate.hpa}
    for ref in state.created:
        if ref.name not in known:
            fate = "removed" if state.phase == PHASE_ROLLED_BACK else "stays"
            rows.append(_row(state, ref, "came with the candidate", fate))
    return tuple(rows)


def _version_rows(state: State, version: Version, *, candidate: bool) -> list[ObjectRow]:
    whose = "the candidate" if candidate else "the previous version"
    lost = PHASE_ROLLED_BACK if candidate else PHASE_PROMOTED
    refs = [Ref(kind="Deployment", namespace=state.namespace, name=version.deployment)]
    if version.hpa is not None:
        kind = "HorizontalPodAutoscaler"
        refs.append(Ref(kind=kind, namespace=state.namespace, name=version.hpa))
    kept = "runs" if candidate else "as before the rollout"
    rows = []
    for ref in refs:
        if state.phase not in (PHASE_PROMOTED, PHASE_ROLLED_BACK):
            acts = _acts(state, ref)
            fate = "under way" if acts else ("not created yet" if candidate else "untouched so far")
        else:
            fate = "removed" if state.phase == lost else kept
            if candidate and fate == "removed" and not _acts(state, ref):
                fate = "never created"
        role = whose if ref.kind == "Deployment" else f"autoscaler of {whose}"
        rows.append(_row(state, ref, role, fate))
    return rows


def _route_row(state: State, ref: Ref) -> ObjectRow:
    made = ref in state.routes.created
    role = "created for this rollout" if made else "yours"
    if state.phase == PHASE_ROLLED_BACK:
        fate = "removed" if made else "as before the rollout"
    elif state.phase == PHASE_PROMOTED:
        gone = any("delete " in act for act in _acts(state, ref)) if made else False
        fate = "removed" if gone else f"as before, but for {state.candidate.deployment}"
    else:
        fate = "carries this rollout's routes" if _acts(state, ref) else "untouched so far"
    return _row(state, ref, role, fate)


def _row(state: State, ref: Ref, role: str, fate: str) -> ObjectRow:
    kind = "Autoscaler" if ref.kind == "HorizontalPodAutoscaler" else ref.kind
    name = f"{kind} {ref.namespace}/{ref.name}" if ref.namespace else f"{kind} {ref.name}"
    return ObjectRow(name=name, role=role, acts=_acts(state, ref), fate=fate)


def _acts(state: State, ref: Ref) -> tuple[str, ...]:
    """Acts of the journal that name the object, each once in a row.

    Acts name routes in full, Deployments and autoscalers also by their name alone.
    """
    names = [str(ref)]
    if ref.kind in ("Deployment", "HorizontalPodAutoscaler"):
        names.append(ref.name)
    other = "autoscaler" if ref.kind == "Deployment" else "Deployment"
    found: list[str] = []
    for entry in state.journal:
        words = f" {' '.join(re.findall(_WORD, entry.act))} "
        if not any(f" {name} " in words for name in names):
            continue
        if other in entry.act and str(ref) not in entry.act:
            continue
        text = entry.act.removesuffix(f": edit {ref}").removesuffix(f": create {ref}")
        if entry.outcome not in ("done", ""):
            text += f" ({entry.outcome})"
        elif not entry.outcome:
            text += " (no end recorded)"
        if not found or found[-1] != text:
            found.append(text)
    return tuple(found)
