"""Numbers from outside, checked: one sentence for what is out of range."""

from __future__ import annotations

import math

from .errors import InputError, quote


def whole(name: str, value: object, *, at_least: int) -> None:
    """InputError where the value is not a whole number of at least so much."""
    if isinstance(value, bool) or not isinstance(value, int) or value < at_least:
        raise InputError(f"{name} must be a whole number of at least {at_least}, got {quote(value)}")


def within(name: str, value: object, low: float, high: float, *, above: bool = False) -> None:
    """InputError where the value is not a finite number from `low` to `high`, `low` itself not if `above`."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if not number or not low <= value <= high or (above and value == low):  # type: ignore[operator]
        limits = f"above {low:g}" if above else f"of at least {low:g}"
        limits += f" and at most {high:g}" if math.isfinite(high) else ""
        raise InputError(f"{name} must be a finite number {limits}, got {quote(value)}")
