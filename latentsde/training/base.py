"""One optimisation step and one validation, as a Lightning module: what all trainings share.

A step is written out (Lightning's manual optimization): loss, gradient, check, clip, update. Lightning brings
the loops, devices and processes. Everything random is a function of the step, so nothing here has a stream of
random numbers to save.
"""

from __future__ import annotations

import math
import time
from abc import abstractmethod
from typing import Any, ClassVar

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from ..errors import TrainingDiverged
from .config import OptimisationConfig
from .schedule import Schedule
from .state import TrainingState


class Training(pl.LightningModule):
    """Trains `model` from `state` on.

    The loss of a global batch is a mean over its examples: a process that holds n of the batch's N examples
    weighs its mean by n P / N, so that the mean over P processes, which DDP takes, is that of the global
    batch.

    An "epoch" of Lightning is a round here: the steps up to the next validation.

    Attributes:
        columns: of history.csv, between the split and the seconds.
        parts: how many sums over examples there are.
        totals: float64 of the last step, this process' share: the loss, then sums over examples.
        validation: float64 sums of the last validation over all examples; None before the first.
        round_end: the step at which the current round ends.
    """

    columns: ClassVar[tuple[str, ...]]
    parts: ClassVar[int]
    totals: Tensor

    def __init__(
        self,
        model: nn.Module,
        examples: int,
        validation_order: np.ndarray,
        config: OptimisationConfig,
        state: TrainingState,
        optimizer_state: dict[str, Any] | None,
        last_checkpoint: str,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.model = model
        self.config, self.state, self.optimizer_state = config, state, optimizer_state
        self.last_checkpoint = last_checkpoint
        self.schedule = Schedule(config, examples)
        self.round_end = state.step
        self.validation: Tensor | None = None
        self._validation_order = validation_order
        self._began, self._seconds_before = time.perf_counter(), state.seconds

    @abstractmethod
    def loss(self, step: int, own: np.ndarray, count: int) -> tuple[Tensor, Tensor]:
        """This process' share of the loss of a step, (), whose sum over processes is the loss; and float64
        sums over its examples, for `row`.

        Args:
            own: the examples of this process.
            count: those of the global batch.
        """

    @abstractmethod
    def diverged(self, step: int, what: str, indices: np.ndarray) -> TrainingDiverged:
        """The error for a step whose loss or gradient (`what`) is not finite, in the global batch."""

    @abstractmethod
    def judged(self, own: np.ndarray) -> Tensor:
        """The sums of `row` over validation examples; raises `TrainingDiverged` where they are not finite."""

    @abstractmethod
    def score(self, sums: Tensor) -> float:
        """What of a validation decides which weights are the best: more is better."""

    @abstractmethod
    def row(self, split: str, sums: Tensor, steps: int) -> dict[str, float]:
        """A row of the history, of the sums over examples; "loss" is added to those of training.

        Args:
            steps: over which the sums run.
        """

    @abstractmethod
    def summary(self, train: dict[str, float] | None, validation: dict[str, float] | None) -> str:
        """The latest rows in a line, for the person who watches."""

    def updated(self) -> None:
        """Called after every step."""

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
        share, sums = self.loss(step, own, len(indices))

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
            raise self.diverged(step, what, indices)
        if self.config.clip:
            clip_grads_with_norm_(self.model.parameters(), self.config.clip, norm)
        optimizer.step()
        self.updated()
        self.state.step = step + 1
        self._tick()
        self.totals = torch.cat([share.detach().double().reshape(1), sums])

    def val_dataloader(self) -> range:
        return range(-(-len(self._validation_order) // self.config.batch_size))

    def on_validation_epoch_start(self) -> None:
        self.validation = torch.zeros(self.parts, dtype=torch.float64, device=self.device)

    def validation_step(self, batch: int) -> None:
        assert self.validation is not None
        size = self.config.batch_size
        whole = self._validation_order[batch * size : (batch + 1) * size]
        own = whole[self.global_rank :: self.trainer.world_size]
        if len(own):
            self.validation += self.judged(own)

    def on_validation_epoch_end(self) -> None:
        self.validation = self.trainer.strategy.reduce(self.validation, reduce_op="sum")
        assert isinstance(self.validation, Tensor)
        self._tick()
        self.state.judge(self.score(self.validation))

    def on_train_epoch_end(self) -> None:
        # Lightning calls this after the callbacks' hooks, so history and checkpoint of the round are written.
        self.trainer.should_stop = self.state.finished(self.config)

    def _tick(self) -> None:
        self.state.seconds = self._seconds_before + time.perf_counter() - self._began
