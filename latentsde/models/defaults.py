"""A configuration from the data themselves."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..data import IrregularSeries
from ..data.classes import MOST
from ..errors import InputError
from ..nn import FAMILIES
from .checking import check_values
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
        likelihoods: one family for all features, or {feature: family}, the others "normal", or "categorical"
            where the series were read with `categories`.
        dt: the largest step in the data's unit; by default a round number near 1/64 of the typical span of a
            series.
        start: the time of z0, where series to validate or test on begin earlier than these.
        sizes: any other field of `kind`.
    """
    if isinstance(likelihoods, str):
        families = tuple(_family(series, name, likelihoods) for name in series.features)
    else:
        unknown = sorted(set(likelihoods) - set(series.features))
        if unknown:
            raise InputError(
                f"a likelihood is given for '{unknown[0]}', which is not a feature; "
                f"the features are {', '.join(series.features)}"
            )
        families = tuple(likelihoods.get(name, _family(series, name, "normal")) for name in series.features)
    span = typical_span(series)
    config = kind(
        features=series.features,
        static=series.static_names,
        likelihoods=families,
        levels=_levels(series, families),
        start=float(series.times.min()) if start is None else start,
        time_scale=span / _SPANS,
        dt=round_number(span / _STEPS) if dt is None else dt,
        **sizes,
    )
    check_values(series, config)
    return config


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


def _family(series: IrregularSeries, name: str, usual: str) -> str:
    return "categorical" if name in series.levels else usual


def _levels(series: IrregularSeries, families: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """The names of the classes: as read, or else the numbers from 0 to the largest."""
    levels: list[tuple[str, ...]] = []
    for position, (name, family) in enumerate(zip(series.features, families, strict=True)):
        values = series.values[:, position]
        values = values[np.isfinite(values)]
        if not (family in FAMILIES and FAMILIES[family].classes):
            levels.append(())
        elif name in series.levels:
            levels.append(series.levels[name])
        else:
            count = min(int(values.max(initial=0.0)), MOST) + 1
            levels.append(tuple(map(str, range(count))))
    return tuple(levels) if any(levels) else ()
