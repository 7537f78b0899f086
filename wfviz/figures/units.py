"""Seconds and bytes as a person writes them."""

from __future__ import annotations

import math
from collections.abc import Sequence

SECONDS = {0.001: "1 ms", 0.1: "100 ms", 1: "1 s", 10: "10 s", 60: "1 min", 600: "10 min", 3600: "1 h", 36_000: "10 h"}  # marks of an axis
BYTES = {1: "1 B", 1e3: "1 kB", 1e6: "1 MB", 1e9: "1 GB"}
_SECONDS = ((3600, "h"), (60, "min"), (1, "s"), (0.001, "ms"))
_BYTES = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1, "B"))


def short_seconds(seconds: float) -> str:
    """`3.6 ms`, `230 ms`, `41 s`, `3.5 min`, `1,000 h`; a dash for nan."""
    return _short(seconds, _SECONDS) or "0 s"


def short_bytes(number: float) -> str:
    """`8 B`, `1.5 kB`, `44.7 MB`, in powers of 1,000; a dash for nan."""
    return _short(number, _BYTES) or "0 B"


def _short(value: float, units: Sequence[tuple[float, str]]) -> str:
    """The value in the largest unit of which it is at least one, once rounded; "" for nothing."""
    if not math.isfinite(value):
        return "–"
    for size, unit in units:
        rounded = float(f"{value / size:.3g}")
        if rounded >= 1 or (rounded and unit == units[-1][1]):
            return f"{rounded:,.0f} {unit}" if rounded >= 100 else f"{rounded:g} {unit}"
    return ""
