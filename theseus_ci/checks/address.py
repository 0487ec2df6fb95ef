"""Where pods and the mesh's entrance are reached from here."""

from __future__ import annotations

import ipaddress
from urllib.parse import SplitResult, urlsplit

from theseus_ci.errors import ConfigError
from theseus_ci.model import PodNetwork

PRIVILEGED_PORTS = 1024


def fold(address: str, port: int, network: PodNetwork | None) -> tuple[str, int]:
    """Return the (address, port) at which a pod is reached.

    Addresses outside of the network, and all where there is none, are returned as they are.
    Raises ValueError for what is not an IP address.
    """
    ip = ipaddress.ip_address(address)
    if network is None:
        return address, port
    origin = ipaddress.ip_network(network.from_)
    if ip not in origin:
        return address, port
    destination = ipaddress.ip_network(network.to)
    host_bits = int(ip) - int(origin.network_address)
    folded = ipaddress.ip_address(int(destination.network_address) + host_bits)
    return str(folded), (port + network.privileged_port_offset if port < PRIVILEGED_PORTS else port)


def bracketed(address: str) -> str:
    """An address as part of a URL: IPv6 goes into brackets."""
    return f"[{address}]" if ":" in address else address


def split_entrypoint(entrypoint: str) -> SplitResult:
    """Take an entrypoint's URL apart. Raises ConfigError where it cannot be one."""
    try:
        parts = urlsplit(entrypoint)
        (parts.hostname or "").encode("idna")  # as the system's resolver will want it
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not entrypoint.isprintable() or parts.username or parts.query:
        raise ConfigError(
            f"{entrypoint!r} is not a URL such as http://127.0.0.1:8080", where="entrypoint"
        )
    return parts


def default_port(parts: SplitResult) -> int:
    """The port of a URL, written or not."""
    return parts.port or (443 if parts.scheme == "https" else 80)
