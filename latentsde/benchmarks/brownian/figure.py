"""The figure: how many times faster than each peer, and memory over the length of a sweep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from latentsde.benchmarks.brownian.cases import BLOCK, CALL, NOISE
from latentsde.benchmarks.brownian.comparison import Comparison
from latentsde.benchmarks.brownian.memory import ALLOWED, Growth
from latentsde.benchmarks.wording import times
from latentsde.plotting.style import (
    MODEL,
    MODEL_50,
    MUTED,
    OBSERVED,
    REFERENCE,
    WITHHELD,
    legend,
    signed,
    style,
)

_ROW, _MEMORY_HEIGHT = 0.155, 1.75  # inches
_HEADING = 1.3  # rows
_TOP = 2.6 * ALLOWED  # MB: a peer that stores its path leaves the panel, ours is what is to be seen


@dataclass(frozen=True)
class Bar:
    """A bar of the figure: `value` times as good as `heading` says, where `least` is required."""

    heading: str
    label: str
    value: float
    least: float | None


def draw(found: Sequence[Comparison], growths: Sequence[Growth]) -> Figure:
    """Bars of the times faster on logarithmic scales, each with what is required; peak memory below."""
    bars = [bar for row in found if (bar := _bar(row)) is not None]
    noise = [bar for bar in bars if bar.heading.endswith(NOISE)]
    # Without its short sweep there is nothing to compare with.
    growths = [growth for growth in growths if growth.short[0] == growth.steps[0]]
    columns = [part for part in (noise, [bar for bar in bars if bar not in noise]) if part]
    height = _ROW * max(map(_rows, columns), default=0.0) + 0.35
    heights = [height] * bool(columns) + [_MEMORY_HEIGHT] * bool(growths)
    entries: dict[str, Any] = {
        "ours": Patch(color=MODEL),
        "ours, nothing required": Patch(color=MODEL_50),
        "required": Line2D([], [], color=WITHHELD, lw=1.8),
    }
    with style():
        figure = Figure(figsize=(8.6, 0.4 + sum(heights)))
        layout = figure.add_gridspec(max(1, len(heights)), 2, height_ratios=heights or [1.0])
        for place, column in enumerate(columns):
            cell = layout[0, place] if len(columns) > 1 else layout[0, :]
            _draw_bars(figure.add_subplot(cell), column)
        if growths:
            _draw_memory(figure.add_subplot(layout[-1, :]), growths)
            if not all(growth.required for growth in growths):
                entries["torchsde"] = Line2D([], [], color=REFERENCE, lw=1.2)
        legend(figure, entries)
    return figure


def _bar(row: Comparison) -> Bar | None:
    what = row.case.what.replace(CALL, "calls").replace(BLOCK, "blocks")
    label = f"{what}  {'×'.join(map(str, row.shape))}"
    if not row.overhead:
        return Bar(f"times faster than {row.title}", label, row.faster, row.case.at_least)
    if row.case.at_most is None:
        return None
    heading = f"{row.case.at_most * 1e6:g} µs over the time of one call"
    return Bar(heading, label, row.case.at_most / row.ours.median, 1.0)


def _rows(bars: Sequence[Bar]) -> float:
    return len(bars) + _HEADING * len({bar.heading for bar in bars})


def _draw_bars(ax: Axes, bars: Sequence[Bar]) -> None:
    place = 0.0
    ticks: dict[float, str] = {}
    for heading, rows in groupby(bars, key=lambda bar: bar.heading):
        ax.text(
            1.0,
            place,
            heading,
            transform=ax.get_yaxis_transform(),
            ha="right",
            va="center",
            color=OBSERVED,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0},
        )
        place += 1.0
        for bar in rows:
            colour = MODEL_50 if bar.least is None else MODEL
            ax.barh(place, bar.value - 1.0, left=1.0, height=0.68, color=colour, lw=0)
            if bar.least is not None:
                ax.plot([bar.least] * 2, [place - 0.4, place + 0.4], color=WITHHELD, lw=1.8, zorder=3)
            ax.annotate(
                times(bar.value),
                (max(bar.value, bar.least or 0.0, 1.0), place),
                xytext=(3, 0),
                textcoords="offset points",
                va="center",
                fontsize=7,
                color="#555555",
            )
            ticks[place] = bar.label
            place += 1.0
        place += _HEADING - 1.0
    values = [bar.value for bar in bars] + [bar.least or 1.0 for bar in bars]
    ax.set_xscale("log")
    room = (max(values) / min(values)) ** 0.06 * 1.15
    ax.set_xlim(min(values) / room, max(values) * room**3)
    ax.set_ylim(place - 0.5, -0.7)
    ax.set_yticks(list(ticks), list(ticks.values()), fontsize=7)
    ax.tick_params(axis="y", length=0)
    ax.grid(False, axis="y")
    ax.axvline(1.0, color=MUTED, lw=0.7)
    ax.xaxis.set_major_locator(LogLocator(10.0, subs=_ticks_of_a_decade(values)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())


def _ticks_of_a_decade(values: Sequence[float]) -> tuple[float, ...]:
    return (1.0, 2.0, 5.0) if max(values) < 100.0 * min(values) else (1.0,)


def _draw_memory(ax: Axes, growths: Sequence[Growth]) -> None:
    """MB above the peak of the short sweep; a peer, of which nothing is required, in the peers' green."""
    for growth in growths:
        steps = [at for at, _ in growth.peaks]
        above = [peak - growth.short[1] for _, peak in growth.peaks]
        colour = MODEL if growth.required else REFERENCE
        ax.plot(steps, above, color=colour, lw=1.2, marker="o", ms=2.5)
    ax.set_xscale("log")
    ax.axhline(ALLOWED, color=WITHHELD, lw=1.8)
    lowest = min(peak - growth.short[1] for growth in growths for _, peak in growth.peaks)
    ax.set_ylim(min(-1.0, 1.2 * lowest), _TOP)
    ax.set_title(f"peak memory of a sweep, MB above that of {growths[0].steps[0]:,} steps")
    ax.set_xlabel("steps")
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.yaxis.set_major_formatter(FuncFormatter(lambda x, _: signed(f"{x:g}")))
