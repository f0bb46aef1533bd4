"""Methods for ODEs, step by step against torchdiffeq; and the near-reversibility of EES(2,5)."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torchdiffeq
from torch import Tensor
from torchdiffeq._impl import rk_common
from torchdiffeq._impl.dopri5 import _DORMAND_PRINCE_SHAMPINE_TABLEAU as DORMAND_PRINCE

from experiments.solver_problems import Y0, Wave
from latentsde import solve
from latentsde.solvers import METHODS
from latentsde.solvers.equation import Equation
from latentsde.solvers.methods import Step
from tests.solvers.equations import DOUBLE

TIMES = torch.linspace(0.0, 1.0, 11, dtype=DOUBLE)
START = Y0.unsqueeze(0)


@pytest.mark.parametrize(
    ("ours", "theirs"), [("euler", "euler"), ("midpoint", "midpoint"), ("heun", "heun2")]
)
def test_fixed_steps_are_torchdiffeqs(ours: str, theirs: str) -> None:
    expected = torchdiffeq.odeint(Wave().f, START, TIMES, method=theirs)
    torch.testing.assert_close(solve(Wave(), START, TIMES, dt=0.1, method=ours).ys, expected)


def test_a_step_of_rk4_is_torchdiffeqs_classical_one() -> None:
    t0, t1 = TIMES[3], TIMES[4]
    expected = START + rk_common.rk4_step_func(drift, t0, t1 - t0, t1, START)
    torch.testing.assert_close(one_step("rk4", t0, t1)[0], expected)


def test_a_step_of_dopri5_is_torchdiffeqs() -> None:
    # Of the same method of order 5 torchdiffeq embeds another of order 4: Shampine's.
    t0, t1 = TIMES[3], TIMES[4]
    first = Wave().f(t0, START)
    y1, last, _, _ = rk_common._runge_kutta_step(drift, START, first, t0, t1 - t0, t1, tableau=DORMAND_PRINCE)
    ours, carry = one_step("dopri5", t0, t1)
    torch.testing.assert_close(ours, y1)
    torch.testing.assert_close(carry, last)


def test_tsit5_comes_to_where_torchdiffeqs_small_steps_do() -> None:
    expected = torchdiffeq.odeint(Wave().f, START, TIMES, method="rk4", options={"step_size": 1 / 2000})
    ys = solve(Wave(), START, TIMES, dt=1 / 200, method="tsit5").ys
    torch.testing.assert_close(ys, expected, rtol=0.0, atol=1e-11)


@pytest.mark.parametrize("name", ["dopri5", "tsit5"])
def test_a_tableau_meets_the_conditions_of_its_orders(name: str) -> None:
    # The quadrature conditions Σ b c^(k-1) = 1/k, of the result up to 5 and of the embedded method up to 4,
    # and that rows sum to nodes.
    method: Any = METHODS[name]
    nodes = torch.tensor(method.nodes, dtype=DOUBLE)
    weights = torch.tensor([*method.rows[-1], 0.0], dtype=DOUBLE)
    embedded = weights - torch.tensor(method.error_weights, dtype=DOUBLE)
    for row, node in zip(method.rows, method.nodes[1:], strict=True):
        assert sum(row) == pytest.approx(node, abs=1e-14)
    for power in range(5):
        assert float(weights @ nodes**power) == pytest.approx(1 / (power + 1), abs=1e-14)
        if power < 4:
            assert float(embedded @ nodes**power) == pytest.approx(1 / (power + 1), abs=1e-14)
    assert abs(float(embedded @ nodes**4) - 1 / 5) > 1e-5


def test_ees25_is_undone_by_a_step_back_to_order_six() -> None:
    # A step there and back misses the start by h^6; one of Ralston, of the same order there, by h^3 or h^4.
    def defect(name: str, h: float) -> float:
        t0 = torch.tensor(0.2, dtype=DOUBLE)
        y1, _ = one_step(name, t0, t0 + h)
        return float((one_step(name, t0 + h, t0, y1)[0] - START).norm())

    rates = {n: torch.tensor(defect(n, 1 / 8) / defect(n, 1 / 16)).log2() for n in ("ees25", "ralston")}
    assert rates["ees25"] > 5.5 and rates["ralston"] < 4.5


def drift(t: Tensor, y: Tensor, *, perturb: Any = None) -> Tensor:
    """As torchdiffeq calls it."""
    return Wave().f(t, y)


def one_step(name: str, t0: Tensor, t1: Tensor, y0: Tensor = START) -> tuple[Tensor, Any]:
    method, equation, h = METHODS[name], Equation(Wave()), float(t1 - t0)
    y1, carry = method.advance(equation, Step(t0, t1, h, None, None), y0, method.start(equation, t0, y0))
    assert isinstance(y1, Tensor)
    return y1, carry
