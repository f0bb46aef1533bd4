"""What every baseline is: fitted on training series, it predicts each withheld value as a normal."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from latentsde.data import IrregularSeries, Scaler
from latentsde.errors import InputError
from latentsde.evaluation.baselines.neighbours import previous_observed
from latentsde.evaluation.baselines.spread import ResidualSpread

if TYPE_CHECKING:
    from typing_extensions import Self

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Normal:
    """A normal prediction of every value: mean and std, (R, F) each, in original units."""

    mean: Array
    std: Array


class Baseline(ABC):
    """A simple forecaster or imputer to stand beside a model.

    `visible` and `withheld` are the two halves of one hold-out: the same rows, each value in at most one of
    them.
    """

    name: ClassVar[str]

    @abstractmethod
    def fit(self, visible: IrregularSeries, withheld: IrregularSeries) -> Self:
        """Learn from training series, held out for the same task; their withheld values are known here."""

    @abstractmethod
    def predict(self, visible: IrregularSeries, withheld: IrregularSeries) -> Normal:
        """Predict the withheld values of any series from their visible ones.

        Of `withheld` only the places are read, never the values. Entries that are not withheld may be NaN.
        """


class PointBaseline(Baseline):
    """A point forecast made honest: its std is the spread of its own errors on the training series.

    The std of a feature depends on the time since its last visible value (see `ResidualSpread`).
    """

    def learn(self, observed: IrregularSeries) -> None:
        """Learn from the training series, both halves put together: here each feature's mean and std."""
        scaler = Scaler.fit(observed)
        self.mean, self.std = scaler.mean, scaler.std

    @abstractmethod
    def point(self, visible: IrregularSeries) -> Array:
        """The point forecast of every row and feature, (R, F), in original units; never NaN."""

    def fit(self, visible: IrregularSeries, withheld: IrregularSeries) -> Self:
        self.learn(both_halves(visible, withheld))
        error = withheld.values - self.point(visible)
        gap = time_since_last(visible)
        self._spreads = [
            ResidualSpread.fit(error[:, f], gap[:, f], std=std) for f, std in enumerate(self.std.tolist())
        ]
        return self

    def predict(self, visible: IrregularSeries, withheld: IrregularSeries) -> Normal:
        gap = time_since_last(visible)
        std = np.stack([spread.at(gap[:, f]) for f, spread in enumerate(self._spreads)], axis=1)
        return Normal(self.point(visible), std)


def both_halves(visible: IrregularSeries, withheld: IrregularSeries) -> IrregularSeries:
    """The series before the hold-out."""
    return visible.with_values(np.where(np.isfinite(visible.values), visible.values, withheld.values))


def positive_period(period: float) -> float:
    """The period as a float, or an InputError."""
    if not (np.isfinite(period) and period > 0):
        raise InputError(f"the period is {period}; give a positive number in the series' time unit")
    return float(period)


def time_since_last(visible: IrregularSeries) -> Array:
    """Time since the last visible value of the same feature, (R, F); infinite where there is none."""
    last = previous_observed(visible)
    return np.where(last >= 0, visible.times[:, None] - visible.times[last], np.inf)
