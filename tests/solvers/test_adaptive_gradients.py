"""Gradients through adaptive steps are those of the accepted ones, wherever what they are of is kept."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from latentsde import VirtualBrownianTree, solve
from latentsde.solvers import PID
from latentsde.solvers.adjoints import Checkpointed
from tests.solvers.adjoints.held import Y0, Holding, assert_same, gradients
from tests.solvers.equations import DOUBLE, Counted, Growth, LearnedDrift


@pytest.mark.parametrize("per_sample", [False, True])
@pytest.mark.parametrize(
    ("method", "noise_type", "adjoints"),
    [
        ("reversible_heun", "diagonal", ("checkpointed", "reversible")),
        ("heun", "general", ("checkpointed", "backsolve")),
        ("dopri5", "none", ("checkpointed", "backsolve")),
    ],
)
def test_gradients_are_those_of_the_accepted_steps(
    method: str, noise_type: str, adjoints: tuple[str, ...], per_sample: bool
) -> None:
    calculus = "none" if noise_type == "none" else "stratonovich"
    equation = Holding(noise_type, calculus)
    options: dict[str, Any] = {"method": method}
    if noise_type != "none":
        options["path"] = VirtualBrownianTree(0, 1, (3, 2), seed=2, dtype=DOUBLE)
    controller = PID(rtol=1e-3, atol=1e-3, per_sample=per_sample)
    direct = gradients(equation, Y0, [0.0, 0.4, 1.0], controller=controller, **options)
    with torch.no_grad():
        plain = solve(equation, Y0, [0.0, 0.4, 1.0], controller=controller, **options)
    torch.testing.assert_close(plain.ys, direct[0].detach(), rtol=1e-12, atol=1e-12)
    for adjoint in adjoints:
        found = gradients(equation, Y0, [0.0, 0.4, 1.0], controller=controller, adjoint=adjoint, **options)
        assert_same(found, direct, 0.15 if adjoint == "backsolve" else 1e-12)


NETWORK = nn.Linear(2, 2, dtype=DOUBLE)


class OfTheModule:
    """What its drift depends on is held by nobody: a global network, from `start` on."""

    noise_type, sde_type, additive = "diagonal", "ito", True

    def __init__(self, start: float) -> None:
        self.start = start

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.tanh(NETWORK(y)) if t >= self.start else -y

    def g(self, t: Tensor, y: Tensor) -> Tensor:
        return 0.1 * torch.ones_like(y)


@pytest.mark.parametrize("start", [0.0, 0.5])
def test_a_network_that_is_a_global_gets_its_gradient(start: float) -> None:
    controller = PID(rtol=1e-3, atol=1e-3)
    for method in ("euler", "shark"):
        solution = solve(OfTheModule(start), Y0, [0.0, 1.0], method=method, seed=1, controller=controller)
        found = torch.autograd.grad(solution.ys[-1].sum(), list(NETWORK.parameters()))
        assert all(float(x.abs().max()) > 1e-3 for x in found)


CONTEXT: list[Tensor] = []


class Driven:
    """Its drift reads a computed tensor that nobody holds."""

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        return CONTEXT[0] - y


def test_inputs_that_an_adjoint_is_given_get_their_gradient() -> None:
    context = torch.tensor([0.3, -0.2], dtype=DOUBLE, requires_grad=True).exp()
    CONTEXT[:] = [context]
    controller, adjoint = PID(rtol=1e-4, atol=1e-4), Checkpointed(inputs=[context])
    ys = solve(Driven(), Y0, [0.0, 1.0], method="heun", controller=controller, adjoint=adjoint).ys
    (found,) = torch.autograd.grad(ys[-1].sum(), context)
    # y(1) = y0 / e + c (1 - 1 / e) for each of three samples.
    torch.testing.assert_close(found, torch.full_like(found, 3 * (1 - math.exp(-1))), rtol=1e-2, atol=0.0)


@pytest.mark.parametrize("adjoint", ["direct", "checkpointed", "reversible"])
def test_a_carry_gets_its_gradient(adjoint: str) -> None:
    path = VirtualBrownianTree(0, 1, Y0.shape, seed=2, dtype=DOUBLE)
    equation = Holding("diagonal", "stratonovich").requires_grad_(False)
    for x in equation.leaves():
        x.requires_grad_(False)
    equation.encode()
    options: dict[str, Any] = {"method": "reversible_heun", "path": path, "adjoint": adjoint}
    with torch.no_grad():
        first = solve(equation, Y0, [0.0, 0.4], dt=0.1, **options)
    z, f, g = (x.detach().clone().requires_grad_() for x in first.carry)
    controller = PID(rtol=1e-2, atol=1e-2)
    ys = solve(equation, first.ys[-1], [0.4, 1.0], controller=controller, carry=(z, f, g), **options).ys
    for found in torch.autograd.grad(ys[-1].square().sum(), (z, f, g)):
        assert float(found.abs().max()) > 1e-6


def test_where_nobody_wants_a_gradient_the_search_is_all_there_is() -> None:
    controller = PID(rtol=1e-4, atol=1e-4)

    def drifts(*, gradients: bool) -> tuple[int, Tensor]:
        with torch.set_grad_enabled(gradients):
            counted = Counted(Growth())  # type: ignore[arg-type]
            solution = solve(counted, Y0, [0.0, 1.0], method="dopri5", controller=controller)
        assert solution.stats.drift_evaluations == counted.drifts
        return counted.drifts, solution.ys

    (off, ys), (on, same) = drifts(gradients=False), drifts(gradients=True)
    assert on == off and torch.equal(ys, same) and not same.requires_grad
    with torch.no_grad():
        assert not solve(LearnedDrift(), Y0, [0, 1], method="dopri5", controller=controller).ys.requires_grad
