"""Every method in the table passes SolverTestCase, and what is particular to each."""

from __future__ import annotations

import sys
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from latentsde import VirtualBrownianTree, solve
from latentsde.solvers import METHODS, Method, Order
from latentsde.solvers.methods import Step
from latentsde.solvers.methods.base import ANY_NOISE, BOTH
from latentsde.solvers.sde import Equation
from tests.significance import bound, mean_z, variance_z
from tests.solvers.equations import DOUBLE, Growth, Learned
from tests.solvers.solver_test_case import SolverTestCase


class TestEuler(SolverTestCase):
    __test__ = True
    method = "euler"
    ode_order = 1
    drift_evaluations = (1, 0)
    diffusion_evaluations = (1, 0)


class TestMilstein(SolverTestCase):
    __test__ = True
    method = "milstein"
    ode_order = 1
    drift_evaluations = (1, 0)
    diffusion_evaluations = (2, 0)
    additive_diffusion_evaluations = (1, 0)


class TestHeun(SolverTestCase):
    __test__ = True
    method = "heun"
    ode_order = 2
    drift_evaluations = (2, 0)
    diffusion_evaluations = (2, 0)


class TestMidpoint(SolverTestCase):
    __test__ = True
    method = "midpoint"
    ode_order = 2
    drift_evaluations = (2, 0)
    diffusion_evaluations = (2, 0)


class TestReversibleHeun(SolverTestCase):
    __test__ = True
    method = "reversible_heun"
    # On the linear equations here; on nonlinear ones it stays below the other methods of order 1.
    better_than_declared: ClassVar = {"diagonal": 1.0, "scalar": 1.0}
    ode_order = 2
    drift_evaluations = (1, 1)
    diffusion_evaluations = (1, 1)


class TestBridgedEuler(SolverTestCase):
    __test__ = True
    method = "bridged_euler"
    ode_order = None
    drift_evaluations = (1, 0)
    diffusion_evaluations = (1, 0)


def test_every_method_in_the_table_has_its_test_case() -> None:
    tested = [case.method for case in SolverTestCase.__subclasses__()]
    assert sorted(tested) == sorted(METHODS), "add a subclass of SolverTestCase for a new method"


@pytest.mark.parametrize("name", sorted(METHODS))
def test_every_method_says_what_it_is_for(name: str) -> None:
    method = METHODS[name]
    assert isinstance(method, Method) and isinstance(method.order, Order)
    assert method.calculus and method.calculus <= BOTH
    assert method.noise and method.noise <= ANY_NOISE
    assert 0 < method.order.strong <= method.order.strong_commutative <= method.order.strong_additive
    assert type(method).__module__.rpartition(".")[2] == name
    assert sys.modules[type(method).__module__].__doc__


def test_a_new_method_is_one_line_in_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    class Still(Method):
        calculus = frozenset({"ito"})
        noise = frozenset({"diagonal"})
        order = Order(strong=0.5, strong_commutative=0.5, strong_additive=0.5)

        def advance(self, sde: Equation, step: Step, y0: Any, carry: Any) -> tuple[Any, Any]:
            return y0, None

    monkeypatch.setitem(METHODS, "still", Still())
    equation, y0 = Learned("diagonal", "ito"), torch.ones(2, 1, dtype=DOUBLE)
    solution = solve(equation, y0, [0, 1], dt=0.5, seed=0, method="still")
    assert solution.stats.method == "still" and (solution.ys == y0).all()
    with pytest.raises(ValueError, match="still"):
        solve(equation, y0, [0, 1], dt=0.5, seed=0, method="heun")
    with pytest.raises(ValueError, match="still"):
        solve(equation, y0, [0, 1], dt=0.5, seed=0, method="unheard of")
    with pytest.raises(ValueError, match="does not fit"):
        solve(Growth(), y0, [0, 1], dt=0.5, method="still")


@pytest.mark.parametrize(
    ("noise_type", "calculus", "expected"),
    [
        ("diagonal", "ito", 1.0),
        ("diagonal", "stratonovich", 1.0),
        ("scalar", "ito", 1.0),
        ("scalar", "stratonovich", 1.0),
        ("additive", "ito", 1.0),
        ("additive", "stratonovich", 1.0),
        ("general", "ito", 0.5),
        ("general", "stratonovich", 0.5),
    ],
)
def test_without_a_name_the_best_order_is_chosen_and_named(
    noise_type: str, calculus: str, expected: float
) -> None:
    y0 = torch.ones(2, 3, dtype=DOUBLE)
    stats = solve(Learned(noise_type, calculus), y0, [0, 1], dt=0.5, seed=0).stats
    order = METHODS[stats.method].order
    commutative = order.strong if noise_type == "general" else order.strong_commutative
    assert (order.strong_additive if noise_type == "additive" else commutative) == expected
    named = solve(Learned(noise_type, calculus), y0, [0, 1], dt=0.5, seed=0, method=stats.method)
    assert named.stats == stats


def test_without_a_name_an_ode_has_a_method() -> None:
    stats = solve(Growth(), torch.ones(2, 3), [0, 1], dt=0.5).stats
    assert "none" in METHODS[stats.method].noise


class Nilpotent:
    """dy = A y dW with A = [[0, 2], [0, 0]]: y2 stays, y1 = y1(0) + 2 y2 W. torchsde 0.2.6 multiplies by A
    transposed.
    """

    noise_type = "scalar"

    def __init__(self, calculus: str) -> None:
        self.sde_type = calculus

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.zeros_like(y)

    def g(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.stack([2.0 * y[..., 1], torch.zeros_like(y[..., 1])], -1).unsqueeze(-1)


@pytest.mark.parametrize(
    ("method", "calculus"),
    [
        (name, c)
        for name in sorted(METHODS)
        if "scalar" in METHODS[name].noise
        for c in sorted(METHODS[name].calculus)
    ],
)
def test_scalar_noise_that_couples_components_follows_its_jacobian(method: str, calculus: str) -> None:
    path = VirtualBrownianTree(0, 1, (50, 1), seed=1, dtype=DOUBLE)
    y0 = torch.tensor([0.0, 1.0], dtype=DOUBLE).expand(50, 2)
    y1 = solve(Nilpotent(calculus), y0, [0, 1], dt=0.1, path=path, method=method).ys[-1]
    assert (y1[:, 1] == 1.0).all()
    torch.testing.assert_close(y1[:, :1], 2.0 * path(0, 1), rtol=0.0, atol=1e-13)


@pytest.mark.parametrize("noise_type", ["diagonal", "scalar", "additive", "general"])
def test_reversible_heun_is_undone_by_the_step_back(noise_type: str) -> None:
    # Algorithm 2 of Kidger et al. 2021 is algorithm 1 with the ends, the length and the increment turned
    # round.
    method, equation = METHODS["reversible_heun"], Equation(Learned(noise_type, "stratonovich"))
    y0 = torch.tensor([[0.4, -1.0], [1.3, 0.2]], dtype=DOUBLE)
    times = [torch.tensor(k / 10, dtype=DOUBLE) for k in range(101)]
    shape = equation.noise_shape(times[0], y0)
    w = VirtualBrownianTree(0, 10, shape, seed=1, dtype=DOUBLE).increments(torch.stack(times)).W
    y: Any = y0
    carry = method.start(equation, times[0], y0)
    visited = []
    with torch.no_grad():
        for k in range(100):
            visited.append((y, carry[0]))
            y, carry = method.advance(equation, Step(times[k], times[k + 1], 0.1, 0.1, w[k]), y, carry)
        for k in reversed(range(100)):
            back = Step(times[k + 1], times[k], -0.1, -0.1, -w[k])
            y, carry = method.advance(equation, back, y, carry)
            torch.testing.assert_close(y, visited[k][0], rtol=0.0, atol=1e-11)
            torch.testing.assert_close(carry[0], visited[k][1], rtol=0.0, atol=1e-11)


class Pulled:
    """A Brownian motion on its way to 2 at time 1, seen with variance 0.1: the drift and the share of the
    noise it leaves.
    """

    noise_type, sde_type, additive = "diagonal", "ito", True
    target, delay = 2.0, 0.1

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        return (self.target - y) / (self.delay + 1.0 - t)

    def g(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.ones_like(y)

    def contraction(self, t: Tensor, y: Tensor, h: Any) -> Tensor:
        return (1.0 - h / (self.delay + 1.0 - t)).sqrt()


@pytest.mark.parametrize("steps", [1, 3, 10])
def test_bridged_euler_is_exact_in_law_for_a_pull_however_long_the_step(steps: int) -> None:
    # The end is N(2 · 1/1.1, 0.1/1.1), by Bayes. False alarm: 1e-5. Plain Euler's variance in one step would
    # be 1.
    n = 20_000
    y = solve(
        Pulled(), torch.zeros(n, dtype=DOUBLE), [0, 1], dt=1 / steps, seed=2, method="bridged_euler"
    ).ys[-1]
    mean, variance = 2.0 / 1.1, 0.1 / 1.1
    figures = torch.stack([mean_z(y, mean, variance), variance_z(y - mean, variance)])
    assert figures.abs().max() < bound(2)


def test_bridged_euler_is_euler_where_nothing_contracts() -> None:
    y0, equation = torch.ones(3, 2, dtype=DOUBLE), Learned("diagonal", "ito")
    plain, bridged = (
        solve(equation, y0, [0, 1], dt=0.1, seed=0, method=m).ys for m in ("euler", "bridged_euler")
    )
    assert torch.equal(plain, bridged)
