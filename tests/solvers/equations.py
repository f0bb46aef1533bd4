"""Equations whose solutions are known, or can be had from a finer grid on the same path."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

DOUBLE = torch.float64


@dataclass
class Geometric:
    """dy_i = μ_i y_i dt + σ_i y_i dW_i, for y of any shape that broadcasts with them."""

    sde_type: str
    drift: Tensor | float = field(default_factory=lambda: torch.tensor([0.4, -0.6], dtype=DOUBLE))
    volatility: Tensor | float = field(default_factory=lambda: torch.tensor([0.9, 0.5], dtype=DOUBLE))
    noise_type: ClassVar[str] = "diagonal"

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        return self.drift * y

    def g(self, t: Tensor, y: Tensor) -> Tensor:
        return self.volatility * y

    def exact(self, y0: Tensor, time: float, w: Tensor) -> Tensor:
        correction = 0.5 * torch.as_tensor(self.volatility) ** 2 if self.sde_type == "ito" else 0.0
        return y0 * torch.exp((self.drift - correction) * time + self.volatility * w)


@dataclass
class Coupled:
    """dy = B y dt + A y dW with one noise for all components, B = 0.3 - 0.4 A commuting with A."""

    sde_type: str
    noise_type: ClassVar[str] = "scalar"
    matrix: ClassVar[Tensor] = torch.tensor([[0.2, 0.9], [-0.7, 0.4]], dtype=DOUBLE)

    @property
    def drift_matrix(self) -> Tensor:
        return 0.3 * torch.eye(2, dtype=DOUBLE) - 0.4 * self.matrix

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        return y @ self.drift_matrix.t()

    def g(self, t: Tensor, y: Tensor) -> Tensor:
        return (y @ self.matrix.t()).unsqueeze(-1)

    def exact(self, y0: Tensor, time: float, w: Tensor) -> Tensor:
        drift = self.drift_matrix
        if self.sde_type == "ito":
            drift = drift - 0.5 * self.matrix @ self.matrix
        exponent = drift * time + self.matrix * w.unsqueeze(-1)
        return (torch.matrix_exp(exponent) @ y0.unsqueeze(-1)).squeeze(-1)


@dataclass
class Forced:
    """dy = (sin 3t - y) dt + G(t) dW, two components and three noises: additive, and explicit in time."""

    sde_type: str
    noise_type: ClassVar[str] = "additive"
    matrix: ClassVar[Tensor] = torch.tensor([[0.8, 0.1, 0.3], [-0.2, 0.5, 0.4]], dtype=DOUBLE)

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.sin(3.0 * t) - y

    def g(self, t: Tensor, y: Tensor) -> Tensor:
        return ((1.0 + t).unsqueeze(-1) * self.matrix).expand(*y.shape, 3)


@dataclass
class NonCommutative:
    """dy = -y dt + A₁ y dW₁ + A₂ y dW₂, where A₁ A₂ ≠ A₂ A₁: what needs the Lévy area of the two."""

    sde_type: str
    noise_type: ClassVar[str] = "general"
    matrices: ClassVar[Tensor] = torch.tensor(
        [[[0.0, 0.9], [0.0, 0.0]], [[0.0, 0.0], [0.9, 0.0]]], dtype=DOUBLE
    )

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        return -y

    def g(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.einsum("mij,...j->...im", self.matrices, y)


class Growth:
    """dy/dt = (cos t - 0.3) y, an ODE explicit in time."""

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        return (torch.cos(t) - 0.3) * y

    def exact(self, y0: Tensor, start: float, end: float) -> Tensor:
        return y0 * math.exp(math.sin(end) - math.sin(start) - 0.3 * (end - start))


class LearnedDrift(nn.Module):
    """A nonlinear ODE, explicit in time, with parameters; elementwise."""

    noise_type = "none"

    def __init__(self) -> None:
        super().__init__()
        self.rate = nn.Parameter(torch.tensor(0.7, dtype=DOUBLE))
        self.size = nn.Parameter(torch.tensor(0.4, dtype=DOUBLE))

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.sin(self.rate * y + t) - 0.75 * self.size * y


class Learned(LearnedDrift):
    """Nonlinear, explicit in time, with parameters in drift and diffusion; elementwise but for the noise."""

    noise_type: str

    def __init__(self, noise_type: str, sde_type: str) -> None:
        super().__init__()
        self.noise_type, self.sde_type = noise_type, sde_type

    def g(self, t: Tensor, y: Tensor) -> Tensor:
        if self.noise_type == "additive":
            columns = torch.tensor([1.0, -0.5], dtype=y.dtype)
            return ((self.size * (1.0 + t)).unsqueeze(-1) * columns).expand(*y.shape, 2)
        column = self.size * (1.2 + torch.cos(y - t))
        if self.noise_type == "diagonal":
            return column
        if self.noise_type == "scalar":
            return column.unsqueeze(-1)
        if self.noise_type == "commutative":
            return torch.stack([column, -0.5 * column], -1)
        return torch.stack([column, self.size * torch.sin(y)], -1)


NOISES = {"diagonal": None, "scalar": 1, "additive": 2, "commutative": 2, "general": 2}


def noise_shape(noise_type: str, y: Tensor) -> tuple[int, ...]:
    """The shape of the path for `Learned`."""
    columns = NOISES[noise_type]
    return tuple(y.shape) if columns is None else (y.shape[0], columns)


class Bound:
    """`Learned` or `LearnedDrift` with other tensors for its parameters."""

    def __init__(self, equation: LearnedDrift, values: dict[str, Tensor]) -> None:
        self.equation, self.values = equation, values
        if isinstance(equation, Learned):
            self.noise_type, self.sde_type, self.g = equation.noise_type, equation.sde_type, self._g

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.func.functional_call(Calling(self.equation, "f"), self._named(), (t, y))

    def _g(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.func.functional_call(Calling(self.equation, "g"), self._named(), (t, y))

    def _named(self) -> dict[str, Tensor]:
        return {f"equation.{name}": value for name, value in self.values.items()}


class Calling(torch.nn.Module):
    """A module whose call is one of another module's methods."""

    def __init__(self, equation: LearnedDrift, name: str) -> None:
        super().__init__()
        self.equation, self.name = equation, name

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return getattr(self.equation, self.name)(t, y)


class Counted:
    """An equation that counts for itself how often it is asked."""

    def __init__(self, equation: LearnedDrift) -> None:
        self.equation = equation
        self.drifts = self.diffusions = 0
        if isinstance(equation, Learned):
            self.noise_type, self.sde_type, self.g = equation.noise_type, equation.sde_type, self._g

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        self.drifts += 1
        return self.equation.f(t, y)

    def _g(self, t: Tensor, y: Tensor) -> Tensor:
        self.diffusions += 1
        assert isinstance(self.equation, Learned)
        return self.equation.g(t, y)


class Oscillator:
    """dx = v dt, dv = -(x + t) dt + (0.3 + 0.2 sin v) dW as one diagonal equation; with additive noise the
    sine is that of t, with none there is no dW.
    """

    def __init__(self, noise: str, calculus: str) -> None:
        if noise != "none":
            self.noise_type, self.sde_type, self.additive = "diagonal", calculus, noise == "additive"
            self.g = self._g

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        x, v = y[..., :1], y[..., 1:]
        return torch.cat([v, -x - t], -1)

    def _g(self, t: Tensor, y: Tensor) -> Tensor:
        v = y[..., 1:]
        phase = t + 0.0 * v if self.additive else v
        return torch.cat([torch.zeros_like(v), 0.3 + 0.2 * torch.sin(phase)], -1)


class InTuples:
    """`Oscillator` with the state (x, v), and nothing for the noise of x."""

    def __init__(self, joint: Oscillator) -> None:
        self.joint = joint
        if hasattr(joint, "g"):
            self.noise_type, self.sde_type, self.additive = joint.noise_type, joint.sde_type, joint.additive
            self.g = self._g

    def f(self, t: Tensor, y: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        drift = self.joint.f(t, torch.cat(y, -1))
        return drift[..., :1], drift[..., 1:]

    def _g(self, t: Tensor, y: tuple[Tensor, Tensor]) -> tuple[None, Tensor]:
        return None, self.joint.g(t, torch.cat(y, -1))[..., 1:]


class Given:
    """dy = f dt + g dW with whatever f and g are given."""

    def __init__(
        self, noise_type: Any = "diagonal", sde_type: Any = "ito", f: Any = None, g: Any = None
    ) -> None:
        self.noise_type, self.sde_type = noise_type, sde_type
        self.f = f or (lambda t, y: torch.zeros_like(y))
        self.g = g or (lambda t, y: torch.ones_like(y))
