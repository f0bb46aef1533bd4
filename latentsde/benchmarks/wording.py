"""Numbers and lines of a table as text."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """Three digits with ns, µs, ms or s."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= 0.9995 * size:
            return f"{_three_digits(seconds / size)} {unit}"
    return f"{_three_digits(seconds / 1e-9)} ns"


def times(ratio: float) -> str:
    """A ratio with three digits, never as a power of ten where it is large."""
    return f"{ratio:,.0f}" if ratio >= 99.95 else f"{ratio:.3g}"


def line(form: str, *cells: str) -> str:
    """The cells in the columns of `form`, without blanks at the end."""
    return form.format(*cells).rstrip()


def _three_digits(value: float) -> str:
    return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f}"
