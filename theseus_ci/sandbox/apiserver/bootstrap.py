"""What a new cluster holds before anybody has asked for anything."""

from __future__ import annotations

from theseus_ci.sandbox.apiserver import rbac
from theseus_ci.sandbox.apiserver.errors import Object
from theseus_ci.sandbox.apiserver.kinds import CRDS, NAMESPACES, SERVICES
from theseus_ci.sandbox.apiserver.options import WriteOptions
from theseus_ci.sandbox.apiserver.schema import istio_crds
from theseus_ci.sandbox.apiserver.verbs import Target, Verbs

MANAGER = "kube-apiserver"
NAMES = ("default", "kube-system", "istio-system")
KUBERNETES_SERVICE: Object = {
    "metadata": {
        "name": "kubernetes",
        "labels": {"component": "apiserver", "provider": "kubernetes"},
    },
    "spec": {
        "clusterIP": "10.96.0.1",
        "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": 6443}],
    },
}


def fill(verbs: Verbs) -> None:
    """Create the first namespaces, the kubernetes Service, the default roles, Istio's kinds."""
    options = WriteOptions(MANAGER)
    for name in NAMES:
        verbs.create(Target(NAMESPACES, "v1"), {"metadata": {"name": name}}, options)
    verbs.create(Target(SERVICES, "v1", "default"), KUBERNETES_SERVICE, options)
    for obj in rbac.bootstrap_objects():
        plural = obj["kind"].lower() + "s"
        resource = verbs.registry.find(rbac.GROUP, "v1", plural)
        assert resource is not None
        verbs.create(Target(resource, "v1"), obj, options)
    for crd in istio_crds():
        verbs.create(Target(CRDS, "v1"), crd, options)
