"""Per-feature scaling to mean 0 and standard deviation 1, undone in every output."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch

from latentsde.data.series import IrregularSeries
from latentsde.errors import InputError

Values = TypeVar("Values", np.ndarray, torch.Tensor)


@dataclass(frozen=True, eq=False)
class Scaler:
    """Statistics of the observed values: `mean` and `std` (F,), `static_mean` and `static_std` (C,)."""

    features: tuple[str, ...]
    mean: np.ndarray
    std: np.ndarray
    static_mean: np.ndarray
    static_std: np.ndarray

    @classmethod
    def fit(cls, series: IrregularSeries, kept: Collection[str] = frozenset()) -> Scaler:
        """Statistics of the observed values of `series` alone; features in `kept` (counts, classes) get mean
        0 and std 1.
        """
        unknown = sorted(set(kept) - set(series.features))
        if unknown:
            raise InputError(
                f"'{unknown[0]}' is not a feature; the features are {', '.join(series.features)}"
            )
        mean, std = _moments(series.values, series.features)
        as_they_are = np.array([name in kept for name in series.features], dtype=bool)
        mean[as_they_are], std[as_they_are] = 0.0, 1.0
        return cls(series.features, mean, std, *_moments(series.static, series.static_names))

    def scale(self, values: Values) -> Values:
        """Values (..., F) in original units to standard deviations from the mean. NaN stays NaN."""
        return (values - _like(self.mean, values)) / _like(self.std, values)

    def scale_limits(self, limits: np.ndarray) -> np.ndarray:
        """Pairs of limits (..., F, 2), as `scale`."""
        return self.scale(limits.swapaxes(-1, -2)).swapaxes(-1, -2)

    def unscale(self, values: Values) -> Values:
        """The inverse of `scale`."""
        return values * _like(self.std, values) + _like(self.mean, values)

    def scale_static(self, static: np.ndarray) -> np.ndarray:
        """Static covariates (..., C), scaled; a missing one becomes 0, the mean."""
        return np.nan_to_num((static - self.static_mean) / self.static_std, nan=0.0)

    def to_json(self) -> dict[str, Any]:
        """A dictionary of lists that `from_json` turns back into an equal scaler."""
        arrays = ("mean", "std", "static_mean", "static_std")
        return {"features": list(self.features)} | {name: getattr(self, name).tolist() for name in arrays}

    @classmethod
    def from_json(cls, state: dict[str, Any]) -> Scaler:
        arrays = ("mean", "std", "static_mean", "static_std")
        return cls(tuple(state["features"]), *(np.array(state[name], dtype=np.float64) for name in arrays))


def _like(statistic: np.ndarray, values: Values) -> Values:
    if isinstance(values, torch.Tensor):
        return torch.as_tensor(statistic, dtype=values.dtype, device=values.device)
    return statistic


def _moments(values: np.ndarray, names: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation (F,) of the finite values (N, F): 0 and 1 without any, and 1 without spread."""
    mean, std = np.zeros(len(names)), np.ones(len(names))
    for position, name in enumerate(names):
        observed = values[:, position]
        observed = observed[np.isfinite(observed)]
        if len(observed) == 0:
            continue
        with np.errstate(over="ignore", invalid="ignore"):
            mean[position] = observed.mean()
            # Not std() == 0: the mean of equal numbers may miss them by a rounding.
            if observed.max() > observed.min():
                std[position] = observed.std()
        if not np.isfinite(mean[position]) or not np.isfinite(std[position]) or std[position] == 0.0:
            raise InputError(
                f"the values of '{name}' are too large or too small for float64; give them in another unit"
            )
    return mean, std
