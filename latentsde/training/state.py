"""How far a run has come: what a resumed run must know besides weights and optimizer."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from .config import OptimisationConfig


@dataclass
class TrainingState:
    """Progress and the memory of early stopping.

    Attributes:
        step: optimisation steps done.
        best_step, best_elbo: of the best validation, None before the first; nats per observed value, scaled
            units. Of a classifier the mean log-likelihood of an image.
        stale: validations since the best one.
        seconds: spent in training, over all sessions of the run.
    """

    step: int = 0
    best_step: int | None = None
    best_elbo: float | None = None
    stale: int = 0
    seconds: float = 0.0

    def judge(self, elbo: float) -> None:
        """Take in a validation of the weights after `step` steps."""
        if self.best_elbo is None or elbo > self.best_elbo:
            self.best_step, self.best_elbo, self.stale = self.step, elbo, 0
        else:
            self.stale += 1

    def finished(self, config: OptimisationConfig) -> bool:
        """Whether all steps are done or patience is over."""
        return self.step >= config.steps or 0 < config.patience <= self.stale

    def to_json(self) -> dict[str, Any]:
        return asdict(self)
