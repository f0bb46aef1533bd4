"""The problem of the solver's benchmarks: a network as drift, diagonal noise."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from latentsde.benchmarks.solver.plan import Size

KINDS = ("ito", "stratonovich", "additive", "ode")


class Drift(nn.Module):
    """dy = f(y) dt, f a network with two hidden tanh layers; without `g`, an ODE."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.layers = nn.Sequential(
            nn.Linear(size.channels, size.hidden),
            nn.Tanh(),
            nn.Linear(size.hidden, size.hidden),
            nn.Tanh(),
            nn.Linear(size.hidden, size.channels),
        )
        with torch.no_grad():
            for parameter in self.parameters():
                width = parameter.shape[-1]
                parameter.uniform_(-(width**-0.5), width**-0.5, generator=generator)

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        drift: Tensor = self.layers(y)
        return drift


class Diagonal(Drift):
    """The same with noise g_i(y_i) = sigmoid(a_i y_i + b_i): elementwise, as diagonal noise is understood
    by every method that differentiates g, and so cheap that nothing of a solver's own cost hides behind it.
    """

    noise_type = "diagonal"

    def __init__(self, size: Size, sde_type: str) -> None:
        super().__init__(size)
        self.sde_type = sde_type
        self.slope = nn.Parameter(torch.linspace(-1.0, 1.0, size.channels))
        self.offset = nn.Parameter(torch.full((size.channels,), -1.0))

    def g(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.sigmoid(self.slope * y + self.offset)


class Additive(Diagonal):
    """Noise that does not depend on y, for the methods that need that."""

    additive = True

    def g(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.sigmoid(self.offset).expand_as(y)


class Dense(Drift):
    """Additive noise as a matrix (batch, channels, channels), for methods that take no other."""

    noise_type, sde_type = "additive", "ito"

    def __init__(self, size: Size) -> None:
        super().__init__(size)
        self.matrix = nn.Parameter(0.3 * torch.eye(size.channels))

    def g(self, t: Tensor, y: Tensor) -> Tensor:
        return self.matrix.expand(y.shape[0], *self.matrix.shape)


def problem(kind: str, size: Size) -> Drift:
    """The problem of a kind in `KINDS`, or "dense"; equal parameters each time."""
    if kind == "ode":
        return Drift(size)
    if kind == "dense":
        return Dense(size)
    return Additive(size, "ito") if kind == "additive" else Diagonal(size, kind)


def start(size: Size, *, requires_grad: bool = False) -> Tensor:
    """y0, the same each time."""
    generator = torch.Generator().manual_seed(1)
    y0 = 0.5 * torch.randn(size.batch, size.channels, generator=generator)
    return y0.requires_grad_(requires_grad)


def differentiate(end: Tensor) -> None:
    """The backward half of a forward and backward pass: gradients of every parameter and of y0."""
    loss: Any = end.square().mean()
    loss.backward()
