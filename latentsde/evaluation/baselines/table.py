"""The table of baselines: a new one is one file and one line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from latentsde.data import IrregularSeries
from latentsde.evaluation.baselines.baseline import Baseline
from latentsde.evaluation.baselines.climatology import Climatology
from latentsde.evaluation.baselines.gaussian_process import GaussianProcess
from latentsde.evaluation.baselines.last_observation import LastObservation
from latentsde.evaluation.baselines.linear_interpolation import LinearInterpolation
from latentsde.evaluation.baselines.same_hour_yesterday import SameHourYesterday
from latentsde.evaluation.classes import class_probabilities, indicators, kept_columns, score_classes
from latentsde.evaluation.scores import PointScores, score_normal

BASELINES: dict[str, Callable[[float | None], Baseline | None]] = {
    LastObservation.name: lambda period: LastObservation(),
    SameHourYesterday.name: lambda period: None if period is None else SameHourYesterday(period),
    LinearInterpolation.name: lambda period: LinearInterpolation(),
    Climatology.name: Climatology,
    GaussianProcess.name: GaussianProcess,
}
"""Each makes its baseline for data of that period; None where it makes no sense without a period."""


def baselines_for(period: float | None) -> list[Baseline]:
    """Fresh baselines, not fitted, for one task. period: in the series' time unit (24 for hours) or None."""
    made = [make(period) for make in BASELINES.values()]
    return [baseline for baseline in made if baseline is not None]


def score_baselines(
    baselines: list[Baseline],
    train: tuple[IrregularSeries, IrregularSeries],
    test: tuple[IrregularSeries, IrregularSeries],
    classes: Mapping[int, int] | None = None,
) -> dict[str, PointScores]:
    """Fit each baseline on `train`, score it on `test`: each a (visible, withheld) pair of the same task.

    classes: {feature: K} of the features of K classes, 1 for those of 0 and 1; a baseline predicts their
    indicators as if they were measured, and what it says becomes probabilities.
    """
    classes = classes or {}
    withheld, scores = test[1], {}
    columns = kept_columns(len(withheld.features), classes)
    split = [tuple(indicators(half, classes) for half in pair) for pair in (train, test)]
    for baseline in baselines:
        prediction = baseline.fit(*split[0]).predict(*split[1])
        first = [where.start for where in columns]
        points = score_normal(
            prediction.mean[:, first], prediction.std[:, first], withheld.values, limits=withheld.limits
        )
        for f, count in classes.items():
            where = columns[f] if count > 1 else columns[f].start
            likely = class_probabilities(prediction.mean[:, where], prediction.std[:, where])
            points = score_classes(points, f, likely, withheld.values[:, f])
        scores[baseline.name] = points
    return scores
