"""The relays of a measurement, in a thread of their own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

from theseus_ci.config.performance import Performance
from theseus_ci.load.drivers.relay import Allowance, Relay
from theseus_ci.load.wire import Address, tls_context
from theseus_ci.measure import LoadTarget, Version

_TURNS, _TURN = 100, 0.01  # how often, and how many seconds each, closing is waited for


@contextmanager
def relays(
    target: LoadTarget,
    performance: Performance,
    new_loop: Callable[[], asyncio.AbstractEventLoop],
) -> Iterator[Mapping[Version, Relay]]:
    """One relay for each version, until the block ends. Raises what opening them raises."""
    address = Address.of(target)
    tls = tls_context(performance.tls) if address.tls else None
    allowance = Allowance(performance.max_rate)
    loop = new_loop()
    try:
        place = loop.run_until_complete(address.resolve())[0]
        made = {arm.version: Relay(address, place, tls, arm, allowance) for arm in target.arms}
        servers = [loop.run_until_complete(relay.listen()) for relay in made.values()]
        thread = threading.Thread(target=loop.run_forever, name="relay", daemon=True)
        thread.start()
        try:
            yield made
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            for server in servers:
                server.close()
            loop.run_until_complete(_let_go(made.values()))
    finally:
        loop.close()


async def _let_go(made: Iterable[Relay]) -> None:
    """End what a tool has left open, and what is still being opened."""
    opening = asyncio.all_tasks() - {asyncio.current_task()}
    for task in opening:
        task.cancel()
    await asyncio.gather(*opening, return_exceptions=True)
    for relay in made:
        for transport in tuple(relay.open):
            transport.abort()
    for _ in range(_TURNS):
        if any(relay.open for relay in made):
            await asyncio.sleep(_TURN)
