"""How training went and how good the predictions are: curves, calibration, scores beside baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import ArrayLike

from latentsde.plotting.style import (
    GUIDE,
    MODEL,
    MODEL_50,
    MUTED,
    OBSERVED,
    WITHHELD,
    Numbers,
    finite,
    grid,
    legend,
    signed,
    style,
    wrap,
)

CURVES = {
    "elbo": "ELBO",
    "log_likelihood": "log likelihood",
    "kl_initial": "KL of the initial state",
    "kl_path": "KL of the path",
    "kl_weight": "KL weight",
    "learning_rate": "learning rate",
}
NATS = ("elbo", "log_likelihood", "kl_initial", "kl_path")
SMOOTH_FROM, BINS = 300, 120  # above so many rows a curve is drawn as the median and range of bins


def training_curves(history: pd.DataFrame, *, best_step: int | None = None) -> Figure:
    """The ELBO and its parts over the training steps, in nats per observation, with the best validation step.

    `history` has a column `step` and either a column `split` ("train" | "validation") with one column per
    curve of `CURVES`, or columns `train_elbo`, `validation_elbo` and so on; NaN where a step logged nothing.
    `best_step` is by default the step of the highest validation ELBO. Raises ValueError without any curve.
    """
    curves = {
        name: {split: _curve(history, name, split) for split in ("train", "validation")} for name in CURVES
    }
    names = [name for name in CURVES if any(len(steps) for steps, _ in curves[name].values())]
    if not names:
        raise ValueError(
            f"the history holds none of the curves {', '.join(CURVES)}, only {', '.join(map(str, history))}"
        )
    steps, elbo = curves["elbo"]["validation"]
    if best_step is None and len(steps):
        best_step = int(steps[np.argmax(elbo)])
    columns = min(3, len(names))
    with style():
        figure, axes = grid(-(-len(names) // columns), columns, width=2.6, height=2.0)
        for ax in axes.flat[len(names) :]:
            ax.remove()
        for ax, name in zip(axes.flat, names, strict=False):
            _draw_curve(ax, *curves[name]["train"], OBSERVED, name)
            _draw_curve(ax, *curves[name]["validation"], MODEL, name, marker="o")
            ax.set_title(CURVES[name])
            ax.set_ylabel("nats per observation" if name in NATS else "")
            _show_the_long_run(ax, list(curves[name].values()))
            if best_step is not None:
                ax.axvline(best_step, color=WITHHELD, lw=0.9, ls=(0, (3, 2)), zorder=1.5)
            ax.set_xlabel("step")
            ax.xaxis.set_major_locator(MaxNLocator(4, integer=True))
            ax.xaxis.set_major_formatter(Numbers())
            ax.yaxis.set_major_locator(MaxNLocator(4))
            ax.yaxis.set_major_formatter(Numbers())
        entries: dict[str, Any] = {"train": Line2D([], [], color=OBSERVED, lw=1.2)}
        if len(steps):
            entries["validation"] = Line2D([], [], color=MODEL, lw=1.2, marker="o", ms=3)
        if best_step is not None:
            label = f"best validation step: {best_step:,}"
            if best_step in steps:
                label += signed(f" (ELBO {elbo[steps == best_step].max():.3f})")
            entries[label] = Line2D([], [], color=WITHHELD, lw=1.0, ls=(0, (3, 2)))
        legend(figure, entries)
    return figure


def calibration(
    *,
    levels: ArrayLike,
    coverage: Mapping[str, ArrayLike],
    counts: Mapping[str, int] | None = None,
    pit: Mapping[str, ArrayLike] | None = None,
) -> Figure:
    """Share of withheld values inside central intervals against the nominal level, a panel per task.

    `coverage[task]` is `(K,)` at `levels` `(K,)` in (0, 1). With `counts`, the values per task, a grey band
    holds 95 % of what exact intervals would give were the values independent. `pit[task]` are the predictive
    distribution functions at the withheld values, `(n,)` in [0, 1]: their histogram is flat when the
    predictions are calibrated.
    """
    nominal = np.asarray(levels, dtype=float)
    tasks = list(coverage)
    with style():
        if pit:
            figure, axes = grid(len(tasks), 2, width=3.2, height=2.9)
        else:
            figure, axes = grid(1, len(tasks), width=3.0, height=2.9)
        for i, task in enumerate(tasks):
            n = (counts or {}).get(task)
            ax = axes[i, 0] if pit else axes[0, i]
            _draw_coverage(ax, nominal, np.asarray(coverage[task], dtype=float), n)
            ax.set_title(wrap(task, 30) + (f" ({n:,} values)" if n else ""))
            if pit and task in pit:
                (values,) = finite(np.asarray(pit[task], dtype=float))
                _draw_pit(axes[i, 1], values)
            elif pit:
                axes[i, 1].remove()
        entries: dict[str, Any] = {
            "model": Line2D([], [], color=MODEL, marker="o", ms=3.5, lw=1.2),
            "exact": Line2D([], [], color=MUTED, lw=0.9, ls=(0, (3, 2))),
        }
        if counts or pit:
            entries["95 % range of exact, independent values"] = Patch(color=GUIDE, lw=0)
        legend(figure, entries)
    return figure


def metric_bars(
    metrics: Mapping[str, Any],
    *,
    model: str | None = None,
    scores: Sequence[str] = ("mse", "crps"),
) -> Figure:
    """Scores of the model and the baselines as dots, a row of panels per task; lower is better.

    `metrics` is the content of metrics.json: `{task: {name: {score: value}}}`, other entries are passed over.
    `model` is the name drawn on top in blue, by default the first of each task; baselines follow, the best
    first.
    """
    tasks = {
        task: {name: row for name, row in rows.items() if isinstance(row, Mapping)}
        for task, rows in metrics.items()
        if isinstance(rows, Mapping)
    }
    tasks = {task: rows for task, rows in tasks.items() if rows}
    if not tasks:
        raise ValueError("the metrics hold no task: expected {task: {model or baseline: {score: value}}}")
    tallest = max(len(rows) for rows in tasks.values())
    scale = metrics.get("scale")
    with style():
        figure, axes = grid(len(tasks), len(scores), width=3.6, height=0.62 + 0.24 * tallest)
        for row, (task, rows) in enumerate(tasks.items()):
            first = model if model and model in rows else next(iter(rows))
            others = sorted(
                (name for name in rows if name != first), key=lambda name: _sortable(rows[name], scores[-1])
            )
            for column, score in enumerate(scores):
                values = np.array([_number(rows[name], score) for name in (first, *others)])
                ax = axes[row, column]
                _draw_dots(ax, values, [first, *others] if column == 0 else None)
                ax.set_title(f"{wrap(task, 24)}: {score.upper()}")
        if isinstance(scale, str):
            sentence = scale.split(";")[0].rstrip(".")
            figure.supxlabel(wrap(f"{sentence}. Lower is better.", 115, 3), fontsize=7.5, color="#555555")
    return figure


def _curve(history: pd.DataFrame, name: str, split: str) -> tuple[np.ndarray, np.ndarray]:
    if "split" in history:
        column, rows = name, history["split"] == split
    else:
        column, rows = f"{split}_{name}", pd.Series(True, index=history.index)
        if column not in history and split == "train":
            column = name  # the learning rate and the KL weight belong to no split
    if column not in history:
        return np.empty(0), np.empty(0)
    steps, values = (
        pd.to_numeric(history.loc[rows, c], errors="coerce").to_numpy(float) for c in ("step", column)
    )
    steps, values = finite(steps, values)
    order = np.argsort(steps, kind="stable")
    return steps[order], values[order]


def _draw_curve(
    ax: Axes, steps: np.ndarray, values: np.ndarray, color: str, name: str, marker: str | None = None
) -> None:
    if len(steps) > SMOOTH_FROM and name not in ("kl_weight", "learning_rate"):
        bins = np.array_split(np.arange(len(steps)), BINS)
        low, middle, high = np.array([np.quantile(values[b], (0.1, 0.5, 0.9)) for b in bins]).T
        centre = np.array([np.median(steps[b]) for b in bins])
        ax.fill_between(centre, low, high, color=color, alpha=0.15, lw=0)
        ax.plot(centre, middle, color=color, lw=1.2)
    else:
        few = len(steps) <= 40
        ax.plot(steps, values, color=color, lw=1.2, marker=marker if few else None, ms=2.6)


def _show_the_long_run(ax: Axes, curves: Sequence[tuple[np.ndarray, np.ndarray]]) -> None:
    """Leave the first steps out of the panel when they would flatten the rest."""
    steps, values = (np.concatenate(parts) for parts in zip(*curves, strict=True))
    late = values[steps >= 0.05 * steps.max()]
    if len(late) < 5 or np.ptp(values) <= 3 * np.ptp(late) or np.ptp(late) == 0:
        return
    pad = 0.08 * np.ptp(late)
    ax.set_ylim(late.min() - pad, late.max() + pad)
    ax.text(1, 1.02, "start outside", transform=ax.transAxes, ha="right", va="bottom", color=MUTED, size=7)


def _draw_coverage(ax: Axes, nominal: np.ndarray, observed: np.ndarray, n: int | None) -> None:
    ideal = np.linspace(0, 1, 101)
    if n:
        half = 1.96 * np.sqrt(ideal * (1 - ideal) / n)
        ax.fill_between(ideal, np.clip(ideal - half, 0, 1), np.clip(ideal + half, 0, 1), color=GUIDE, lw=0)
    ax.plot(ideal, ideal, color=MUTED, lw=0.9, ls=(0, (3, 2)))
    ax.plot(*finite(nominal, observed), color=MODEL, lw=1.2, marker="o", ms=3.5, clip_on=False)
    ax.set(xlim=(0, 1), ylim=(0, 1), xlabel="nominal level of the interval", ylabel="share of values inside")
    ax.set_aspect("equal", anchor="W")


def _draw_pit(ax: Axes, values: np.ndarray) -> None:
    bins = int(np.clip(len(values) // 20, 5, 20))
    spread = 1.96 * np.sqrt(bins * (1 - 1 / bins) / max(len(values), 1))
    ax.axhspan(max(0, 1 - spread), 1 + spread, color=GUIDE, lw=0)
    ax.hlines((max(0, 1 - spread), 1 + spread), 0, 1, color=MUTED, lw=0.5, ls=(0, (1, 1.5)), zorder=3)
    ax.hist(values, bins=bins, range=(0, 1), density=len(values) > 0, color=MODEL_50, ec="white", lw=0.6)
    ax.axhline(1, color=MUTED, lw=0.9, ls=(0, (3, 2)))
    ax.set(xlim=(0, 1), xlabel="predictive distribution function\nat the value (PIT)", ylabel="density")
    ax.grid(axis="x", visible=False)


def _draw_dots(ax: Axes, values: np.ndarray, names: Sequence[str] | None) -> None:
    shown = values[np.isfinite(values)]
    spread_out = len(shown) > 1 and shown.min() > 0 and shown.max() > 30 * shown.min()
    if spread_out:
        ax.set_xscale("log")
        ax.set_xlim(shown.min() / 2, shown.max() * (shown.max() / shown.min()) ** 0.35)
        ax.minorticks_off()
        ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,g}"))
    else:
        top = shown.max() if len(shown) else 1.0
        ax.set_xlim(min(0.0, *shown), top * 1.22 or 1.0)
        ax.xaxis.set_major_locator(MaxNLocator(4))
        ax.xaxis.set_major_formatter(Numbers())
    for place, value in enumerate(values):
        color, text, at = OBSERVED if place else MODEL, _three_digits(value), value
        if np.isfinite(value):
            ax.plot(value, place, "o", color=color, ms=4.5 if place else 6, mew=0, zorder=3)
        else:
            color, text, at = MUTED, "not computed", ax.get_xlim()[0]
        clear = {"fc": "white", "lw": 0, "pad": 0.6}
        where: dict[str, Any] = {"xytext": (6, 0), "textcoords": "offset points", "va": "center_baseline"}
        ax.annotate(text, (at, place), color=color, size=7.5, bbox=clear, **where)
    if np.isfinite(values[0]):
        ax.axvline(values[0], color=MODEL, lw=0.8, ls=(0, (1, 1.5)), zorder=1)
    ax.set_ylim(len(values) - 0.4, -0.6)
    ax.set_yticks(
        range(len(values)),
        [wrap(name.replace("_", " "), 26, 1) for name in names] if names else [""] * len(values),
    )
    ax.grid(axis="x", visible=False)
    ax.tick_params(axis="y", length=0, labelcolor=OBSERVED, labelsize=8)
    ax.spines["left"].set_visible(False)


def _three_digits(value: float) -> str:
    return signed(
        f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}" if abs(value) < 1000 else f"{value:,.0f}"
    )


def _number(row: Mapping[str, Any], score: str) -> float:
    value = row.get(score)
    return float(value) if isinstance(value, int | float) else float("nan")


def _sortable(row: Mapping[str, Any], score: str) -> float:
    value = _number(row, score)
    return value if np.isfinite(value) else float("inf")
