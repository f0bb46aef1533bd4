"""Values that a table gives by their limits alone: "<0.3", ">40", "5-10", as laboratories write them."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_BELOW = re.compile(rf"(?:<=?|≤)\s*({_NUMBER})")
_ABOVE = re.compile(rf"(?:>=?|≥)\s*({_NUMBER})")
_BETWEEN = re.compile(rf"({_NUMBER})\s*(?:\.\.|-|–)\s*({_NUMBER})")


def parse_limits(text: str) -> tuple[float, float] | None:
    """The ends of the interval a text names, infinite where it is open; None for any other text."""
    if match := _BELOW.fullmatch(text):
        ends = -np.inf, float(match[1])
    elif match := _ABOVE.fullmatch(text):
        ends = float(match[1]), np.inf
    elif match := _BETWEEN.fullmatch(text):
        ends = float(match[1]), float(match[2])
    else:
        return None
    if not all(np.isfinite(float(number)) for number in match.groups()):  # 1e999
        return None
    return ends if ends[0] < ends[1] else None


def format_limits(lower: float, upper: float) -> str:
    """The text that `parse_limits` reads."""
    if np.isinf(lower):
        return f"<{float(upper)!r}"
    if np.isinf(upper):
        return f">{float(lower)!r}"
    return f"{float(lower)!r}..{float(upper)!r}"


def text_limits(text: pd.Series, strange: np.ndarray) -> np.ndarray:
    """(rows, 2) the limits named by the texts where `strange` (rows,), NaN elsewhere and where there are
    none.
    """
    limits = np.full((len(text), 2), np.nan)
    for row in np.flatnonzero(strange):
        ends = parse_limits(text.iloc[row])
        if ends is not None:
            limits[row] = ends
    return limits


def representative(limits: np.ndarray) -> np.ndarray:
    """(...,) one number for limits (..., 2): the finite one, or the middle of both."""
    lower, upper = limits[..., 0], limits[..., 1]
    start = np.where(np.isneginf(lower), upper, lower)
    end = np.where(np.isposinf(upper), lower, upper)
    return start + (end - start) / 2
