"""What all controllers have in common."""

from __future__ import annotations

from typing import Protocol

from theseus_ci.sandbox.client import ApiClient, Key
from theseus_ci.sandbox.controllers.events import Recorder
from theseus_ci.sandbox.controllers.resource import Resource
from theseus_ci.sandbox.controllers.workqueue import WorkQueue


class Controller(Protocol):
    """Owns one queue; its constructor subscribes to the informers that fill it."""

    queue: WorkQueue
    recorder: Recorder

    async def sync(self, key: Key) -> None:
        """Make the world agree with the object of that key; raises ApiError to be called again."""


class Workloads:
    """The resources several controllers look at, with one informer each."""

    def __init__(self, client: ApiClient) -> None:
        self.pods = Resource(client, "/api/v1", "pods")
        self.services = Resource(client, "/api/v1", "services")
        self.replica_sets = Resource(client, "/apis/apps/v1", "replicasets")
        self.deployments = Resource(client, "/apis/apps/v1", "deployments")
        self.endpoint_slices = Resource(client, "/apis/discovery.k8s.io/v1", "endpointslices")
        self.autoscalers = Resource(client, "/apis/autoscaling/v2", "horizontalpodautoscalers")
        self.jobs = Resource(client, "/apis/batch/v1", "jobs")

    def all(self) -> list[Resource]:
        return [
            self.pods,
            self.services,
            self.replica_sets,
            self.deployments,
            self.endpoint_slices,
            self.autoscalers,
            self.jobs,
        ]
