"""Changes as people read them: unified diffs of YAML, secrets left out."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

import yaml

from theseus_ci.dry.cluster import Change
from theseus_ci.mesh.headers import KEY
from theseus_ci.model import Object, clone

HIDDEN = "<secret>"
_SERVERS_OWN = ("resourceVersion", "uid", "generation", "managedFields", "creationTimestamp")


def render(change: Change) -> Iterator[str]:
    """The lines of one change; none when nothing that people care for differs."""
    where = f"{change.kind} {change.namespace}/{change.name}"
    before, after = _yaml(change.before), _yaml(change.after)
    yield from difflib.unified_diff(
        before,
        after,
        f"{where} (now)" if change.before is not None else "(absent)",
        f"{where} (then)" if change.after is not None else "(deleted)",
        lineterm="",
    )


def _yaml(obj: Object | None) -> list[str]:
    if obj is None:
        return []
    shown = clone(obj)
    shown.pop("status", None)
    for key in _SERVERS_OWN:
        shown["metadata"].pop(key, None)
    _hide(shown)
    text = yaml.safe_dump(shown, sort_keys=True, allow_unicode=True, width=100)
    return text.splitlines()


def _hide(value: object) -> None:
    """Replace the secret header's value wherever a match names it."""
    if isinstance(value, dict):
        match = value.get(KEY)
        if isinstance(match, dict) and "exact" in match:
            value[KEY] = {"exact": HIDDEN}
        for inner in value.values():
            _hide(inner)
    elif isinstance(value, list):
        for inner in value:
            _hide(inner)
