"""The bound on the log-likelihood of a series, and what hides from the recognition network."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..brownian import standard_normal
from ..data import Batch


@dataclass(frozen=True)
class ELBO:
    """The parts of the bound for each series, (B,) nats in scaled units; `observed` counts the series'
    observed values.

    Attributes:
        log_weights: (B, samples) log p(x, z) - log q(z | x) of each sample: their mean is the bound.
        steps: of the solver, for the longest series.
    """

    log_likelihood: Tensor
    kl_initial: Tensor
    kl_path: Tensor
    observed: Tensor
    log_weights: Tensor
    steps: int

    @classmethod
    def of_samples(
        cls, log_likelihood: Tensor, kl_initial: Tensor, kl_path: Tensor, observed: Tensor, steps: int = 0
    ) -> ELBO:
        """From the parts of every sample, (B, samples) each, log q - log p where a KL is named."""
        weights = log_likelihood - kl_initial - kl_path
        means = (log_likelihood.mean(1), kl_initial.mean(1), kl_path.mean(1))
        return cls(*means, observed, weights, steps)

    def value(self, kl_weight: float = 1.0) -> Tensor:
        """(B,) log-likelihood minus weighted KL."""
        return self.log_likelihood - kl_weight * (self.kl_initial + self.kl_path)

    def importance_weighted(self) -> Tensor:
        """(B,) the tighter bound log mean_k exp(log_weights_k) (Burda, Grosse & Salakhutdinov 2016, equation
        8): the log-likelihood itself for infinitely many samples.

        Without a gradient, as that of several samples that stick the landing is biased (Tucker et al. 2019).
        """
        return torch.logsumexp(self.log_weights.detach(), 1) - math.log(self.log_weights.shape[1])


def hide(batch: Batch, share: float, *, seed: int) -> Batch:
    """The batch with each observed value left out with probability `share`; a function of (seed, series)."""
    draws = standard_normal(tuple(batch.mask.shape), seed=seed, ids=batch.ids, device=batch.mask.device)
    mask = batch.mask & (torch.special.ndtr(draws) >= share)
    return replace(batch, mask=mask, values=batch.values * mask)


def hide_after(batch: Batch, time: float) -> Batch:
    """The batch without the values later than `time`, in the data's unit."""
    mask = batch.mask & (batch.times <= time).unsqueeze(-1)
    return replace(batch, mask=mask, values=batch.values * mask)


def sample_ids(ids: Tensor, samples: int) -> Tensor:
    """(B,) series ids -> (B samples,) ids of their sample paths; sample 0 keeps the series' id."""
    offsets = torch.arange(samples, dtype=torch.int64, device=ids.device) * 0x1E3779B97F4A7C15
    return ((ids.unsqueeze(1) + offsets) & 0x7FFFFFFFFFFFFFFF).reshape(-1)


def log_normal(z: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """(...,) log density of z (..., L) under independent normals."""
    return (-0.5 * ((z - mean) / std).square() - std.log() - 0.5 * math.log(2.0 * math.pi)).sum(-1)
