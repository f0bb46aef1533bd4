"""The figure: peak memory against steps, the contenders' names at the lines' ends; the time of a step."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from latentsde.benchmarks.adjoint_memory.growth import Growth, Point
from latentsde.benchmarks.adjoint_memory.plan import Plan
from latentsde.benchmarks.wording import duration
from latentsde.plotting.style import MODEL, MUTED, REFERENCE, style

_SIZE = (8.6, 3.9)  # inches
_APART = 0.062  # of the panel's height, between two names
_LIGHT, _LIGHT_REFERENCE = "#6aaed6", "#5fb398"
# Ours blue, torchsde green, others grey; what must not grow is the darker of ours.
_LOOKS: dict[str, tuple[str, str]] = {
    "direct": (_LIGHT, "o"),
    "checkpointed": (_LIGHT, "s"),
    "backsolve": (MODEL, "o"),
    "reversible": (MODEL, "s"),
    "torchsde sdeint": (_LIGHT_REFERENCE, "o"),
    "torchsde sdeint_adjoint": (REFERENCE, "o"),
    "torchsde sdeint_adjoint, reversible": (REFERENCE, "s"),
}


def draw(found: Sequence[Growth], plan: Plan) -> Figure:
    """Memory on logarithmic scales, and the time of a step; hollow and dashed is what was predicted."""
    shown = [growth for growth in found if growth.measured]
    with style():
        figure = Figure(figsize=_SIZE)
        layout = figure.add_gridspec(1, 2, width_ratios=[1.75, 1.0])
        memory, time = figure.add_subplot(layout[0]), figure.add_subplot(layout[1])
        for ax in (memory, time):
            _prepare(ax, plan)
        ends = []
        for growth in shown:
            _draw_line(memory, growth, lambda point: point.mb)
            _draw_line(time, growth, lambda point: point.seconds and point.seconds / point.steps)
            ends.append((growth, _draw_predicted(memory, growth)))
        size = plan.size
        memory.set_title(f"peak memory of a gradient: {size.batch:,} samples, {size.channels} channels")
        memory.yaxis.set_major_formatter(FuncFormatter(_megabytes))
        memory.set_ylim(*_decades([mb for _, mb in ends] + [mb for g in shown for _, mb in g.measured]))
        time.set_title("time of a step")
        time.set_yscale("linear")
        time.set_ylim(bottom=0.0)
        time.yaxis.set_major_formatter(
            FuncFormatter(lambda seconds, _: duration(seconds) if seconds else "0")
        )
        _name(memory, ends, plan.steps)
    return figure


def _prepare(ax: Axes, plan: Plan) -> None:
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlabel("steps")
    ax.set_xticks(plan.steps, [f"{steps:,}" for steps in plan.steps])
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.xaxis.set_minor_locator(LogLocator(10.0, subs=()))
    ax.yaxis.set_minor_locator(LogLocator(10.0, subs=()))
    ax.set_xlim(plan.steps[0] / 1.25, plan.steps[-1] * 1.25)


def _look(growth: Growth) -> dict[str, Any]:
    colour, marker = _LOOKS.get(growth.contender.name, (MUTED, "D"))
    return {
        "color": colour,
        "marker": marker,
        "ms": 4.2,
        "lw": 1.6,
        "zorder": 4 if growth.contender.ours else 3,
    }


def _draw_line(ax: Axes, growth: Growth, value: Callable[[Point], float | None]) -> None:
    there = [(point.steps, figure) for point in growth.points if (figure := value(point)) is not None]
    ax.plot(*zip(*there, strict=True), mec="white", mew=0.5, **_look(growth))


def _draw_predicted(ax: Axes, growth: Growth) -> float:
    """The peak at the line's end."""
    last = growth.measured[-1]
    beyond = [(point.steps, point.predicted_mb) for point in growth.points if point.predicted_mb is not None]
    if not beyond:
        return last[1]
    look = _look(growth)
    ax.plot(*zip(last, *beyond, strict=True), color=look["color"], lw=1.2, ls=(0, (3, 2)), zorder=2)
    ax.plot(*zip(*beyond, strict=True), **look | {"lw": 0}, mfc="white", mew=1.2)
    return beyond[-1][1] or last[1]


def _name(ax: Axes, ends: Sequence[tuple[Growth, float]], steps: Sequence[int]) -> None:
    """Names at the right, moved apart where lines end close to each other."""
    low, high = (math.log(limit) for limit in ax.get_ylim())
    ordered = sorted(ends, key=lambda end: end[1])
    wanted = [(math.log(mb) - low) / (high - low) for _, mb in ordered]
    for (growth, mb), at in zip(ordered, spread(wanted, _APART), strict=True):
        ax.annotate(
            f"latentsde {growth.contender.name}" if growth.contender.ours else growth.contender.name,
            (steps[-1], mb),
            xytext=(1.02, at),
            textcoords="axes fraction",
            va="center",
            color=_look(growth)["color"],
            annotation_clip=False,
        )


def spread(wanted: Sequence[float], apart: float) -> list[float]:
    """Places at least `apart` from each other, as near to the wanted ones, which increase, as that allows."""
    groups: list[list[float]] = []  # [mean of the places wanted, members]
    for place in wanted:
        groups.append([place, 1.0])
        while len(groups) > 1 and groups[-1][0] - groups[-2][0] < apart * (groups[-1][1] + groups[-2][1]) / 2:
            (later, more), (earlier, some) = groups.pop(), groups.pop()
            groups.append([(later * more + earlier * some) / (more + some), more + some])
    return [
        mean + (rank - (members - 1) / 2) * apart for mean, members in groups for rank in range(int(members))
    ]


def _decades(values: Sequence[float]) -> tuple[float, float]:
    return max(min(values), 0.1) / 1.8, max(values) * 1.8


def _megabytes(value: float, place: int | None = None) -> str:
    return f"{value / 1000:g} GB" if value >= 1000 else f"{value:g} MB"
