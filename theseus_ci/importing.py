"""Importing what a command needs, out of the collector's sight.

Modules stay until the process ends. A collector that watches them come looks through all of them
again and again, and once more at the end, and finds nothing: a fifth of the time that the
Kubernetes client takes to import.
"""

from __future__ import annotations

import gc
import importlib
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing takes as long as everything of ours that `--help` needs
    from types import ModuleType


def load(name: str) -> ModuleType:
    """The module, with all that it imports."""
    if name in sys.modules:  # what has come to be since then is the collector's
        return sys.modules[name]
    collects = gc.isenabled()
    gc.disable()
    try:
        return importlib.import_module(name)
    finally:
        gc.freeze()
        if collects:
            gc.enable()
