"""The tables as text: peak memory and time of each contender, a column for each number of steps."""

from __future__ import annotations

from collections.abc import Sequence

from latentsde.benchmarks.adjoint_memory.growth import ALLOWED, Growth, Point
from latentsde.benchmarks.adjoint_memory.plan import Plan
from latentsde.benchmarks.wording import duration, times

_VERDICT = {True: "met", False: "NOT MET", None: ""}


def memory_heading(plan: Plan) -> str:
    """The columns of memory."""
    title = f"peak memory of a forward and backward solve, MB above the level before; {plan.size}"
    return f"\n{title}\n{_line('', [f'{steps:,}' for steps in plan.steps], 'last/first', 'required')}"


def memory_row(growth: Growth) -> str:
    """A contender's memory; a peak in brackets is predicted."""
    return _line(
        growth.contender.name,
        [_megabytes(point) for point in growth.points],
        "" if growth.grown is None else times(growth.grown),
        f"<= {ALLOWED:g}" if growth.contender.constant else "",
        _VERDICT[growth.met],
        f"({growth.note})" if growth.note else "",
    )


def time_heading(plan: Plan) -> str:
    """The columns of time."""
    return f"\ntime of it\n{_line('', [f'{steps:,}' for steps in plan.steps], 'a step')}"


def time_row(growth: Growth) -> str:
    """A contender's times, and the time of a step of the longest solve."""
    taken = [(point.steps, point.seconds) for point in growth.points if point.seconds is not None]
    cells = [duration(seconds) for _, seconds in taken]
    cells += [""] * (len(growth.points) - len(cells))
    return _line(growth.contender.name, cells, duration(taken[-1][1] / taken[-1][0]) if taken else "")


def verdict(found: Sequence[Growth]) -> str:
    """How many of the bars are met, and how many could not be measured."""
    barred = [growth for growth in found if growth.contender.constant]
    absent = sum(growth.met is None for growth in barred)
    words = f"{sum(growth.met is True for growth in barred)} of {len(barred)} bars met"
    return words + (f", {absent} not measured" if absent else "")


def _megabytes(point: Point) -> str:
    if point.mb is None:
        return f"[{point.predicted_mb:,.0f}]"
    return f"{point.mb:,.{1 if point.mb < 1_000 else 0}f}"


def _line(name: str, cells: Sequence[str], grown: str, *rest: str) -> str:
    columns = "".join(f"{cell:>10}" for cell in cells)
    return f"  {name:<36}{columns}{grown:>12}  {'  '.join(filter(None, rest))}".rstrip()
