"""SDEs for torchsde and the drop-in alike: nonlinear, explicit in time, with parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

DOUBLE = torch.float64
BATCH, STATE, CHANNELS = 4, 3, 2

NOISES = ["diagonal", "scalar", "additive", "general"]
CALCULI = ["ito", "stratonovich"]


class Learned(nn.Module):
    """Component i of the noise depends on y_i alone, but for general noise, which couples them."""

    def __init__(self, noise_type: str, sde_type: str) -> None:
        super().__init__()
        self.noise_type, self.sde_type = noise_type, sde_type
        generator = torch.Generator().manual_seed(3)
        self.mixing = nn.Parameter(torch.randn(STATE, STATE, dtype=DOUBLE, generator=generator))
        self.loading = nn.Parameter(torch.randn(STATE, CHANNELS, dtype=DOUBLE, generator=generator))

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.sin(y @ self.mixing + t)

    def h(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.cos(y - t)

    def g(self, t: Tensor, y: Tensor) -> Tensor:
        if self.noise_type == "additive":
            return (0.5 * (1.0 + t) * self.loading).expand(*y.shape, CHANNELS)
        column = 0.5 + 0.3 * torch.cos(y + t)
        if self.noise_type == "diagonal":
            return column
        if self.noise_type == "scalar":
            return column.unsqueeze(-1)
        return 0.5 * torch.sin(y.roll(1, -1)).unsqueeze(-1) + column.unsqueeze(-1) * self.loading


class Affine(nn.Module):
    """General noise that depends on y to first order: differences of it are its derivatives."""

    noise_type, sde_type = "general", "stratonovich"

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.turns = nn.Parameter(
            0.3 * torch.randn(CHANNELS, STATE, STATE, dtype=DOUBLE, generator=generator)
        )
        self.loading = nn.Parameter(torch.randn(STATE, CHANNELS, dtype=DOUBLE, generator=generator))

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.sin(y + t)

    def h(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.cos(y - t)

    def g(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.einsum("mij,bj->bim", self.turns, y) + (1.0 + t) * self.loading


def noise_shape(noise_type: str, logqp: bool = False) -> tuple[int, int]:
    """The size of a Brownian motion for `Learned`; with logqp diagonal noise has one channel more."""
    sizes = {"diagonal": STATE + logqp, "scalar": 1, "additive": CHANNELS, "general": CHANNELS}
    return BATCH, sizes[noise_type]


def start() -> Tensor:
    return torch.randn(BATCH, STATE, dtype=DOUBLE, generator=torch.Generator().manual_seed(5))


class With:
    """The words and just these functions of another SDE."""

    def __init__(self, sde: Any, **functions: Callable[..., Any]) -> None:
        self.noise_type, self.sde_type = sde.noise_type, sde.sde_type
        for name, function in functions.items():
            setattr(self, name, function)


def flat(answer: Any) -> list[Tensor]:
    """The tensors of an answer, in order."""
    if isinstance(answer, (tuple, list)):
        return [tensor for part in answer for tensor in flat(part)]
    return [answer]


def assert_equal_to_rounding(mine: Any, original: Any, tolerance: float = 1e-10) -> None:
    """The same number of tensors, of the same shapes and types, with the same numbers up to rounding."""
    tensors = flat(mine), flat(original)
    assert len(tensors[0]) == len(tensors[1])
    for a, b in zip(*tensors, strict=True):
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)
