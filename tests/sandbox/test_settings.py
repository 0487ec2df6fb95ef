"""Ports that a sandbox chooses before it listens on them."""

from __future__ import annotations

from pathlib import Path

from theseus_ci.sandbox.settings import Settings


def test_no_outgoing_connection_can_get_a_chosen_port_first() -> None:
    first, last = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    for _ in range(20):
        chosen = Settings().with_ports(prefer_fixed=False)
        ports = {chosen.api_port, chosen.gateway_port, chosen.sidecar_port}
        assert len(ports) == 3
        assert not ports & set(range(first, last + 1))
