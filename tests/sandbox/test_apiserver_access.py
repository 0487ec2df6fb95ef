"""Who may do what, and how the process presents itself to its owner."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from tests.sandbox.apiserver_objects import configmap, deployment
from tests.sandbox.conftest import ApiServer

RBAC = "/apis/rbac.authorization.k8s.io/v1"
GROUP = "rbac.authorization.k8s.io"


def grant(apiserver: ApiServer, namespace: str, user: str, *rules: dict[str, Any]) -> None:
    """Bind a role of these rules to a user in one namespace."""
    role = {"metadata": {"name": user}, "rules": list(rules)}
    binding = {
        "metadata": {"name": user},
        "roleRef": {"apiGroup": GROUP, "kind": "Role", "name": user},
        "subjects": [{"kind": "User", "apiGroup": GROUP, "name": user}],
    }
    apiserver.ok("POST", f"{RBAC}/namespaces/{namespace}/roles", role)
    apiserver.ok("POST", f"{RBAC}/namespaces/{namespace}/rolebindings", binding)


def test_strangers_are_not_let_in(own_apiserver: ApiServer) -> None:
    for token in ("", "wrong"):
        for path in ("/api/v1/pods", "/version", "/healthz"):
            reply = own_apiserver.request("GET", path, token=token)
            assert (reply.status, reply.body["reason"]) == (401, "Unauthorized")


def test_a_new_user_is_known_at_once_and_may_discover(own_apiserver: ApiServer) -> None:
    token = own_apiserver.add_user("newcomer")
    assert own_apiserver.request("GET", "/apis", token=token).status == 200
    reply = own_apiserver.request("GET", "/api/v1/namespaces/default/pods", token=token)
    assert reply.status == 403


def test_refusals_say_what_was_asked(own_apiserver: ApiServer, namespace: str) -> None:
    token = own_apiserver.add_user("ann")
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    reply = own_apiserver.request("POST", path, deployment("web"), token=token)
    assert reply.status == 403
    assert reply.body["message"] == (
        'deployments.apps is forbidden: User "ann" cannot create resource "deployments" in API '
        f'group "apps" in the namespace "{namespace}"'
    )
    reply = own_apiserver.request("GET", "/api/v1/nodes", token=token)
    assert reply.body["message"].endswith('in API group "" at the cluster scope')
    reply = own_apiserver.request("GET", f"{path}/web/scale", token=token)
    assert 'deployments.apps "web" is forbidden' in reply.body["message"]
    assert 'resource "deployments/scale"' in reply.body["message"]


def test_roles_grant_verbs_resources_and_names(own_apiserver: ApiServer, namespace: str) -> None:
    token = own_apiserver.add_user("ben")
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    own_apiserver.ok("POST", path, deployment("web"))
    own_apiserver.ok("POST", path, deployment("api"))
    grant(
        own_apiserver,
        namespace,
        "ben",
        {
            "apiGroups": ["apps"],
            "resources": ["deployments", "deployments/scale"],
            "resourceNames": ["web"],
            "verbs": ["get", "update"],
        },
        {"apiGroups": [""], "resources": ["*"], "verbs": ["*"]},
    )

    def status(method: str, url: str, body: Any = None) -> int:
        return own_apiserver.request(method, url, body, token=token).status

    assert status("GET", f"{path}/web") == 200
    assert status("GET", f"{path}/api") == 403
    assert status("GET", path) == 403
    scale = own_apiserver.ok("GET", f"{path}/web/scale", token=token)
    assert status("PUT", f"{path}/web/scale", scale) == 200
    assert status("DELETE", f"{path}/web") == 403
    assert status("POST", f"/api/v1/namespaces/{namespace}/configmaps", configmap("a")) == 201
    assert status("GET", "/api/v1/namespaces/default/configmaps") == 403


def test_groups_and_cluster_roles(own_apiserver: ApiServer, namespace: str) -> None:
    token = own_apiserver.add_user("cyd", "viewers")
    binding = {
        "metadata": {"name": f"viewers-{namespace}"},
        "roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "Group", "apiGroup": GROUP, "name": "viewers"}],
    }
    own_apiserver.ok("POST", f"{RBAC}/clusterrolebindings", binding)
    path = f"/api/v1/namespaces/{namespace}"
    assert own_apiserver.request("GET", f"{path}/pods", token=token).status == 200
    assert own_apiserver.request("GET", f"{path}/secrets", token=token).status == 403


def test_impersonation_is_for_those_who_may(own_apiserver: ApiServer, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    reply = own_apiserver.request("GET", path, headers={"Impersonate-User": "dee"})
    assert (reply.status, 'User "dee"' in reply.body["message"]) == (403, True)
    as_master = {"Impersonate-User": "dee", "Impersonate-Group": "system:masters"}
    assert own_apiserver.request("GET", path, headers=as_master).status == 200
    token = own_apiserver.add_user("eve")
    reply = own_apiserver.request("GET", path, token=token, headers=as_master)
    assert 'User "eve" cannot impersonate resource "users"' in reply.body["message"]


def test_access_reviews(own_apiserver: ApiServer, namespace: str) -> None:
    token = own_apiserver.add_user("fay")
    grant(
        own_apiserver,
        namespace,
        "fay",
        {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
    )
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    asked = {"namespace": namespace, "verb": "get", "resource": "pods"}
    for attributes, allowed in ((asked, False), ({**asked, "subresource": "log"}, True)):
        body = {"spec": {"resourceAttributes": attributes}}
        answer = own_apiserver.ok("POST", path, body, token=token)
        assert answer["status"]["allowed"] is allowed
    reviews = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    who = own_apiserver.ok("POST", reviews, {}, token=token)["status"]["userInfo"]
    assert who["username"] == "fay"


def test_what_the_owner_finds(start_apiserver: Callable[..., ApiServer]) -> None:
    server = start_apiserver("--request-log")
    folder = server.directory
    assert isinstance(folder, Path)
    for name in ("kubeconfig", "tokens.csv", "pki/server.key"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
    content = yaml.safe_load((folder / "kubeconfig").read_text())
    assert content["current-context"] == "sandbox"
    (extension,) = content["clusters"][0]["cluster"]["extensions"]
    assert extension == {
        "name": "theseus-ci.io/pod-network",
        "extension": {
            "from": "10.0.0.0/8",
            "to": "127.0.0.0/8",
            "privilegedPortOffset": 20_000,
        },
    }
    found = server.ok("GET", "/api/v1/namespaces")["items"]
    names = {item["metadata"]["name"] for item in found}
    assert names >= {"default", "kube-system", "istio-system"}
    server.request("GET", "/api/v1/pods", token="wrong")
    lines = (folder / "logs" / "apiserver-requests.log").read_text().splitlines()
    assert [line.split()[:4] for line in lines] == [
        ["GET", "/api/v1/namespaces", "200", "theseus-admin"],
        ["GET", "/api/v1/pods", "401", "-"],
    ]
    assert all(int(line.split()[4]) > 0 for line in lines)


def test_the_end_closes_watches_and_removes_the_kubeconfig(
    start_apiserver: Callable[..., ApiServer],
) -> None:
    server = start_apiserver()
    watch = server.watch("/api/v1/namespaces")
    watch.until_count(3)
    assert server.process is not None
    server.process.terminate()
    watch.until_end()
    assert server.process.wait(10) == 0
    assert not server.kubeconfig.exists()
