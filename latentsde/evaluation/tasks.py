"""The two questions a fit is asked: values missing in between, and what comes next."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from latentsde.data import IrregularSeries

Pair = tuple[IrregularSeries, IrregularSeries]


@dataclass(frozen=True)
class Task:
    """A question with its answers: (visible, withheld) for fitting the baselines' spreads, and for the test.

    Attributes:
        name: "imputation" or "forecast".
        train: of the training series.
        test: of the test series; a model sees `visible` and is scored on `withheld`.
        starts: (S,) the time each test series is forecast from; None for imputation.
    """

    name: str
    train: Pair
    test: Pair
    starts: np.ndarray | None = None


def imputation(train: IrregularSeries, test: IrregularSeries, *, fraction: float, seed: int) -> Task:
    """A random share of the single values withheld."""
    return Task(
        "imputation",
        train.hold_out_values(fraction, seed=seed),
        test.hold_out_values(fraction, seed=seed + 1),
    )


def forecast(
    train: IrregularSeries,
    test: IrregularSeries,
    *,
    after: float | None = None,
    fraction: float | None = None,
) -> Task:
    """Everything after a time withheld, or the last share of each series' own span."""
    where = {"time": after} if after is not None else {"fraction": fraction}
    pair = test.hold_out_after(**where)
    return Task("forecast", train.hold_out_after(**where), pair, forecast_starts(test, **where))


def forecast_starts(
    series: IrregularSeries, *, time: float | None = None, fraction: float | None = None
) -> np.ndarray:
    """(S,) where the withheld part of `hold_out_after` begins."""
    if time is not None:
        return np.full(len(series), float(time))
    assert fraction is not None
    first, last = series.times[series.offsets[:-1]], series.times[series.offsets[1:] - 1]
    return first + (1.0 - fraction) * (last - first)


def answerable(tasks: list[Task]) -> list[Task]:
    """The tasks with anything to score and something to see."""
    return [task for task in tasks if task.test[0].n_observed and task.test[1].n_observed]
