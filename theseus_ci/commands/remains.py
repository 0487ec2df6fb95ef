"""Lease and state belong together; what a rollback does where only one of them is left.

They are made and removed one after the other, so a process that dies in between leaves half.
"""

from __future__ import annotations

from theseus_ci.commands.session import Session
from theseus_ci.rollout.lease import Lease, held, owner
from theseus_ci.rollout.state import State
from theseus_ci.rollout.store import StateStore


def clear_stray_lease(session: Session, *, own: bool = False) -> bool:
    """Delete a lease without a state: its begin had touched nothing yet, or its end had nothing
    left to do. False when there is none, or with `own` none of this build's.

    Raises LeaseHeld when its state has come meanwhile, StaleObject when its owner has used it.
    """
    namespace, service = session.which()
    found = Lease(session.cluster, session.clock, namespace, service).read()
    if found is None or (own and found["spec"].get("holderIdentity") != session.world.holder):
        return False
    if session.store(namespace, service).read_copy():
        raise held(found, session.clock.now())
    session.cluster.delete(found)
    session.console.log(
        f"removed the lease of rollout {owner(found)}, left by "
        f"{found['spec'].get('holderIdentity', 'somebody')}: it had no state, so there is nothing "
        "to put back"
    )
    return True


def mend(session: Session, state: State, store: StateStore) -> None:
    """Make the half that is missing again, so that what the rollout has done can be put back."""
    lease = Lease(session.cluster, session.clock, state.namespace, state.service)
    found = lease.read()
    if found is None and store.has_copy:
        lease.restore(state.rollout, session.world.holder, state.generation + 1)
        session.console.log(f"the lease of rollout {state.rollout} was gone: made it again")
    elif found is not None and not store.has_copy and owner(found) == state.rollout:
        store.create(state)
        session.console.log(f"the state of rollout {state.rollout} was gone: made it again")
