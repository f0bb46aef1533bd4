"""Families of values that are counted or told apart, never rescaled: Poisson, Bernoulli, categorical."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, one_hot

from .continuous import uniform
from .family import Family, Spread


class Discrete(Family):
    rescaled = False


class Poisson(Discrete):
    """Counts; the decoder gives the log of their rate."""

    name = "poisson"
    wanted = "counts are whole numbers from 0"

    def log_prob(
        self, parameters: Tensor, value: Tensor, spread: Spread, limits: Tensor | None = None
    ) -> Tensor:
        return value * parameters - parameters.exp() - torch.lgamma(value + 1.0)

    def mean(self, parameters: Tensor) -> Tensor:
        return parameters.exp()

    def variance(self, parameters: Tensor, spread: Spread) -> Tensor:
        return parameters.exp()

    def sample(self, parameters: Tensor, spread: Spread, generator: Any) -> Tensor:
        return torch.poisson(parameters.exp(), generator=generator)

    def encode(self, value: Tensor, limits: Tensor | None, classes: int) -> Tensor:
        return torch.log1p(value.clamp_min(0.0)).unsqueeze(-1)

    def wrong(self, values: np.ndarray, classes: int) -> np.ndarray:
        return np.isfinite(values) & ((values < 0) | (values != np.round(values)))


class Bernoulli(Discrete):
    """0 or 1; the decoder gives the logit of 1."""

    name = "bernoulli"
    binary = True
    wanted = "a bernoulli value is 0 or 1"

    def log_prob(
        self, parameters: Tensor, value: Tensor, spread: Spread, limits: Tensor | None = None
    ) -> Tensor:
        return logsigmoid((2.0 * value - 1.0) * parameters)

    def mean(self, parameters: Tensor) -> Tensor:
        return parameters.sigmoid()

    def variance(self, parameters: Tensor, spread: Spread) -> Tensor:
        return parameters.sigmoid() * (-parameters).sigmoid()

    def sample(self, parameters: Tensor, spread: Spread, generator: Any) -> Tensor:
        return (uniform(parameters, generator) < parameters.sigmoid()).to(parameters.dtype)

    def wrong(self, values: np.ndarray, classes: int) -> np.ndarray:
        return np.isfinite(values) & (values != 0) & (values != 1)


class Categorical(Discrete):
    """One of K classes, numbered from 0; the decoder gives K logits. A network reads a class as K zeros and
    ones.
    """

    name = "categorical"
    classes = True
    wanted = "classes are whole numbers from 0, one less than there are classes at most"

    def outputs(self, classes: int) -> int:
        return classes

    def inputs(self, classes: int) -> int:
        return classes

    def log_prob(
        self, parameters: Tensor, value: Tensor, spread: Spread, limits: Tensor | None = None
    ) -> Tensor:
        logs = parameters.log_softmax(-1)
        shape = torch.broadcast_shapes(logs.shape[:-1], value.shape)
        index = value.long().clamp(0, parameters.shape[-1] - 1).expand(shape).unsqueeze(-1)
        return logs.expand(*shape, -1).gather(-1, index).squeeze(-1)

    def probabilities(self, parameters: Tensor) -> Tensor:
        """(..., n, K)."""
        return parameters.softmax(-1)

    def mean(self, parameters: Tensor) -> Tensor:
        return self.probabilities(parameters) @ _numbers(parameters)

    def variance(self, parameters: Tensor, spread: Spread) -> Tensor:
        distance = _numbers(parameters) - self.mean(parameters).unsqueeze(-1)
        return (self.probabilities(parameters) * distance.square()).sum(-1)

    def sample(self, parameters: Tensor, spread: Spread, generator: Any) -> Tensor:
        below = self.probabilities(parameters).cumsum(-1)[..., :-1]
        draw = uniform(parameters[..., :1], generator)
        return (draw >= below).sum(-1).to(parameters.dtype)

    def encode(self, value: Tensor, limits: Tensor | None, classes: int) -> Tensor:
        return one_hot(value.long().clamp(0, classes - 1), classes).to(value.dtype)

    def wrong(self, values: np.ndarray, classes: int) -> np.ndarray:
        return np.isfinite(values) & ((values < 0) | (values != np.round(values)) | (values >= classes))


def _numbers(parameters: Tensor) -> Tensor:
    count = parameters.shape[-1]
    return torch.arange(count, dtype=parameters.dtype, device=parameters.device)
