"""Write the data files beside this module from the schemas that Kubernetes and Istio publish.

Run by hand when the versions we follow change:

    python -m theseus_ci.sandbox.apiserver.schemas.generate SWAGGER ISTIO_CRDS API APIMACHINERY

SWAGGER is api/openapi-spec/swagger.json of the Go module k8s.io/kubernetes (1.36.3 now),
ISTIO_CRDS is kubernetes/customresourcedefinitions.gen.yaml of istio.io/api (1.30.3 now), API and
APIMACHINERY are the folders of k8s.io/api and k8s.io/apimachinery (0.36.3 now), whose
generated.proto files number the fields. Only structure is kept (names, types, list keys, enums,
bounds, numbers); prose is dropped.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import yaml

API = "io.k8s.api."
ROOTS = [
    *(
        f"{API}core.v1.{kind}"
        for kind in (
            "Namespace",
            "Pod",
            "Service",
            "ConfigMap",
            "Secret",
            "ServiceAccount",
            "Node",
            "Event",
            "Endpoints",
            "Binding",
        )
    ),
    f"{API}apps.v1.Deployment",
    f"{API}apps.v1.ReplicaSet",
    f"{API}autoscaling.v1.Scale",
    f"{API}autoscaling.v2.HorizontalPodAutoscaler",
    f"{API}discovery.v1.EndpointSlice",
    f"{API}coordination.v1.Lease",
    f"{API}policy.v1.PodDisruptionBudget",
    f"{API}policy.v1.Eviction",
    f"{API}batch.v1.Job",
    *(
        f"{API}rbac.v1.{kind}"
        for kind in ("Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")
    ),
    f"{API}authorization.v1.SelfSubjectAccessReview",
    f"{API}authentication.v1.SelfSubjectReview",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition",
    "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions",
    "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta",
]
ISTIO_KINDS = {"VirtualService", "DestinationRule", "Gateway", "ServiceEntry"}


def reachable(definitions: dict[str, Any]) -> dict[str, Any]:
    """The definitions that ROOTS refer to, directly or not, without prose."""
    kept: dict[str, Any] = {}

    def strip(node: Any) -> Any:
        if isinstance(node, list):
            return [strip(item) for item in node]
        if not isinstance(node, dict):
            return node
        if isinstance(node.get("$ref"), str):
            keep(node["$ref"].rsplit("/", 1)[-1])
        return {
            key: strip(value)
            for key, value in node.items()
            if not (key == "description" and isinstance(value, str))
        }

    def keep(name: str) -> None:
        if name not in kept:
            kept[name] = {}
            kept[name] = strip(definitions[name])

    for root in ROOTS:
        keep(root)
    return dict(sorted(kept.items()))


def istio_crds(documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The definitions of the kinds we serve, without prose and without chart metadata."""

    def strip(node: Any) -> Any:
        if isinstance(node, list):
            return [strip(item) for item in node]
        if not isinstance(node, dict):
            return node
        return {
            key: strip(value)
            for key, value in node.items()
            if not (key == "description" and isinstance(value, str))
        }

    kept = []
    for crd in documents:
        group = crd["spec"]["group"]
        if group == "networking.istio.io" and crd["spec"]["names"]["kind"] in ISTIO_KINDS:
            metadata = {"name": crd["metadata"]["name"], "labels": {"app": "istio-pilot"}}
            kept.append(
                {
                    "apiVersion": crd["apiVersion"],
                    "kind": crd["kind"],
                    "metadata": metadata,
                    "spec": strip(crd["spec"]),
                }
            )
    return kept


MESSAGE = re.compile(r"^message (\w+) \{(.*?)^\}", re.MULTILINE | re.DOTALL)
FIELD = re.compile(
    r"^ *(optional|repeated|map<string, ?)\s*\.?([\w.]+)>? (\w+) = (\d+);", re.MULTILINE
)


def protobuf(folders: list[Path], kept: set[str]) -> dict[str, Any]:
    """Message name -> field number -> [name, type, '' or repeated or map], for messages in kept."""
    messages: dict[str, Any] = {}
    for folder in folders:
        for path in sorted(folder.rglob("generated.proto")):
            text = path.read_text(encoding="utf-8")
            package = re.search(r"^package ([\w.]+);", text, re.MULTILINE)
            if package is None:
                continue
            for name, body in MESSAGE.findall(text):
                full = _reversed_name(f"{package[1]}.{name}")
                messages[full] = {
                    number: [field, _type(kind, package[1]), _label(label)]
                    for label, kind, field, number in FIELD.findall(body)
                }
    wanted = [name for name in messages if name in kept]
    found: dict[str, Any] = {}
    while wanted:
        name = wanted.pop()
        if name in messages and name not in found:
            found[name] = messages[name]
            wanted += [field[1] for field in messages[name].values()]
    return dict(sorted(found.items()))


def _reversed_name(name: str) -> str:
    return "io.k8s." + name.removeprefix("k8s.io.")


def _type(kind: str, package: str) -> str:
    scalar = ("string", "bool", "int32", "int64", "bytes")
    if kind in scalar:
        return kind
    return _reversed_name(kind if kind.startswith("k8s.io.") else f"{package}.{kind}")


def _label(label: str) -> str:
    return "map" if label.startswith("map") else {"repeated": "repeated"}.get(label, "")


def main(arguments: list[str]) -> int:
    """Write both files beside this module; returns the exit code."""
    if len(arguments) != 4:
        print(__doc__, file=sys.stderr)
        return 2
    here = Path(__file__).parent
    swagger = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    crds = list(yaml.load_all(Path(arguments[1]).read_bytes(), Loader=yaml.CSafeLoader))
    builtin = reachable(swagger["definitions"])
    kept = {name for name in builtin if "apiextensions" not in name}
    for name, content in (
        ("builtin.json", builtin),
        ("istio_crds.json", istio_crds([crd for crd in crds if crd])),
        ("protobuf.json", protobuf([Path(folder) for folder in arguments[2:]], kept)),
    ):
        text = json.dumps(content, separators=(",", ":"), sort_keys=False)
        (here / name).write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
