"""What an API server with Istio refuses of Istio's kinds: by their definitions' own expressions,
and by asking Istio's validating webhook."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.given import GIVEN, ControlPlane, kubectl
from tests.contract.objects import Object, destination_rule, virtual_service
from theseus_ci.errors import Rejected
from theseus_ci.kube.cluster import KubernetesCluster


def to(subset: str, **more: Any) -> Object:
    return {"destination": {"host": "web", "subset": subset}, **more}


V1: Object = {"route": [to("v1")]}
ELSEWHERE = {"uri": "/new"}
WEIGHTLESS = [{"route": [to("v1", weight=0), to("v2", weight=0)]}]
WEIGHTS = "total destination weight = 0"
REFUSED: dict[str, tuple[Object, str]] = {
    "weights that add up to 0": ({"http": WEIGHTLESS}, WEIGHTS),
    "no weights": ({"http": [{"route": [to("v1"), to("v2")]}]}, WEIGHTS),
    "a negative weight": (
        {"http": [{"route": [to("v1", weight=101), to("v2", weight=-1)]}]},
        "weight -1 < 0",
    ),
    "no route": ({"http": []}, "http, tcp or tls must be provided in virtual service"),
    "an entry that does nothing": (
        {"http": [{"name": "empty"}]},
        "HTTP route, redirect or direct_response is required",
    ),
    "a route and a redirect": (
        {"http": [{**V1, "redirect": ELSEWHERE}]},
        "HTTP route cannot contain both route and redirect",
    ),
    "a route and an answer": (
        {"http": [{**V1, "directResponse": {"status": 503}}]},
        "HTTP route cannot contain both route and direct_response",
    ),
    "a rewrite and a redirect": (
        {"http": [{"rewrite": ELSEWHERE, "redirect": ELSEWHERE}]},
        "HTTP route rule cannot contain both rewrite and redirect",
    ),
    "gateways without hosts": (
        {"hosts": [], "gateways": ["front"]},
        "delegate virtual service must have no gateways specified",
    ),
    "all hosts in the mesh": (
        {"hosts": ["*"]},
        "wildcard host * is not allowed for virtual services bound to the mesh gateway",
    ),
    "the same host twice": (
        {"hosts": ["a.example.com", "*.example.com"], "gateways": ["front"]},
        "duplicate hosts in virtual service: a.example.com & *.example.com",
    ),
    "a subset that has no name for one": (
        {"http": [{"route": [to("1.4.2")]}]},
        "subset name is invalid: 1.4.2",
    ),
    "two mistakes": (
        {"hosts": ["a.example.com", "a.example.com"], "http": WEIGHTLESS},
        "2 errors occurred:\n\t* duplicate hosts in virtual service: a.example.com & a.example.com"
        f"\n\t* {WEIGHTS}",
    ),
}
TAKEN: dict[str, Object] = {
    "weights that do not add up to 100": {
        "http": [{"route": [to("v1", weight=30), to("v2", weight=1)]}]
    },
    "one destination without weight": {"http": [{"route": [to("v1", weight=0)]}]},
    "all hosts at a gateway": {"hosts": ["*"], "gateways": ["front"]},
    "two hosts of one domain": {"hosts": ["a.example.com", "b.example.com"]},
    "a delegate": {"hosts": []},
    "a redirect": {"http": [{"redirect": ELSEWHERE}]},
}


@pytest.fixture
def validated(control_plane: ControlPlane) -> None:
    if GIVEN and "istio" not in kubectl(
        control_plane.kubeconfig, "get", "validatingwebhookconfigurations", "-o", "name"
    ):
        pytest.skip("no Istio validates on the cluster of THESEUS_TEST_KUBECONFIG")


@pytest.mark.parametrize("entry", [{"timeout": "0s"}, {"retries": {"perTryTimeout": "0s"}}])
def test_a_time_of_0_is_refused(cluster: KubernetesCluster, namespace: str, entry: Object) -> None:
    """Envoy would take it for no limit; who wants that leaves it out."""
    with pytest.raises(Rejected, match="must be a valid duration greater than 1ms"):
        cluster.create(virtual_service(namespace, http=[{**V1, **entry}]))


@pytest.mark.usefixtures("validated")
@pytest.mark.parametrize("name", REFUSED)
def test_what_istio_refuses(cluster: KubernetesCluster, namespace: str, name: str) -> None:
    spec, why = REFUSED[name]
    with pytest.raises(Rejected) as refused:
        cluster.create(virtual_service(namespace, **spec))
    _, _, said = str(refused.value).partition("denied the request: configuration is invalid: ")
    assert said.rstrip() == why


@pytest.mark.usefixtures("validated")
def test_a_refused_edit_changes_nothing(cluster: KubernetesCluster, namespace: str) -> None:
    made = cluster.create(virtual_service(namespace))
    edit = {**made, "spec": {**made["spec"], "http": WEIGHTLESS}}
    for dry_run in (True, False):
        with pytest.raises(Rejected, match=WEIGHTS):
            cluster.replace(edit, dry_run=dry_run)
    assert cluster.get("VirtualService", namespace, "web") == made


@pytest.mark.usefixtures("validated")
@pytest.mark.parametrize(
    ("subsets", "why"),
    [
        (("v1", "v1"), "duplicate subset names: v1"),
        (("1.4.2",), "subset name is invalid: 1.4.2"),
    ],
)
def test_subsets_that_istio_refuses(
    cluster: KubernetesCluster, namespace: str, subsets: tuple[str, ...], why: str
) -> None:
    with pytest.raises(Rejected, match=why):
        cluster.create(destination_rule(namespace, *subsets))


@pytest.mark.parametrize("name", TAKEN)
def test_what_istio_takes(cluster: KubernetesCluster, namespace: str, name: str) -> None:
    cluster.create(virtual_service(namespace, **TAKEN[name]))
