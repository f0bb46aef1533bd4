"""The configuration of a training run: everything but the model and the data."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch

from ..devices import check_device
from ..errors import InputError
from ..ranges import whole, within


@dataclass(frozen=True)
class OptimisationConfig:
    """What every training has. Raises `InputError` for a value out of range.

    Attributes:
        steps: optimisation steps.
        batch_size: examples of a global batch, over all processes; all examples where there are fewer.
        learning_rate: the highest one, reached after `warmup_steps` from 0.
        final_learning_rate: the share of `learning_rate` that a cosine over `steps` goes down to.
        weight_decay: of AdamW, on weight matrices only.
        clip: the largest norm of the gradient; 0 leaves it as it is.
        anneal_steps: steps over which the weight of the KL rises from 0 to 1; 0 begins with 1.
        samples: of the posterior, in training and, for models of series, in validation.
        validate_every: steps between two validations, each of which writes a checkpoint.
        patience: validations without a better one after which training stops; 0 never stops early.
        log_every: steps averaged in a training row of history.csv; a row also ends with each validation.
        seed: of the order of the examples and of all noise.
        device: "cpu" or "cuda".
        processes: that share each global batch. Neither noise nor batches depend on their number.
    """

    steps: int = 1500
    batch_size: int = 64
    learning_rate: float = 1e-2
    warmup_steps: int = 50
    final_learning_rate: float = 0.03
    weight_decay: float = 0.2
    clip: float = 1.0
    anneal_steps: int = 300
    samples: int = 1
    validate_every: int = 100
    patience: int = 10
    log_every: int = 10
    seed: int = 0
    device: str = "cpu"
    processes: int = 1

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "samples", "validate_every", "log_every", "processes"):
            whole(name, getattr(self, name), at_least=1)
        for name in ("warmup_steps", "anneal_steps", "patience", "seed"):
            whole(name, getattr(self, name), at_least=0)
        within("learning_rate", self.learning_rate, 0.0, math.inf, above=True)
        within("final_learning_rate", self.final_learning_rate, 0.0, 1.0)
        within("weight_decay", self.weight_decay, 0.0, math.inf)
        within("clip", self.clip, 0.0, math.inf)
        if self.seed >= 2**63:
            raise InputError(f"seed must be less than 2^63, got {self.seed}; choose a smaller number")
        check_device(self.device)
        if self.batch_size % self.processes:
            raise InputError(
                f"batch_size {self.batch_size} cannot be shared evenly by {self.processes} processes; "
                "choose a multiple of their number"
            )
        if (
            self.device == "cuda"
            and self.processes > torch.cuda.device_count()
            and not torch.distributed.is_torchelastic_launched()
        ):
            raise InputError(
                f"{self.processes} processes need as many CUDA devices, there are "
                f"{torch.cuda.device_count()}; use fewer processes or --device cpu"
            )

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class TrainingConfig(OptimisationConfig):
    """How a model of series is fitted; examples are series.

    Attributes:
        hidden_share: of the values, left out of the recognition network's sight in training steps (not in
            validation) though their likelihood counts: against overfitting, and for imputation. 0 where the
            data miss as much already.
        hidden_after: a time in the data's unit; what is later is left out of the recognition network's sight,
            in validation too, though its likelihood counts: to train for forecasts from that time. None shows
            all.
    """

    hidden_share: float = 0.3
    hidden_after: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        within("hidden_share", self.hidden_share, 0.0, 0.9)
        if self.hidden_after is not None:
            within("hidden_after", self.hidden_after, -math.inf, math.inf)
