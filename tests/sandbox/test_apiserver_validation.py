"""What the server refuses, with which field path and reason."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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

PATHS = {
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments",
    "Pod": "/api/v1/namespaces/{}/pods",
    "Service": "/api/v1/namespaces/{}/services",
    "ConfigMap": "/api/v1/namespaces/{}/configmaps",
    "HorizontalPodAutoscaler": "/apis/autoscaling/v2/namespaces/{}/horizontalpodautoscalers",
    "EndpointSlice": "/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices",
    "VirtualService": "/apis/networking.istio.io/v1/namespaces/{}/virtualservices",
    "Lease": "/apis/coordination.k8s.io/v1/namespaces/{}/leases",
}


def change(obj: Object, path: str, value: Any) -> Object:
    """Set (or with None: delete) a field by its dotted path; numbers index lists."""
    place: Any = obj
    *parents, last = path.split(".")
    for step in parents:
        place = place[int(step)] if step.isdigit() else place.setdefault(step, {})
    if value is None:
        del place[last]
    elif last.isdigit():
        place[int(last)] = value
    else:
        place[last] = value
    return obj


def slice_of(*addresses: str) -> Object:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "web"},
        "addressType": "IPv4",
        "endpoints": [{"addresses": list(addresses)}],
        "ports": [],
    }


TEMPLATE = "spec.template.spec"
CONTAINER = f"{TEMPLATE}.containers.0"
INVALID: list[tuple[str, Callable[[], Object], str, str]] = [
    ("bad name", lambda: configmap("Bad_Name"), "metadata.name", "FieldValueInvalid"),
    ("no name", lambda: {**configmap("a"), "metadata": {}}, "metadata.name", "FieldValueRequired"),
    (
        "bad label",
        lambda: configmap("a", {"-x": "y"}),
        "metadata.labels",
        "FieldValueInvalid",
    ),
    (
        "selector does not match",
        lambda: change(deployment("web"), "spec.template.metadata.labels", {"app": "other"}),
        "spec.template.metadata.labels",
        "FieldValueInvalid",
    ),
    (
        "no selector",
        lambda: change(deployment("web"), "spec.selector", None),
        "spec.selector",
        "FieldValueRequired",
    ),
    (
        "no containers",
        lambda: change(deployment("web"), f"{TEMPLATE}.containers", []),
        f"{TEMPLATE}.containers",
        "FieldValueRequired",
    ),
    (
        "no image",
        lambda: change(deployment("web"), f"{CONTAINER}.image", None),
        f"{TEMPLATE}.containers[0].image",
        "FieldValueRequired",
    ),
    (
        "two containers of one name",
        lambda: change(
            deployment("web"),
            f"{TEMPLATE}.containers",
            [{"name": "app", "image": "a"}, {"name": "app", "image": "b"}],
        ),
        f"{TEMPLATE}.containers[1].name",
        "FieldValueDuplicate",
    ),
    (
        "negative replicas",
        lambda: change(deployment("web"), "spec.replicas", -1),
        "spec.replicas",
        "FieldValueInvalid",
    ),
    (
        "bad port",
        lambda: change(deployment("web"), f"{CONTAINER}.ports.0.containerPort", 70_000),
        f"{TEMPLATE}.containers[0].ports[0].containerPort",
        "FieldValueInvalid",
    ),
    (
        "mount of no volume",
        lambda: change(
            deployment("web"), f"{CONTAINER}.volumeMounts", [{"name": "v", "mountPath": "/v"}]
        ),
        f"{TEMPLATE}.containers[0].volumeMounts[0].name",
        "FieldValueNotFound",
    ),
    (
        "no way to roll",
        lambda: deployment("web", strategy={"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}),
        "spec.strategy.rollingUpdate.maxUnavailable",
        "FieldValueInvalid",
    ),
    (
        "HPA minimum above maximum",
        lambda: autoscaler("web", minReplicas=9),
        "spec.maxReplicas",
        "FieldValueInvalid",
    ),
    ("service without ports", lambda: service("web", ports=[]), "spec.ports", "FieldValueRequired"),
    (
        "unnamed ports",
        lambda: service("web", ports=[{"port": 80}, {"port": 81, "name": "b"}]),
        "spec.ports[0].name",
        "FieldValueRequired",
    ),
    (
        "loopback endpoint",
        lambda: slice_of("127.0.0.1"),
        "endpoints[0].addresses[0]",
        "FieldValueInvalid",
    ),
]


@pytest.mark.parametrize(
    ("make", "field", "reason"), [row[1:] for row in INVALID], ids=[row[0] for row in INVALID]
)
def test_invalid_objects(
    apiserver: ApiServer, namespace: str, make: Callable[[], Object], field: str, reason: str
) -> None:
    body = make()
    reply = apiserver.request("POST", PATHS[body["kind"]].format(namespace), body)
    assert reply.status == 422, reply
    causes = reply.body["details"]["causes"]
    assert (field, reason) in {(cause["field"], cause["reason"]) for cause in causes}, causes
    assert field in reply.body["message"]


UNRUNNABLE: list[tuple[str, Object]] = [
    ("hostNetwork", {"hostNetwork": True}),
    ("hostAliases", {"hostAliases": [{"ip": "10.0.0.1", "hostnames": ["a"]}]}),
    ("volumes[0].hostPath", {"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}),
    ("hostPID", {"hostPID": True}),
]


@pytest.mark.parametrize(("field", "more"), UNRUNNABLE, ids=[row[0] for row in UNRUNNABLE])
def test_pods_the_sandbox_cannot_run(
    own_apiserver: ApiServer, namespace: str, field: str, more: Object
) -> None:
    body = deployment("web")
    body["spec"]["template"]["spec"].update(more)
    reply = own_apiserver.request("POST", PATHS["Deployment"].format(namespace), body)
    assert reply.status == 422
    assert f"spec.template.spec.{field}: Forbidden" in reply.body["message"]
    reply = own_apiserver.request("POST", PATHS["Pod"].format(namespace), pod("web", **more))
    assert f"spec.{field}: Forbidden" in reply.body["message"]


def test_harmless_fields_are_accepted(apiserver: ApiServer, namespace: str) -> None:
    body = deployment("web")
    body["spec"]["template"]["spec"].update(
        {
            "securityContext": {"runAsNonRoot": True},
            "nodeSelector": {"disk": "ssd"},
            "tolerations": [{"operator": "Exists"}],
            "serviceAccountName": "robot",
            "imagePullSecrets": [{"name": "pull"}],
            "volumes": [{"name": "tmp", "emptyDir": {}}, {"name": "c", "configMap": {"name": "c"}}],
            "topologySpreadConstraints": [
                {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}
            ],
        }
    )
    resources = {"limits": {"cpu": "1000m", "memory": 67_108_864}, "requests": {"cpu": 1}}
    change(body, f"{CONTAINER}.resources", resources)
    made = apiserver.ok("POST", PATHS["Deployment"].format(namespace), body)
    container = made["spec"]["template"]["spec"]["containers"][0]
    assert container["resources"] == {
        "limits": {"cpu": "1", "memory": "67108864"},
        "requests": {"cpu": "1"},
    }


def test_unknown_fields_by_directive(apiserver: ApiServer, namespace: str) -> None:
    path = PATHS["Deployment"].format(namespace)
    body = deployment("web", colour="blue")
    reply = apiserver.request("POST", f"{path}?fieldValidation=Strict", body)
    assert reply.status == 400
    assert reply.body["message"].endswith('strict decoding error: unknown field "spec.colour"')
    reply = apiserver.request("POST", f"{path}?fieldValidation=Warn", body)
    assert reply.status == 201
    assert "colour" not in reply.body["spec"]
    assert 'unknown field \\"spec.colour\\"' in reply.headers["Warning"]
    reply = apiserver.request("PUT", f"{path}/web?fieldValidation=Ignore", body)
    assert reply.status == 200
    assert "Warning" not in reply.headers


def test_wrong_types_are_bad_requests(apiserver: ApiServer, namespace: str) -> None:
    body = deployment("web", replicas="two")
    reply = apiserver.request("POST", PATHS["Deployment"].format(namespace), body)
    assert reply.status == 400
    assert "cannot unmarshal string" in reply.body["message"]


def test_immutable_fields(apiserver: ApiServer, namespace: str) -> None:
    path = PATHS["Deployment"].format(namespace)
    made = apiserver.ok("POST", path, deployment("web"))
    made["spec"]["selector"] = {"matchLabels": {"other": "x"}}
    made["spec"]["template"]["metadata"]["labels"] = {"other": "x"}
    reply = apiserver.request("PUT", f"{path}/web", made)
    assert reply.status == 422
    assert "spec.selector: Invalid value" in reply.body["message"]
    assert "field is immutable" in reply.body["message"]
    path = PATHS["Service"].format(namespace)
    made = apiserver.ok("POST", path, service("web"))
    made["spec"]["clusterIP"] = "10.96.77.77"
    made["spec"]["clusterIPs"] = ["10.96.77.77"]
    assert apiserver.request("PUT", f"{path}/web", made).status == 422
    path = PATHS["Pod"].format(namespace)
    made = apiserver.ok("POST", path, pod("web"))
    made["spec"]["restartPolicy"] = "Never"
    reply = apiserver.request("PUT", f"{path}/web", made)
    assert "pod updates may not change fields other than" in reply.body["message"]
    made["spec"]["restartPolicy"] = "Always"
    made["spec"]["containers"][0]["image"] = "web:2"
    apiserver.ok("PUT", f"{path}/web", made)


@pytest.mark.parametrize("weights", [(0, 0), (-1, 101)])
def test_weights_istio_refuses(
    own_apiserver: ApiServer, namespace: str, weights: tuple[int, int]
) -> None:
    path = PATHS["VirtualService"].format(namespace)
    reply = own_apiserver.request("POST", path, virtual_service("web", *weights))
    assert reply.status == 400
    assert "validation.istio.io" in reply.body["message"]


def test_custom_resources_are_judged_by_their_schema(apiserver: ApiServer, namespace: str) -> None:
    path = PATHS["VirtualService"].format(namespace)
    body = virtual_service("web", 100)
    body["spec"]["colour"] = "blue"
    reply = apiserver.request("POST", f"{path}?fieldValidation=Strict", body)
    assert reply.status == 400
    assert 'unknown field "spec.colour"' in reply.body["message"]
    assert "colour" not in apiserver.ok("POST", path, body)["spec"]
    body = virtual_service("other", 100)
    body["spec"]["http"][0]["route"][0]["weight"] = "all"
    reply = apiserver.request("POST", path, body)
    assert reply.status == 422
    cause = reply.body["details"]["causes"][0]
    assert cause["field"] == "spec.http[0].route[0].weight"
    assert cause["reason"] == "FieldValueTypeInvalid"
    body["spec"]["http"][0]["route"][0]["weight"] = 1
    body["spec"]["http"][0]["match"] = [{"headers": {"x": {"exact": "a", "prefix": "b"}}}]
    reply = apiserver.request("POST", path, body)
    assert reply.status == 422
    assert "oneOf" in reply.body["message"]


def test_a_null_of_a_custom_resource_is_a_field_not_given(
    apiserver: ApiServer, namespace: str
) -> None:
    obj = change(virtual_service("nulls", 100), "spec.http.0.name", "all")
    obj["spec"]["http"][0] |= {"timeout": None, "match": None}
    made = apiserver.ok("POST", PATHS["VirtualService"].format(namespace), obj)
    assert {"timeout", "match"}.isdisjoint(made["spec"]["http"][0])
    assert made["spec"]["http"][0]["name"] == "all"
