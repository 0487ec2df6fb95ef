"""deploy/rbac.yaml on a real authorizer: enough for every command, and nothing in it is too much.

One account has what the file grants, and goes through all of it: a release that is rolled back, a
whole one, and the commands around them. On the way, before a command first uses some right, others
that lack just that right try it: they must fail with exit code 3 and name the rule. Nobody has more
than the file grants, so what all of them have done together, its rights are enough for.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from pathlib import Path

from tests.e2e import app
from tests.e2e.accounts import account, all_rights, kubeconfig
from tests.e2e.world import World
from tests.tier.rights import Command, code_of, first_uses, furnish
from tests.tier.servers import REAL
from tests.tier.test_real_tier import KUBECTL
from theseus_ci.rights.manifest import ACCOUNT, EXAMPLE_NAMESPACE
from theseus_ci.rights.needed import LOAD_WORKERS, MESH_DEFAULTS, RELEASES, ROLES, Right

pytestmark = REAL
FILE = Path(__file__).parents[2] / "deploy" / "rbac.yaml"
TESTED = tuple(role for role in ROLES if role not in (LOAD_WORKERS, MESH_DEFAULTS))
"""The workers' rights have tests of their own, with the workers; the mesh-wide defaults are asked
for by themselves only where not all namespaces may be looked into."""
RULE = re.compile(r"- apiGroups: \[(.*)\]\s+resources: \[(.*)\]\s+verbs: \[(.*)\]")


def test_every_right_is_needed_and_they_are_enough(world: World) -> None:
    furnish(world)
    everything = _account_of_the_file(world)
    rights = [replace(one, why="") for one in all_rights(world, TESTED)]
    lacking = {one: _account_without(world, one, rights) for one in rights}
    uses = first_uses(world.namespace)
    assert sorted(str(one) for _, first in uses for one in first) == sorted(map(str, rights))
    for command, first in uses:
        if command[0] == "delete":
            rule = app.destination_rule({"v0": {"version": "v0"}, "v2": {"version": "v2"}})
            world.apply(app.deployment("web-v0", "v0", replicas=0), rule)
        for one in first:
            _must_fail(world, command, one, lacking[one])
        world.theseus(*command, kubeconfig=everything, code=code_of(command))
    assert sorted(name for name in world.dump() if name.startswith("Deployment")) == [
        "Deployment web-v2"
    ]


def test_a_release_within_namespaces(world: World) -> None:
    """Where theseus.yaml names the routes, nothing beyond namespaces has to be granted."""
    world.start_service(replicas=1)
    world.configure(app.candidate(replicas=1), performance=None, virtualServices=["web"])
    defaults = [replace(one, why="") for one in all_rights(world, (MESH_DEFAULTS,))]
    rights = [*all_rights(world, (RELEASES,)), *defaults]
    for one in defaults:
        lacking = account(world, [other for other in rights if other != one])
        _must_fail(world, ("begin",), one, lacking.kubeconfig)
    within = account(world, rights).kubeconfig
    world.theseus("begin", kubeconfig=within)
    world.theseus("rollback", kubeconfig=within)


def _account_of_the_file(world: World) -> Path:
    """The ServiceAccount of deploy/rbac.yaml, which kubectl has applied for this namespace."""
    text = FILE.read_text(encoding="utf-8").replace(EXAMPLE_NAMESPACE, world.namespace)
    applied = subprocess.run(
        [KUBECTL, "--kubeconfig", world.sandbox.kubeconfig, "apply", "-f", "-"],
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert applied.returncode == 0, applied.stderr
    return kubeconfig(world, ACCOUNT, world.api.token(world.namespace, ACCOUNT))


def _account_without(world: World, one: Right, rights: list[Right]) -> Path:
    """One who may do all but that; what may stand in for it goes too."""
    missing = {one}
    if one.verb == "list" and one.kind in ("VirtualService", "DestinationRule") and one.namespace:
        missing |= {other for other in rights if other.namespace is None}
    return account(world, [other for other in rights if other not in missing]).kubeconfig


def _must_fail(world: World, command: Command, one: Right, config: Path) -> None:
    done = world.theseus(*command, kubeconfig=config, code=None)
    assert done.code == 3, f"{command} without {one}: exit {done.code}\n{done.text}"
    found = RULE.search(done.text)
    assert found, f"{command} without {one}: {done.text}"
    named = (found[1].strip('"'), found[2], found[3])
    assert named == (one.group, one.plural, one.verb), f"{command} without {one}: {done.text}"
