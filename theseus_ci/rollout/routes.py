"""Moving traffic: every edit of the routes of a rollout, made and then observed in the mesh.

One edit goes to all VirtualServices of the rollout under one number; a proxy that has it shows
that number in the marker's answer. Subsets come before the routes that use them and go after, both
by the settle time: a proxy that cannot be asked answers 503 for a subset it does not know yet.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable

from theseus_ci.errors import WorldChanged
from theseus_ci.mesh import headers
from theseus_ci.mesh.created import new_virtual_service
from theseus_ci.mesh.destination_rule import edit_destination_rule, new_destination_rule
from theseus_ci.mesh.drift import drift
from theseus_ci.mesh.promotion import named_subsets
from theseus_ci.mesh.routing import Routing, ServiceHost, Side
from theseus_ci.mesh.testing_routes import edit_test_routes, secret_in
from theseus_ci.mesh.virtual_service import edit_virtual_service
from theseus_ci.model import Object
from theseus_ci.rollout.context import Rollout
from theseus_ci.rollout.editor import Change
from theseus_ci.rollout.state import Ref, State, Subset


def service_host(state: State) -> ServiceHost:
    return ServiceHost(state.service, state.namespace)


def side(subset: Subset | None) -> Side | None:
    """The state's subset as the mesh functions take it."""
    if subset is None:
        return None
    return Side(subset.name, dict(subset.labels), subset.owned, subset.stands_for)


def routing(rollout: Rollout, secret: str) -> Routing:
    """What the state wants of the mesh now."""
    state = rollout.state
    return Routing(
        service=service_host(state),
        rollout=state.rollout,
        edit=state.edit,
        previous=side(state.routes.previous),
        candidate=side(state.routes.candidate),
        weight=state.weight,
        previous_routed=state.previous_routed,
        candidate_routed=state.candidate_routed,
        matchers=rollout.config.matchers if state.candidate_routed else (),
        secret=secret,
        replaces=frozenset(state.routes.replaces),
    )


def new_secret() -> str:
    """A value for the secret header; from then on it lives in the VirtualServices alone."""
    return secrets.token_urlsafe(24)


def find_secret(rollout: Rollout) -> str:
    """The header value that opens the test routes, "" when no VirtualService carries one."""
    for ref in rollout.state.routes.virtual_services:
        obj = rollout.editor.read(ref)
        found = secret_in(obj, service_host(rollout.state)) if obj is not None else None
        if found:
            return found
    return ""


def secret(rollout: Rollout) -> str:
    """As `find_secret`. Raises WorldChanged when somebody has removed the test routes."""
    found = find_secret(rollout)
    if not found:
        names = ", ".join(str(ref) for ref in rollout.state.routes.virtual_services)
        raise WorldChanged(
            f"the test routes of this rollout are gone from {names}",
            remedy="theseus-ci rollback, then begin again",
        )
    return found


def test_headers(rollout: Rollout, to: str) -> dict[str, str]:
    """Headers that take a test's request to a version (headers.TO_CANDIDATE …); secret."""
    return headers.request_headers(secret(rollout), to)


def edit_subsets(rollout: Rollout, act: str) -> None:
    """Put the subsets that the routing needs into the DestinationRule, creating it if absent."""
    state = rollout.state
    ref = state.routes.destination_rule
    if ref in state.routes.created and rollout.editor.read(ref) is None:
        rule = new_destination_rule(
            service_host(state),
            routing(rollout, ""),
            traffic_policy=state.routes.traffic_policy,
            name=ref.name,
        )
        _adding(rollout, lambda: rollout.editor.create(rule, f"{act}: create {ref}")[1])
        return
    edit_rule(
        rollout,
        lambda found: edit_destination_rule(found, routing(rollout, "")),
        f"{act}: edit {ref}",
    )


def edit_rule(rollout: Rollout, change: Change, act: str) -> None:
    """Edit the DestinationRule; subsets that this adds settle before production names them."""
    ref = rollout.state.routes.destination_rule
    _adding(rollout, lambda: rollout.editor.edit(ref, change, act)[1])


def _adding(rollout: Rollout, write: Callable[[], bool]) -> None:
    """Note when subsets were added; saved with the intent too, since this process may die."""
    state, before = rollout.state, rollout.state.subsets_at
    state.subsets_at = rollout.clock.now()
    state.subsets_at = rollout.clock.now() if write() else before


def edit_routes(
    rollout: Rollout,
    act: str,
    *,
    secret_value: str,
    production: bool = True,
    observe: bool = True,
    create: bool = True,
) -> bool:
    """Bring every VirtualService to what the state wants; wait until the mesh shows it.

    Returns whether anything was written. A finished edit is recognised and not made again. With
    `create` False, objects that are absent stay so; with `production` False only the test routes
    are laid, and production's entries stay as users wrote them.
    """
    state = rollout.state
    refs = [ref for ref in state.routes.virtual_services if create or rollout.editor.read(ref)]
    if not refs:
        return False

    def edited(obj: Object) -> Object:
        edit = edit_virtual_service if production else edit_test_routes
        return edit(obj, routing(rollout, secret_value))

    found = [rollout.editor.read(ref) for ref in refs]
    if any(obj is None or edited(obj) != obj for obj in found):
        _await_new_subsets(rollout, found, edited)
        state.edit += 1
    wrote = False
    for ref in refs:
        wrote = _edit_one(rollout, ref, act, edited) or wrote
    if wrote:
        state.edited_at = rollout.clock.now()
    if observe:
        observe_edit(rollout, secret_value)
    return wrote


def _await_new_subsets(rollout: Rollout, found: list[Object | None], edited: Change) -> None:
    """Let the subsets settle that production's routes are to name for the first time."""
    service = service_host(rollout.state)
    for obj in found:
        if obj and named_subsets(edited(obj), service) <= named_subsets(obj, service):
            continue
        rollout.view.await_settled(
            rollout.state.subsets_at, "before production's routes name the new subsets"
        )


def observe_edit(rollout: Rollout, secret_value: str) -> None:
    """Wait until the mesh shows the last edit: by asking, or by settling where nobody can ask."""
    state = rollout.state
    if rollout.view.can_observe:
        rollout.view.await_edit(secret_value, state.edit)
    else:
        rollout.view.await_settled(state.unsettled_since, f"edit {state.edit} of the routes")


def report_drift(rollout: Rollout, secret_value: str) -> None:
    """Tell people what somebody else has changed in the routes; it is kept."""
    wanted = routing(rollout, secret_value)
    for ref in rollout.state.routes.virtual_services:
        obj = rollout.editor.read(ref)
        for sentence in drift(obj, wanted) if obj is not None else ["it is gone"]:
            rollout.note(f"somebody has changed {ref}: {sentence}")


def _edit_one(rollout: Rollout, ref: Ref, act: str, edited: Change) -> bool:
    state = rollout.state
    if ref in state.routes.created and rollout.editor.read(ref) is None:
        made = new_virtual_service(
            service_host(state),
            hosts=state.routes.hosts,
            gateways=rollout.config.gateways,
            http=not state.routes.tcp_ports,
            tcp_ports=state.routes.tcp_ports,
            name=ref.name,
        )
        return rollout.editor.create(edited(made), f"{act}: create {ref}")[1]
    return rollout.editor.edit(ref, edited, f"{act}: edit {ref}")[1]
