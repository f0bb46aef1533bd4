"""What is made for a block of steps at once is what the steps would make of it themselves."""

from __future__ import annotations

import functools
from typing import Any

import pytest
import torch
from torch import Tensor

from latentsde import solve
from latentsde.brownian import AlignedPath
from latentsde.solvers import METHODS, Backsolve, ConstantStep
from latentsde.solvers.equation import Equation
from latentsde.solvers.grid import read_times
from latentsde.solvers.timeline import Timeline
from tests.solvers.equations import DOUBLE

OWN_TIMES = [[0.0, 0.0], [1.0, 0.7]]  # the second sample's grid is shorter: steps of no length


class Wave:
    """Diagonal noise, which for the methods that ask for it does not depend on the state."""

    noise_type = "diagonal"

    def __init__(self, calculus: str, additive: bool) -> None:
        self.sde_type, self.additive = calculus, additive

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.sin(t) - y

    def g(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.cos(t) + (torch.zeros_like(y) if self.additive else 0.3 * torch.sin(y))


def steps_of(name: str, times: Any, *, block: bool) -> tuple[Equation, list[Any], Any]:
    method = METHODS[name]
    equation = Equation(Wave(min(method.calculus), method.additive_only))
    grid = ConstantStep(0.05).grid(read_times(times, 2))
    y0 = torch.tensor([[0.3, -0.2], [0.5, 1.0]], dtype=DOUBLE)
    path = AlignedPath((2, 2), grid.points, seed=7, levy_area="space-time", dtype=DOUBLE)
    terms = functools.partial(method.terms_of_noise, equation)
    options: dict[str, Any] = {"terms": terms, "fractions": method.fractions} if block else {}
    timeline = Timeline(grid, y0, path, levy_area=method.levy_area_for(equation), **options)
    return equation, timeline.block(0, grid.steps), y0


@pytest.mark.parametrize("times", [[0.0, 1.0], torch.tensor(OWN_TIMES, dtype=DOUBLE)], ids=["shared", "own"])
@pytest.mark.parametrize("name", sorted(key for key, m in METHODS.items() if "diagonal" in m.noise))
def test_a_step_of_a_block_is_the_step_by_itself_and_undone_too(name: str, times: Any) -> None:
    method = METHODS[name]
    equation, blocks, y = steps_of(name, times, block=True)
    _, alone, _ = steps_of(name, times, block=False)
    carry = method.start(equation, alone[0].t0, y)
    for ours, plain in zip(blocks, alone, strict=True):
        assert plain.terms is None and plain.times is None
        expected, after = method.advance(equation, plain, y, carry)
        torch.testing.assert_close(
            method.advance(equation, ours, y, carry)[0], expected, rtol=1e-13, atol=1e-13
        )
        back: list[Any] = [method.advance(equation, step.reversed(), y, carry)[0] for step in (ours, plain)]
        assert torch.equal(*back)
        y, carry = expected, after


def test_another_method_that_goes_back_does_not_take_the_terms_of_the_one_that_went_there() -> None:
    rate = torch.tensor(0.4, dtype=DOUBLE, requires_grad=True)

    class Held(Wave):
        def f(self, t: Tensor, y: Tensor) -> Tensor:
            return super().f(t, y) * rate

    def gradient(adjoint: Any) -> Tensor:
        y0 = torch.full((2, 2), 0.5, dtype=DOUBLE)
        end = solve(Held("ito", False), y0, [0, 1], dt=1e-3, seed=3, method="srk", adjoint=adjoint).ys[-1]
        return torch.autograd.grad(end.sum(), rate)[0]

    exact = gradient("direct")
    assert abs(gradient(Backsolve(method="milstein")) - exact) < 0.02 * abs(exact)
