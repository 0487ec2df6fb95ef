"""The `kubernetes` package's dynamic client, discovery documents and Tables."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from kubernetes.client.exceptions import ApiException
from kubernetes.dynamic import exceptions

from tests.sandbox.apiserver_objects import configmap, deployment, virtual_service
from tests.sandbox.conftest import ApiServer

TABLE = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"}
PARTIAL = {"Accept": "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"}
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


def test_the_dynamic_client_does_its_round(
    apiserver: ApiServer, namespace: str, tmp_path: Path
) -> None:
    client = apiserver.dynamic(tmp_path)
    deployments = client.resources.get(api_version="apps/v1", kind="Deployment")
    made = deployments.create(body=deployment("web"), namespace=namespace)
    assert made.spec.replicas == 2
    body = made.to_dict()
    body["spec"]["replicas"] = 3
    replaced = deployments.replace(body=body, namespace=namespace)
    assert replaced.metadata.generation == 2
    with pytest.raises(exceptions.ConflictError):
        deployments.replace(body=body, namespace=namespace)
    patched = deployments.patch(
        name="web",
        namespace=namespace,
        body={"spec": {"replicas": 4}},
        content_type="application/merge-patch+json",
    )
    assert patched.spec.replicas == 4
    applied = deployments.server_side_apply(
        body=deployment("other"), namespace=namespace, field_manager="tests"
    )
    assert applied.metadata.name == "other"
    listed = deployments.get(namespace=namespace, label_selector="app=web")
    assert [item.metadata.name for item in listed.items] == ["web"]
    version = listed.metadata.resourceVersion
    deployments.delete(name="web", namespace=namespace)
    watch = deployments.watch(namespace=namespace, resource_version=version, timeout=5)
    with closing(watch) as events:
        assert next(events)["object"].metadata.name == "web"
    routes = client.resources.get(api_version="networking.istio.io/v1", kind="VirtualService")
    routes.create(body=virtual_service("web", 1), namespace=namespace)
    with pytest.raises(ApiException) as refused:
        routes.create(body=virtual_service("web", 1), namespace=namespace)
    assert refused.value.status == 409


def test_discovery_agrees_with_itself(apiserver: ApiServer) -> None:
    aggregated = apiserver.request("GET", "/apis", headers={"Accept": AGGREGATED})
    assert aggregated.headers["Content-Type"].replace(" ", "") == AGGREGATED
    for item in aggregated.body["items"]:
        name = item["metadata"]["name"]
        group = apiserver.ok("GET", f"/apis/{name}")
        versions = [entry["version"] for entry in group["versions"]]
        assert versions == [entry["version"] for entry in item["versions"]]
        for version in item["versions"]:
            plain = apiserver.ok("GET", f"/apis/{name}/{version['version']}")
            resources = [entry["name"] for entry in plain["resources"]]
            found = []
            for resource in version["resources"]:
                found.append(resource["resource"])
                for part in resource.get("subresources", []):
                    found.append(f"{resource['resource']}/{part['subresource']}")
            assert sorted(found) == sorted(resources)


def test_what_is_discovered_is_served(own_apiserver: ApiServer) -> None:
    groups = own_apiserver.ok("GET", "/apis")["groups"]
    versions = [v["groupVersion"] for group in groups for v in group["versions"]]
    for base in ["/api/v1", *(f"/apis/{version}" for version in versions)]:
        for resource in own_apiserver.ok("GET", base)["resources"]:
            if "/" not in resource["name"] and "list" in resource["verbs"]:
                listed = own_apiserver.ok("GET", f"{base}/{resource['name']}")
                assert listed["kind"] == f"{resource['kind']}List"
                path = f"{base}/{resource['name']}"
                table = own_apiserver.ok("GET", path, headers=TABLE)
                width = len(table["columnDefinitions"])
                assert all(len(row["cells"]) == width for row in table["rows"])
    for path in own_apiserver.ok("GET", "/openapi/v3")["paths"].values():
        document = own_apiserver.ok("GET", path["serverRelativeURL"])
        assert document["components"]["schemas"]


def test_tables_and_partial_objects(apiserver: ApiServer, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    apiserver.ok("POST", path, configmap("a", {"mine": "yes"}, k="1"))
    selected = f"{path}?labelSelector=mine"
    table = apiserver.ok("GET", selected, headers=TABLE)
    assert [column["name"] for column in table["columnDefinitions"]] == ["Name", "Data", "Age"]
    (row,) = table["rows"]
    assert row["cells"][:2] == ["a", 1]
    assert row["object"]["kind"] == "PartialObjectMetadata"
    assert "data" not in row["object"]
    table = apiserver.ok("GET", f"{selected}&includeObject=Object", headers=TABLE)
    assert table["rows"][0]["object"]["data"] == {"k": "1"}
    table = apiserver.ok("GET", f"{selected}&includeObject=None", headers=TABLE)
    assert not table["rows"][0].get("object")
    partial = apiserver.ok("GET", selected, headers=PARTIAL)
    assert partial["kind"] == "PartialObjectMetadataList"
    assert partial["items"][0]["metadata"]["name"] == "a"
    assert "data" not in partial["items"][0]


def test_formats_we_do_not_speak(apiserver: ApiServer) -> None:
    reply = apiserver.request("GET", "/api/v1/namespaces", headers={"Accept": "text/csv"})
    assert (reply.status, reply.body["reason"]) == (406, "NotAcceptable")
    reply = apiserver.request("GET", "/api/v1/namespaces", headers={"Accept": "application/yaml"})
    assert reply.body.startswith("apiVersion: v1") or "kind: NamespaceList" in reply.body
