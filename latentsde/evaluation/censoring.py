"""Scores where only limits of the truth are known: "<0.3".

A prediction is then judged by what it says of the outside: each predicted value counts as its distance from
the interval, 0 within it, against a truth of 0. For a one-sided limit that is the score of the value as the
laboratory would report it, max(x, limit) or min(x, limit), and so a proper one. The negative log-likelihood
is that of the interval's probability.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from latentsde.evaluation import metrics

if TYPE_CHECKING:
    from latentsde.evaluation.scores import PointScores

Array = NDArray[np.float64]

_RANKS = (np.arange(199) + 0.5) / 199  # of the quantiles that stand for a normal prediction


def outside(samples: Array, centre: Array, truth: Array, limits: Array) -> tuple[Array, Array, Array]:
    """Samples (N, P), point forecast (P,) and truth (P,), with distances from the limits (P, 2) in their
    place where those are not NaN; the point forecast there is the mean distance.
    """
    censored = ~np.isnan(limits[:, 0])
    if not censored.any():
        return samples, centre, truth
    samples, centre, truth = samples.copy(), centre.copy(), np.where(censored, 0.0, truth)
    some = samples[:, censored]
    samples[:, censored] = some - np.clip(some, *limits[censored].T)
    centre[censored] = samples[:, censored].mean(axis=0)
    return samples, centre, truth


def rescore_normal(
    points: PointScores, mean: Array, std: Array, observed: Array, limits: Array
) -> PointScores:
    """The scores of normal predictions (R, F) with those of censored values put right."""
    where = np.isfinite(observed) & ~np.isnan(limits[..., 0])
    if not where.any():
        return points
    centre, spread, ends = mean[where], std[where], limits[where]
    quantiles = torch.special.ndtri(torch.from_numpy(_RANKS)).numpy()
    distances, middle, truth = outside(centre + spread * quantiles[:, None], centre, centre, ends)
    low, high = np.quantile(distances, [0.05, 0.95], axis=0, method="weibull")
    scores = {
        "squared_error": (middle - truth) ** 2,
        "crps": metrics.crps_samples(distances, truth),
        "nll": -_log_mass((ends[:, 0] - centre) / spread, (ends[:, 1] - centre) / spread),
        "covered90": metrics.covered(low, high, truth),
    }
    changed = {}
    for name, column in scores.items():
        changed[name] = getattr(points, name).copy()
        changed[name][where] = column
    return replace(points, **changed)


def _log_mass(a: Array, b: Array) -> Array:
    """log(Φ(b) - Φ(a)), in the tail where it is exact."""
    flip = a + b > 0
    a, b = np.where(flip, -b, a), np.where(flip, -a, b)
    high, low = (torch.special.log_ndtr(torch.from_numpy(x)).numpy() for x in (b, a))
    with np.errstate(divide="ignore"):
        return high + np.log(-np.expm1(low - high))
