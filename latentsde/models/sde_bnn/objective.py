"""The loss: minus the bound on the log-likelihood, for one example of the training set."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from ...errors import InputError


class Objective(NamedTuple):
    """Scalars, per example: loss = nll + tempering · kl."""

    loss: Tensor
    nll: Tensor
    kl: Tensor


def negative_elbo(
    log_likelihood: Tensor, kl: Tensor, *, training_size: int, tempering: float = 1.0
) -> Objective:
    """-E log p(y | x, w) + tempering · KL / N, means over samples and batch.

    Args:
        log_likelihood: (samples, batch) of each example.
        kl: (samples,) of all weights.
        training_size: N, the examples that the KL is paid for once, however large the batch.
        tempering: 1 is the bound; below 1 a "cold posterior", to be named beside every result.
    """
    if training_size < 1:
        raise InputError(f"training_size must be at least 1, got {training_size}")
    if not tempering >= 0:
        raise InputError(f"tempering must be at least 0, got {tempering}")
    nll, per_example = -log_likelihood.mean(), kl.mean() / training_size
    return Objective(nll + tempering * per_example, nll, per_example)
