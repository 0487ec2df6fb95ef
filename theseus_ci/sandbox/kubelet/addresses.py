"""Pod addresses that no other sandbox on this machine uses.

Pods of every sandbox really listen in the one 127.0.0.0/8, so each kubelet claims blocks of it: the
block 10.a.b.0/24 belongs to whoever holds the abstract unix socket named after it. The kernel
keeps such names per network namespace, as it does loopback addresses, across users, and drops the
claim with its process. `a` is 128 to 254 (outside the usual Service networks, and never 127.0.x.y),
`b` 0 to 255; the first try is derived from the sandbox's directory, so that a restarted kubelet
finds its block again.
"""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterator
from pathlib import Path

FIRST, LAST = 1, 254
_FIRST_OCTETS = range(128, 255)
_BLOCKS = len(_FIRST_OCTETS) * 256


class NoAddressLeftError(Exception):
    """Every block is claimed by other sandboxes."""


class PodNetwork:
    """Hands out addresses; an address comes round again only after all others of its block."""

    def __init__(self, directory: Path) -> None:
        digest = hashlib.sha256(str(directory.resolve()).encode()).digest()
        self._next_block = int.from_bytes(digest[:4], "big") % _BLOCKS
        self._claims: list[socket.socket] = []
        self._blocks: list[str] = []
        self._used: set[str] = set()
        self._last = 0

    def allocate(self, wanted: str | None = None) -> str:
        """Return a free address, `wanted` if it is ours and free. Raises NoAddressLeftError."""
        if not self._blocks:
            self._claim_block()
        if wanted and wanted.rpartition(".")[0] in self._blocks and wanted not in self._used:
            self._used.add(wanted)
            return wanted
        for address in self._candidates():
            if address not in self._used:
                self._used.add(address)
                return address
        self._claim_block()
        return self.allocate()

    def release(self, address: str) -> None:
        self._used.discard(address)

    def close(self) -> None:
        for claim in self._claims:
            claim.close()

    def _candidates(self) -> Iterator[str]:
        total = len(self._blocks) * LAST
        for step in range(total):
            position = (self._last + step) % total
            block, host = divmod(position, LAST)
            address = f"{self._blocks[block]}.{FIRST + host}"
            if address not in self._used:
                self._last = (position + 1) % total
            yield address

    def _claim_block(self) -> None:
        for _ in range(_BLOCKS):
            first, second = divmod(self._next_block, 256)
            self._next_block = (self._next_block + 1) % _BLOCKS
            block = f"10.{_FIRST_OCTETS[first]}.{second}"
            claim = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                claim.bind(f"\0theseus-ci-sandbox-{block}")
            except OSError:
                claim.close()
                continue
            self._claims.append(claim)
            self._blocks.append(block)
            return
        raise NoAddressLeftError(
            f"all {_BLOCKS} blocks of pod addresses are taken by other sandboxes"
        )
