"""A small data set and model that the tests of this folder share."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import pandas as pd
import torch

from latentsde.data import IrregularSeries
from latentsde.models import LatentSDE, SeriesModel, model_class

Model = TypeVar("Model", bound=SeriesModel)


def frame(series: int = 6, seed: int = 0, scale: float = 1.0) -> pd.DataFrame:
    """Irregular series of 3 to 8 rows of a and b, a third of the values missing, one static covariate."""
    rng = np.random.default_rng(seed)
    parts = []
    for k in range(series):
        rows = rng.integers(3, 9)
        times = np.sort(rng.uniform(0.0, 10.0, rows))
        values = rng.normal(size=(rows, 2)) * scale + 3.0 * scale
        values[rng.uniform(size=values.shape) < 0.3] = np.nan
        values[0] = 1.0 * scale
        parts.append(
            pd.DataFrame({"who": f"s{k}", "t": times, "a": values[:, 0], "b": values[:, 1], "age": 40.0 + k})
        )
    return pd.concat(parts, ignore_index=True)


def small_series(**options: float) -> IrregularSeries:
    return IrregularSeries.from_frame(
        frame(**options),
        id="who",
        time="t",
        values=["a", "b"],
        static=["age"],  # type: ignore[arg-type]
    )


def small_model(series: IrregularSeries, seed: int = 0, **options: object) -> LatentSDE:
    """Untrained, but with every weight away from its starting zero."""
    sizes = {"latent": 3, "context": 4, "hidden": 8, "encoder": 8} | options
    return away_from_zero(LatentSDE.for_series(series, seed=seed, **sizes), seed)  # type: ignore[arg-type]


def small_model_named(name: str, series: IrregularSeries, seed: int = 0, **options: object) -> SeriesModel:
    """The same of any model."""
    sizes = {"latent": 3, "hidden": 6, "encoder": 5, "dt": 0.4} | options
    return away_from_zero(model_class(name).for_series(series, seed=seed, **sizes), seed)


def away_from_zero(model: Model, seed: int = 0) -> Model:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.2 * torch.randn(parameter.shape, generator=generator)
    return model
