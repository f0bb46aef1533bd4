"""The one look of all figures, and `save`.

What was observed is dark, what was withheld is hollow and orange, what the model says is blue, anything to
compare with is green (Okabe and Ito's palette, which stays apart for colour-blind readers). Figures are built
without pyplot and from matplotlib's defaults, so neither a user's settings nor an open window changes them.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib.style
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import Formatter, LogLocator, MaxNLocator

from latentsde.files import write_whole

OBSERVED, WITHHELD, MODEL, REFERENCE, MUTED = "#2b2b2b", "#d55e00", "#0072b2", "#007a5a", "#767676"
MODEL_50, MODEL_90, GUIDE = "#94c4e2", "#d8e9f5", "#ececec"
LARGE = ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e5, 1e3, "k"))

RC: dict[str, Any] = {
    "figure.dpi": 150,
    "savefig.dpi": 150,
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.h_pad": 0.05,
    "figure.constrained_layout.w_pad": 0.05,
    "font.size": 8.5,
    "axes.axisbelow": True,
    "axes.edgecolor": "#a0a0a0",
    "axes.grid": True,
    "axes.labelcolor": OBSERVED,
    "axes.labelsize": 8.5,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlepad": 5,
    "axes.titlesize": 9,
    "grid.color": "#ebebeb",
    "grid.linewidth": 0.6,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "svg.hashsalt": "latentsde",
    "text.parse_math": False,  # a feature may be called "price in $": names are never formulas
    "xtick.color": "#a0a0a0",
    "xtick.labelcolor": "#555555",
    "xtick.labelsize": 7.5,
    "xtick.major.size": 2.5,
    "xtick.major.width": 0.6,
    "ytick.color": "#a0a0a0",
    "ytick.labelcolor": "#555555",
    "ytick.labelsize": 7.5,
    "ytick.major.size": 2.5,
    "ytick.major.width": 0.6,
}


@contextmanager
def style() -> Iterator[None]:
    """matplotlib's defaults and `RC`, for the block only."""
    with matplotlib.style.context(["default", RC]):
        yield


def save(figure: Figure, path: str | Path) -> Path:
    """Write `figure` to `path` (.png, .pdf or .svg): whole or not at all, equal bytes for equal figures."""
    path = Path(path)
    kind = path.suffix.lstrip(".").lower()
    fixed = {"png": {"Software": "latentsde"}, "pdf": {"CreationDate": None}, "svg": {"Date": None}}
    if kind not in fixed:
        raise ValueError(f"{path} does not end in .png, .pdf or .svg: give it one of these endings")
    rendered = io.BytesIO()
    with style():
        figure.savefig(rendered, format=kind, metadata=fixed[kind])
    return write_whole(path, lambda temporary: temporary.write_bytes(rendered.getvalue()))


def grid(rows: int, columns: int, *, width: float, height: float, **shared: Any) -> tuple[Figure, np.ndarray]:
    """A figure and its axes `(rows, columns)`, every panel `width` by `height` inches."""
    figure = Figure(figsize=(0.7 + columns * width, 0.8 + rows * height))
    return figure, figure.subplots(rows, columns, squeeze=False, **shared)


def legend(figure: Figure, entries: Mapping[str, Artist]) -> None:
    """One legend above all panels, where it covers nothing."""
    room = figure.get_figwidth() * 72 - 10  # points
    needed = sum(5.2 * len(label) + 40 for label in entries)
    columns = max(1, min(len(entries), int(len(entries) * room / needed)))
    figure.legend(
        list(entries.values()),
        list(entries),
        loc="outside upper left",
        ncols=columns,
        handlelength=1.8,
        columnspacing=1.6,
        borderaxespad=0.2,
    )


def caption(figure: Figure, text: str) -> None:
    """A line below all panels, such as what must be said of the data; none of an empty text."""
    if text:
        figure.supxlabel(text, fontsize=7.5, color="#555555")


def plain_logarithmic(axis: Axis, subs: Iterable[float] = (1, 2, 5)) -> None:
    """Ticks of a logarithmic axis at `subs` times the powers of ten, written as plain numbers."""
    axis.set_major_locator(LogLocator(subs=tuple(subs)))
    axis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.set_minor_formatter(lambda value, _: "")


def wrap(text: str, width: int, lines: int = 2) -> str:
    """`text` on at most `lines` lines of `width` characters, the rest an ellipsis."""
    return "\n".join(textwrap.wrap(str(text), width, max_lines=lines, placeholder=" …")) or " "


def label_times(ax: Axes, unit: str | None) -> None:
    """Name the time axis; hours get ticks at 6, 12, 24 and 48."""
    ax.set_xlabel(f"time [{unit}]" if unit else "time")
    steps = [1, 1.2, 2.4, 4.8, 6, 10] if unit in ("h", "hour", "hours") else [1, 2, 2.5, 5, 10]
    ax.xaxis.set_major_locator(MaxNLocator(5, steps=steps))


def finite(*arrays: np.ndarray) -> tuple[np.ndarray, ...]:
    """The entries where every array is finite."""
    keep = np.logical_and.reduce([np.isfinite(a) for a in arrays])
    return tuple(a[keep] for a in arrays)


class Numbers(Formatter):
    """Tick labels as plain decimals, large ones with k, M or G for thousands, millions or billions."""

    def format_ticks(self, values: Sequence[float]) -> list[str]:
        largest = max((abs(value) for value in values), default=0.0)
        size, suffix = next(((unit, letter) for start, unit, letter in LARGE if largest >= start), (1.0, ""))
        step = min(np.diff(np.unique(values)), default=largest) / size
        if not 1e-6 < step < np.inf:
            return [signed(f"{value:g}") for value in values]
        decimals = next(d for d in range(9) if abs(step - round(step, d)) < 1e-3 * step)
        return [signed(f"{value / size:.{decimals}f}") + (suffix if value else "") for value in values]

    def __call__(self, x: float, pos: int | None = None) -> str:
        return signed(f"{x:g}")


def signed(number: str) -> str:
    """`number` with a true minus sign and without the sign of zero."""
    return number.lstrip("-") if not number.strip("-0.") else number.replace("-", "\N{MINUS SIGN}")
