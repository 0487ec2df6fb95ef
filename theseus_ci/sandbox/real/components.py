"""The programs of a sandbox with a real control plane."""

from __future__ import annotations

from theseus_ci.sandbox.components import (
    API_SERVER,
    CONTROLLERS,
    KUBELET,
    MESH,
    NODE_NAME,
    Checks,
    Component,
    as_text,
)
from theseus_ci.sandbox.layout import Layout
from theseus_ci.sandbox.processes import python_command
from theseus_ci.sandbox.real.binaries import find_binaries
from theseus_ci.sandbox.settings import Settings

METRICS = "metrics"


def real_components(layout: Layout, settings: Settings, checks: Checks) -> list[Component]:
    """All of them, the API server first. Raises UsageError when programs are missing."""
    binaries = find_binaries()
    kubeconfig = ("--kubeconfig", str(layout.kubeconfig))
    directory = ("--directory", str(layout.directory))
    control_plane = python_command(
        "theseus_ci.sandbox.real.control_plane",
        *directory,
        *("--port", str(settings.api_port)),
    )
    controllers = [
        str(binaries.kube_controller_manager),
        f"--kubeconfig={layout.kubeconfig}",
        "--leader-elect=false",
        # nothing mounts it here, and every namespace would hold an object more than was asked for
        "--controllers=*,-root-ca-certificate-publisher-controller",
        "--secure-port=0",
        f"--service-account-private-key-file={layout.directory / 'pki' / 'server.key'}",
        "--horizontal-pod-autoscaler-sync-period=1s",
        "--horizontal-pod-autoscaler-downscale-stabilization"
        f"={as_text(settings.hpa_stabilization)}",
    ]
    kubelet = python_command(
        "theseus_ci.sandbox.kubelet",
        *kubeconfig,
        *("--directory", str(layout.kubelet)),
        *("--node-name", NODE_NAME),
        *("--crash-back-off", as_text(settings.crash_back_off)),
        "--log-server-tls",
    )
    mesh = python_command(
        "theseus_ci.sandbox.real.mesh",
        *kubeconfig,
        *directory,
        *("--gateway-port", str(settings.gateway_port)),
        *("--sidecar-port", str(settings.sidecar_port)),
        *("--client-namespace", settings.client_namespace),
        *("--gateway-delay", as_text(settings.gateway_delay)),
        *("--sidecar-delay", as_text(settings.sidecar_delay)),
    )
    metrics = python_command("theseus_ci.sandbox.real.metrics", *kubeconfig)
    return [
        Component(API_SERVER, control_plane, checks.api_server),
        Component(CONTROLLERS, controllers, checks.controllers),
        Component(KUBELET, kubelet, checks.kubelet),
        Component(MESH, mesh, checks.mesh),
        Component(METRICS, metrics, checks.metrics),
    ]
