"""What the parts of the kubelet share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from theseus_ci.sandbox.client import ApiClient
from theseus_ci.sandbox.kubelet.addresses import PodNetwork
from theseus_ci.sandbox.kubelet.config_source import ConfigSource
from theseus_ci.sandbox.kubelet.events import Events
from theseus_ci.sandbox.kubelet.images import Images

HOST_ADDRESS = "127.0.0.1"
POD_MARKER = "THESEUS_POD_UID"
"""Environment variable that each process of a pod carries: the pod's uid."""
KUBELET_MARKER = "THESEUS_KUBELET_DIRECTORY"
"""Environment variable that each process of any pod carries: its kubelet's directory."""


@dataclass(frozen=True)
class Settings:
    """back_off: seconds before the second restart; log_size: bytes before a log is rotated.

    `log_server_tls`: an API server other than the sandbox's fetches logs over TLS only.
    `binds`: pods that nobody has given a node go to this one.
    """

    node_name: str
    directory: Path
    back_off: float
    log_size: int
    log_server_tls: bool = False
    binds: bool = True


@dataclass(frozen=True)
class Context:
    """`environment`: variables that every container gets."""

    settings: Settings
    client: ApiClient
    events: Events
    images: Images
    network: PodNetwork
    source: ConfigSource
    environment: Mapping[str, str]
