"""A Python client for a while, as a process of its own; prints its figures as JSON.

python -m bench.load.worker ours|aiohttp|requests URL RATE SECONDS CONNECTIONS
"""

from __future__ import annotations

import json
import sys
import time
from importlib import import_module

from theseus_ci.judge.summary import quantile

if __name__ == "__main__":
    name, url, rate, seconds, connections = sys.argv[1:]
    measure = import_module(f"bench.load.workers.{name}").measure
    began = time.monotonic()
    found, late = measure(url, float(rate), float(seconds), int(connections))
    taken = time.monotonic() - began
    found.sort()
    late.sort()
    print(
        json.dumps(
            {
                "p50": quantile(found, 0.5) / 1e6,
                "p99": quantile(found, 0.99) / 1e6,
                "late": quantile(late, 0.99) / 1e6,
                "rate": len(found) / max(taken, float(seconds)),
            }
        )
    )
