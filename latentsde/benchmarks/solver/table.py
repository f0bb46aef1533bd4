"""The table as text: a heading for each ratio, a line for each case."""

from __future__ import annotations

from collections.abc import Sequence

from latentsde.benchmarks.solver.comparison import Comparison
from latentsde.benchmarks.wording import duration, line, times

_COLUMNS = "  {:<56} {:<13} {:>8} {:>8} {:>7} {:>9}  {}"
_VERDICT = {True: "met", False: "NOT MET", None: ""}


def heading(title: str) -> str:
    """The ratio, and the columns below it."""
    columns = ("case", "size", "ours", "peer", "ratio", "required", "")
    return f"\n{title}\n{line(_COLUMNS, *columns)}"


def row(found: Comparison) -> str:
    """A line of the table."""
    case, ratio = found.case, found.ratio
    return line(
        _COLUMNS,
        case.what,
        str(case.size),
        "" if found.ours is None else duration(found.ours.median),
        "" if found.peer is None else duration(found.peer.median),
        "" if ratio is None else times(ratio),
        found.required,
        " ".join(filter(None, [_VERDICT[found.met], f"({found.note})" if found.note else ""])),
    )


def verdict(found: Sequence[Comparison]) -> str:
    """How many of the bars are met, and how many could not be measured."""
    barred = [comparison for comparison in found if comparison.case.bar is not None]
    absent = sum(comparison.met is None for comparison in barred)
    words = f"{sum(comparison.met is True for comparison in barred)} of {len(barred)} bars met"
    return words + (f", {absent} not measured" if absent else "")
