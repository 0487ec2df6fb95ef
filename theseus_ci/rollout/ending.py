"""The last part of every rollout, good or bad: what it has put into the cluster goes again."""

from __future__ import annotations

from collections.abc import Iterable

from theseus_ci.errors import CannotKnow
from theseus_ci.mesh.created import unmark_created
from theseus_ci.mesh.destination_rule import restore_destination_rule
from theseus_ci.mesh.routing import Side
from theseus_ci.mesh.virtual_service import Carries, restore_virtual_service
from theseus_ci.model import Object, clone
from theseus_ci.quantities import counted
from theseus_ci.rollout.context import Rollout
from theseus_ci.rollout.readiness import await_gone, selector_text
from theseus_ci.rollout.routes import service_host
from theseus_ci.rollout.state import Ref, Version


def delete_version(rollout: Rollout, version: Version) -> None:
    """Delete a version's Deployment, wait until its pods are gone, then delete its autoscaler.

    The version must be quiet. Raises CannotKnow when pods outlive the deadline.
    """
    delete_deployment(rollout, version)
    delete_autoscaler(rollout, version)


def delete_autoscaler(rollout: Rollout, version: Version) -> None:
    """Delete a version's autoscaler, if it has one."""
    if version.hpa is not None:
        rollout.editor.delete(rollout.autoscaler(version.hpa), f"delete autoscaler {version.hpa}")


def delete_deployment(rollout: Rollout, version: Version) -> None:
    """Delete a version's Deployment and wait until its pods are gone. Raises CannotKnow."""
    rollout.editor.delete(
        rollout.deployment(version.deployment), f"delete Deployment {version.deployment}"
    )
    left = await_gone(
        rollout.cluster,
        rollout.clock,
        namespace=rollout.state.namespace,
        pod_selector=selector_text(version.pod_labels),
        seconds=float(rollout.config.waits.delete),
        alive=rollout.alive,
    )
    if left:
        raise CannotKnow(
            f"{counted(left, 'pod')} of {version.deployment} still there "
            f"{rollout.config.waits.delete} after its deletion",
            remedy="see why they do not end (kubectl describe pod), then run this command again",
        )


def restore_routes(rollout: Rollout, carries: Carries, final: Side | None, secret: str) -> None:
    """Take everything of ours out of the VirtualServices, and see it gone in the mesh.

    One that this rollout has made stays when the candidate does and users need it: see `lasting`.
    """
    host = service_host(rollout.state)
    wrote = False
    stays = carries == "candidate" and lasting(rollout)
    for ref in rollout.state.routes.virtual_services:
        obj = rollout.editor.read(ref)
        if obj is None:
            continue
        if not stays and restore_virtual_service(obj, host, carries, final) is None:
            wrote = rollout.editor.delete(ref, f"delete {ref}, which this rollout created") or wrote
            continue

        def restored(found: Object) -> Object:
            wanted = clone(found)
            if stays:
                unmark_created(wanted, host)
            return restore_virtual_service(wanted, host, carries, final) or found

        wrote = rollout.editor.unstamp(ref, restored, f"take our routes out of {ref}") or wrote
    if wrote:
        rollout.state.edited_at = rollout.clock.now()
    if secret and rollout.view.can_observe:
        rollout.view.await_marker_gone(secret)


def lasting(rollout: Rollout) -> bool:
    """Whether users need a VirtualService that this rollout has made after its end: it is how
    they come in through the gateways of theseus.yaml, or the first routes the service has."""
    return bool(rollout.config.gateways) or rollout.state.previous is None


def restore_rule(rollout: Rollout, carries: Carries) -> None:
    """Take our subsets out of the DestinationRule, once no proxy uses them any more."""
    host = service_host(rollout.state)
    ref = rollout.state.routes.destination_rule
    obj = rollout.editor.read(ref)
    if obj is None:
        return
    rollout.view.await_settled(rollout.state.unsettled_since, "before the subsets go")
    if restore_destination_rule(obj, host, carries) is None:
        rollout.editor.delete(ref, f"delete {ref}, which this rollout created")
        return

    def restored(found: Object) -> Object:
        return restore_destination_rule(found, host, carries) or found

    rollout.editor.unstamp(ref, restored, f"take our subsets out of {ref}")


def unstamp_all(rollout: Rollout, refs: Iterable[Ref]) -> None:
    """Take the stamp off objects that stay."""
    for ref in refs:
        rollout.editor.unstamp(ref, clone, f"take our stamp off {ref}")


def close(rollout: Rollout, phase: str) -> None:
    """The rollout has ended: the artefact says so, and nothing of it stays in the cluster."""
    rollout.state.phase = phase
    rollout.store.keep_last(rollout.state)
    rollout.store.delete_copy(rollout.state)
    rollout.lease.release(rollout.state.rollout)
