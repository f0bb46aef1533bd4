"""A configuration from the data themselves."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..data import IrregularSeries
from ..errors import InputError
from .config import Config, SeriesConfig

_SPANS = 10.0  # units of model time in a typical series
_STEPS = 64.0  # steps of the solver in a typical series, besides its observation times


def config_for(
    series: IrregularSeries,
    kind: type[Config] = SeriesConfig,  # type: ignore[assignment]
    *,
    likelihoods: str | Mapping[str, str] = "normal",
    dt: float | None = None,
    start: float | None = None,
    **sizes: Any,
) -> Config:
    """The configuration for a data set: start, time scale and step from its times, the rest by name.

    Args:
        series: the training data.
        kind: the model's own configuration class.
        likelihoods: one family for all features, or {feature: family}, the others "normal".
        dt: the largest step in the data's unit; by default a round number near 1/64 of the typical span of a
            series.
        start: the time of z0, where series to validate or test on begin earlier than these.
        sizes: any other field of `kind`.
    """
    if isinstance(likelihoods, str):
        families = (likelihoods,) * len(series.features)
    else:
        unknown = sorted(set(likelihoods) - set(series.features))
        if unknown:
            raise InputError(
                f"a likelihood is given for '{unknown[0]}', which is not a feature; "
                f"the features are {', '.join(series.features)}"
            )
        families = tuple(likelihoods.get(name, "normal") for name in series.features)
    span = typical_span(series)
    for name, family in zip(series.features, families, strict=True):
        if family == "poisson":
            _check_counts(series, name)
    return kind(
        features=series.features,
        static=series.static_names,
        likelihoods=families,
        start=float(series.times.min()) if start is None else start,
        time_scale=span / _SPANS,
        dt=round_number(span / _STEPS) if dt is None else dt,
        **sizes,
    )


def typical_span(series: IrregularSeries) -> float:
    """The median time from first to last row over the series with more than one; the spread of all times if
    there is none.
    """
    spans = series.times[series.offsets[1:] - 1] - series.times[series.offsets[:-1]]
    spans = spans[spans > 0]
    return float(np.median(spans)) if len(spans) else float(np.ptp(series.times)) or 1.0


def round_number(value: float) -> float:
    """The nearest of 1, 2, 2.5 and 5 times a power of ten, by ratio."""
    power = 10.0 ** math.floor(math.log10(value))
    return min((power * m for m in (1.0, 2.0, 2.5, 5.0, 10.0)), key=lambda x: abs(math.log(x / value)))


def _check_counts(series: IrregularSeries, name: str) -> None:
    values = series.values[:, series.features.index(name)]
    bad = np.isfinite(values) & ((values < 0) | (values != np.round(values)))
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        who = series.names[series.series_of_rows[row]]
        raise InputError(
            f"feature '{name}' is to be poisson but is {values[row]:g} at time {series.times[row]:g} "
            f"of series '{who}'; "
            "counts are whole numbers from 0, choose another likelihood for it"
        )
