"""Quantities in the one form in which the API server writes them: 1000m is 1, 1024Mi is 1Gi."""

from __future__ import annotations

import re
from decimal import Decimal

QUANTITY = re.compile(r"^([+-]?(?:\d+\.?\d*|\.\d+))([A-Za-z]{0,2}|[eE][+-]?\d+)$")
BINARY = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}


def canonical(text: str) -> str:
    """The canonical form of a quantity; ValueError when it is none."""
    match = QUANTITY.match(text)
    if match is None:
        raise ValueError(text)
    number, suffix = Decimal(match[1]), match[2]
    if suffix in BINARY[1:]:
        return _binary(number * 1024 ** BINARY.index(suffix))
    if suffix in DECIMAL:
        return _decimal(number.scaleb(DECIMAL[suffix]))
    if suffix[:1] in ("e", "E") and suffix[1:].lstrip("+-").isdigit():
        return text
    raise ValueError(text)


def _binary(value: Decimal) -> str:
    if value != value.to_integral_value() or abs(value) < 1024:
        return _decimal(value)
    whole, power = int(value), 0
    while whole and whole % 1024 == 0 and power < len(BINARY) - 1:
        whole, power = whole // 1024, power + 1
    return f"{whole}{BINARY[power]}"


def _decimal(value: Decimal) -> str:
    if value == 0:
        return "0"
    for suffix, power in sorted(DECIMAL.items(), key=lambda item: -item[1]):
        scaled = value.scaleb(-power)
        if scaled == scaled.to_integral_value():
            return f"{int(scaled)}{suffix}"
    return f"{int(value.scaleb(9).to_integral_value(rounding='ROUND_CEILING'))}n"
