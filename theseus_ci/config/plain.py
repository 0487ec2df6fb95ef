"""Typed values as plain, JSON-able ones, such that decoding them gives the very same values."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from theseus_ci.quantities import Duration, Percentage


def to_plain(value: Any) -> Any:
    """Structs as mappings with the keys of the file, quantities as text, tuples as lists."""
    if isinstance(value, msgspec.Struct):
        encoded = zip(value.__struct_fields__, value.__struct_encode_fields__, strict=True)
        return {key: to_plain(getattr(value, name)) for name, key in encoded}
    if isinstance(value, Duration):
        return _shortest(value, str(value), "s", 1.0)
    if isinstance(value, Percentage):
        return _shortest(value, str(value), "%", 100.0)
    if isinstance(value, list | tuple):
        return [to_plain(inner) for inner in value]
    if isinstance(value, dict):
        return {key: to_plain(inner) for key, inner in value.items()}
    return value


def decode_quantity(kind: type, given: object) -> Any:
    """msgspec's hook for the types it does not know. Raises ValueError with what to write."""
    if issubclass(kind, Duration | Percentage):
        return kind.parse(given)
    raise NotImplementedError(kind)


def _shortest(value: Duration | Percentage, usual: str, unit: str, scale: float) -> str:
    """The usual text if it loses nothing, else as many digits as it takes."""
    texts = [usual]
    texts += [f"{_digits(float(value) * scale, count)}{unit}" for count in range(1, 19)]
    for text in texts:
        try:
            if type(value).parse(text) == value:
                return text
        except ValueError:
            continue
    return texts[-1]


def _digits(number: float, count: int) -> str:
    return format(Decimal(f"{number:.{count}g}"), "f")
