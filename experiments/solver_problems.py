"""Equations for measuring orders of convergence: nonlinear ones, and linear ones whose moments are exact."""

from __future__ import annotations

import torch
from torch import Tensor

DOUBLE = torch.float64
CHANNELS = {"diagonal": 2, "scalar": 1, "additive": 3, "commutative": 2, "general": 2}
Y0 = torch.tensor([1.0, -0.7], dtype=DOUBLE)


class Nonlinear:
    """Two components, noise of the given kind, and a drift that does not commute with it.

    Read as Itô it has the solutions of the Stratonovich equation: the correction is in its drift.
    """

    turn = torch.tensor([[0.8, -0.6], [0.6, 0.8]], dtype=DOUBLE)
    mixing = torch.tensor([[0.6, 0.4], [-0.3, 0.5]], dtype=DOUBLE)
    forcing = torch.tensor([[0.8, 0.1, 0.3], [-0.2, 0.5, 0.4]], dtype=DOUBLE)

    def __init__(self, noise_type: str, sde_type: str) -> None:
        self.noise_type, self.sde_type = noise_type, sde_type

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        a, b = y.unbind(-1)
        drift = torch.stack([0.5 * torch.sin(b + t) - 0.2 * a, 0.5 * torch.cos(a) - 0.1 * b], -1)
        return drift + 0.5 * self.correction(t, y) if self.sde_type == "ito" else drift

    def g(self, t: Tensor, y: Tensor) -> Tensor:
        if self.noise_type == "diagonal":
            return 0.7 + 0.6 * torch.sin(y + t)
        if self.noise_type == "scalar":
            a, b = y.unbind(-1)
            return torch.stack([0.3 + 0.6 * torch.cos(b + t), 0.5 - 0.6 * torch.sin(a)], -1).unsqueeze(-1)
        if self.noise_type == "additive":
            return ((1.0 + t).unsqueeze(-1) * self.forcing).expand(*y.shape, 3)
        if self.noise_type == "commutative":  # diagonal noise in turned coordinates
            size = 1.0 + 0.7 * torch.sin(y @ self.turn + t)
            return self.turn @ (size.unsqueeze(-1) * self.mixing)
        a, b = y.unbind(-1)
        first = torch.stack([torch.cos(b), 0.2 * a], -1)
        second = torch.stack([0.3 + 0.0 * a, 1.2 * torch.sin(a + t)], -1)
        return torch.stack([first, second], -1)

    def correction(self, t: Tensor, y: Tensor) -> Tensor:
        """Σ_j (∂g_j) g_j."""
        a, b = y.unbind(-1)
        if self.noise_type == "diagonal":
            return self.g(t, y) * 0.6 * torch.cos(y + t)
        if self.noise_type == "scalar":
            first, second = self.g(t, y)[..., 0].unbind(-1)
            return torch.stack([-0.6 * torch.sin(b + t) * second, -0.6 * torch.cos(a) * first], -1)
        if self.noise_type == "additive":
            return torch.zeros_like(y)
        if self.noise_type == "commutative":
            turned = y @ self.turn + t
            size, derivative = 1.0 + 0.7 * torch.sin(turned), 0.7 * torch.cos(turned)
            return (size * derivative * self.mixing.square().sum(-1)) @ self.turn.t()
        first = torch.stack([-torch.sin(b) * 0.2 * a, 0.2 * torch.cos(b)], -1)
        second = torch.stack([torch.zeros_like(a), 0.36 * torch.cos(a + t)], -1)
        return first + second


class Wave:
    """A driven, nonlinear oscillator: an ODE that depends on time."""

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        a, b = y.unbind(-1)
        return torch.stack([3.0 * b + torch.cos(5.0 * t), -3.0 * torch.sin(a) * (1.0 + 0.2 * b * b)], -1)


class Linear:
    """dy = (B y + c) dt + Σ_j (A_j y + s_j) dW_j, whose moments are exact, in both calculi."""

    drift = torch.tensor([[-0.6, 0.4], [-0.3, 0.2]], dtype=DOUBLE)
    first = torch.tensor([[0.3, 0.5], [-0.4, 0.6]], dtype=DOUBLE)

    def __init__(self, noise_type: str, sde_type: str) -> None:
        self.noise_type, self.sde_type = noise_type, sde_type
        one, zero = self.first, torch.zeros(2, 2, dtype=DOUBLE)
        self.offset = torch.zeros(2, CHANNELS[noise_type], dtype=DOUBLE)
        if noise_type == "diagonal":
            self.matrices = torch.diag_embed(torch.tensor([[0.7, 0.0], [0.0, -0.5]], dtype=DOUBLE))
        elif noise_type == "scalar":
            self.matrices = one.unsqueeze(0)
        elif noise_type == "additive":
            self.matrices, self.offset = torch.stack([zero] * 3), Nonlinear.forcing
        elif noise_type == "commutative":
            self.matrices = torch.stack([one, 0.2 * torch.eye(2, dtype=DOUBLE) - 0.5 * one @ one])
        else:
            self.matrices = torch.stack([one, torch.tensor([[0.1, 0.0], [0.8, -0.2]], dtype=DOUBLE)])

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        return y @ self.drift.t()

    def g(self, t: Tensor, y: Tensor) -> Tensor:
        columns = torch.einsum("mij,...j->...im", self.matrices, y) + self.offset
        return columns.sum(-1) if self.noise_type == "diagonal" else columns

    def exact_moments(self) -> Tensor:
        """E z ⊗ z at time 1 of z = (y, 1), from y = Y0 at 0: (9,)."""
        drift = _homogeneous(self.drift, torch.zeros(2, dtype=DOUBLE))
        noises = [_homogeneous(a, s) for a, s in zip(self.matrices, self.offset.t(), strict=True)]
        if self.sde_type == "stratonovich":
            drift = drift + 0.5 * sum(a @ a for a in noises)
        one = torch.eye(3, dtype=DOUBLE)
        rate = torch.kron(drift, one) + torch.kron(one, drift) + sum(torch.kron(a, a) for a in noises)
        return torch.matrix_exp(rate) @ torch.kron(with_one(Y0), with_one(Y0))


def _homogeneous(matrix: Tensor, offset: Tensor) -> Tensor:
    full = torch.zeros(3, 3, dtype=DOUBLE)
    full[:2, :2], full[:2, 2] = matrix, offset
    return full


def with_one(y: Tensor) -> Tensor:
    return torch.cat([y, torch.ones_like(y[..., :1])], -1)
