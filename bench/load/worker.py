"""A Python client for a while, as a process of its own; prints its figures as JSON.

python -m bench.load.worker ours|bare|aiohttp|requests URL RATE SECONDS CONNECTIONS
"""

from __future__ import annotations

import json
import sys
from importlib import import_module

from theseus_ci.judge.summary import quantile

if __name__ == "__main__":
    name, url, rate, seconds, connections = sys.argv[1:]
    measure = import_module(f"bench.load.workers.{name}").measure
    found, late = measure(url, float(rate), float(seconds), int(connections))
    found.sort()
    late.sort()
    figures = {"p50": (found, 0.5), "p99": (found, 0.99), "late": (late, 0.99)}
    print(
        json.dumps({key: quantile(of, q) / 1e6 if of else None for key, (of, q) in figures.items()})
    )
