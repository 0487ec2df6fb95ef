"""The Cluster port on the sandbox's API server and on a real one: the same answers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from tests.contract.cuts import CuttingProxy
from tests.contract.given import ControlPlane
from tests.contract.objects import Object, config_map, deployment, grant, lease, virtual_service
from tests.contract.users import Users
from theseus_ci.clock import SystemClock
from theseus_ci.errors import (
    AlreadyExists,
    CannotKnow,
    ClusterUnavailable,
    Forbidden,
    Rejected,
    StaleObject,
    UnknownKind,
)
from theseus_ci.kube.cluster import KubernetesCluster
from theseus_ci.kube.connect import connect

SECONDS = 60.0


def changed(obj: Object, **data: str) -> Object:
    return {**obj, "data": {**obj["data"], **data}}


def names(objects: list[Object]) -> list[str]:
    return sorted(obj["metadata"]["name"] for obj in objects)


def read(cluster: KubernetesCluster, obj: Object) -> Object:
    metadata = obj["metadata"]
    found = cluster.get(obj["kind"], metadata["namespace"], metadata["name"])
    assert found is not None
    return found


# -- reading and writing one object -------------------------------------------------------------


def test_what_is_not_there_is_none(cluster: KubernetesCluster, namespace: str) -> None:
    for kind in ("ConfigMap", "Deployment", "VirtualService", "Lease", "Canary"):
        assert cluster.get(kind, namespace, "absent") is None


def test_what_is_created_is_read_back(cluster: KubernetesCluster, namespace: str) -> None:
    made = cluster.create(config_map(namespace, labels={"team": "a"}))
    assert made["kind"] == "ConfigMap"
    assert {"uid", "resourceVersion", "creationTimestamp"} <= made["metadata"].keys()
    assert read(cluster, made) == made


def test_nothing_is_created_twice(cluster: KubernetesCluster, namespace: str) -> None:
    cluster.create(config_map(namespace))
    with pytest.raises(AlreadyExists, match='configmaps "one" already exists'):
        cluster.create(config_map(namespace))


def test_nothing_is_created_in_a_namespace_that_is_not_there(cluster: KubernetesCluster) -> None:
    with pytest.raises(CannotKnow, match='namespaces "nowhere" not found'):
        cluster.create(config_map("nowhere"))


def test_a_replacement_of_an_older_read_is_refused(
    cluster: KubernetesCluster, namespace: str
) -> None:
    first = cluster.create(config_map(namespace))
    second = cluster.replace(changed(first, colour="blue"))
    with pytest.raises(StaleObject, match="the object has been modified"):
        cluster.replace(changed(first, colour="green"))
    assert read(cluster, first) == second


def test_a_replacement_without_a_version_is_unconditional(
    cluster: KubernetesCluster, namespace: str
) -> None:
    cluster.create(config_map(namespace))
    cluster.replace(changed(config_map(namespace), colour="blue"))
    assert read(cluster, config_map(namespace))["data"] == {"colour": "blue"}


def test_kinds_of_a_crd_are_only_replaced_with_a_version(
    cluster: KubernetesCluster, namespace: str
) -> None:
    cluster.create(virtual_service(namespace))
    with pytest.raises(Rejected, match=r"resourceVersion: .*must be specified for an update"):
        cluster.replace(virtual_service(namespace))


def test_a_replacement_that_changes_nothing_is_no_write(
    cluster: KubernetesCluster, namespace: str
) -> None:
    for obj in (config_map(namespace), deployment(namespace), virtual_service(namespace)):
        made = cluster.create(obj)
        settled = _settled(cluster, made)
        again = cluster.replace(settled)
        assert again["metadata"]["resourceVersion"] == settled["metadata"]["resourceVersion"]


def _settled(cluster: KubernetesCluster, obj: Object) -> Object:
    """The object once its controller has nothing more to say."""
    deadline = time.monotonic() + SECONDS
    while obj["kind"] == "Deployment" and not (
        (obj.get("status") or {}).get("observedGeneration") == obj["metadata"]["generation"]
        and len(obj["status"].get("conditions") or []) == 2
    ):
        assert time.monotonic() < deadline, obj.get("status")
        time.sleep(0.05)
        obj = read(cluster, obj)
    return obj


def test_what_is_gone_cannot_be_replaced_or_patched(
    cluster: KubernetesCluster, namespace: str
) -> None:
    made = cluster.create(config_map(namespace))
    cluster.delete(made)
    with pytest.raises(CannotKnow):
        cluster.replace(changed(made, colour="blue"))
    with pytest.raises(CannotKnow):
        cluster.patch(made, {"data": {"colour": "blue"}})
    assert cluster.get("ConfigMap", namespace, "one") is None


def test_a_patch_merges_and_null_removes(cluster: KubernetesCluster, namespace: str) -> None:
    made = cluster.create(config_map(namespace, annotations={"a": "1", "b": "2"}))
    change = {"metadata": {"annotations": {"a": None, "c": "3"}}, "data": {"size": "xl"}}
    patched = cluster.patch(made, change)
    assert patched["metadata"]["annotations"] == {"b": "2", "c": "3"}
    assert patched["data"] == {"colour": "red", "size": "xl"}
    assert read(cluster, made) == patched


def test_a_patch_may_be_conditioned(cluster: KubernetesCluster, namespace: str) -> None:
    first = cluster.create(config_map(namespace))
    cluster.patch(first, {"data": {"colour": "blue"}})
    version = {"resourceVersion": first["metadata"]["resourceVersion"]}
    with pytest.raises(StaleObject):
        cluster.patch(first, {"metadata": version, "data": {"colour": "green"}})


def test_a_dry_run_answers_but_changes_nothing(cluster: KubernetesCluster, namespace: str) -> None:
    made = cluster.create(config_map(namespace, "other"), dry_run=True)
    assert made["metadata"]["uid"]
    assert cluster.get("ConfigMap", namespace, "other") is None
    before = cluster.create(config_map(namespace))
    assert cluster.replace(changed(before, colour="blue"), dry_run=True)["data"] == {
        "colour": "blue"
    }
    assert cluster.patch(before, {"data": {"colour": "blue"}}, dry_run=True)
    assert read(cluster, before) == before


def test_a_dry_run_is_refused_like_the_real_thing(
    cluster: KubernetesCluster, namespace: str
) -> None:
    first = cluster.create(config_map(namespace))
    cluster.replace(changed(first, colour="blue"))
    with pytest.raises(StaleObject):
        cluster.replace(changed(first, colour="green"), dry_run=True)
    with pytest.raises(AlreadyExists):
        cluster.create(config_map(namespace), dry_run=True)


# -- deletion -----------------------------------------------------------------------------------


def test_only_the_version_that_was_read_is_deleted(
    cluster: KubernetesCluster, namespace: str
) -> None:
    first = cluster.create(config_map(namespace))
    second = cluster.replace(changed(first, colour="blue"))
    with pytest.raises(StaleObject):
        cluster.delete(first)
    cluster.delete(second)
    assert cluster.get("ConfigMap", namespace, "one") is None
    cluster.delete(second)  # what is gone is fine


def test_an_object_that_was_made_anew_is_not_deleted(
    cluster: KubernetesCluster, namespace: str
) -> None:
    first = cluster.create(config_map(namespace))
    cluster.delete(first)
    cluster.create(config_map(namespace))
    known = {**first, "metadata": {**first["metadata"], "resourceVersion": None}}
    with pytest.raises(StaleObject, match="the UID in the precondition"):
        cluster.delete(known)


def test_a_finalizer_holds_the_object(cluster: KubernetesCluster, namespace: str) -> None:
    made = cluster.create(config_map(namespace, finalizers=["example.com/hold"]))
    cluster.delete(made)
    held = read(cluster, made)
    assert held["metadata"]["deletionTimestamp"]
    cluster.patch(held, {"metadata": {"finalizers": None}})
    assert cluster.get("ConfigMap", namespace, "one") is None


def test_what_an_object_owns_goes_with_it(cluster: KubernetesCluster, namespace: str) -> None:
    made = cluster.create(deployment(namespace))
    await_(cluster, "ReplicaSet", namespace, lambda found: len(found) == 1)
    cluster.delete(_settled(cluster, read(cluster, made)))
    await_(cluster, "ReplicaSet", namespace, lambda found: not found)


# -- lists --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ("", ["a", "b", "c"]),
        ("team=red", ["a"]),
        ("team==red", ["a"]),
        ("team!=red", ["b", "c"]),
        ("team in (red,blue)", ["a", "b"]),
        ("team notin (red)", ["b", "c"]),
        ("team", ["a", "b"]),
        ("!team", ["c"]),
        ("team=red,tier=front", ["a"]),
        ("team=blue,tier=front", []),
    ],
)
def test_label_selectors(
    cluster: KubernetesCluster, namespace: str, labels: str, expected: list[str]
) -> None:
    cluster.create(config_map(namespace, "a", labels={"team": "red", "tier": "front"}))
    cluster.create(config_map(namespace, "b", labels={"team": "blue"}))
    cluster.create(config_map(namespace, "c"))
    found = cluster.list("ConfigMap", namespace, labels=labels)
    assert (
        names([obj for obj in found if obj["metadata"]["name"] != "kube-root-ca.crt"]) == expected
    )
    assert {(obj["apiVersion"], obj["kind"]) for obj in found} <= {("v1", "ConfigMap")}


def test_field_selectors(cluster: KubernetesCluster, namespace: str) -> None:
    cluster.create(config_map(namespace, "a"))
    cluster.create(config_map(namespace, "b"))
    assert names(cluster.list("ConfigMap", namespace, fields="metadata.name=b")) == ["b"]
    everywhere = cluster.list("ConfigMap", None, fields=f"metadata.namespace={namespace}")
    assert {"a", "b"} <= set(names(everywhere))


@pytest.mark.parametrize("query", [{"labels": "a=="}, {"labels": "a in b"}, {"fields": "data=x"}])
def test_bad_selectors_are_refused(
    cluster: KubernetesCluster, namespace: str, query: dict[str, str]
) -> None:
    if query == {"labels": "a=="}:
        assert cluster.list("ConfigMap", namespace, **query) == []  # an empty value is a value
        return
    with pytest.raises(Rejected):
        cluster.list("ConfigMap", namespace, **query)


def test_a_kind_that_the_cluster_lacks(cluster: KubernetesCluster, namespace: str) -> None:
    with pytest.raises(UnknownKind, match=r"does not serve flagger\.app/v1beta1 Canary"):
        cluster.list("Canary", namespace)


# -- what servers make of objects ---------------------------------------------------------------


def _without(obj: Object, *path: str) -> Object:
    *parents, last = path
    inner: Any = obj
    for key in parents:
        inner = inner[key]
    del inner[last]
    return obj


def _with(obj: Object, value: object, *path: str) -> Object:
    *parents, last = path
    inner: Any = obj
    for key in parents:
        inner = inner[key]
    inner[last] = value
    return obj


INVALID = [
    (
        _with(deployment(""), {"app": "other"}, "spec", "template", "metadata", "labels"),
        r"spec\.template\.metadata\.labels: Invalid value: .*`selector` does not match",
    ),
    (_without(deployment(""), "spec", "selector"), r"spec\.selector: Required value"),
    (
        _with(deployment(""), -1, "spec", "replicas"),
        r"spec\.replicas: Invalid value: -1: must be greater than or equal to 0",
    ),
    (_with(config_map(""), "Not_A_Name", "metadata", "name"), r"metadata\.name: Invalid value"),
    (
        _with(config_map(""), {"a b": "c"}, "metadata", "labels"),
        r"metadata\.labels: Invalid value",
    ),
    (
        _with(
            virtual_service(""),
            "often",
            "spec",
            "http",
        ),
        r"spec\.http: Invalid value: .*must be of type array",
    ),
    (_with(lease("", "a"), 0, "spec", "leaseDurationSeconds"), r"must be greater than 0"),
]


@pytest.mark.parametrize(("obj", "message"), INVALID, ids=[message for _, message in INVALID])
def test_invalid_objects_are_refused_with_their_field(
    cluster: KubernetesCluster, namespace: str, obj: Object, message: str
) -> None:
    placed = {**obj, "metadata": {**obj["metadata"], "namespace": namespace}}
    with pytest.raises(Rejected, match=message):
        cluster.create(placed)


def test_a_selector_never_changes(cluster: KubernetesCluster, namespace: str) -> None:
    made = cluster.create(deployment(namespace))
    change = {
        "spec": {
            "selector": {"matchLabels": {"more": "x"}},
            "template": {"metadata": {"labels": {"more": "x"}}},
        }
    }
    with pytest.raises(Rejected, match=r"spec\.selector: .*field is immutable"):
        cluster.patch(made, change)


def test_too_large_an_object_is_refused(cluster: KubernetesCluster, namespace: str) -> None:
    with pytest.raises(Rejected, match="Too long"):
        cluster.create(changed(config_map(namespace), large="x" * (1024 * 1024 + 1)))


def test_generation_counts_changes_of_the_spec_alone(
    cluster: KubernetesCluster, namespace: str
) -> None:
    for obj, change in (
        (deployment(namespace), {"spec": {"minReadySeconds": 3}}),
        (virtual_service(namespace), {"spec": {"hosts": ["other.example.com"]}}),
    ):
        made = cluster.create(obj)
        assert made["metadata"]["generation"] == 1
        labelled = cluster.patch(made, {"metadata": {"labels": {"a": "b"}}})
        assert labelled["metadata"]["generation"] == 1
        assert cluster.patch(made, change)["metadata"]["generation"] == 2


def test_unknown_fields_are_dropped(cluster: KubernetesCluster, namespace: str) -> None:
    for obj in (deployment(namespace), virtual_service(namespace)):
        obj["spec"]["invented"] = {"by": "nobody"}
        assert "invented" not in cluster.create(obj)["spec"]


def test_leases_keep_microseconds(cluster: KubernetesCluster, namespace: str) -> None:
    made = cluster.create(lease(namespace, "first"))
    assert made["spec"]["renewTime"] == "2026-01-02T03:04:05.678901Z"
    taken = cluster.replace(_with(made, "second", "spec", "holderIdentity"))
    with pytest.raises(StaleObject):
        cluster.replace({**taken, "metadata": {**taken["metadata"], "resourceVersion": "1"}})


# -- watches ------------------------------------------------------------------------------------


def await_(
    cluster: KubernetesCluster,
    kind: str,
    namespace: str,
    condition: Any,
    *,
    labels: str = "",
) -> list[Object]:
    """Follow a watch until what it shows fulfils the condition."""
    seen: list[Object] = []
    for seen in cluster.watch(kind, namespace, labels=labels, timeout=SECONDS):
        if condition(seen):
            return seen
    raise AssertionError(f"never: last seen {seen}")


def test_a_watch_shows_what_is_there_and_each_change(
    cluster: KubernetesCluster, namespace: str
) -> None:
    cluster.create(config_map(namespace, "a", labels={"mine": "yes"}))
    watch = cluster.watch("ConfigMap", namespace, labels="mine", timeout=SECONDS)
    assert names(next(watch)) == ["a"]
    cluster.create(config_map(namespace, "unselected"))
    b = cluster.create(config_map(namespace, "b", labels={"mine": "yes"}))
    assert names(next(watch)) == ["a", "b"]
    cluster.patch(b, {"data": {"colour": "blue"}})
    shown = next(watch)
    assert {obj["metadata"]["name"]: obj["data"]["colour"] for obj in shown} == {
        "a": "red",
        "b": "blue",
    }
    cluster.patch(b, {"metadata": {"labels": None}})  # no longer selected
    assert names(next(watch)) == ["a"]
    cluster.delete(config_map(namespace, "a"))
    assert next(watch) == []


def test_a_watch_ends_by_itself(cluster: KubernetesCluster, namespace: str) -> None:
    seen = list(cluster.watch("ConfigMap", namespace, labels="none=here", timeout=1.0))
    assert seen
    assert not any(seen)


@pytest.fixture
def unsteady(
    control_plane: ControlPlane, tmp_path: Path
) -> Iterator[tuple[CuttingProxy, KubernetesCluster]]:
    """The Cluster port through a proxy that can break its connections."""
    config = yaml.safe_load(control_plane.kubeconfig.read_text())
    server = urlsplit(config["clusters"][0]["cluster"]["server"])
    assert server.hostname
    assert server.port
    proxy = CuttingProxy(server.hostname, server.port)
    entry = config["clusters"][0]["cluster"]
    entry["server"] = f"https://127.0.0.1:{proxy.port}"
    if server.hostname != "127.0.0.1":
        entry["tls-server-name"] = server.hostname
    path = tmp_path / "unsteady.kubeconfig"
    path.write_text(yaml.safe_dump(config))
    yield proxy, KubernetesCluster(connect(str(path)), SystemClock())
    proxy.close()


def test_a_watch_that_is_cut_goes_on_with_what_it_missed(
    unsteady: tuple[CuttingProxy, KubernetesCluster],
    cluster: KubernetesCluster,
    namespace: str,
) -> None:
    proxy, through = unsteady
    cluster.create(config_map(namespace, "a", labels={"mine": "yes"}))
    watch = through.watch("ConfigMap", namespace, labels="mine", timeout=SECONDS)
    assert names(next(watch)) == ["a"]
    cluster.create(config_map(namespace, "b", labels={"mine": "yes"}))
    assert names(next(watch)) == ["a", "b"]
    proxy.cut()
    cluster.delete(config_map(namespace, "a"))
    cluster.create(config_map(namespace, "c", labels={"mine": "yes"}))
    assert any(names(seen) == ["b", "c"] for seen in watch)


def test_a_request_survives_a_cut_connection(
    unsteady: tuple[CuttingProxy, KubernetesCluster], namespace: str
) -> None:
    proxy, through = unsteady
    made = through.create(config_map(namespace))
    for colour in ("blue", "green"):
        proxy.cut()
        made = through.replace(changed(made, colour=colour))
    assert read(through, made)["data"] == {"colour": "green"}


def test_a_server_that_is_away_is_named(
    unsteady: tuple[CuttingProxy, KubernetesCluster], namespace: str
) -> None:
    proxy, through = unsteady
    proxy.close()
    through.hurry(1.0)
    with pytest.raises(ClusterUnavailable, match=rf"127\.0\.0\.1:{proxy_port(through)}"):
        through.get("ConfigMap", namespace, "one")


def proxy_port(cluster: KubernetesCluster) -> int:
    return urlsplit(cluster._connection.server).port or 0


# -- pods ---------------------------------------------------------------------------------------


def ready(pods: list[Object]) -> list[Object]:
    return [
        pod
        for pod in pods
        if any(
            item["type"] == "Ready" and item["status"] == "True"
            for item in pod["status"].get("conditions") or []
        )
    ]


def test_replicas_in_a_replacement_become_ready_pods(
    cluster: KubernetesCluster, namespace: str
) -> None:
    made = cluster.create(deployment(namespace, replicas=0))
    cluster.replace(_with(_settled(cluster, made), 2, "spec", "replicas"))
    pods = await_(cluster, "Pod", namespace, lambda seen: len(ready(seen)) == 2)
    assert {pod["status"]["podIP"].split(".")[0] for pod in pods} == {"10"}
    done = await_(
        cluster,
        "Deployment",
        namespace,
        lambda seen: seen[0].get("status", {}).get("availableReplicas") == 2,
    )
    assert done[0]["status"]["replicas"] == done[0]["status"]["updatedReplicas"] == 2


def test_a_pod_ends_gracefully_before_it_goes(cluster: KubernetesCluster, namespace: str) -> None:
    cluster.create(deployment(namespace, replicas=1))
    (pod,) = ready(await_(cluster, "Pod", namespace, lambda seen: len(ready(seen)) == 1))
    uid = pod["metadata"]["uid"]
    leaving = False
    watch = cluster.watch("Pod", namespace, timeout=SECONDS)
    next(watch)
    current = cluster.get("Deployment", namespace, "web")
    assert current is not None
    cluster.patch(current, {"spec": {"replicas": 0}})
    for seen in watch:
        mine = [item for item in seen if item["metadata"]["uid"] == uid]
        leaving = leaving or bool(mine and mine[0]["metadata"].get("deletionTimestamp"))
        if not mine:
            break
    assert leaving, "the pod went without having been seen to end"


# -- rights -------------------------------------------------------------------------------------


def test_a_refusal_names_the_rule_that_is_missing(
    users: Users, cluster: KubernetesCluster, namespace: str, tmp_path: Path
) -> None:
    name, limited = users.add(namespace, tmp_path)
    with pytest.raises(Forbidden) as refused:
        limited.create(deployment(namespace))
    assert str(refused.value).endswith(
        f'deployments.apps is forbidden: User "{name}" cannot create resource "deployments" in API'
        f' group "apps" in the namespace "{namespace}"'
    )
    assert yaml.safe_load(refused.value.rule) == [
        {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["create"]}
    ]
    for act, verb in (
        (lambda: limited.get("Deployment", namespace, "web"), "get"),
        (lambda: limited.list("Deployment", namespace), "list"),
        (lambda: limited.delete(deployment(namespace)), "delete"),
        (lambda: limited.patch(deployment(namespace), {}), "patch"),
        (lambda: limited.replace(deployment(namespace)), "update"),
    ):
        with pytest.raises(Forbidden) as refused:
            act()
        assert yaml.safe_load(refused.value.rule)[0]["verbs"] == [verb]


def test_the_rule_of_a_refusal_is_enough(
    users: Users, cluster: KubernetesCluster, namespace: str, tmp_path: Path
) -> None:
    name, limited = users.add(namespace, tmp_path)
    with pytest.raises(Forbidden) as refused:
        limited.create(config_map(namespace))
    for obj in grant(namespace, name, *yaml.safe_load(refused.value.rule)):
        cluster.create(obj)
    deadline = time.monotonic() + SECONDS
    while True:  # an authorizer learns of new rules by a watch of its own
        try:
            assert limited.create(config_map(namespace))["data"] == {"colour": "red"}
            break
        except Forbidden:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    with pytest.raises(Forbidden):
        limited.get("ConfigMap", namespace, "one")


def test_one_may_ask_what_one_may_do(
    users: Users, cluster: KubernetesCluster, namespace: str, tmp_path: Path
) -> None:
    _, limited = users.add(namespace, tmp_path)
    for port, allowed in ((cluster, True), (limited, False)):
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "metadata": {"name": ""},
            "spec": {
                "resourceAttributes": {
                    "namespace": namespace,
                    "verb": "create",
                    "group": "apps",
                    "resource": "deployments",
                }
            },
        }
        assert port.create(review)["status"]["allowed"] is allowed


def test_credentials_that_are_not_known(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    config = yaml.safe_load(control_plane.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": "nobody"}
    path = tmp_path / "nobody.kubeconfig"
    path.write_text(yaml.safe_dump(config))
    stranger = KubernetesCluster(connect(str(path)), SystemClock())
    with pytest.raises(ClusterUnavailable, match="does not accept these credentials"):
        stranger.get("ConfigMap", namespace, "one")
