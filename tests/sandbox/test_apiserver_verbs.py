"""Creating, replacing, patching and deleting over raw HTTP: what every client relies on."""

from __future__ import annotations

import pytest

from tests.sandbox.apiserver_objects import (
    autoscaler,
    configmap,
    deployment,
    pod,
    service,
    virtual_service,
)
from tests.sandbox.conftest import ApiServer, Object

CORE, APPS = "/api/v1/namespaces", "/apis/apps/v1/namespaces"
STRATEGIC = "application/strategic-merge-patch+json"
MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"


def test_a_created_object_gets_what_the_server_owns(apiserver: ApiServer, namespace: str) -> None:
    made = apiserver.ok("POST", f"{CORE}/{namespace}/configmaps", configmap("a", key="1"))
    metadata = made["metadata"]
    assert metadata["namespace"] == namespace
    assert len(metadata["uid"]) == 36
    assert metadata["resourceVersion"].isdigit()
    assert metadata["creationTimestamp"].endswith("Z")
    assert made["kind"] == "ConfigMap"
    assert apiserver.ok("GET", f"{CORE}/{namespace}/configmaps/a") == made


def test_generate_name(apiserver: ApiServer, namespace: str) -> None:
    body = {"metadata": {"generateName": "it-"}, "data": {}}
    names = {
        apiserver.ok("POST", f"{CORE}/{namespace}/configmaps", body)["metadata"]["name"]
        for _ in range(3)
    }
    assert len(names) == 3
    assert all(name.startswith("it-") and len(name) == 8 for name in names)


def test_deployment_defaults(apiserver: ApiServer, namespace: str) -> None:
    body = deployment("web")
    del body["spec"]["replicas"]
    probe = {"httpGet": {"port": 8080}}
    body["spec"]["template"]["spec"]["containers"][0]["readinessProbe"] = probe
    spec = apiserver.ok("POST", f"{APPS}/{namespace}/deployments", body)["spec"]
    template = spec.pop("template")["spec"]
    (container,) = template.pop("containers")
    assert spec == {
        "replicas": 1,
        "selector": {"matchLabels": {"app": "web"}},
        "strategy": {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"},
        },
        "revisionHistoryLimit": 10,
        "progressDeadlineSeconds": 600,
    }
    assert template == {
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 30,
        "dnsPolicy": "ClusterFirst",
        "securityContext": {},
        "schedulerName": "default-scheduler",
    }
    assert container == {
        "name": "app",
        "image": "web:1",
        "ports": [{"containerPort": 8080, "protocol": "TCP"}],
        "resources": {},
        "readinessProbe": {
            "httpGet": {"path": "/", "port": 8080, "scheme": "HTTP"},
            "timeoutSeconds": 1,
            "periodSeconds": 10,
            "successThreshold": 1,
            "failureThreshold": 3,
        },
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "imagePullPolicy": "IfNotPresent",
    }


def test_service_defaults_and_addresses(apiserver: ApiServer, namespace: str) -> None:
    path = f"{CORE}/{namespace}/services"
    first = apiserver.ok("POST", path, service("a"))["spec"]
    second = apiserver.ok("POST", path, service("b", type="NodePort"))["spec"]
    assert first["clusterIP"] != second["clusterIP"]
    assert first["clusterIPs"] == [first["clusterIP"]]
    assert first["type"] == "ClusterIP"
    assert first["sessionAffinity"] == "None"
    assert first["internalTrafficPolicy"] == "Cluster"
    assert first["ports"] == [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 80}]
    assert 30_000 <= second["ports"][0]["nodePort"] <= 32_767
    headless = apiserver.ok("POST", path, service("c", clusterIP="None"))["spec"]
    assert headless["clusterIP"] == "None"


def test_autoscaler_defaults(apiserver: ApiServer, namespace: str) -> None:
    path = f"/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers"
    spec = apiserver.ok("POST", path, autoscaler("web"))["spec"]
    assert spec["minReplicas"] == 1
    target = {"type": "Utilization", "averageUtilization": 80}
    assert spec["metrics"] == [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]


def test_a_stale_put_conflicts(apiserver: ApiServer, namespace: str) -> None:
    path = f"{CORE}/{namespace}/configmaps"
    old = apiserver.ok("POST", path, configmap("a", key="1"))
    apiserver.merge(f"{path}/a", {"data": {"key": "2"}})
    reply = apiserver.request("PUT", f"{path}/a", old)
    assert reply.status == 409
    assert reply.body["reason"] == "Conflict"
    assert reply.body["message"] == (
        'Operation cannot be fulfilled on configmaps "a": the object has been modified; please '
        "apply your changes to the latest version and try again"
    )
    patch = {"metadata": {"resourceVersion": old["metadata"]["resourceVersion"]}}
    reply = apiserver.request("PATCH", f"{path}/a", patch, content_type=MERGE)
    assert reply.status == 409


def test_a_write_that_changes_nothing_keeps_the_version(
    apiserver: ApiServer, namespace: str
) -> None:
    path = f"{APPS}/{namespace}/deployments"
    made = apiserver.ok("POST", path, deployment("web"))
    assert apiserver.ok("PUT", f"{path}/web", made) == made
    assert apiserver.merge(f"{path}/web", {"spec": {"replicas": 2}}) == made


def test_generation_counts_changes_of_the_spec(apiserver: ApiServer, namespace: str) -> None:
    path = f"{APPS}/{namespace}/deployments"
    made = apiserver.ok("POST", path, deployment("web"))
    assert made["metadata"]["generation"] == 1
    labelled = apiserver.merge(f"{path}/web", {"metadata": {"labels": {"more": "x"}}})
    assert labelled["metadata"]["generation"] == 1
    scaled = apiserver.merge(f"{path}/web", {"spec": {"replicas": 5}})
    assert scaled["metadata"]["generation"] == 2
    status = apiserver.merge(f"{path}/web/status", {"status": {"replicas": 2}})
    assert status["metadata"]["generation"] == 2


def test_status_and_spec_do_not_write_each_other(apiserver: ApiServer, namespace: str) -> None:
    path = f"{APPS}/{namespace}/deployments"
    body = {**deployment("web"), "status": {"replicas": 9}}
    assert not apiserver.ok("POST", path, body)["status"]
    both = {"spec": {"replicas": 7}, "status": {"replicas": 3, "readyReplicas": 0}}
    after = apiserver.merge(f"{path}/web/status", both)
    assert after["spec"]["replicas"] == 2
    assert after["status"] == {"replicas": 3}
    after = apiserver.merge(f"{path}/web", {"spec": {"replicas": 7}, "status": {"replicas": 4}})
    assert after["spec"]["replicas"] == 7
    assert after["status"] == {"replicas": 3}


def test_scale(apiserver: ApiServer, namespace: str) -> None:
    path = f"{APPS}/{namespace}/deployments"
    apiserver.ok("POST", path, deployment("web"))
    scale = apiserver.ok("GET", f"{path}/web/scale")
    assert scale["kind"] == "Scale"
    assert scale["spec"] == {"replicas": 2}
    assert scale["status"] == {"replicas": 0, "selector": "app=web"}
    scale["spec"]["replicas"] = 4
    assert apiserver.ok("PUT", f"{path}/web/scale", scale)["spec"] == {"replicas": 4}
    assert apiserver.request("PUT", f"{path}/web/scale", scale).status == 409
    assert apiserver.merge(f"{path}/web/scale", {"spec": {"replicas": 0}})["spec"] == {}
    assert apiserver.ok("GET", f"{path}/web")["spec"]["replicas"] == 0
    assert apiserver.ok("GET", f"{path}/web")["metadata"]["generation"] == 3


def test_dry_run_changes_nothing(apiserver: ApiServer, namespace: str) -> None:
    path = f"{CORE}/{namespace}/configmaps"
    tried = apiserver.ok("POST", f"{path}?dryRun=All", configmap("a", key="1"))
    assert tried["metadata"]["uid"]
    assert apiserver.request("GET", f"{path}/a").status == 404
    made = apiserver.ok("POST", path, configmap("a", key="1"))
    changed = {"data": {"key": "2"}}
    tried = apiserver.ok("PATCH", f"{path}/a?dryRun=All", changed, content_type=MERGE)
    assert tried["data"] == {"key": "2"}
    apiserver.ok("DELETE", f"{path}/a?dryRun=All")
    assert apiserver.ok("GET", f"{path}/a") == made
    assert apiserver.request("POST", f"{path}?dryRun=Some", configmap("b")).status == 422


def test_json_patch_tests_and_fails(apiserver: ApiServer, namespace: str) -> None:
    path = f"{CORE}/{namespace}/configmaps"
    apiserver.ok("POST", path, configmap("a", key="1"))
    operations = [
        {"op": "test", "path": "/data/key", "value": "1"},
        {"op": "replace", "path": "/data/key", "value": "2"},
    ]
    done = apiserver.ok("PATCH", f"{path}/a", operations, content_type=JSON_PATCH)
    assert done["data"] == {"key": "2"}
    reply = apiserver.request("PATCH", f"{path}/a", operations, content_type=JSON_PATCH)
    assert reply.status == 422
    assert reply.body["reason"] == "Invalid"


def test_strategic_merge_by_key(apiserver: ApiServer, namespace: str) -> None:
    path = f"{APPS}/{namespace}/deployments"
    apiserver.ok("POST", path, deployment("web"))
    env = [{"name": "A", "value": "1"}]
    containers = [{"name": "app", "env": env}, {"name": "side", "image": "side:1"}]
    patch: Object = {"spec": {"template": {"spec": {"containers": containers}}}}
    after = apiserver.ok("PATCH", f"{path}/web", patch, content_type=STRATEGIC)
    by_name = {c["name"]: c for c in after["spec"]["template"]["spec"]["containers"]}
    assert by_name["app"]["image"] == "web:1"
    assert by_name["app"]["env"] == env
    assert by_name["side"]["image"] == "side:1"
    containers[:] = [{"name": "side", "$patch": "delete"}]
    after = apiserver.ok("PATCH", f"{path}/web", patch, content_type=STRATEGIC)
    assert [c["name"] for c in after["spec"]["template"]["spec"]["containers"]] == ["app"]


def test_strategic_merge_is_not_for_custom_resources(apiserver: ApiServer, namespace: str) -> None:
    path = f"/apis/networking.istio.io/v1/namespaces/{namespace}/virtualservices"
    apiserver.ok("POST", path, virtual_service("web", 100))
    reply = apiserver.request("PATCH", f"{path}/web", {"spec": {}}, content_type=STRATEGIC)
    assert reply.status == 415
    assert reply.body["reason"] == "UnsupportedMediaType"


def test_all_versions_of_a_custom_resource_are_one_object(
    apiserver: ApiServer, namespace: str
) -> None:
    path = f"/apis/networking.istio.io/{{}}/namespaces/{namespace}/virtualservices"
    body = virtual_service("web", 90, 10, version="v1beta1")
    made = apiserver.ok("POST", path.format("v1beta1"), body)
    assert made["apiVersion"] == "networking.istio.io/v1beta1"
    new = apiserver.ok("GET", path.format("v1") + "/web")
    assert new["apiVersion"] == "networking.istio.io/v1"
    assert new["spec"] == made["spec"]
    assert new["metadata"]["uid"] == made["metadata"]["uid"]
    listed = apiserver.ok("GET", path.format("v1alpha3"))
    assert listed["kind"] == "VirtualServiceList"
    assert listed["items"][0]["apiVersion"] == "networking.istio.io/v1alpha3"


def test_put_of_a_custom_resource_needs_a_version(apiserver: ApiServer, namespace: str) -> None:
    path = f"/apis/networking.istio.io/v1/namespaces/{namespace}/virtualservices"
    apiserver.ok("POST", path, virtual_service("web", 100))
    reply = apiserver.request("PUT", f"{path}/web", virtual_service("web", 100))
    assert reply.status == 422
    assert reply.body["details"]["causes"][0]["field"] == "metadata.resourceVersion"


def test_a_new_definition_is_served_at_once(apiserver: ApiServer, namespace: str) -> None:
    group = f"{namespace}.example.com"
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
    }
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"canaries.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": "canaries", "kind": "Canary"},
            "versions": [version],
        },
    }
    crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    apiserver.ok("POST", crds, definition)
    path = f"/apis/{group}/v1/namespaces/{namespace}/canaries"
    body = {"apiVersion": f"{group}/v1", "kind": "Canary", "metadata": {"name": "c"}, "any": [1]}
    apiserver.until(lambda: apiserver.request("GET", path).status == 200)
    assert apiserver.ok("POST", path, body)["any"] == [1]
    apiserver.ok("DELETE", f"{crds}/canaries.{group}")
    apiserver.until(lambda: apiserver.request("GET", path).status == 404)


def test_eviction_and_binding(apiserver: ApiServer, namespace: str) -> None:
    path = f"{CORE}/{namespace}/pods"
    apiserver.ok("POST", path, pod("a"))
    binding = {"target": {"kind": "Node", "name": "n1"}, "metadata": {"name": "a"}}
    apiserver.ok("POST", f"{path}/a/binding", binding)
    bound = apiserver.ok("GET", f"{path}/a")
    assert bound["spec"]["nodeName"] == "n1"
    assert apiserver.request("POST", f"{path}/a/binding", binding).status == 409
    apiserver.merge(f"{path}/a/status", {"status": {"phase": "Running"}})
    budgets = f"/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets"
    selector = {"matchLabels": {"app": "a"}}
    budget = {"metadata": {"name": "b"}, "spec": {"minAvailable": 1, "selector": selector}}
    apiserver.ok("POST", budgets, budget)
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "a"}}
    reply = apiserver.request("POST", f"{path}/a/eviction", eviction)
    assert reply.status == 429
    assert "disruption budget" in reply.body["message"]
    apiserver.ok("DELETE", f"{budgets}/b")
    apiserver.ok("POST", f"{path}/a/eviction", eviction)
    assert apiserver.ok("GET", f"{path}/a")["metadata"]["deletionTimestamp"]


@pytest.mark.parametrize(
    ("method", "path", "status", "reason"),
    [
        ("GET", "/api/v1/persistentvolumeclaims", 404, "NotFound"),
        ("GET", "/apis/apps/v2/deployments", 404, "NotFound"),
        ("GET", "/api/v1/namespaces/absent-namespace", 404, "NotFound"),
        ("POST", "/api/v1/pods", 405, "MethodNotAllowed"),
        ("DELETE", "/api/v1/namespaces/default", 403, "Forbidden"),
        ("PUT", "/api/v1/namespaces/default/configmaps", 405, "MethodNotAllowed"),
    ],
)
def test_refusals(
    own_apiserver: ApiServer, method: str, path: str, status: int, reason: str
) -> None:
    reply = own_apiserver.request(method, path)
    assert (reply.status, reply.body["reason"]) == (status, reason)
    assert reply.body["kind"] == "Status"


def test_paths_of_no_group_are_plain_404s(apiserver: ApiServer) -> None:
    for path in ("/nothing", "/apis/absent.example.com/v1/things"):
        reply = apiserver.request("GET", path)
        assert (reply.status, reply.body) == (404, "404 page not found\n")


def test_bad_bodies(apiserver: ApiServer, namespace: str) -> None:
    path = f"{CORE}/{namespace}/configmaps"
    assert apiserver.request("POST", path, b"{").status == 400
    assert apiserver.request("POST", path, {"kind": "Pod", "metadata": {"name": "a"}}).status == 400
    other = {**configmap("a"), "metadata": {"name": "a", "namespace": "elsewhere"}}
    assert apiserver.request("POST", path, other).status == 400
    assert apiserver.request("POST", path, b"x", content_type="text/csv").status == 415
    absent = f"{CORE}/{namespace}-absent/configmaps"
    assert apiserver.request("POST", absent, configmap("a")).status == 404
    apiserver.ok("POST", path, configmap("a"))
    again = apiserver.request("POST", path, configmap("a"))
    assert (again.status, again.body["reason"]) == (409, "AlreadyExists")
    assert again.body["message"] == 'configmaps "a" already exists'
