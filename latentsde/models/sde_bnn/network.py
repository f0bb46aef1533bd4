"""A sequence of ordinary modules and layers of continuous depth, called as one."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ...brownian import derive_seed
from ...errors import InputError
from .depth import Depth
from .layer import SDEBNN
from .noiseless import HyperODENet, ODENet

CONTINUOUS = (SDEBNN, ODENet, HyperODENet)


class Predicted(NamedTuple):
    """What a network makes of a batch.

    Attributes:
        output: (samples, batch, ...) of the last module, for each sample of the weights.
        kl: (samples,) an estimate of KL(q || p) of all weights together.
        evaluations: of the blocks for one sample, over all layers; the cost.
    """

    output: Tensor
    kl: Tensor
    evaluations: int


class ContinuousDepth(nn.Sequential):
    """Modules one after the other: `SDEBNN`, `ODENet` and `HyperODENet` are solved, all others called.

    What stands between the layers sees samples and batch as one axis, so that any module will do; its weights
    are ordinary parameters.
    """

    def forward(self, x: Tensor, *, seed: int = 0, samples: int = 1, depth: Depth | None = None) -> Predicted:
        """Of inputs (batch, ...); the weights are a function of (seed, sample).

        Args:
            depth: for all layers, instead of their own.
        """
        if samples < 1:
            raise InputError(f"a prediction takes at least 1 sample of the weights, got {samples}")
        asked, samples = samples, samples if self.is_random else 1
        h = x.repeat(samples, *(1,) * (x.dim() - 1)) if samples > 1 else x
        kl, evaluations = torch.zeros(samples, device=x.device), 0
        for k, module in enumerate(self):
            if isinstance(module, CONTINUOUS):
                passed = module(h, seed=derive_seed(seed, k), samples=samples, depth=depth)
                h, kl = passed.h, kl + passed.kl
                evaluations += passed.stats.drift_evaluations
            else:
                h = module(h)
        output = h.unflatten(0, (samples, len(x)))
        if samples < asked:  # they are equal
            output, kl = output.expand(asked, *output.shape[1:]), kl.expand(asked)
        return Predicted(output, kl, evaluations)

    @property
    def is_random(self) -> bool:
        """Whether samples differ."""
        return any(isinstance(module, SDEBNN) for module in self)
