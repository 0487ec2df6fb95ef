"""What a rollout stands on. Where somebody pulls it away, going on would mean nothing: it stops."""

from __future__ import annotations

from theseus_ci.errors import WorldChanged
from theseus_ci.mesh.drift import rule_drift
from theseus_ci.rollout.context import Rollout
from theseus_ci.rollout.routes import routing
from theseus_ci.rollout.state import Ref

REMEDY = "theseus-ci rollback, then begin again"


def require_service(rollout: Rollout) -> None:
    """Raise WorldChanged when the Service is gone or selects other pods than at the beginning."""
    state = rollout.state
    ref = Ref(kind="Service", namespace=state.namespace, name=state.service)
    service = rollout.editor.read(ref)
    if service is None:
        raise WorldChanged(f"somebody has deleted {ref}, whose traffic this rollout moves")
    selector = dict(service["spec"].get("selector") or {})
    if state.selector and selector != state.selector:
        raise WorldChanged(
            f"somebody has changed the selector of {ref}, so its traffic may go to other pods: it "
            f"was {_labels(state.selector)} when the rollout began and is {_labels(selector)} now",
            remedy=REMEDY,
        )


def require_subsets(rollout: Rollout) -> None:
    """Raise WorldChanged when the subsets that routes stand on are gone or changed."""
    missing = missing_subsets(rollout)
    if missing:
        raise WorldChanged(
            f"somebody has changed {rollout.state.routes.destination_rule}, on which the routes "
            f"stand: {'; '.join(missing)}",
            remedy=REMEDY,
        )


def missing_subsets(rollout: Rollout) -> list[str]:
    """What is wrong with the subsets that the routes name now, in sentences."""
    state = rollout.state
    rule = rollout.editor.read(state.routes.destination_rule)
    if rule is None:
        return ["it is gone"]
    return rule_drift(rule, routing(rollout, ""))


def _labels(labels: dict[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in sorted(labels.items())) or "nothing"
