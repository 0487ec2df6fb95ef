"""What a sandbox is started with."""

from __future__ import annotations

import secrets
import socket
from dataclasses import asdict, dataclass, replace
from typing import Any

from theseus_ci.errors import UsageError

LOOPBACK = "127.0.0.1"
PORTS = {"api_port": 16443, "gateway_port": 18080, "sidecar_port": 18081}
"""Preferred by the sandbox named default; a port of 0 stands for "choose one"."""


CHOSEN_FROM = range(22_000, 30_000)
"""Below those of outgoing connections, which are 32768 and above unless set otherwise."""
ATTEMPTS = 1000
SANDBOX, REAL = "sandbox", "real"
CONTROL_PLANES = (SANDBOX, REAL)


@dataclass(frozen=True)
class Settings:
    """Times in seconds; `images`: the text of images.yaml, or empty.

    With the control plane `real` the mesh is Istio's, and takes the time it takes: the two delays
    come on top of that.
    """

    control_plane: str = SANDBOX
    api_port: int = 0
    gateway_port: int = 0
    sidecar_port: int = 0
    gateway_delay: float = 0.3
    sidecar_delay: float = 0.3
    client_namespace: str = "default"
    hpa_stabilization: float = 5.0
    crash_back_off: float = 10.0
    images: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of_json(cls, content: dict[str, Any]) -> Settings:
        return cls(**content)

    def with_ports(self, *, prefer_fixed: bool) -> Settings:
        """Choose the ports that are still 0: the preferred one when it is free, or any.

        Raises UsageError when a port that was asked for is taken.
        """
        chosen: dict[str, int] = {}
        for field, preferred in PORTS.items():
            asked = getattr(self, field)
            if asked:
                if not _is_free(asked):
                    raise UsageError(
                        f"port {asked} is taken (--{field.replace('_', '-')})",
                        remedy="name another one, or none to have one chosen",
                    )
                chosen[field] = asked
            elif prefer_fixed and _is_free(preferred):
                chosen[field] = preferred
        for field in PORTS:
            if field not in chosen:
                chosen[field] = free_port(set(chosen.values()))
        if len(set(chosen.values())) < len(chosen):
            raise UsageError("the three ports must differ")
        return replace(
            self,
            api_port=chosen["api_port"],
            gateway_port=chosen["gateway_port"],
            sidecar_port=chosen["sidecar_port"],
        )


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def free_port(taken: set[int]) -> int:
    """A loopback port that nobody uses now, and that is none of `taken`.

    It is used some seconds later. Until then anybody's outgoing connection could get it, were it
    one of those that the system gives to these.
    """
    for _ in range(ATTEMPTS):
        port = CHOSEN_FROM[secrets.randbelow(len(CHOSEN_FROM))]
        if port not in taken and _is_free(port):
            return port
    raise UsageError(f"no port from {CHOSEN_FROM[0]} to {CHOSEN_FROM[-1]} is free")
