"""Point-wise measures of a probabilistic prediction: CRPS, negative log-likelihood, coverage, calibration.

Every function takes arrays with one entry per predicted value, in any unit, and returns one number per entry.
Where the observed value is not finite the result is NaN, so that a plain `nanmean` counts observed values
only; `latentsde.evaluation.scores` does that and also lets a prediction that is itself NaN show up in the
score.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

CALIBRATION_LEVELS = tuple(round(0.05 * step, 2) for step in range(1, 20))
_CONFIDENCE_BINS = 10
_CHUNK_NUMBERS = 4_000_000  # numbers of one sorted block: 32 MB


def crps_samples(samples: ArrayLike, observed: ArrayLike) -> Array:
    """Continuous ranked probability score of a sample, in the unit of the values; smaller is better.

    Mean |X - y| - mean |X - X'| / 2 with the second mean over the N (N - 1) pairs of *different* members
    (Gneiting & Raftery 2007, equation 21; the fair form of Ferro 2014): its expectation is the CRPS of the
    law the sample came from, whatever N, so a small sample is not punished. Single entries can be slightly
    negative for that reason. One sample (N = 1) has no pairs and is a point forecast: its score is the
    absolute error.

    samples: (N, P); observed: (P,), non-finite = not observed. Returns (P,). O(N log N) per entry, by
    sorting.
    """
    samples, observed = _float(samples), _float(observed)
    n = len(samples)
    scores = np.full(observed.shape, np.nan)
    seen = np.flatnonzero(np.isfinite(observed))
    # The sum over pairs i < j of x(j) - x(i), from the order statistics: x(i) is added i - 1 times, taken off
    # n - i.
    weight = (2 * np.arange(1, n + 1) - n - 1) / max(n * (n - 1), 1)
    step = max(1, _CHUNK_NUMBERS // max(n, 1))
    for start in range(0, len(seen), step):
        some = seen[start : start + step]
        # Measured from the observation, so that a pressure of 1013 +- 1 hPa keeps its digits.
        errors = np.sort(samples[:, some] - observed[some], axis=0)
        scores[some] = np.abs(errors).mean(axis=0) - weight @ errors
    return scores


def crps_normal(mean: ArrayLike, std: ArrayLike, observed: ArrayLike) -> Array:
    """CRPS of a normal prediction in closed form (Gneiting & Raftery 2007, section 4.2), in the values' unit.

    The arguments broadcast; std >= 0, and 0 gives the absolute error.
    """
    error, std = _float(observed) - _float(mean), _float(std)
    with np.errstate(divide="ignore", invalid="ignore"):  # std 0, set right below
        z = error / std
        density = np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
        spread = std * (z * (2 * _normal_cdf(z) - 1) + 2 * density - 1 / math.sqrt(math.pi))
    return _observed_only(np.where(std == 0, np.abs(error), spread), observed)


def nll_normal(mean: ArrayLike, std: ArrayLike, observed: ArrayLike) -> Array:
    """Negative log density of a normal prediction, in nats. The arguments broadcast; std > 0."""
    std = _float(std)
    z = (_float(observed) - _float(mean)) / std
    return _observed_only(0.5 * z * z + np.log(std) + 0.5 * math.log(2 * math.pi), observed)


def covered(lower: ArrayLike, upper: ArrayLike, observed: ArrayLike) -> Array:
    """1 where the closed interval [lower, upper] holds the observed value, 0 where not, NaN if not observed.

    An interval with a NaN end gives NaN.
    """
    lower, upper, observed = _float(lower), _float(upper), _float(observed)
    inside = ((lower <= observed) & (observed <= upper)).astype(float)
    return _observed_only(np.where(np.isnan(lower) | np.isnan(upper), np.nan, inside), observed)


def coverage(lower: ArrayLike, upper: ArrayLike, observed: ArrayLike) -> float:
    """Share of the observed values inside their intervals; NaN when nothing is observed."""
    hits = covered(lower, upper, observed)[np.isfinite(_float(observed))]
    return float(hits.mean()) if hits.size else math.nan


def pit_normal(mean: ArrayLike, std: ArrayLike, observed: ArrayLike) -> Array:
    """Probability integral transform: the predicted normal's distribution function at the observed value."""
    return _observed_only(_normal_cdf((_float(observed) - _float(mean)) / _float(std)), observed)


def pit_samples(samples: ArrayLike, observed: ArrayLike) -> Array:
    """Probability integral transform of a sample: (rank of the observed value + 1/2) / (N + 1).

    The rank counts the members below, and half of those that are equal (so counts are treated fairly). The
    law of a calibrated forecast is uniform on the N + 1 middles. samples: (N, P); observed: (P,). Returns
    (P,).
    """
    samples, observed = _float(samples), _float(observed)
    rank = (samples < observed).sum(axis=0) + 0.5 * (samples == observed).sum(axis=0)
    usable = np.isfinite(observed) & ~np.isnan(samples).any(axis=0)
    return np.where(usable, (rank + 0.5) / (len(samples) + 1), np.nan)


def calibration_curve(pit: ArrayLike, levels: ArrayLike = CALIBRATION_LEVELS) -> Array:
    """Observed coverage of the central interval of each nominal level; equal to `levels` when calibrated.

    pit: any shape, NaN = not counted; levels: (L,) in (0, 1). Returns (L,), NaN when nothing is observed.
    """
    pit = _float(pit)
    # The central interval of level p holds the value when its PIT is within p / 2 of the median's.
    needed = np.sort(np.abs(2 * pit[np.isfinite(pit)] - 1))
    levels = _float(levels)
    if not needed.size:
        return np.full(levels.shape, np.nan)
    return np.searchsorted(needed, levels, side="right") / needed.size


def expected_calibration_error(confidence: ArrayLike, hit: ArrayLike) -> float:
    """How far the stated probability of the likeliest class is from its share of hits, in [0, 1].

    Mean over ten equal bins of confidence, weighted by their values, of |share of hits - mean confidence|
    (Guo, Pleiss, Sun & Weinberger 2017, equation 3). Both (n,), finite; NaN without values.
    """
    confidence, hit = _float(confidence), _float(hit)
    if not len(hit):
        return math.nan
    number = np.clip((confidence * _CONFIDENCE_BINS).astype(np.int64), 0, _CONFIDENCE_BINS - 1)
    gaps = np.bincount(number, hit - confidence, minlength=_CONFIDENCE_BINS)
    return float(np.abs(gaps).sum() / len(hit))


def _float(values: ArrayLike) -> Array:
    return np.asarray(values, dtype=np.float64)


def _observed_only(scores: Array, observed: ArrayLike) -> Array:
    return np.where(np.isfinite(_float(observed)), scores, np.nan)


def _normal_cdf(z: Array) -> Array:
    return torch.special.ndtr(torch.from_numpy(np.asarray(z, order="C"))).numpy()
