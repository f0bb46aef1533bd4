"""Series over time: data, predictive bands, forecasts, prior samples and latent paths.

Every figure has a row per feature (or latent dimension) and a column per series, so that an axis and its unit
are named once and the width does not grow with the number of features. What is not finite is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from latentsde.plotting.style import (
    MODEL,
    MODEL_50,
    MODEL_90,
    MUTED,
    OBSERVED,
    REFERENCE,
    WITHHELD,
    Numbers,
    finite,
    grid,
    label_times,
    legend,
    style,
    wrap,
)

WIDEST = 4  # series beside each other before a new block of rows starts
ENOUGH = 8  # points whose range may limit an axis
HOLLOW: dict[str, Any] = {"marker": "o", "ls": "", "mfc": "white", "mec": WITHHELD, "mew": 1.0}
DASHED: dict[str, Any] = {"color": REFERENCE, "lw": 1.0, "ls": (0, (4, 2))}
START: dict[str, Any] = {"color": MUTED, "lw": 0.9, "ls": (0, (1, 1.5))}


@dataclass(frozen=True)
class Panel:
    """One feature of one series, in the feature's unit.

    Points are `(n,)`. The predictive quantiles of a new observation and the optional `baseline` are `(T,)` on
    the dense times `grid`. NaN where there is nothing.
    """

    observed_times: ArrayLike = ()
    observed: ArrayLike = ()
    withheld_times: ArrayLike = ()
    withheld: ArrayLike = ()
    grid: ArrayLike = ()
    q05: ArrayLike = ()
    q25: ArrayLike = ()
    q50: ArrayLike = ()
    q75: ArrayLike = ()
    q95: ArrayLike = ()
    baseline: ArrayLike | None = None


def bands(
    *,
    panels: Sequence[Sequence[Panel]],
    series: Sequence[str],
    features: Sequence[str],
    units: Mapping[str, str] | None = None,
    time_unit: str | None = None,
    share_y: bool = True,
) -> Figure:
    """Observed and withheld points with the predictive median and its 50 and 90 % bands: imputation.

    `panels[s][f]` is feature `f` of series `s`. More than four series continue in a second block of rows.
    `share_y` gives all series one scale per feature.
    """
    return _band_grid(panels, series, features, units, time_unit, share_y)


def forecasts(
    *,
    panels: Sequence[Sequence[Panel]],
    series: Sequence[str],
    features: Sequence[str],
    starts: Sequence[float],
    baseline_name: str = "baseline",
    units: Mapping[str, str] | None = None,
    time_unit: str | None = None,
    share_y: bool = True,
) -> Figure:
    """`bands` with a line where the forecast of each series starts (`starts`) and the panels' baseline."""
    return _band_grid(panels, series, features, units, time_unit, share_y, starts, baseline_name)


def prior_samples(
    *,
    data: Sequence[tuple[ArrayLike, ArrayLike]],
    times: ArrayLike,
    samples: ArrayLike,
    features: Sequence[str],
    units: Mapping[str, str] | None = None,
    time_unit: str | None = None,
) -> Figure:
    """Data series beside sample paths of the prior, on the same axes: does the prior make series like these?

    `data` holds pairs of times `(n,)` and values `(n, feature)`; `samples` is `(sample, time, feature)` on
    `times`. The first three of either are drawn strongly, for the eye to follow.
    """
    t = _array(times)
    shown = [(_array(when), _array(values)) for when, values in data]
    drawn = [(t, path) for path in _array(samples)]
    with style():
        rows = len(features)
        figure, axes = grid(rows, 2, width=3.7, height=_height(rows), sharex=True, sharey="row")
        for row, feature in enumerate(features):
            _paths(axes[row, 0], [finite(when, v[:, row]) for when, v in shown], OBSERVED, marker=".")
            _paths(axes[row, 1], [finite(when, v[:, row]) for when, v in drawn], MODEL)
            _limit(list(axes[row]), [v[:, row] for _, v in shown], ranges=2.0)
            _name_feature(axes[row, 0], feature, units)
            _number_ticks(axes[row, 0])
        axes[0, 0].set_title(f"data ({len(shown)} series)")
        axes[0, 1].set_title(f"prior ({len(drawn)} samples)", color=MODEL)
        for ax in axes[-1]:
            label_times(ax, time_unit)
        figure.align_ylabels()
    return figure


def latent_paths(
    *,
    series: Sequence[str],
    grids: Sequence[ArrayLike],
    paths: Sequence[ArrayLike],
    observation_times: Sequence[ArrayLike],
    time_unit: str | None = None,
) -> Figure:
    """Posterior sample paths of every latent dimension for a few series, the observation times marked below.

    `paths[s]` is `(sample, time, latent)` on `grids[s]`.
    """
    drawn = [_array(path) for path in paths]
    rows = drawn[0].shape[2]
    with style():
        figure, axes, place = _blocks(len(series), rows, share_y=True)
        for s, name in enumerate(series):
            t = _array(grids[s])
            (seen,) = finite(_array(observation_times[s]))
            for row in range(rows):
                ax = axes[place(s, row)]
                ax.plot(
                    t,
                    drawn[s][:, :, row].T,
                    color=MODEL,
                    lw=0.6,
                    alpha=float(np.clip(6 / len(drawn[s]), 0.12, 0.6)),
                )
                ax.plot(t, drawn[s][:, :, row].mean(axis=0), color=MODEL, lw=1.5)
                ax.vlines(seen, 0, 0.06, color=OBSERVED, lw=0.7, transform=ax.get_xaxis_transform())
                ax.margins(y=0.12)  # room for the marks
                _number_ticks(ax)
                ax.set_ylabel(f"z{row + 1}" if ax.get_subplotspec().is_first_col() else "")
            axes[place(s, 0)].set_title(wrap(name, 28))
            label_times(axes[place(s, rows - 1)], time_unit)
        figure.align_ylabels()
        legend(
            figure,
            {
                "posterior samples": Line2D([], [], color=MODEL, lw=0.8, alpha=0.6),
                "their mean": Line2D([], [], color=MODEL, lw=1.5),
                "time of an observation": Line2D([], [], color=OBSERVED, marker="|", ls="", ms=7),
            },
        )
    return figure


def _band_grid(
    panels: Sequence[Sequence[Panel]],
    series: Sequence[str],
    features: Sequence[str],
    units: Mapping[str, str] | None,
    time_unit: str | None,
    share_y: bool,
    starts: Sequence[float] | None = None,
    baseline_name: str = "baseline",
) -> Figure:
    with style():
        figure, axes, place = _blocks(len(series), len(features), share_y=share_y)
        for s, name in enumerate(series):
            for f, feature in enumerate(features):
                ax = axes[place(s, f)]
                _draw(ax, panels[s][f])
                _number_ticks(ax)
                if starts is not None:
                    ax.axvline(starts[s], zorder=1.5, **START)
                if ax.get_subplotspec().is_first_col():
                    _name_feature(ax, feature, units)
            axes[place(s, 0)].set_title(wrap(name, 28))
            label_times(axes[place(s, len(features) - 1)], time_unit)
        figure.align_ylabels()
        for f in range(len(features)):
            everyone = list(range(len(series)))
            for group in [everyone] if share_y else [[s] for s in everyone]:
                points = [_array(v) for s in group for v in (panels[s][f].observed, panels[s][f].withheld)]
                _limit([axes[place(s, f)] for s in group], points)
        every = [panel for row in panels for panel in row]
        legend(figure, _band_legend(every, starts is not None, baseline_name))
    return figure


def _draw(ax: Axes, panel: Panel) -> None:
    t = _array(panel.grid)
    q05, q25, q50, q75, q95 = (_array(q) for q in (panel.q05, panel.q25, panel.q50, panel.q75, panel.q95))
    seen = finite(_array(panel.observed_times), _array(panel.observed))
    hidden = finite(_array(panel.withheld_times), _array(panel.withheld))
    if len(t):
        ax.fill_between(t, q05, q95, color=MODEL_90, lw=0)
        ax.fill_between(t, q25, q75, color=MODEL_50, lw=0)
        ax.plot(t, q50, color=MODEL, lw=1.2)
    if panel.baseline is not None:
        ax.plot(t, _array(panel.baseline), **DASHED)
    size = float(np.clip(40 / max(len(seen[0]) + len(hidden[0]), 1), 0.45, 1.0))
    ax.plot(*seen, "o", color=OBSERVED, ms=3.2 * size, mew=0, zorder=3)
    ax.plot(*hidden, ms=3.6 * size, zorder=4, **HOLLOW)
    if not len(seen[0]) and not len(hidden[0]):
        ax.text(
            0.98, 0.96, "never observed", transform=ax.transAxes, ha="right", va="top", color=MUTED, size=7
        )


def _band_legend(panels: Sequence[Panel], start: bool, baseline_name: str) -> dict[str, Artist]:
    entries: dict[str, Artist] = {"observed": Line2D([], [], color=OBSERVED, marker="o", ls="", ms=4, mew=0)}
    if any(np.isfinite(_array(panel.withheld)).any() for panel in panels):
        entries["withheld"] = Line2D([], [], ms=4.5, **HOLLOW)
    entries["model median"] = Line2D([], [], color=MODEL, lw=1.4)
    entries["50 % band"] = Patch(color=MODEL_50, lw=0)
    entries["90 % band"] = Patch(color=MODEL_90, lw=0)
    if any(panel.baseline is not None for panel in panels):
        entries[baseline_name.lstrip("_")] = Line2D([], [], **DASHED)
    if start:
        entries["forecast starts"] = Line2D([], [], **START)
    return entries


def _blocks(
    series: int, rows: int, *, share_y: bool
) -> tuple[Figure, np.ndarray, Callable[[int, int], tuple[int, int]]]:
    """Axes for `series` columns of `rows` rows, in blocks, and where in them a (series, row) is."""
    blocks = -(-series // WIDEST)
    columns = -(-series // blocks)
    width = max(2.3, 7.6 / columns) if columns > 1 else 6.5
    figure, axes = grid(blocks * rows, columns, width=width, height=_height(rows))

    def place(s: int, row: int) -> tuple[int, int]:
        return (s // columns) * rows + row, s % columns

    for s in range(series):
        for row in range(rows):
            ax = axes[place(s, row)]
            if row:
                ax.sharex(axes[place(s, 0)])
            if share_y and s:
                ax.sharey(axes[place(0, row)])
            ax.tick_params(labelbottom=row == rows - 1, labelleft=not share_y or s % columns == 0)
    for ax in axes[-rows:, series - (blocks - 1) * columns :].flat:
        ax.remove()
    return figure, axes, place


def _paths(ax: Axes, paths: Sequence[tuple[np.ndarray, ...]], color: str, marker: str | None = None) -> None:
    for rank, path in enumerate(paths):
        strong = rank < 3
        ax.plot(
            *path,
            color=color,
            lw=1.1 if strong else 0.6,
            alpha=0.9 if strong else 0.25,
            zorder=3 if strong else 2,
            marker=marker,
            ms=3,
            mew=0,
        )


def _limit(axes: Sequence[Axes], points: Sequence[np.ndarray], ranges: float = 1.0) -> None:
    """Show at most so many data ranges beside the data: a band that runs away must not flatten the rest."""
    values = np.concatenate([p[np.isfinite(p)] for p in points])
    if len(values) < ENOUGH or np.ptp(values) == 0:
        return
    low, high = values.min(), values.max()
    shown = [ax.get_ylim() for ax in axes]
    room = ranges * (high - low)
    bottom = max(min(y[0] for y in shown), low - room)
    top = min(max(y[1] for y in shown), high + room)
    for ax in axes:
        ax.set_ylim(bottom, top)


def _name_feature(ax: Axes, feature: str, units: Mapping[str, str] | None) -> None:
    unit = (units or {}).get(feature)
    ax.set_ylabel(wrap(feature, 20) + (f"\n[{unit}]" if unit else ""))


def _number_ticks(ax: Axes) -> None:
    ax.yaxis.set_major_locator(MaxNLocator(4))
    ax.yaxis.set_major_formatter(Numbers())


def _height(rows: int) -> float:
    return 2.6 if rows == 1 else 1.9 if rows <= 3 else 1.45


def _array(values: ArrayLike) -> np.ndarray:
    array = np.asarray(values, dtype=float)
    return np.where(np.isfinite(array), array, np.nan)
