"""Asking Envoy about a configuration without giving it to a proxy that serves requests.

Envoy refuses a route table as a whole and seldom says which object is to blame, so when it refuses
one, its `--mode validate` is asked about parts of it until the faulty objects are found.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from theseus_ci.sandbox.mesh.bootstrap import Files, listener
from theseus_ci.sandbox.mesh.envoy import MeshError, envoy_binary
from theseus_ci.sandbox.mesh.translate import Configuration, Proxy
from theseus_ci.sandbox.processes import exited, inherited_environment, spawn

Json = dict[str, Any]
Item = TypeVar("Item")

VALIDATION_SECONDS = 30.0
REASON = "error initializing configuration"


async def envoys_objection(configuration: Configuration, proxy: Proxy, files: Files) -> str | None:
    """Why Envoy would refuse the configuration, None when it would not. Takes some 0.1 s."""
    with tempfile.TemporaryDirectory(dir=files.directory) as folder:
        config = Path(folder) / "config.json"
        config.write_text(json.dumps(_static(configuration, proxy, files)), encoding="utf-8")
        output = Path(folder) / "output"
        command = [str(envoy_binary()), "--mode", "validate", "-c", str(config)]
        command += ["--disable-hot-restart", "--log-level", "error", "--skip-deprecated-logs"]
        with output.open("wb") as stream:
            process = spawn(
                command,
                environment=inherited_environment(),
                directory=Path(folder),
                stdout=stream,
                stderr=stream,
            )
        try:
            code = await asyncio.wait_for(exited(process), VALIDATION_SECONDS)
        except asyncio.TimeoutError as error:
            raise MeshError("Envoy's validation of a configuration does not end") from error
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        if code == 0:
            return None
        text = output.read_text(encoding="utf-8", errors="replace")
        _, found, after = text.rpartition(REASON)
        return after.partition(": ")[2].strip() if found else text.strip()


async def find_faulty(
    items: Sequence[Item], objection: Callable[[Sequence[Item]], Awaitable[str | None]]
) -> list[tuple[Item, str]]:
    """The items without which the others are accepted, each with Envoy's reason.

    Each is the last of the shortest beginning of `items` that is refused, found by halving: so an
    item that is refused only in company is found too, and of the company its last.
    """
    left = list(items)
    faulty: list[tuple[Item, str]] = []
    while left and (reason := await objection(left)) is not None:
        accepted, refused = 0, len(left)
        while refused - accepted > 1:
            middle = (accepted + refused) // 2
            found = await objection(left[:middle])
            if found is None:
                accepted = middle
            else:
                refused, reason = middle, found
        faulty.append((left.pop(refused - 1), reason))
    return faulty


def _static(configuration: Configuration, proxy: Proxy, files: Files) -> Json:
    """The configuration as a file that needs no discovery."""
    served = listener(proxy, 0, files, access_log=False)
    manager = served["filter_chains"][0]["filters"][0]["typed_config"]
    del served["@type"], manager["rds"]
    manager["route_config"] = configuration.routes
    clusters = [
        {**cluster.config, "type": "STATIC", "load_assignment": {"cluster_name": name}}
        for name, cluster in configuration.clusters.items()
    ]
    return {"static_resources": {"listeners": [served], "clusters": clusters}}
