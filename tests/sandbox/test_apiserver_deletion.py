"""Deleting: preconditions, grace periods, finalizers, collections and namespaces."""

from __future__ import annotations

from tests.sandbox.apiserver_objects import configmap, deployment, pod
from tests.sandbox.conftest import ApiServer


def running_pod(apiserver: ApiServer, namespace: str, name: str, grace: int = 30) -> str:
    path = f"/api/v1/namespaces/{namespace}/pods"
    apiserver.ok("POST", path, pod(name, nodeName="n1", terminationGracePeriodSeconds=grace))
    apiserver.merge(f"{path}/{name}/status", {"status": {"phase": "Running"}})
    return f"{path}/{name}"


def test_deleting_answers_with_a_status(apiserver: ApiServer, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    made = apiserver.ok("POST", path, configmap("a"))
    answer = apiserver.ok("DELETE", f"{path}/a")
    assert answer["status"] == "Success"
    uid = made["metadata"]["uid"]
    assert answer["details"] == {"name": "a", "kind": "configmaps", "uid": uid}
    reply = apiserver.request("DELETE", f"{path}/a")
    assert (reply.status, reply.body["message"]) == (404, 'configmaps "a" not found')


def test_preconditions(apiserver: ApiServer, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    old = apiserver.ok("POST", path, configmap("a"))["metadata"]
    apiserver.merge(f"{path}/a", {"data": {"k": "v"}})
    for precondition in ({"uid": "other"}, {"resourceVersion": old["resourceVersion"]}):
        reply = apiserver.request("DELETE", f"{path}/a", {"preconditions": precondition})
        assert (reply.status, reply.body["reason"]) == (409, "Conflict")
    apiserver.ok("DELETE", f"{path}/a", {"preconditions": {"uid": old["uid"]}})


def test_a_pod_on_no_node_goes_at_once(apiserver: ApiServer, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/pods"
    apiserver.ok("POST", path, pod("a"))
    assert apiserver.ok("DELETE", f"{path}/a")["kind"] == "Pod"
    assert apiserver.request("GET", f"{path}/a").status == 404


def test_a_running_pod_gets_its_grace_period(apiserver: ApiServer, namespace: str) -> None:
    path = running_pod(apiserver, namespace, "a", grace=45)
    metadata = apiserver.ok("DELETE", path)["metadata"]
    assert metadata["deletionGracePeriodSeconds"] == 45
    assert metadata["deletionTimestamp"] > metadata["creationTimestamp"]
    again = apiserver.ok("DELETE", path)["metadata"]
    assert again["deletionTimestamp"] == metadata["deletionTimestamp"]
    shorter = apiserver.ok("DELETE", path, {"gracePeriodSeconds": 5})["metadata"]
    assert shorter["deletionGracePeriodSeconds"] == 5
    apiserver.ok("DELETE", path, {"gracePeriodSeconds": 0})
    assert apiserver.request("GET", path).status == 404


def test_finalizers_hold_an_object(apiserver: ApiServer, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    body = configmap("a")
    body["metadata"]["finalizers"] = ["example.com/hold"]
    apiserver.ok("POST", path, body)
    held = apiserver.ok("DELETE", f"{path}/a")
    assert held["kind"] == "ConfigMap"
    assert held["metadata"]["deletionTimestamp"]
    more = {"metadata": {"finalizers": ["example.com/hold", "example.com/more"]}}
    reply = apiserver.request(
        "PATCH", f"{path}/a", more, content_type="application/merge-patch+json"
    )
    assert reply.status == 422
    apiserver.merge(f"{path}/a", {"metadata": {"finalizers": None}})
    assert apiserver.request("GET", f"{path}/a").status == 404


def test_propagation_policies(own_apiserver: ApiServer, namespace: str) -> None:
    """No garbage collector here: what is recorded for it stays to be seen."""
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    for name, policy, finalizer in (
        ("a", "Foreground", "foregroundDeletion"),
        ("b", "Orphan", "orphan"),
    ):
        own_apiserver.ok("POST", path, deployment(name))
        held = own_apiserver.ok("DELETE", f"{path}/{name}", {"propagationPolicy": policy})
        assert held["metadata"]["finalizers"] == [finalizer]
        assert held["metadata"]["deletionTimestamp"]
    own_apiserver.ok("POST", path, deployment("c"))
    gone = own_apiserver.ok("DELETE", f"{path}/c?propagationPolicy=Background")
    assert gone["kind"] == "Status"
    reply = own_apiserver.request("DELETE", f"{path}/a", {"propagationPolicy": "Sideways"})
    assert reply.status == 422


def test_delete_collection_by_label(apiserver: ApiServer, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    for name, tier in (("a", "front"), ("b", "front"), ("c", "back")):
        apiserver.ok("POST", path, configmap(name, {"tier": tier}))
    apiserver.ok("DELETE", f"{path}?labelSelector=tier%3Dfront")
    left = apiserver.ok("GET", path)["items"]
    assert "c" in [item["metadata"]["name"] for item in left]
    assert not {"a", "b"} & {item["metadata"]["name"] for item in left}


def test_a_namespace_ends_by_finalize(own_apiserver: ApiServer, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}"
    made = own_apiserver.ok("GET", path)
    assert made["spec"] == {"finalizers": ["kubernetes"]}
    assert made["metadata"]["labels"]["kubernetes.io/metadata.name"] == namespace
    ending = own_apiserver.ok("DELETE", path)
    assert ending["status"]["phase"] == "Terminating"
    reply = own_apiserver.request("POST", f"{path}/configmaps", configmap("late"))
    assert reply.status == 403
    assert "because it is being terminated" in reply.body["message"]
    ending["spec"]["finalizers"] = []
    own_apiserver.ok("PUT", f"{path}/finalize", ending)
    assert own_apiserver.request("GET", path).status == 404
