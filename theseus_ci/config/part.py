"""What every part of the configuration has in common.

Where parts are declared annotations are values, not texts as elsewhere: msgspec would compile every
one of them in each process that reads a configuration.
"""

from __future__ import annotations

import msgspec


class Part(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """Base of every part of the configuration: camelCase in YAML, unknown keys are errors."""
