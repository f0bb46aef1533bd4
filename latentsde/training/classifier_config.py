"""The configuration of a classifier's training."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..errors import InputError, quote
from ..ranges import whole, within
from .config import OptimisationConfig

PRECISIONS = ("float32", "bfloat16")


@dataclass(frozen=True)
class ClassifierTrainingConfig(OptimisationConfig):
    """How a classifier of images is fitted; examples are images. Batch, rate and average are those of the
    paper's CIFAR-10 command (Xu, Chen, Li & Duvenaud 2022); its rate has no warm-up and no decay.

    Attributes:
        tempering: of the KL in the loss, -log-likelihood + tempering · KL / N; 1 is the bound.
        average: decay of the running average of weights that predicts.
        crop: pixels of zeros around a training image, of which a random window of its size is taken.
        flip: whether training images are mirrored at random.
        validation_samples: of the weights, whose mean probabilities are validated.
        precision: "float32", or "bfloat16" for the arithmetic of training (torch's autocast). Parameters,
            the states of a solver and the last layer of networks of continuous depth stay float32, and what
            is validated is computed in float32.
    """

    steps: int = 5000
    batch_size: int = 128
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    clip: float = 0.0
    anneal_steps: int = 0
    validate_every: int = 250
    patience: int = 0
    tempering: float = 1.0
    average: float = 0.999
    crop: int = 0
    flip: bool = False
    validation_samples: int = 4
    precision: str = "float32"

    def __post_init__(self) -> None:
        super().__post_init__()
        within("tempering", self.tempering, 0.0, math.inf)
        within("average", self.average, 0.0, 1.0)
        whole("crop", self.crop, at_least=0)
        if not isinstance(self.flip, bool):
            raise InputError(f"flip must be True or False, got {quote(self.flip)}")
        whole("validation_samples", self.validation_samples, at_least=1)
        if self.precision not in PRECISIONS:
            raise InputError(f"precision must be {' or '.join(PRECISIONS)}, got {quote(self.precision)}")
