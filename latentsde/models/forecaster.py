"""A fitted model as a user holds it: `latentsde.load(RUN)`."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..data import IrregularSeries
from ..errors import InputError
from .checking import check_series
from .predictive import Predictive, predict
from .saving import load_run
from .series_model import SeriesModel

QUANTILES = (0.05, 0.5, 0.95)


class Forecaster:
    """A fitted model and what is known of its data.

    Attributes:
        model: the `SeriesModel`, on the CPU.
        config: the run's configuration, as in config.json.
    """

    def __init__(self, model: SeriesModel, config: dict[str, Any]) -> None:
        self.model, self.config = model.eval(), config

    def predict(
        self,
        series: IrregularSeries,
        times: Sequence[float] | Sequence[np.ndarray],
        *,
        samples: int = 200,
        seed: int = 0,
    ) -> pd.DataFrame:
        """The predictive distribution of a new observation of every feature, in original units.

        Args:
            series: what to condition on; its features must be the fit's.
            times: increasing, in the data's unit since its origin: one list for all series, or a list for
                each.
            samples: paths a series.

        Returns:
            One row for each (series, time, feature): the id, the time as in the data, feature, mean, std,
            q05, q50, q95. Of a categorical feature one row for each class, "feature=class": what is predicted
            there is 1 for this class and 0 for another, so the mean is its probability.
        """
        frames = [
            self._frame(series, s, asked, p)
            for s, asked, p in self._predictives(series, times, samples, seed)
        ]
        return pd.concat(frames, ignore_index=True)

    def paths(
        self,
        series: IrregularSeries,
        times: Sequence[float] | Sequence[np.ndarray],
        *,
        samples: int = 10,
        seed: int = 0,
    ) -> pd.DataFrame:
        """Posterior sample paths without observation noise: the id, path, the time, one column for each
        feature, or for each class of a categorical one the probability, "feature=class".
        """
        frames = [
            _long_paths(series, s, asked, self._columns(p), series.names[s])
            for s, asked, p in self._predictives(series, times, samples, seed)
        ]
        return pd.concat(frames, ignore_index=True)

    def sample(
        self, like: IrregularSeries, times: Sequence[float], *, n: int = 10, seed: int = 0
    ) -> pd.DataFrame:
        """`n` new series from the prior, observation noise included, on the columns of `like`; statics are
        drawn from its series.
        """
        names = np.array([f"sample-{k}" for k in range(n)])
        keys = np.array([int.from_bytes(hashlib.sha256(x.encode()).digest()[:8], "big") >> 1 for x in names])
        chosen = np.random.default_rng(seed).integers(0, len(like), n)
        asked = np.asarray(times, dtype=np.float64)
        drawn = predict(
            self.model, None, [asked] * n, ids=keys, static=like.static[chosen], samples=1, seed=seed
        )
        frames = [
            _long_paths(like, chosen[k], asked, self._drawn(p), names[k]).drop(columns="path")
            for k, p in enumerate(drawn)
        ]
        return pd.concat(frames, ignore_index=True)

    def _predictives(self, series: IrregularSeries, times: Any, samples: int, seed: int) -> Any:
        check_series(series, self.model.config)
        if samples < 1:
            raise InputError(f"samples must be at least 1, got {samples}")
        one_list = len(times) == 0 or np.ndim(times[0]) == 0
        asked = [np.asarray(times if one_list else times[s], dtype=np.float64) for s in range(len(series))]
        for part in asked:
            if not (np.isfinite(part).all() and (np.diff(part) > 0).all()):
                raise InputError("the times to predict must be finite and strictly increasing")
        return zip(
            range(len(series)),
            asked,
            predict(self.model, series, asked, samples=samples, seed=seed),
            strict=True,
        )

    def _frame(self, series: IrregularSeries, s: int, asked: np.ndarray, p: Predictive) -> pd.DataFrame:
        names, mean, std, quantiles = [], [], [], []
        for f, feature in enumerate(series.features):
            classes = p.classes[f]
            if classes is None:
                names.append(feature)
                mean.append(p.mean[:, f])
                std.append(p.std[:, f])
                quantiles.append(np.quantile(p.samples[:, :, f], QUANTILES, axis=0))
                continue
            for k, level in enumerate(self.model.config.levels_of(f)):
                probability = classes[:, :, k].mean(0)
                names.append(f"{feature}={level}")
                mean.append(probability)
                std.append(np.sqrt(probability * (1.0 - probability)))
                quantiles.append(np.array([probability > 1.0 - q for q in QUANTILES], dtype=np.float64))
        low, middle, high = np.stack(quantiles, -1)
        columns = {"mean": np.stack(mean, -1), "std": np.stack(std, -1)}
        columns |= {"q05": low, "q50": middle, "q95": high}
        count, width = low.shape
        when = series.original_times(np.full(count, s), asked)
        return pd.DataFrame(
            {
                series.id_column: np.repeat(series.names[s], count * width),
                series.time_column: np.repeat(when, width),
                "feature": np.tile(names, count),
                **{name: values.reshape(-1) for name, values in columns.items()},
            }
        )

    def _columns(self, p: Predictive) -> dict[str, np.ndarray]:
        """{column: (N, Q)} of the paths, one for each class of a categorical feature."""
        columns = {}
        for f, feature in enumerate(self.model.config.features):
            classes = p.classes[f]
            if classes is None:
                columns[feature] = p.paths[:, :, f]
            else:
                levels = self.model.config.levels_of(f)
                columns |= {f"{feature}={level}": classes[:, :, k] for k, level in enumerate(levels)}
        return columns

    def _drawn(self, p: Predictive) -> dict[str, np.ndarray]:
        """{feature: (N, Q)} new observations, classes by their names."""
        columns = {}
        for f, feature in enumerate(self.model.config.features):
            levels = self.model.config.levels_of(f)
            drawn = p.samples[:, :, f]
            columns[feature] = np.array(levels, object)[drawn.astype(np.int64)] if levels else drawn
        return columns


def _long_paths(
    like: IrregularSeries, s: int, asked: np.ndarray, columns: dict[str, np.ndarray], name: str
) -> pd.DataFrame:
    samples, count = next(iter(columns.values())).shape
    when = like.original_times(np.full(count, s), asked)
    frame = pd.DataFrame({column: paths.reshape(-1) for column, paths in columns.items()})
    frame.insert(0, like.id_column, name)
    frame.insert(1, "path", np.repeat(np.arange(samples), count))
    frame.insert(2, like.time_column, np.tile(when, samples))
    return frame


def load(run: str | Path) -> Forecaster:
    """The fitted model of a run directory; InputError if a file is missing or damaged. Executes nothing it
    reads.
    """
    return Forecaster(*load_run(Path(run)))
