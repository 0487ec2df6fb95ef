"""All controllers in one process, on shared informers."""

from __future__ import annotations

import asyncio
import logging

from theseus_ci.sandbox.client import ApiClient
from theseus_ci.sandbox.controllers.autoscaler import AutoscalerController
from theseus_ci.sandbox.controllers.controller import Controller, Workloads
from theseus_ci.sandbox.controllers.deployment import DeploymentController
from theseus_ci.sandbox.controllers.endpointslice import EndpointSliceController
from theseus_ci.sandbox.controllers.garbage import GarbageCollector
from theseus_ci.sandbox.controllers.inventory import Inventory
from theseus_ci.sandbox.controllers.job import JobController
from theseus_ci.sandbox.controllers.namespaces import NamespaceController
from theseus_ci.sandbox.controllers.replicaset import ReplicaSetController

log = logging.getLogger(__name__)


async def run(client: ApiClient, *, hpa_stabilization: float, ready: asyncio.Event) -> None:
    """Run every controller until cancelled; `ready` is set once all of them work.

    Informers fail only by a defect of ours: that ends the process, loudly.
    """
    workloads = Workloads(client)
    inventory = Inventory(client, workloads)
    controllers: list[Controller] = [
        DeploymentController(client, workloads),
        ReplicaSetController(client, workloads),
        EndpointSliceController(client, workloads),
        AutoscalerController(client, workloads, hpa_stabilization),
        JobController(client, workloads),
        GarbageCollector(client, inventory),
        NamespaceController(client, inventory),
    ]
    tasks = [asyncio.create_task(resource.informer.run()) for resource in workloads.all()]
    tasks.append(asyncio.create_task(_start(workloads, inventory, controllers, ready)))
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await inventory.stop()
        for controller in controllers:
            await controller.queue.stop()
            await controller.recorder.stop()


async def _start(
    workloads: Workloads, inventory: Inventory, controllers: list[Controller], ready: asyncio.Event
) -> None:
    """No controller acts before every informer is complete: half a picture looks like loss."""
    for resource in workloads.all():
        await resource.informer.synced()
    await inventory.start()
    for controller in controllers:
        controller.queue.start()
    ready.set()
    log.info("controllers are running")
