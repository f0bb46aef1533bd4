"""How likely a fitted model finds whole series, by importance sampling.

The weight of a posterior sample, p(x, z) / q(z | x), has the likelihood p(x) as its mean: of the model as the
solver discretises it, exactly, since the path KL of one sample is log q - log p of its steps. The logarithm
of an average of weights is a lower bound in expectation that rises to log p(x) with their number (Burda,
Grosse & Salakhutdinov 2016).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from latentsde.brownian import derive_seed
from latentsde.data import Batch, IrregularSeries, collate
from latentsde.errors import InputError
from latentsde.models import Forecaster, LatentSDE, SeriesModel, check_series

_ROWS_AT_ONCE = 1024  # sample paths solved together
_WEIGHTS = 14  # label of the stream of these samples


@dataclass(frozen=True)
class LogLikelihood:
    """Of S series, in nats and original units: log densities of measured values and, where those are data, of
    observation times, log probabilities of what is discrete or censored.

    Attributes:
        estimate: (S,) the log of the mean weight.
        error: (S,) its standard error, by the delta method; to be trusted where `effective` is large.
        elbo: (S,) the mean of the log weights, a lower bound of `estimate`.
        effective: (S,) effective number of samples, (Σ w)² / Σ w² (Kong 1992).
        observed: (S,) observed values, to divide by.
    """

    estimate: np.ndarray
    error: np.ndarray
    elbo: np.ndarray
    effective: np.ndarray
    observed: np.ndarray


@torch.no_grad()
def log_likelihood(
    model: SeriesModel | Forecaster, series: IrregularSeries, *, samples: int = 1000, seed: int = 0
) -> LogLikelihood:
    """Log-likelihood of every series with all its observations, from `samples` weighted posterior paths each.

    `model` is a model, or what `latentsde.load` gives. Memory does not grow with `samples`. A series'
    estimate does not depend on the others beyond rounding. InputError for series of other columns than the
    fit's.
    """
    model = model.model if isinstance(model, Forecaster) else model
    check_series(series, model.config)
    if samples < 1:
        raise InputError(f"samples must be at least 1, got {samples}")
    device = next(model.parameters()).device
    # Weights are of whole paths: of a posterior given by its marginals, too, by simulation.
    estimate_of = model.simulated_elbo if isinstance(model, LatentSDE) else model.elbo
    at_once = min(samples, 100)
    width = max(1, _ROWS_AT_ONCE // at_once)
    columns: list[np.ndarray] = []
    for start in range(0, len(series), width):
        chosen = np.arange(start, min(start + width, len(series)))
        batch = collate(series, chosen, model.scaler).to(device)
        moments = _Moments(len(batch))
        for part, first in enumerate(range(0, samples, at_once)):
            count = min(at_once, samples - first)
            bound = estimate_of(batch, seed=derive_seed(seed, _WEIGHTS, part), samples=count)
            moments.add(bound.log_weights.double().cpu())
            if bound.log_weights.shape[1] < count:  # no latent randomness: one weight, the likelihood itself
                break
        shift = jacobian(model, batch).cpu()
        estimate, error, elbo, effective = moments.summary()
        observed = batch.mask.sum((1, 2)).cpu()
        columns.append(
            torch.stack([estimate + shift, error, elbo + shift, effective, observed.double()]).numpy()
        )
    joined = np.concatenate(columns, axis=1)
    return LogLikelihood(joined[0], joined[1], joined[2], joined[3], joined[4].astype(np.int64))


def jacobian(model: SeriesModel, batch: Batch) -> Tensor:
    """(B,) float64: what is to be added to a log-likelihood in scaled units and model time."""
    exact = batch.mask if batch.limits is None else batch.mask & batch.limits[..., 0].isnan()
    log_std = torch.as_tensor(np.log(model.scaler.std), device=batch.mask.device)
    total = -(exact * log_std).sum((1, 2))
    if model.config.observation_times != "given":
        total = total - model.events(batch).sum(1).double() * math.log(model.config.time_scale)
    return total


class _Moments:
    """Sums of the log weights, of the weights and of their squares, the last two by their logarithms."""

    def __init__(self, series: int) -> None:
        self.count, self.total = 0, torch.zeros(series, dtype=torch.float64)
        self.log_sum, self.log_squares = (torch.full_like(self.total, -math.inf) for _ in range(2))

    def add(self, log_weights: Tensor) -> None:
        self.count += log_weights.shape[1]
        self.total += log_weights.sum(1)
        self.log_sum = torch.logaddexp(self.log_sum, torch.logsumexp(log_weights, 1))
        self.log_squares = torch.logaddexp(self.log_squares, torch.logsumexp(2.0 * log_weights, 1))

    def summary(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """estimate, its error, mean log weight, effective number."""
        effective = (2.0 * self.log_sum - self.log_squares).exp()
        variance = (self.count / effective - 1.0).clamp_min(0.0) / max(self.count - 1, 1)
        return self.log_sum - math.log(self.count), variance.sqrt(), self.total / self.count, effective
