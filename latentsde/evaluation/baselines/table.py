"""The table of baselines: a new one is one file and one line here."""

from __future__ import annotations

from collections.abc import Callable

from latentsde.data import IrregularSeries
from latentsde.evaluation.baselines.baseline import Baseline
from latentsde.evaluation.baselines.climatology import Climatology
from latentsde.evaluation.baselines.gaussian_process import GaussianProcess
from latentsde.evaluation.baselines.last_observation import LastObservation
from latentsde.evaluation.baselines.linear_interpolation import LinearInterpolation
from latentsde.evaluation.baselines.same_hour_yesterday import SameHourYesterday
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
) -> dict[str, PointScores]:
    """Fit each baseline on `train`, score it on `test`: each a (visible, withheld) pair of the same task."""
    scores = {}
    for baseline in baselines:
        prediction = baseline.fit(*train).predict(*test)
        scores[baseline.name] = score_normal(prediction.mean, prediction.std, test[1].values)
    return scores
