"""Scores of a prediction of classes, and baselines made to predict them.

A value of K classes has no error that could be squared: what is scored is the vector of predicted
probabilities.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from latentsde.data import IrregularSeries
from latentsde.evaluation.scores import PointScores

Array = NDArray[np.float64]

SMALLEST = 1e-4  # probability of a class in a baseline's prediction: it never says never


def score_classes(
    points: PointScores,
    feature: int,
    probabilities: ArrayLike,
    observed: ArrayLike,
    *,
    nll: Array | None = None,
) -> PointScores:
    """`points` with the scores of one feature replaced by those of predicted classes.

    squared_error is the Brier score, the sum over classes of (p_k - [y = k])² (Brier 1950); of two classes,
    0 and 1, (p - y)², half of it. crps is half of the sum: the energy score whose distance is 0 between equal
    classes and 1 between others (Gneiting & Raftery 2007, section 4.3), which for 0 and 1 is the CRPS. nll is
    -log p_y unless it is given. covered90 is NaN, as unordered classes have no intervals; `hit` says whether
    the likeliest class was observed, `confidence` how likely it was.

    Args:
        probabilities: (R, K), or (R,) of the class 1 of two.
        observed: (R,) numbers of classes, NaN = not scored.
    """
    observed = np.asarray(observed, dtype=np.float64)
    likely = np.asarray(probabilities, dtype=np.float64)
    binary = likely.ndim == 1
    likely = np.stack([1.0 - likely, likely], axis=1) if binary else likely
    seen = np.isfinite(observed)
    classes = np.where(seen, observed, 0.0).astype(np.int64)
    truth = np.arange(likely.shape[1]) == classes[:, None]
    brier = ((likely - truth) ** 2).sum(axis=1)
    own = np.take_along_axis(likely, classes[:, None], axis=1)[:, 0]
    with np.errstate(divide="ignore"):
        surprise = -np.log(own) if nll is None else nll
    empty = np.full(points.observed.shape, np.nan)

    def place(before: Array | None, column: Array) -> Array:
        made = (empty if before is None else before).copy()
        made[:, feature] = np.where(seen, column, np.nan)
        return made

    return replace(
        points,
        squared_error=place(points.squared_error, 0.5 * brier if binary else brier),
        crps=place(points.crps, 0.5 * brier),
        nll=place(points.nll, surprise),
        covered90=place(points.covered90, np.full(observed.shape, np.nan)),
        hit=place(points.hit, (likely.argmax(axis=1) == classes).astype(np.float64)),
        confidence=place(points.confidence, likely.max(axis=1)),
    )


def indicators(series: IrregularSeries, classes: Mapping[int, int]) -> IrregularSeries:
    """The series with each feature of K classes as K features of 0 and 1.

    classes: {feature: K}; K = 1 stands for a feature that is 0 or 1 already and stays as it is, like those
    not named.
    """
    if not classes:
        return series
    columns, names = [], []
    for f, name in enumerate(series.features):
        values = series.values[:, f]
        if classes.get(f, 1) == 1:
            columns.append(values)
            names.append(name)
            continue
        for k in range(classes[f]):
            columns.append(np.where(np.isfinite(values), (values == k).astype(float), np.nan))
            names.append(f"{name}={k}")
    return replace(
        series,
        values=np.stack(columns, axis=1),
        features=tuple(names),
        feature_levels=(),
        limits=None,
    )


def class_probabilities(mean: ArrayLike, std: ArrayLike) -> Array:
    """Probabilities (R, K) from normal predictions (R, K) of the classes' indicators, or (R,) from (R,).

    Φ((mean - ½) / std), normalised: probabilistic least-squares classification (Rasmussen & Williams 2006,
    section 6.5).
    """
    z = (np.asarray(mean, dtype=np.float64) - 0.5) / np.asarray(std, dtype=np.float64)
    likely = torch.special.ndtr(torch.from_numpy(np.ascontiguousarray(z))).numpy()
    likely = np.clip(likely, SMALLEST, 1.0 - SMALLEST)
    return likely if likely.ndim == 1 else likely / likely.sum(axis=1, keepdims=True)


def kept_columns(features: int, classes: Mapping[int, int]) -> Sequence[slice]:
    """Where each of the original features is found among those of `indicators`."""
    widths = [classes.get(f, 1) for f in range(features)]
    ends = np.cumsum(widths)
    return [slice(int(end - width), int(end)) for end, width in zip(ends, widths, strict=True)]
