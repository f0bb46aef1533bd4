"""One optimisation step and one validation of a model of series, as a Lightning module.

A step is written out (Lightning's manual optimization): collate, bound, gradient, check, clip, update.
Lightning brings the loops, devices and processes. Everything random is a function of the step, so nothing
here has a stream of random numbers to save.
"""

from __future__ import annotations

import math
import time
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from ..brownian import derive_seed
from ..data import IrregularSeries, collate
from ..models import ELBO, SeriesModel
from ..models.bound import hide, hide_after
from .config import TrainingConfig
from .divergence import diverged
from .schedule import Schedule
from .state import TrainingState

PARTS = ("log_likelihood", "kl_initial", "kl_path", "observed")


class SeriesTraining(pl.LightningModule):
    """Trains `model` from `state` on.

    The loss of a global batch is minus the mean over its series of log-likelihood - KL weight * KL, divided
    by the constant mean number of observed values of a training series: a process that holds n of the batch's
    N series weighs its mean by n P / N, so that the mean over P processes, which DDP takes, is that of the
    global batch.

    An "epoch" of Lightning is a round here: the steps up to the next validation.

    Attributes:
        totals: (5,) float64 of the last step, this process' share: the loss, then `PARTS` summed over series.
        validation: (4,) float64 of the last validation: `PARTS` summed over all series; None before the
            first.
        round_end: the step at which the current round ends.
    """

    totals: Tensor

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
        super().__init__()
        self.automatic_optimization = False
        self.model, self.series, self.validation_series = model, series, validation_series
        self.config, self.state, self.optimizer_state = config, state, optimizer_state
        self.last_checkpoint = last_checkpoint
        self.schedule = Schedule(config, len(series))
        self.mean_observed = series.n_observed / len(series)
        self.round_end = state.step
        self.validation: Tensor | None = None
        self._began, self._seconds_before = time.perf_counter(), state.seconds
        # Series of like lengths together: a batch costs the steps of its longest.
        self._validation_order = np.array([], dtype=np.int64)
        if validation_series is not None:
            self._validation_order = np.argsort(np.diff(validation_series.observed_rows[1]), kind="stable")

    def configure_optimizers(self) -> torch.optim.Optimizer:
        parameters = [p for p in self.model.parameters() if p.requires_grad]
        matrices, vectors = [p for p in parameters if p.dim() > 1], [p for p in parameters if p.dim() <= 1]
        groups: list[dict[str, Any]] = [{"params": matrices}, {"params": vectors, "weight_decay": 0.0}]
        optimizer = torch.optim.AdamW(
            groups, lr=self.config.learning_rate, weight_decay=self.config.weight_decay, fused=True
        )
        if self.optimizer_state is not None:
            optimizer.load_state_dict(self.optimizer_state)
        return optimizer

    def on_fit_start(self) -> None:
        self._began = time.perf_counter()

    def train_dataloader(self) -> range:
        self.round_end = self.schedule.round_end(self.state.step)
        return range(self.state.step, self.round_end)

    def training_step(self, step: int) -> None:
        indices = self.schedule.batch(step)
        own = indices[self.global_rank :: self.trainer.world_size]
        weight = self.schedule.kl_weight(step)
        bound = self._bound(self.series, own, self.schedule.noise_seed(step), self.config.hidden_share)
        share = -bound.value(weight).sum() / (len(indices) * self.mean_observed)

        optimizer: Any = self.optimizers()
        for group in optimizer.param_groups:
            group["lr"] = self.schedule.learning_rate(step)
        optimizer.zero_grad()
        self.manual_backward(share * self.trainer.world_size)
        gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
        norm = get_total_norm(gradients)
        # Before the update: weights that follow a NaN never exist, so no checkpoint can hold them.
        if not math.isfinite(float(share.detach() + norm)):
            what = "gradient" if math.isfinite(float(share.detach())) else "loss"
            raise diverged(
                step,
                what,
                self.series.names[indices],
                self.series.names[own][_not_finite(bound.value(weight))],
                self.last_checkpoint,
            )
        if self.config.clip:
            clip_grads_with_norm_(self.model.parameters(), self.config.clip, norm)
        optimizer.step()
        self.state.step = step + 1
        self._tick()
        self.totals = torch.cat([share.detach().double().reshape(1), _sums(bound)])

    def val_dataloader(self) -> range:
        return range(-(-len(self._validation_order) // self.config.batch_size))

    def on_validation_epoch_start(self) -> None:
        self.validation = torch.zeros(len(PARTS), dtype=torch.float64, device=self.device)

    def validation_step(self, batch: int) -> None:
        assert self.validation_series is not None and self.validation is not None
        size = self.config.batch_size
        own = self._validation_order[batch * size : (batch + 1) * size][
            self.global_rank :: self.trainer.world_size
        ]
        if not len(own):
            return
        bound = self._bound(self.validation_series, own, self.schedule.validation_seed)
        bad = _not_finite(bound.value())
        if bad.any():
            names = self.validation_series.names[own]
            raise diverged(self.state.step, "validation ELBO", names, names[bad], self.last_checkpoint)
        self.validation += _sums(bound)

    def on_validation_epoch_end(self) -> None:
        self.validation = self.trainer.strategy.reduce(self.validation, reduce_op="sum")
        assert isinstance(self.validation, Tensor)
        self._tick()
        self.state.judge(per_observed_value(self.validation)["elbo"])

    def on_train_epoch_end(self) -> None:
        # Lightning calls this after the callbacks' hooks, so history and checkpoint of the round are written.
        self.trainer.should_stop = self.state.finished(self.config)

    def _tick(self) -> None:
        self.state.seconds = self._seconds_before + time.perf_counter() - self._began

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
