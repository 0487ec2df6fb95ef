"""Istio's validating webhook: what the API server asks Istio about, and whether it does."""

from __future__ import annotations

import asyncio
import base64
import time
from pathlib import Path
from typing import Any

from theseus_ci.sandbox.client import ApiClient, ApiError
from theseus_ci.sandbox.mesh.envoy import MeshError
from theseus_ci.sandbox.settings import LOOPBACK

Json = dict[str, Any]

NAME = "validation.istio.io"
CONFIGURATIONS = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
GROUPS = ("security", "networking", "telemetry", "extensions")
POLL_SECONDS = 0.05
_PROBE_PATH = "/apis/networking.istio.io/v1/namespaces/istio-system/virtualservices?dryRun=All"
_PROBE = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "VirtualService",
    "metadata": {"name": "sandbox-routes-nothing"},
    "spec": {"hosts": ["sandbox.invalid"]},
}
"""Right by its schema, and refused by Istio."""


def configuration(port: int, authority: Path) -> Json:
    """As Istio's chart has it. It passes what it cannot ask about: a translation that was killed
    and comes back has objects of its own to write first."""
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "istiod-default-validator"},
        "webhooks": [
            {
                "name": NAME,
                "clientConfig": {
                    "url": f"https://{LOOPBACK}:{port}/validate",
                    "caBundle": base64.b64encode(authority.read_bytes()).decode(),
                },
                "rules": [
                    {
                        "operations": ["CREATE", "UPDATE"],
                        "apiGroups": [f"{group}.istio.io" for group in GROUPS],
                        "apiVersions": ["*"],
                        "resources": ["*"],
                    }
                ],
                "failurePolicy": "Ignore",
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
            }
        ],
    }


async def until_refusing(client: ApiClient, seconds: float) -> None:
    """Wait until the API server asks Istio before it stores something. Raises MeshError."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            await client.create(_PROBE_PATH, _PROBE)
        except ApiError as error:
            if NAME in str(error):
                return
        await asyncio.sleep(POLL_SECONDS)
    raise MeshError("the API server does not ask Istio's webhook")
