"""How a classifier of images does: its calibration, the images it is least sure of, its learning curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from latentsde.errors import InputError
from latentsde.plotting.style import (
    GUIDE,
    MODEL,
    MODEL_50,
    MUTED,
    OBSERVED,
    REFERENCE,
    WITHHELD,
    Numbers,
    caption,
    finite,
    grid,
    legend,
    style,
    wrap,
)

COLORS = (MODEL, WITHHELD, REFERENCE, OBSERVED, "#cc79a7", "#e69f00")  # of curves, then again with dashes
DASHES: tuple[Any, ...] = ("-", (0, (4, 2)), (0, (1, 1.5)))
EXACT: dict[str, Any] = {"color": MUTED, "lw": 0.9, "ls": (0, (3, 2))}
SHOWN, BESIDE = 24, 6  # images at most, and in a row
NUMBERED = 12  # bins at most with their count in digits
CAPTION = 17  # characters of a line that an image is wide


def reliability_diagram(bins: Sequence[Sequence[float | None]], ece: float, title: str) -> Figure:
    """Accuracy of each bin of confidence against the diagonal of exact calibration, and counts below.

    Args:
        bins: (B, 3) of the count, the mean confidence and the accuracy in B bins of equal width from 0 to 1,
            the last two NaN (or None) in a bin without examples. The expected calibration error is the mean,
            over examples, of how far a bar ends from its mean confidence.
        ece: the expected calibration error, named in the title.
    """
    table = np.asarray(bins, dtype=float)
    if table.ndim != 2 or table.shape[1] != 3 or not len(table):
        raise InputError(
            f"bins have shape {table.shape}; give a (count, mean confidence, accuracy) for each of them"
        )
    width = 1 / len(table)
    left = np.arange(len(table)) * width
    count, confidence, accuracy = table.T
    with style():
        figure, axes = grid(2, 1, width=3.2, height=1.9, sharex=True, height_ratios=(3.2, 1))
        above, below = axes[:, 0]
        filled, ends = count > 0, {"align": "edge", "ec": "white", "lw": 0.6}
        above.bar(left[filled], accuracy[filled], width, color=MODEL_50, **ends)
        bar = left[filled] + 0.1 * width, left[filled] + 0.9 * width
        above.hlines(confidence[filled], *bar, color=OBSERVED, lw=1.4, clip_on=False)
        above.plot([0, 1], [0, 1], **EXACT)
        above.set(xlim=(0, 1), ylim=(0, 1), ylabel="accuracy")
        above.set_title(f"{wrap(title, 34)} (ECE {ece:.3f})")
        below.bar(left, count, width, color=GUIDE, **ends)
        if len(table) <= NUMBERED:
            _name_counts(below, left + width / 2, count)
        below.set(xlabel="confidence of the likeliest class", ylabel="examples")
        below.set_ylim(0, 1.3 * count.max() or 1)
        below.yaxis.set_major_locator(MaxNLocator(2, integer=True))
        below.yaxis.set_major_formatter(Numbers())
        for ax in (above, below):
            ax.grid(axis="x", visible=False)
        figure.align_ylabels([above, below])
        legend(
            figure,
            {
                "accuracy": Patch(color=MODEL_50, lw=0),
                "mean confidence": Line2D([], [], color=OBSERVED, lw=1.4),
                "exact": Line2D([], [], **EXACT),
            },
        )
    return figure


def uncertain_images(
    images: np.ndarray,
    labels: ArrayLike,
    predicted: ArrayLike,
    confidence: ArrayLike,
    classes: Sequence[str],
    note: str = "",
) -> Figure:
    """The images of lowest confidence, at most 24, the least sure first.

    Args:
        images: (N, C, H, W) of bytes, C = 1 (grey) or 3 (red, green, blue).
        labels, predicted: (N,) numbers of classes, the true and the likeliest one.
        confidence: (N,) probability of the likeliest class.
        classes: the K names.
        note: what must be said of the images, below them.
    """
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[1] not in (1, 3) or images.dtype != np.uint8 or not len(images):
        raise InputError(
            f"images are {images.dtype} of shape {images.shape}; give at least one as uint8 of (images, "
            "channels, height, width) with 1 or 3 channels"
        )
    true, likely = (np.asarray(given, dtype=int) for given in (labels, predicted))
    sure = np.asarray(confidence, dtype=float)
    if not len(true) == len(likely) == len(sure) == len(images):
        raise InputError(
            f"there are {len(images)} images, {len(true)} labels, {len(likely)} predictions and {len(sure)} "
            "confidences; give one of each per image"
        )
    numbers = np.concatenate([true, likely])
    if numbers.min() < 0 or numbers.max() >= len(classes):
        raise InputError(
            f"classes names {len(classes)} classes but there are numbers from {numbers.min()} to "
            f"{numbers.max()}; give the name of each class"
        )
    least = np.argsort(sure, kind="stable")[:SHOWN]
    named = [(_cut(classes[true[i]], 2), _cut(classes[likely[i]], 6), f"{sure[i]:.2f}") for i in least]
    captions = [f"{a} / {b}, {c}" for a, b, c in named]
    if max(map(len, captions)) > CAPTION:
        captions = [f"{a} /\n{b}, {c}" for a, b, c in named]
    columns, lines = min(BESIDE, len(least)), 1 + captions[0].count("\n")
    with style():
        figure, axes = grid(-(-len(least) // columns), columns, width=1.05, height=1.1 + 0.1 * lines)
        for ax in axes.flat[len(least) :]:
            ax.remove()
        for ax, i, text in zip(axes.flat, least, captions, strict=False):
            _show(ax, images[i])
            wrong = true[i] != likely[i]
            ax.set_title(text, size=7, pad=3, color=WITHHELD if wrong else OBSERVED, linespacing=1.1)
        legend(figure, {"right": Patch(color=OBSERVED, lw=0), "wrong": Patch(color=WITHHELD, lw=0)})
        caption(figure, "; ".join(filter(None, ("true / predicted, confidence", note))))
    return figure


def learning_curves(
    curves: Mapping[str, tuple[ArrayLike, ArrayLike]],
    xlabel: str | Sequence[str],
    ylabel: str,
    note: str = "",
) -> Figure:
    """Named curves, such as the accuracy of several models over the epochs; NaN is left out.

    `curves[name]` is x and y, `(n,)` each. With several `xlabel`s there is a panel for each, and x is
    `(panels, n)`. `note` is what must be said of the data, below all.
    """
    if not curves:
        raise InputError("there are no curves to draw; give at least one as {name: (x, y)}")
    labels = [xlabel] if isinstance(xlabel, str) else list(xlabel)
    with style():
        width = 4.6 if len(labels) == 1 else 3.6
        figure, axes = grid(1, len(labels), width=width, height=2.8, sharey=True)
        entries = {}
        looks = [(color, dash) for dash in DASHES for color in COLORS]
        for (name, (x, y)), (color, dash) in zip(curves.items(), cycle(looks), strict=False):
            look: dict[str, Any] = {"color": color, "ls": dash, "lw": 1.2}
            along = np.atleast_2d(np.asarray(x, dtype=float))
            if len(along) != len(labels):
                raise InputError(f"x of {name} is {np.shape(x)}; give a row for each of {len(labels)} panels")
            for ax, values in zip(axes[0], along, strict=True):
                points = finite(values, np.asarray(y, dtype=float))
                ax.plot(*points, marker="o" if len(points[0]) <= 40 else None, ms=2.6, **look)
            entries[wrap(name, 40, 1)] = Line2D([], [], **look)
        axes[0, 0].set_ylabel(ylabel)
        for ax, label in zip(axes[0], labels, strict=True):
            ax.set_xlabel(label)
            for axis in (ax.xaxis, ax.yaxis):
                axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
                axis.set_major_formatter(Numbers())
        legend(figure, entries)
        caption(figure, note)
    return figure


def _name_counts(ax: Axes, places: np.ndarray, count: np.ndarray) -> None:
    for place, n in zip(places, count, strict=True):
        text = f"{n:,.0f}" if n < 10_000 else f"{n / 1000:,.0f}k"
        above: dict[str, Any] = {"xytext": (0, 1.5), "textcoords": "offset points", "ha": "center"}
        ax.annotate(text, (place, n), color=MUTED, size=6, **above)


def _cut(name: str, taken: int) -> str:
    """`name` on a line of a caption of which some characters are taken, the rest an ellipsis."""
    room = CAPTION - taken
    return name if len(name) <= room else f"{name[: room - 1].rstrip(' _')}…"


def _show(ax: Axes, image: np.ndarray) -> None:
    grey = image.shape[0] == 1
    pixels = image[0] if grey else np.moveaxis(image, 0, -1)
    ax.imshow(pixels, cmap="gray" if grey else None, vmin=0, vmax=255, interpolation="nearest")
    ax.set_xticks([])
    ax.set_yticks([])
    ax.grid(visible=False)
    for spine in ax.spines.values():
        spine.set_visible(False)
