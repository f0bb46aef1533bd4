"""The figure: costs over the bare network and hand-written loops, and times faster than the peers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from latentsde.benchmarks.solver.comparison import Comparison
from latentsde.benchmarks.wording import times
from latentsde.plotting.style import GUIDE, MODEL, MODEL_50, MUTED, OBSERVED, WITHHELD, legend, style

_ROW, _HEADING = 0.2, 1.25  # inches; rows
_MOST = 3.0  # times the peer's time: beyond it there is an arrow with the number
_COLOURS = (MODEL_50, "#4b9bca", MODEL, "#00395a")


def draw(found: Sequence[Comparison]) -> Figure:
    """Dots of every case's ratios, a colour for each size, with the bars; costs left, speeds right."""
    measured = [one for one in found if one.ratio is not None]
    sizes = list(dict.fromkeys(str(one.case.size) for one in measured))
    sides = [
        part for above in (True, False) if (part := [one for one in measured if one.case.ours_above is above])
    ]
    colours = dict(zip(sizes, _COLOURS[-len(sizes) :], strict=False))
    entries: dict[str, Any] = {
        size.replace("x", "×"): Line2D([], [], color=colour, marker="o", ms=4.5, lw=0)
        for size, colour in colours.items()
    }
    entries["bar"] = Line2D([], [], color=WITHHELD, lw=0, marker="|", ms=8, mew=1.8)
    with style():
        figure = Figure(figsize=(9.6, 0.9 + _ROW * max(map(_rows, sides), default=1.0)))
        for place, side in enumerate(sides):
            ax = figure.add_subplot(1, len(sides), place + 1)
            _draw_side(ax, side, colours)
        legend(figure, entries)
    return figure


def _rows(side: Sequence[Comparison]) -> float:
    titles = {one.case.title for one in side}
    return len({(one.case.title, one.case.what) for one in side}) + _HEADING * len(titles)


def _draw_side(ax: Axes, side: Sequence[Comparison], colours: dict[str, str]) -> None:
    place, ticks = 0.0, dict[float, str]()
    for title, group in groupby(side, key=lambda one: one.case.title):
        ax.text(
            1.0,
            place,
            _short(title),
            transform=ax.get_yaxis_transform(),
            ha="right",
            va="center",
            color=OBSERVED,
            zorder=5,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
        )
        place += _HEADING
        by_case: dict[str, list[Comparison]] = {}
        for one in group:
            by_case.setdefault(one.case.what, []).append(one)
        for what, ones in by_case.items():
            ax.axhline(place, color=GUIDE, lw=0.6, zorder=0)
            for one in ones:
                _draw_dot(ax, one, place, list(colours).index(str(one.case.size)), colours)
            ticks[place] = _label(what)
            place += 1.0
    ax.set_ylim(place - 0.4, -0.8)
    ax.set_yticks(list(ticks), list(ticks.values()), fontsize=7)
    ax.tick_params(axis="y", length=0)
    ax.grid(False, axis="y")
    ax.axvline(1.0, color=MUTED, lw=0.8, zorder=1)
    values = [one.ratio or 1.0 for one in side] + [_bar(one) or 1.0 for one in side]
    if side[0].case.ours_above:
        ax.set_xlim(max(0.6, min(0.95, min(values) - 0.05)), 1.05 * min(_MOST, max(values)))
        ax.set_xlabel("times the peer's time: less is better")
        return
    ax.set_xscale("log")
    ax.set_xlim(min(values) / 1.3, max(values) * 1.3)
    ax.set_xlabel("times faster than the peer: more is better")
    ax.xaxis.set_major_locator(LogLocator(10.0, subs=(1.0, 2.0, 5.0)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())


def _draw_dot(ax: Axes, one: Comparison, place: float, rank: int, colours: dict[str, str]) -> None:
    # The sizes of a case lie a little below each other, so that each is seen with its own bar.
    step = 0.62 / max(1, len(colours) - 1) if len(colours) > 1 else 0.0
    at = place - (0.31 if step else 0.0) + step * rank
    colour = colours[str(one.case.size)]
    bar = _bar(one)
    if bar is not None:
        ax.plot([bar] * 2, [at - 0.16, at + 0.16], color=WITHHELD, lw=1.8, solid_capstyle="butt", zorder=3)
    ratio = one.ratio or 0.0
    if one.case.ours_above and ratio > _MOST:
        ax.annotate(
            f"{times(ratio)} \N{RIGHTWARDS ARROW}",
            (_MOST, at),
            color=colour,
            fontsize=5.5,
            ha="right",
            va="center",
        )
        return
    ax.plot(ratio, at, marker="o", ms=3.6, color=colour, mec="white", mew=0.3, zorder=4)


def _bar(one: Comparison) -> float | None:
    bar = one.case.bar
    return None if bar is None else bar.most if bar.most is not None else bar.least


def _short(title: str) -> str:
    """The title in as much room as a panel has."""
    shorter = {
        "forward and backward: ": "",
        "no gradients: ": "",
        "evaluations of f and g": "evaluations",
        "adjoints of constant memory": "constant memory",
        "sdeint_adjoint / constant memory": "sdeint_adjoint / ours",
    }
    for long, short in shorter.items():
        title = title.replace(long, short)
    return title


def _label(what: str) -> str:
    for long, short in {
        "stratonovich": "strat.",
        "forward and backward": "f + b",
        "virtual Brownian ": "",
    }.items():
        what = what.replace(long, short)
    return (
        what.replace(", forward", "")
        .replace("for comparison: a ", "")
        .replace("path without memory", "other path")
    )
