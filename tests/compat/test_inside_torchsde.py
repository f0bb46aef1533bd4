"""torchsde's own solvers run on our Brownian motion, and find the solution that belongs to its path."""

from __future__ import annotations

import math

import pytest
import torch
import torchsde as theirs  # type: ignore[import-untyped, unused-ignore]
from torch import Tensor, nn

import latentsde.compat.torchsde as ours

DOUBLE = torch.float64
DRIFT, VOLATILITY, BATCH = 0.3, 0.5, 500


class Geometric(nn.Module):
    """dy = a y dt + b y dW, each of two components with its own W."""

    noise_type = "diagonal"

    def __init__(self, sde_type: str) -> None:
        super().__init__()
        self.sde_type = sde_type
        self.a = nn.Parameter(torch.tensor(DRIFT, dtype=DOUBLE))

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        return self.a * y

    def g(self, t: Tensor, y: Tensor) -> Tensor:
        return VOLATILITY * y

    def solution(self, w: Tensor) -> Tensor:
        correction = 0.5 * VOLATILITY**2 if self.sde_type == "ito" else 0.0
        return ((self.a - correction) + VOLATILITY * w).exp()


class General(Geometric):
    """The same with the diffusion written as a matrix."""

    noise_type = "general"

    def g(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.diag_embed(VOLATILITY * y)


@pytest.mark.parametrize(
    ("method", "sde", "level", "order"),
    [
        ("euler", Geometric("ito"), "none", 0.5),
        ("milstein", Geometric("ito"), "none", 1.0),
        ("srk", Geometric("ito"), "space-time", 1.5),
        ("log_ode", General("stratonovich"), "foster", 1.0),
        ("log_ode", General("stratonovich"), "davie", 1.0),
    ],
)
def test_solvers_converge_to_the_solution_of_the_path(
    method: str, sde: Geometric, level: str, order: float
) -> None:
    bm = ours.BrownianInterval(0.0, 1.0, (BATCH, 2), DOUBLE, entropy=2, levy_area_approximation=level)
    y0 = torch.ones(BATCH, 2, dtype=DOUBLE)
    errors = []
    for steps in (8, 64):
        with torch.no_grad():
            last = theirs.sdeint(sde, y0, [0.0, 1.0], bm=bm, method=method, dt=1.0 / steps)[-1]
            errors.append(float((last - sde.solution(bm(0.0, 1.0))).square().mean().sqrt()))
    # log_ode with an area that is not the path's keeps order 1/2 where noises do not commute; here they do.
    assert math.log(errors[0] / errors[1]) / math.log(8) > 0.8 * order


class Integral(nn.Module):
    """dy_1 = dW_1, dy_2 = y_1 dt."""

    noise_type, sde_type = "diagonal", "ito"

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.stack([torch.zeros_like(y[:, 0]), y[:, 0]], dim=1)

    def g(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.ones_like(y) * torch.tensor([1.0, 0.0], dtype=y.dtype)


def test_a_scheme_that_uses_u_finds_the_integral_of_the_path() -> None:
    bm = ours.BrownianInterval(0.0, 1.0, (BATCH, 2), DOUBLE, entropy=2, levy_area_approximation="space-time")
    y0 = torch.zeros(BATCH, 2, dtype=DOUBLE)
    last = theirs.sdeint(Integral(), y0, [0.0, 1.0], bm=bm, method="srk", dt=0.125)[-1]
    w, u = bm(0.0, 1.0, return_U=True)
    torch.testing.assert_close(last, torch.stack([w[:, 0], u[:, 0]], dim=1), rtol=0.0, atol=1e-10)


def test_the_adjoint_reads_the_path_backwards() -> None:
    sde = Geometric("stratonovich")
    bm = ours.BrownianInterval(0.0, 1.0, (BATCH, 2), DOUBLE, entropy=2)
    y0 = torch.ones(BATCH, 2, dtype=DOUBLE)
    last = theirs.sdeint_adjoint(sde, y0, [0.0, 1.0], bm=bm, method="midpoint", dt=1.0 / 100)[-1]
    last.sum().backward()
    exact = sde.solution(bm(0.0, 1.0)).sum()
    (gradient,) = torch.autograd.grad(exact, sde.a)
    assert sde.a.grad is not None
    torch.testing.assert_close(sde.a.grad, gradient, rtol=2e-3, atol=0.0)
