"""What a worker is told: the whole load, of which its index decides the share.

The order holds the rollout's secret header and whatever the configuration's requests hold. It
travels in a Secret and nowhere else.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import Any

import msgspec

from theseus_ci import __version__
from theseus_ci.config.performance import Performance
from theseus_ci.config.plain import decode_quantity, to_plain
from theseus_ci.errors import UsageError
from theseus_ci.measure import LoadTarget, Version, slice_size

SCHEMA = 1
FOLDER = "/etc/theseus-ci/load"  # where workers find the Secret's files
ORDER_FILE = "order.json"
AUTHORITY_FILE = "ca.pem"  # beside it: what performance.tls.ca holds
SHORTEST_SLICE = 0.05  # seconds; in a shorter one the clocks of two nodes may not even overlap


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """The load, the same for every worker."""

    schema: int = SCHEMA
    theseus: str = __version__  # a worker of another version might understand it otherwise
    rollout: str
    edit: int  # of the routes: an answer to a worker must prove at least this one
    probe_path: str
    target: LoadTarget
    performance: dict[str, Any]  # under the keys of theseus.yaml
    seed: int
    workers: int
    size: int  # requests in one worker's slice
    epoch: float  # seconds since the epoch: when pair 0 is due
    hidden: tuple[str, ...] = ()  # texts that no log may show
    longest: float  # seconds after which a worker stops by itself, whoever listens

    def settings(self) -> Performance:
        """The configuration of the whole load."""
        return msgspec.convert(self.performance, Performance, dec_hook=decode_quantity)

    @property
    def timetable(self) -> Timetable:
        """When which pair is due."""
        requests = self.workers * self.size * len(self.target.arms)
        return Timetable(self.epoch, requests / self.settings().rate)


class Timetable(msgspec.Struct, frozen=True):
    """Pairs one after the other since `epoch` (seconds), each `period` seconds long.

    A worker's clock decides where it stands, so nobody has to give a sign to begin.
    """

    epoch: float
    period: float

    def due(self, number: int) -> float:
        """When pair `number` begins, in seconds since the epoch."""
        return self.epoch + number * self.period

    def next(self, now: float) -> int:
        """The first pair that begins at `now` or later."""
        return max(0, math.ceil((now - self.epoch) / self.period))


def share_size(performance: Performance, workers: int) -> int:
    """Requests in one worker's slice, so that all of them make up a slice of the usual size, or of
    SHORTEST_SLICE seconds where the rate is so high that this is more."""
    whole = max(slice_size(performance), math.ceil(performance.rate * SHORTEST_SLICE))
    return max(1, math.ceil(whole / workers))


def order_of_versions(versions: Sequence[Version], seed: int, number: int) -> tuple[Version, ...]:
    """Which version comes first in pair `number`: a coin that shows every worker the same side,
    whenever it joins."""
    coin = hashlib.sha256(f"{seed}/{number}".encode()).digest()[0] & 1
    return tuple(versions) if coin else tuple(reversed(versions))


def encode(order: Order) -> bytes:
    """The order as JSON."""
    return msgspec.json.encode(order)


def decode(data: bytes, where: str) -> Order:
    """Read an order. Raises UsageError, naming `where`; also for one of another version."""
    try:
        version = msgspec.json.decode(data).get("theseus")
        if version != __version__:
            raise UsageError(
                f"the load was ordered by theseus-ci {version}, and this image holds {__version__}",
                remedy=f"build performance.load.image with theseus-ci {version}",
            )
        order = msgspec.json.decode(data, type=Order)
        order.settings()
    except (msgspec.DecodeError, AttributeError, UnicodeDecodeError) as error:
        raise UsageError(f"{where} holds no order for a load: {error}") from error
    return order


def settings_in_order(performance: Performance) -> dict[str, Any]:
    """The configuration as an order carries it."""
    return dict(to_plain(performance))
