"""From a prediction of many values to the few numbers of metrics.json.

A prediction, normal or sampled, becomes `PointScores`: one score per value, in original units. Their averages
are `Scores`: over all values with every feature in its standard deviations, or for one feature in its own
unit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from latentsde.evaluation import censoring, metrics

Array = NDArray[np.float64]

SCALE = (
    "Overall scores: each feature divided by its standard deviation in the training series (features that "
    "are not rescaled, such as counts: as they are); mse in that unit squared, crps in that unit, nll in "
    "nats per value with the density of the divided value. per_feature: original units, nll the density of "
    "the original value. coverage90: share of values inside the central 90 % interval. n: values scored. "
    "Bernoulli and categorical features: mse is the Brier score, (p - y)^2 of 0 and 1, summed over the "
    "classes of a category; crps the energy score of classes, half of that sum; no coverage90; per_feature "
    "also accuracy of the likeliest class and ece, its expected calibration error in ten bins. Censored "
    "values: how far the prediction is outside the limits; nll of the limits' probability."
)
_NORMAL_Q95 = 1.6448536269514722


@dataclass(frozen=True)
class Scores:
    """Averages over `n` observed values; all NaN when n is 0.

    nll is NaN where the prediction has no density. A score is NaN too when the prediction of an observed
    value is NaN: a model that fails on some values is not compared on the others.
    """

    mse: float
    crps: float
    nll: float
    coverage90: float
    n: int


@dataclass(frozen=True)
class PointScores:
    """One score per value, (R, F) each, in original units; `observed` (R, F) says which of them count."""

    squared_error: Array
    crps: Array
    nll: Array
    covered90: Array
    observed: NDArray[np.bool_]
    hit: Array | None = None
    """Of values of classes whether the likeliest was observed, 1 or 0, NaN for other values; None without."""
    confidence: Array | None = None
    """The probability of the likeliest class, NaN for other values; None without."""

    def overall(self, std: ArrayLike) -> Scores:
        """Every observed value one vote, in standard deviations. std: (F,), the training scaler's."""
        std = _float(std)
        # x -> x / std multiplies the density by std, so each nll falls by log std.
        return self._average(
            self.squared_error / std**2,
            self.crps / std,
            self.nll - np.log(std),
            self.covered90,
            self.observed,
            self.hit,
        )

    def per_feature(self, features: Sequence[str]) -> dict[str, Scores]:
        """Scores of each feature in its own unit. features: the F names."""
        return {
            name: self._average(
                self.squared_error[:, f],
                self.crps[:, f],
                self.nll[:, f],
                self.covered90[:, f],
                self.observed[:, f],
                None if self.hit is None else self.hit[:, f],
            )
            for f, name in enumerate(features)
        }

    def of_classes(self, feature: int) -> dict[str, float]:
        """{"accuracy", "ece"} of a feature of classes with a scored value, nothing for others."""
        if self.hit is None or self.confidence is None:
            return {}
        scored = np.isfinite(self.hit[:, feature])
        hit, confidence = self.hit[scored, feature], self.confidence[scored, feature]
        if not len(hit):
            return {}
        return {
            "accuracy": float(hit.mean()),
            "ece": metrics.expected_calibration_error(confidence, hit),
        }

    @classmethod
    def join(cls, parts: Sequence[PointScores]) -> PointScores:
        """The rows of all parts: for data sets whose samples do not fit into memory at once."""
        columns = {f.name: [getattr(part, f.name) for part in parts] for f in fields(cls)}
        joined: dict[str, Any] = {
            name: None if some[0] is None else np.concatenate(some) for name, some in columns.items()
        }
        return cls(**joined)

    @staticmethod
    def _average(
        squared_error: Array,
        crps: Array,
        nll: Array,
        covered90: Array,
        observed: NDArray[np.bool_],
        hit: Array | None,
    ) -> Scores:
        n = int(observed.sum())
        if n == 0:
            return Scores(math.nan, math.nan, math.nan, math.nan, 0)
        mse, mean_crps, mean_nll = (float(points[observed].mean()) for points in (squared_error, crps, nll))
        # Classes have no intervals.
        inside = covered90[observed if hit is None else observed & np.isnan(hit)]
        coverage90 = float(inside.mean()) if len(inside) else math.nan
        return Scores(mse, mean_crps, mean_nll, coverage90, n)


def score_normal(
    mean: ArrayLike, std: ArrayLike, observed: ArrayLike, *, limits: ArrayLike | None = None
) -> PointScores:
    """Scores of a normal prediction. mean, std, observed: (R, F), NaN in observed = not scored; limits:
    (R, F, 2) of censored values, as for `score_samples`.
    """
    mean, std, observed = (_float(a) for a in (mean, std, observed))
    half_width = _NORMAL_Q95 * std
    points = PointScores(
        squared_error=(mean - observed) ** 2,
        crps=metrics.crps_normal(mean, std, observed),
        nll=metrics.nll_normal(mean, std, observed),
        covered90=metrics.covered(mean - half_width, mean + half_width, observed),
        observed=np.isfinite(observed),
    )
    return points if limits is None else censoring.rescore_normal(points, mean, std, observed, _float(limits))


def score_samples(
    samples: ArrayLike,
    observed: ArrayLike,
    *,
    mean: ArrayLike | None = None,
    log_density: ArrayLike | None = None,
    limits: ArrayLike | None = None,
) -> PointScores:
    """Scores of a prediction given by samples of a new observation.

    samples: (N, R, F), drawn from the predictive with its observation noise, N >= 19 for a meaningful
    coverage90; observed: (R, F), NaN = not scored; mean: (R, F), the point forecast that mse judges, by
    default the samples' mean (which adds 1/N of the predictive variance to the mse); log_density: (R, F), the
    predictive's log density at the observed values, in original units; without it nll is NaN; limits: (R, F,
    2), the interval a censored value lies in, NaN for others: there the prediction is scored by how far it is
    outside (see `latentsde.evaluation.censoring`).
    """
    samples, observed = _float(samples), _float(observed)
    seen = np.isfinite(observed)
    drawn, truth = samples[:, seen], observed[seen]
    centre = drawn.mean(axis=0) if mean is None else _float(mean)[seen]
    if limits is not None:
        drawn, centre, truth = censoring.outside(drawn, centre, truth, _float(limits)[seen])
    density = np.full(truth.shape, np.nan) if log_density is None else _float(log_density)[seen]
    # Plotting position k / (N + 1): for it, and not for numpy's default, a calibrated sample covers 90 % at
    # any N.
    lower, upper = np.quantile(drawn, [0.05, 0.95], axis=0, method="weibull")

    def spread(points: Array) -> Array:
        placed = np.full(observed.shape, np.nan)
        placed[seen] = points
        return placed

    return PointScores(
        squared_error=spread((centre - truth) ** 2),
        crps=spread(metrics.crps_samples(drawn, truth)),
        nll=spread(-density),
        covered90=spread(metrics.covered(lower, upper, truth)),
        observed=seen,
    )


def metrics_document(
    tasks: Mapping[str, Mapping[str, PointScores]], *, std: ArrayLike, features: Sequence[str]
) -> dict[str, Any]:
    """metrics.json: {"scale": text, task: {model: {mse, crps, nll, coverage90, n, per_feature}}}.

    tasks: {task: {model or baseline: its PointScores}}; std: (F,), the training scaler's, and the features'
    names. Numbers that are not finite become None, JSON's null.
    """
    document: dict[str, Any] = {"scale": SCALE}
    for task, models in tasks.items():
        document[task] = {}
        for model, points in models.items():
            entry = _plain(points.overall(std))
            entry["per_feature"] = {
                name: _plain(s) | points.of_classes(f)
                for f, (name, s) in enumerate(points.per_feature(features).items())
            }
            document[task][model] = entry
    return document


def _float(values: ArrayLike) -> Array:
    return np.asarray(values, dtype=np.float64)


def _plain(scores: Scores) -> dict[str, Any]:
    return {name: value if math.isfinite(value) else None for name, value in asdict(scores).items()}
