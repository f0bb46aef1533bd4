"""The table as text: a heading for each peer, a line for each case."""

from __future__ import annotations

from collections.abc import Sequence

from latentsde.benchmarks.brownian.cases import ONE_CALL, Group
from latentsde.benchmarks.brownian.comparison import Comparison
from latentsde.benchmarks.brownian.memory import ALLOWED, Growth
from latentsde.benchmarks.timing import Timing
from latentsde.benchmarks.wording import duration, line, times

_COLUMNS = "  {:<40} {:<12} {:>11} {:>9} {:>9} {:>8} {:>8}  {}"
_MEMORY = "  {:<40} {:>20} {:>9} {:>9} {:>8} {:>8}  {}"
_VERDICT = {True: "met", False: "NOT MET", None: ""}


def heading(title: str) -> str:
    """The peer, and the columns below it."""
    columns = ("case", "shape", "steps", "ours", "peer", "faster", "required", "")
    against = title if title == ONE_CALL else f"against {title}"
    return f"\n{against}\n{line(_COLUMNS, *columns)}"


def lines(group: Group, found: Sequence[Comparison]) -> list[str]:
    """A line for each comparison of a group, or the one that says how to have its peer."""
    shape = str(group.shape).replace(" ", "")
    if group.absent:
        return [f"  {'':<40} {shape:<12} {group.absent}"]
    return [
        line(
            _COLUMNS,
            row.case.what,
            shape,
            _steps(row.ours),
            duration(row.ours.median),
            duration(row.peer.median),
            times(row.faster),
            row.required,
            " ".join(filter(None, [_VERDICT[row.met], _peer_note(row.peer)])),
        )
        for row in found
    ]


def memory_heading(shape: tuple[int, ...]) -> str:
    """The columns of the memory table."""
    columns = ("sweep", "steps", "short", "long", "grown", "required", "")
    size = str(shape).replace(" ", "")
    return f"\npeak resident memory of a sweep of {size}, MB\n{line(_MEMORY, *columns)}"


def memory_line(growth: Growth) -> str:
    """A line: the steps of the short and the long sweep, their peaks, and the difference."""
    done = growth.peaks[-1][0]
    cut = "" if growth.complete else f"(cut off after {growth.seconds:.0f} s, of {growth.steps[1]:,} steps)"
    return line(
        _MEMORY,
        growth.what,
        f"{growth.short[0]:,} / {done:,}",
        f"{growth.short[1]:.1f}",
        f"{growth.peaks[-1][1]:.1f}",
        f"{growth.grown:.1f}",
        f"<= {ALLOWED:g}" if growth.required else "",
        " ".join(filter(None, [_VERDICT[growth.met], cut])),
    )


def verdict(found: Sequence[Comparison], growths: Sequence[Growth]) -> str:
    """How many of the requirements are met, and what was left open."""
    required: list[bool | None] = [row.met for row in found if row.met is not None]
    required += [growth.met for growth in growths if growth.required]
    words = f"{sum(met is True for met in required)} of {len(required)} requirements met"
    undecided = sum(met is None for met in required)
    return words + (f", {undecided} not measured to the end" if undecided else "")


def _steps(timing: Timing) -> str:
    return f"{timing.steps}" if timing.steps == timing.full else f"{timing.steps} of {timing.full}"


def _peer_note(peer: Timing) -> str:
    return "" if peer.steps == peer.full else f"(peer: {_steps(peer)} steps)"
