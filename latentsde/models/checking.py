"""Whether each value of a data set is one that its likelihood can have."""

from __future__ import annotations

import numpy as np

from ..data import IrregularSeries
from ..data.limits import format_limits
from ..errors import InputError
from ..nn import FAMILIES
from .config import SeriesConfig


def check_series(series: IrregularSeries, config: SeriesConfig, what: str = "the series") -> None:
    """Raise `InputError` unless a model of this configuration can read the series: the same features and
    static covariates in the same order, classes by the same names, values that their likelihoods can have.
    """
    for kind, names, expected in (
        ("features", series.features, config.features),
        ("static covariates", series.static_names, config.static),
    ):
        if names != expected:
            raise InputError(
                f"{what} have the {kind} {', '.join(names) or 'none'}, the model has "
                f"{', '.join(expected) or 'none'}, in this order; read the data with the columns of the fit"
            )
    for position, name in enumerate(config.features):
        classes = config.levels_of(position)
        # A model of bare codes has the codes for names; any other names have to be known to the series too.
        if name not in series.levels and classes != tuple(map(str, range(len(classes)))):
            raise InputError(
                f"feature '{name}' of {what} is numbers, the model knows it by the classes "
                f"{', '.join(classes)}; read the data with the categories of the fit"
            )
    check_values(series, config)


def check_values(series: IrregularSeries, config: SeriesConfig) -> None:
    """Raise `InputError` at the first value that the family of its feature cannot have: feature, value, time,
    series and remedy in one sentence.
    """
    for position, (name, chosen) in enumerate(zip(series.features, config.likelihoods, strict=True)):
        family, values = FAMILIES[chosen], series.values[:, position]
        if series.limits is not None and not family.censored:
            ends = series.limits[:, position]
            limited = np.isfinite(values) & ~np.isnan(ends[:, 0])
            if limited.any():
                row = int(np.argmax(limited))
                raise InputError(
                    f"{_is(series, name, chosen, format_limits(*ends[row]), row)}; give it censored-normal "
                    "or censored-laplace, or write a number"
                )
        wrong = family.wrong(values, config.classes[position])
        if wrong.any():
            row = int(np.argmax(wrong))
            raise InputError(
                f"{_is(series, name, chosen, f'{values[row]:g}', row)}; {family.wanted}, choose another "
                "likelihood for it"
            )
        levels = series.levels.get(name)
        if levels is not None and levels != config.levels_of(position):
            raise InputError(
                f"feature '{name}' holds classes, its likelihood is {chosen}"
                f"{_differ(levels, config.levels_of(position))}; read the data with the categories of the fit"
            )


def _is(series: IrregularSeries, name: str, family: str, value: str, row: int) -> str:
    who = series.names[series.series_of_rows[row]]
    return (
        f"feature '{name}' is to be {family} but is {value} at time {series.times[row]:g} of series '{who}'"
    )


def _differ(levels: tuple[str, ...], fitted: tuple[str, ...]) -> str:
    return f" of the classes {', '.join(fitted)} instead of {', '.join(levels)}" if fitted else ""
