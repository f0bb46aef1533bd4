"""Path KL costs no evaluation of the posterior that its method has made already, and has the same numbers."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from torch import Tensor

from latentsde import solve
from latentsde.girsanov import PathKL
from tests.path_kl import Pair, path_for, start

STEPS = 8


class Counted(Pair):
    """Counts its evaluations."""

    def __init__(self, sde_type: str) -> None:
        super().__init__()
        self.sde_type = sde_type
        self.calls: Counter[str] = Counter()

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        self.calls["f"] += 1
        return super().f(t, y)

    def g(self, t: Tensor, y: Tensor) -> Tensor:
        self.calls["g"] += 1
        return super().g(t, y)


class Forgetful(PathKL):
    """Evaluates the posterior again."""

    def functional(self, t: Any, y: Any, h: Any, dW: Any, *known: Tensor) -> Tensor:
        return super().functional(t, y, h, dW)


def _solve(
    kind: type[PathKL], sde: Counted, method: str, vectorized: bool, landing: bool, adjoint: str = "direct"
) -> Any:
    y0 = start(4, 3).requires_grad_()
    kl = kind(sde, vectorized=vectorized, sticking_the_landing=landing)
    solution = solve(
        kl, y0, [0.0, 0.5, 1.0], dt=1.0 / STEPS, path=path_for(sde, y0), method=method, adjoint=adjoint
    )
    assert solution.functional is not None
    gradients = torch.autograd.grad(solution.functional.sum() + solution.ys.sum(), y0)
    return solution.functional, gradients[0]


@pytest.mark.parametrize(
    ("method", "sde_type", "evaluations"),
    [("euler", "ito", STEPS), ("heun", "stratonovich", 2 * STEPS)],
)
@pytest.mark.parametrize("vectorized", [False, True])
def test_the_fields_at_the_start_of_a_step_are_evaluated_once(
    method: str, sde_type: str, evaluations: int, vectorized: bool
) -> None:
    sde = Counted(sde_type)
    _solve(PathKL, sde, method, vectorized, landing=False)
    assert sde.calls == {"f": evaluations, "g": evaluations}


@pytest.mark.parametrize(
    ("method", "sde_type"), [("euler", "ito"), ("heun", "stratonovich"), ("reversible_heun", "stratonovich")]
)
@pytest.mark.parametrize("vectorized", [False, True])
@pytest.mark.parametrize("landing", [False, True])
def test_remembered_fields_change_no_number(
    method: str, sde_type: str, vectorized: bool, landing: bool
) -> None:
    once = _solve(PathKL, Counted(sde_type), method, vectorized, landing)
    again = _solve(Forgetful, Counted(sde_type), method, vectorized, landing)
    torch.testing.assert_close(once, again, rtol=1e-12, atol=1e-12)


def test_nothing_is_remembered_after_a_solve() -> None:
    sde = Counted("ito")
    kl = PathKL(sde)
    y0 = start(4, 3).requires_grad_()
    solve(kl, y0, [0.0, 1.0], dt=0.25, path=path_for(sde, y0), method="euler")
    held = [value for value in vars(kl).values() if isinstance(value, Tensor)]
    assert not held and kl.seen() is None


@pytest.mark.parametrize("vectorized", [False, True])
@pytest.mark.parametrize(
    ("method", "sde_type", "there", "back"), [("euler", "ito", 1, 1), ("euler_heun", "stratonovich", 1, 2)]
)
def test_the_way_back_takes_the_kl_from_its_own_evaluations(
    method: str, sde_type: str, there: int, back: int, vectorized: bool
) -> None:
    # Twice more for what the gradients flow to, before the first step; euler_heun looks for the step's start.
    sde = Counted(sde_type)
    _solve(PathKL, sde, method, vectorized, landing=False, adjoint="backsolve")
    assert sde.calls["f"] == (there + back) * STEPS + 1 + 1
