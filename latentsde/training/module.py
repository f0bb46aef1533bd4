"""The training of a model of series: its bound, and what is reported of it."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from ..brownian import derive_seed
from ..data import IrregularSeries, collate
from ..errors import TrainingDiverged
from ..models import ELBO, SeriesModel
from ..models.bound import hide, hide_after
from .base import Training
from .config import TrainingConfig
from .divergence import diverged
from .history import TRAIN
from .state import TrainingState

PARTS = ("log_likelihood", "kl_initial", "kl_path", "observed")


class SeriesTraining(Training):
    """Trains `model` from `state` on.

    The loss of a global batch is minus the mean over its series of log-likelihood - KL weight * KL, divided
    by the constant mean number of observed values of a training series. The sums are those of `PARTS`.
    """

    columns: ClassVar[tuple[str, ...]] = (
        "loss",
        "elbo",
        "log_likelihood",
        "kl_initial",
        "kl_path",
        "kl_weight",
        "learning_rate",
    )
    parts = len(PARTS)
    model: SeriesModel
    config: TrainingConfig

    def __init__(
        self,
        model: SeriesModel,
        series: IrregularSeries,
        validation_series: IrregularSeries | None,
        config: TrainingConfig,
        state: TrainingState,
        optimizer_state: dict[str, Any] | None,
        last_checkpoint: str,
    ) -> None:
        # Series of like lengths together: a batch costs the steps of its longest.
        order = np.array([], dtype=np.int64)
        if validation_series is not None:
            order = np.argsort(np.diff(validation_series.observed_rows[1]), kind="stable")
        super().__init__(model, len(series), order, config, state, optimizer_state, last_checkpoint)
        self.series, self.validation_series = series, validation_series
        self.mean_observed = series.n_observed / len(series)

    def loss(self, step: int, own: np.ndarray, count: int) -> tuple[Tensor, Tensor]:
        bound = self._bound(self.series, own, self.schedule.noise_seed(step), self.config.hidden_share)
        values = bound.value(self.schedule.kl_weight(step))
        self._own, self._values = own, values.detach()
        return -values.sum() / (count * self.mean_observed), _sums(bound)

    def diverged(self, step: int, what: str, indices: np.ndarray) -> TrainingDiverged:
        names = self.series.names
        bad = names[self._own][_not_finite(self._values)]
        return diverged(step, what, names[indices], bad, self.last_checkpoint)

    def judged(self, own: np.ndarray) -> Tensor:
        assert self.validation_series is not None
        bound = self._bound(self.validation_series, own, self.schedule.validation_seed)
        bad = _not_finite(bound.value())
        if bad.any():
            names = self.validation_series.names[own]
            raise diverged(self.state.step, "validation ELBO", names, names[bad], self.last_checkpoint)
        return _sums(bound)

    def score(self, sums: Tensor) -> float:
        return per_observed_value(sums)["elbo"]

    def row(self, split: str, sums: Tensor, steps: int) -> dict[str, float]:
        row = per_observed_value(sums)
        if split == TRAIN:
            step = self.state.step - 1
            row["kl_weight"] = self.schedule.kl_weight(step)
            row["learning_rate"] = self.schedule.learning_rate(step)
        return row

    def summary(self, train: dict[str, float] | None, validation: dict[str, float] | None) -> str:
        if train is None:
            return ""
        ours = f"ELBO {train['elbo']:.3f}"
        if validation is not None:
            ours += f", validation {validation['elbo']:.3f}"
        kl = f"KL {train['kl_initial']:.3f} (z0) + {train['kl_path']:.3f} (path)"
        return f"{ours}, log-likelihood {train['log_likelihood']:.3f}, {kl}"

    def _bound(
        self, series: IrregularSeries, indices: np.ndarray, seed: int, hidden_share: float = 0.0
    ) -> ELBO:
        batch = collate(series, indices, self.model.scaler).to(self.device)
        seen = batch if self.config.hidden_after is None else hide_after(batch, self.config.hidden_after)
        if hidden_share:
            seen = hide(seen, hidden_share, seed=derive_seed(seed, 2))
        return self.model.elbo(batch, seed=seed, samples=self.config.samples, seen=seen)


def per_observed_value(sums: Tensor) -> dict[str, float]:
    """(4,) sums of `PARTS` to nats per observed value, in scaled units, with the ELBO at KL weight 1.

    Original units have the density divided by the scaler's std: subtract its mean logarithm over observed
    values.
    """
    log_likelihood, kl_initial, kl_path, observed = sums.tolist()
    elbo = log_likelihood - kl_initial - kl_path
    values = {"elbo": elbo, "log_likelihood": log_likelihood, "kl_initial": kl_initial, "kl_path": kl_path}
    return {name: value / max(observed, 1.0) for name, value in values.items()}


def _sums(bound: ELBO) -> Tensor:
    parts = (getattr(bound, name).detach().to(torch.float64) for name in PARTS)
    return torch.stack([part.sum() for part in parts])


def _not_finite(values: Tensor) -> np.ndarray:
    return (~torch.isfinite(values.detach())).cpu().numpy()
