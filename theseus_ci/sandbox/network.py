"""Where the sandbox's pods really listen.

Objects look as in a real cluster: pods have addresses in 10.0.0.0/8 (a real API server refuses
loopback addresses in an EndpointSlice) and may use ports below 1024. Processes bind, and Envoy
connects, to the folded address: the same host bits in 127.0.0.0/8, and privileged ports moved up,
so that an ordinary user can bind them. Folding is a pure function: whoever needs a pod's real
address computes it, and nobody has to be told.
"""

from __future__ import annotations

import ipaddress

POD_NETWORK = ipaddress.ip_network("10.0.0.0/8")
LOOPBACK_NETWORK = ipaddress.ip_network("127.0.0.0/8")
PRIVILEGED_PORTS = 1024
PRIVILEGED_PORT_OFFSET = 20_000


def fold(address: str, port: int) -> tuple[str, int]:
    """Return the (address, port) at which the pod address and port is really served.

    Addresses outside 10.0.0.0/8 are returned as they are. Raises ValueError for what is not an
    IP address.
    """
    ip = ipaddress.ip_address(address)
    if ip not in POD_NETWORK:
        return address, port
    host_bits = int(ip) - int(POD_NETWORK.network_address)
    folded = ipaddress.ip_address(int(LOOPBACK_NETWORK.network_address) + host_bits)
    return str(folded), port + PRIVILEGED_PORT_OFFSET if port < PRIVILEGED_PORTS else port
