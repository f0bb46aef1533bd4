"""Second derivatives: direct and checkpointed have them, the others say that they do not."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from latentsde import solve
from latentsde.solvers import Checkpointed
from tests.solvers.adjoints.held import Y0, Holding, Parts, loss_of
from tests.solvers.equations import DOUBLE


def second(adjoint: Any, equation: Any, y0: Any, **options: Any) -> list[Tensor]:
    """The gradient of a weighted sum of squares of the gradients, as in a gradient penalty."""
    equation.encode()
    # A start that is computed from what the equation depends on as well.
    start = torch.tanh(y0 * equation.rate)
    ys = solve(equation, start, [0.0, 0.45, 1.0], adjoint=adjoint, **options).ys
    wrt = [y0, *equation.leaves()]
    first = torch.autograd.grad(loss_of(ys), wrt, create_graph=True, allow_unused=True)
    penalty: Any = sum(g.square().sum() for g in first if g is not None)
    found = torch.autograd.grad(penalty, wrt, allow_unused=True)
    return [torch.zeros_like(x) if g is None else g for x, g in zip(wrt, found, strict=True)]


@pytest.mark.parametrize(
    ("method", "noise_type", "calculus"),
    [
        ("euler", "general", "ito"),
        ("milstein", "diagonal", "ito"),
        ("heun", "scalar", "stratonovich"),
        ("reversible_heun", "general", "stratonovich"),
        ("dopri5", "none", "none"),
    ],
)
@pytest.mark.parametrize("segment", [None, 1, 4, 100])
def test_checkpointed_second_derivatives_are_the_direct_ones(
    method: str, noise_type: str, calculus: str, segment: int | None
) -> None:
    equation, y0 = Holding(noise_type, calculus), Y0.clone().requires_grad_()
    direct, checkpointed = (
        second(adjoint, equation, y0, method=method, dt=0.1, seed=2)
        for adjoint in ("direct", Checkpointed(segment))
    )
    for one, other in zip(checkpointed, direct, strict=True):
        scale = max(1.0, float(other.abs().max()))
        torch.testing.assert_close(one, other, rtol=0.0, atol=1e-12 * scale)


@pytest.mark.parametrize("adjoint", ["direct", "checkpointed"])
def test_second_derivatives_are_those_of_finite_differences(adjoint: str) -> None:
    class Plain:
        noise_type, sde_type = "diagonal", "stratonovich"

        def __init__(self, rate: Tensor, size: Tensor) -> None:
            self.rate, self.size = rate, size

        def f(self, t: Tensor, y: Tensor) -> Tensor:
            return torch.sin(self.rate * y + t)

        def g(self, t: Tensor, y: Tensor) -> Tensor:
            return self.size * torch.cos(y)

    def end(y0: Tensor, rate: Tensor, size: Tensor) -> Tensor:
        return solve(Plain(rate, size), y0, [0, 0.5, 1], dt=0.2, seed=1, adjoint=adjoint, method="heun").ys[
            1:
        ]

    inputs = [Y0[:2].clone().requires_grad_()]
    inputs += [torch.tensor(x, dtype=DOUBLE, requires_grad=True) for x in (0.7, 0.4)]
    assert torch.autograd.gradcheck(end, inputs, fast_mode=True)
    assert torch.autograd.gradgradcheck(end, inputs, fast_mode=True)


def test_checkpointed_second_derivatives_of_tuples_are_the_direct_ones() -> None:
    equation = Parts("diagonal", "stratonovich")
    y0 = (Y0, Y0[:, 0].clone(), Y0[:, :1, None].clone())
    found = []
    for adjoint in ("direct", "checkpointed"):
        starts = tuple(part.clone().requires_grad_() for part in y0)
        ys = solve(equation, starts, [0, 1], dt=0.1, method="heun", seed=1, adjoint=adjoint).ys
        wrt = [*starts, *equation.leaves()]
        first = torch.autograd.grad(loss_of(ys), wrt, create_graph=True)
        found.append(torch.autograd.grad(sum(g.square().sum() for g in first), wrt))  # type: ignore[misc]
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("adjoint", ["reversible", "backsolve"])
def test_second_derivatives_of_the_other_adjoints_are_an_error_that_says_so(adjoint: str) -> None:
    equation, y0 = Holding("diagonal", "stratonovich"), Y0.clone().requires_grad_()
    ys = solve(equation, y0, [0, 1], dt=0.1, method="reversible_heun", seed=1, adjoint=adjoint).ys
    (plain,) = torch.autograd.grad(loss_of(ys), y0, retain_graph=True)
    # To keep the graph is not yet to ask for second derivatives.
    (first,) = torch.autograd.grad(loss_of(ys), y0, create_graph=True)
    assert torch.equal(first, plain)
    with pytest.raises(RuntimeError, match=f'adjoint="{adjoint}" has no second derivatives.*"direct"'):
        torch.autograd.grad(first.square().sum(), y0)
