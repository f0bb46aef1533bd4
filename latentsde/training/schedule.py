"""What happens at step k: a pure function of the configuration and k, so that any step can be done again."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import torch

from ..brownian import derive_seed, standard_normal
from .config import OptimisationConfig

# The streams drawn from a run's seed.
_ORDER, _NOISE, _VALIDATION = 1, 2, 3


@dataclass(frozen=True)
class Schedule:
    """Batches, noise, learning rate and KL weight of every step k = 0, 1, ...

    Attributes:
        config: of the run.
        examples: how many there are to train on.
    """

    config: OptimisationConfig
    examples: int

    @property
    def batch_size(self) -> int:
        """Examples of every global batch."""
        return min(self.config.batch_size, self.examples)

    def batch(self, step: int) -> np.ndarray:
        """(batch_size,) the examples of the global batch. An epoch is a permutation, cut into full batches.

        What is left of a permutation is not used; the next epoch has another one.
        """
        epoch, position = divmod(step, self.examples // self.batch_size)
        order = _permutation(derive_seed(self._order_seed, epoch), self.examples)
        return order[position * self.batch_size : (position + 1) * self.batch_size]

    def noise_seed(self, step: int) -> int:
        """The seed of the paths of a training step."""
        return derive_seed(self._noise_seed, step)

    @cached_property
    def validation_seed(self) -> int:
        """The seed of the paths of every validation, one and the same: they differ by the model alone."""
        return derive_seed(self.config.seed, _VALIDATION)

    def learning_rate(self, step: int) -> float:
        """Linear warm-up times a cosine from 1 down to the final share."""
        config = self.config
        warmup = min(1.0, (step + 1) / config.warmup_steps) if config.warmup_steps else 1.0
        cosine = 0.5 * (1.0 + math.cos(math.pi * step / config.steps))
        share = config.final_learning_rate + (1.0 - config.final_learning_rate) * cosine
        return config.learning_rate * warmup * share

    def kl_weight(self, step: int) -> float:
        """Rises linearly to 1 at step `anneal_steps`."""
        return min(1.0, step / self.config.anneal_steps) if self.config.anneal_steps else 1.0

    def round_end(self, step: int) -> int:
        """The step after which the next validation comes, when `step` steps are done."""
        every = self.config.validate_every
        return min((step // every + 1) * every, self.config.steps)

    @cached_property
    def _order_seed(self) -> int:
        return derive_seed(self.config.seed, _ORDER)

    @cached_property
    def _noise_seed(self) -> int:
        return derive_seed(self.config.seed, _NOISE)


@lru_cache(maxsize=4)
def _permutation(seed: int, count: int) -> np.ndarray:
    keys = standard_normal((count,), seed=seed, dtype=torch.float64)
    order = torch.argsort(keys, stable=True).numpy()
    order.flags.writeable = False
    return order
