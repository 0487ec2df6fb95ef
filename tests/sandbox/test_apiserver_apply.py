"""Server-side apply: creation, ownership, conflicts, and fields that a manager gives up."""

from __future__ import annotations

from typing import Any

import yaml

from tests.sandbox.apiserver_objects import configmap, deployment, virtual_service
from tests.sandbox.conftest import ApiServer, Object, Reply

APPLY = "application/apply-patch+yaml"


def apply(server: ApiServer, path: str, obj: Object, manager: str, *, force: bool = False) -> Reply:
    name = obj["metadata"]["name"]
    query = f"fieldManager={manager}" + ("&force=true" if force else "")
    body = yaml.safe_dump(obj).encode()
    return server.request("PATCH", f"{path}/{name}?{query}", body, content_type=APPLY)


def owned(obj: Object, manager: str) -> Any:
    entries = obj["metadata"]["managedFields"]
    return next(entry["fieldsV1"] for entry in entries if entry["manager"] == manager)


def test_apply_creates_and_then_changes(apiserver: ApiServer, namespace: str) -> None:
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    made = apply(apiserver, path, deployment("web"), "one")
    assert made.status == 201
    fields = owned(made.body, "one")
    assert fields["f:spec"]["f:replicas"] == {}
    container = fields["f:spec"]["f:template"]["f:spec"]["f:containers"]['k:{"name":"app"}']
    assert container["f:image"] == {}
    assert "." in container
    assert "f:imagePullPolicy" not in container
    again = apply(apiserver, path, deployment("web"), "one")
    assert (again.status, again.body) == (200, made.body)
    changed = apply(apiserver, path, deployment("web", replicas=5), "one")
    assert changed.body["spec"]["replicas"] == 5
    assert changed.body["metadata"]["generation"] == 2


def test_conflicts_name_the_other_manager(apiserver: ApiServer, namespace: str) -> None:
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    apply(apiserver, path, deployment("web"), "one")
    reply = apply(apiserver, path, deployment("web", replicas=3), "two")
    assert reply.status == 409
    assert reply.body["reason"] == "Conflict"
    assert reply.body["message"] == (
        'Apply failed with 1 conflict: conflict with "one": .spec.replicas'
    )
    assert reply.body["details"]["causes"] == [
        {
            "reason": "FieldManagerConflict",
            "message": 'conflict with "one"',
            "field": ".spec.replicas",
        }
    ]
    forced = apply(apiserver, path, deployment("web", replicas=3), "two", force=True)
    assert forced.body["spec"]["replicas"] == 3
    assert "f:replicas" not in owned(forced.body, "one")["f:spec"]
    assert apply(apiserver, path, deployment("web"), "one").status == 409


def test_an_update_takes_ownership(apiserver: ApiServer, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    apply(apiserver, path, configmap("a", x="1", y="1"), "one")
    apiserver.merge(f"{path}/a?fieldManager=hand", {"data": {"x": "2"}})
    reply = apply(apiserver, path, configmap("a", x="1", y="1"), "one")
    assert reply.status == 409
    assert 'conflict with "hand" using v1: .data.x' in reply.body["message"]
    assert reply.body["details"]["causes"][0]["field"] == ".data.x"
    agreed = apply(apiserver, path, configmap("a", x="2", y="1"), "one")
    assert agreed.status == 200
    assert owned(agreed.body, "hand") == {"f:data": {"f:x": {}}}


def test_what_is_no_longer_applied_goes(apiserver: ApiServer, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    apply(apiserver, path, configmap("a", mine="1", shared="1"), "one")
    apply(apiserver, path, configmap("a", shared="1", other="1"), "two")
    apiserver.merge(f"{path}/a?fieldManager=hand", {"data": {"loose": "1"}})
    after = apply(apiserver, path, configmap("a"), "one")
    assert after.body["data"] == {"shared": "1", "other": "1", "loose": "1"}
    after = apply(apiserver, path, configmap("a", other="1"), "two")
    assert after.body["data"] == {"other": "1", "loose": "1"}


def test_items_of_lists_are_owned_one_by_one(apiserver: ApiServer, namespace: str) -> None:
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    apply(apiserver, path, deployment("web"), "one")
    side = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {"template": {"spec": {"containers": [{"name": "side", "image": "side:1"}]}}},
    }

    def containers(reply: Reply) -> list[str]:
        assert reply.status == 200, reply
        return [item["name"] for item in reply.body["spec"]["template"]["spec"]["containers"]]

    assert sorted(containers(apply(apiserver, path, side, "mesh"))) == ["app", "side"]
    assert sorted(containers(apply(apiserver, path, deployment("web"), "one"))) == ["app", "side"]
    side["spec"] = {}
    assert containers(apply(apiserver, path, side, "mesh")) == ["app"]


def test_custom_resources_lists_are_atomic(apiserver: ApiServer, namespace: str) -> None:
    path = f"/apis/networking.istio.io/v1/namespaces/{namespace}/virtualservices"
    made = apply(apiserver, path, virtual_service("web", 100), "one")
    assert made.status == 201
    assert owned(made.body, "one") == {"f:spec": {"f:hosts": {}, "f:http": {}}}
    reply = apply(apiserver, path, virtual_service("web", 90, 10), "two")
    assert reply.body["details"]["causes"][0]["field"] == ".spec.http"
    after = apply(apiserver, path, virtual_service("web", 90, 10), "one")
    assert len(after.body["spec"]["http"][0]["route"]) == 2


def test_apply_needs_a_manager_and_no_managed_fields(apiserver: ApiServer, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    reply = apiserver.request("PATCH", f"{path}/a", configmap("a"), content_type=APPLY)
    assert reply.status == 422
    assert "fieldManager: Required value: is required for apply patch" in reply.body["message"]
    made = apply(apiserver, path, configmap("a", x="1"), "one").body
    del made["metadata"]["resourceVersion"]
    reply = apply(apiserver, path, made, "one")
    assert (reply.status, reply.body["message"]) == (400, "metadata.managedFields must be nil")
