"""The adapters, constructed: the one module that knows all of them.

It is imported when a command first needs the cluster: the client and the HTTP library are what
start-up costs, and `--help` has no use for them.
"""

from __future__ import annotations

from pathlib import Path

from theseus_ci.checks.pod_ports import port_names
from theseus_ci.checks.prober import HttpProber
from theseus_ci.checks.runner import SmokeChecker
from theseus_ci.clock import SystemClock
from theseus_ci.console import Console
from theseus_ci.judge.port import SequentialJudge
from theseus_ci.kube.cluster import KubernetesCluster
from theseus_ci.kube.connect import Connection, connect
from theseus_ci.kube.logs import PodLogs
from theseus_ci.kube.server import KubernetesServer
from theseus_ci.load.port import LoadGenerators
from theseus_ci.rollout.context import World

__all__ = ["Connection", "KubernetesCluster", "KubernetesServer", "connect", "world"]


def world(
    cluster: KubernetesCluster,
    connection: Connection,
    clock: SystemClock,
    console: Console,
    *,
    reports: Path,
    holder: str,
) -> World:
    """The real world, behind the ports."""
    return World(
        cluster=cluster,
        clock=clock,
        prober=HttpProber(),
        checker=SmokeChecker(directory=Path(), port_names=port_names(cluster)),
        load=LoadGenerators(),
        logs=PodLogs(connection, clock),
        judge=SequentialJudge(),
        stopped=clock.stopped,
        log=console.log,
        progress=console.progress,
        reports=reports,
        holder=holder,
        default_namespace=connection.namespace,
        pod_network=connection.pod_network,
    )
