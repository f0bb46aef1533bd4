"""Every method in the table passes SolverTestCase, and what is particular to each."""

from __future__ import annotations

import sys
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from latentsde import VirtualBrownianTree, solve
from latentsde.solvers import METHODS, Method, Order
from latentsde.solvers.equation import Equation
from latentsde.solvers.methods import Step
from latentsde.solvers.methods.base import ANY_NOISE, BOTH
from tests.significance import bound, mean_z, variance_z
from tests.solvers.equations import DOUBLE, Growth, Learned
from tests.solvers.solver_test_case import SolverTestCase


class TestEuler(SolverTestCase):
    __test__ = True
    method = "euler"
    drift_evaluations: ClassVar = {"": (1, 0)}
    diffusion_evaluations: ClassVar = {"": (1, 0)}
    smooth_order = 1.0


class TestBridgedEuler(SolverTestCase):
    __test__ = True
    method = "bridged_euler"
    drift_evaluations: ClassVar = {"": (1, 0)}
    diffusion_evaluations: ClassVar = {"": (1, 0)}


class TestMilstein(SolverTestCase):
    __test__ = True
    method = "milstein"
    drift_evaluations: ClassVar = {"": (1, 0)}
    # In the Itô reading of commutative noise one more for each of the two channels.
    diffusion_evaluations: ClassVar = {"": (2, 0), "additive": (1, 0), "commutative-ito": (3, 0)}
    smooth_order = 1.0


class TestMilsteinDerivative(SolverTestCase):
    __test__ = True
    method = "milstein_derivative"
    drift_evaluations: ClassVar = {"": (1, 0)}
    # Once, to see whether there are gradients to keep.
    diffusion_evaluations: ClassVar = {"": (1, 1), "additive": (1, 0)}
    smooth_order = 1.0


class TestSRK(SolverTestCase):
    __test__ = True
    method = "srk"
    drift_evaluations: ClassVar = {"": (3, 0), "additive": (2, 0)}
    diffusion_evaluations: ClassVar = {"": (4, 0), "additive": (2, 0)}
    weak: ClassVar = {"diagonal": 1.5, "scalar": 1.5, "additive": 2.0}


class TestEulerHeun(SolverTestCase):
    __test__ = True
    method = "euler_heun"
    drift_evaluations: ClassVar = {"": (1, 0)}
    diffusion_evaluations: ClassVar = {"": (2, 0)}
    smooth_order = 1.0


class TestHeun(SolverTestCase):
    __test__ = True
    method = "heun"
    drift_evaluations: ClassVar = {"": (2, 0)}
    diffusion_evaluations: ClassVar = {"": (2, 0)}
    weak: ClassVar = {"additive": 2.0}
    error_order = 2.0


class TestMidpoint(SolverTestCase):
    __test__ = True
    method = "midpoint"
    drift_evaluations: ClassVar = {"": (2, 0)}
    diffusion_evaluations: ClassVar = {"": (2, 0)}
    weak: ClassVar = {"additive": 2.0}


class TestRalston(SolverTestCase):
    __test__ = True
    method = "ralston"
    drift_evaluations: ClassVar = {"": (2, 0)}
    diffusion_evaluations: ClassVar = {"": (2, 0)}
    weak: ClassVar = {"additive": 2.0}


class TestEES25(SolverTestCase):
    __test__ = True
    method = "ees25"
    drift_evaluations: ClassVar = {"": (3, 0)}
    diffusion_evaluations: ClassVar = {"": (3, 0)}
    weak: ClassVar = {"additive": 2.0}


class TestLogODE(SolverTestCase):
    __test__ = True
    method = "log_ode"
    drift_evaluations: ClassVar = {"": (2, 0)}
    # One for each of the two channels of noise that does not commute.
    diffusion_evaluations: ClassVar = {"": (2, 0), "general": (4, 0)}
    weak: ClassVar = {"additive": 2.0}


class TestReversibleHeun(SolverTestCase):
    __test__ = True
    method = "reversible_heun"
    drift_evaluations: ClassVar = {"": (1, 1)}
    diffusion_evaluations: ClassVar = {"": (1, 1)}
    weak: ClassVar = {"additive": 2.0}


class TestSEA(SolverTestCase):
    __test__ = True
    method = "sea"
    smooth_order = 1.0
    drift_evaluations: ClassVar = {"": (1, 0)}
    # Once, to see how many channels there are.
    diffusion_evaluations: ClassVar = {"": (1, 1)}


class TestShARK(SolverTestCase):
    __test__ = True
    method = "shark"
    drift_evaluations: ClassVar = {"": (2, 0)}
    diffusion_evaluations: ClassVar = {"": (2, 0)}
    weak: ClassVar = {"additive": 2.0}
    error_order = 2.0


class TestSRA1(SolverTestCase):
    __test__ = True
    method = "sra1"
    drift_evaluations: ClassVar = {"": (2, 0)}
    diffusion_evaluations: ClassVar = {"": (2, 0)}
    weak: ClassVar = {"additive": 2.0}
    error_order = 2.0


class TestSPaRK(SolverTestCase):
    __test__ = True
    method = "spark"
    drift_evaluations: ClassVar = {"": (3, 0)}
    diffusion_evaluations: ClassVar = {"": (3, 0)}
    weak: ClassVar = {"additive": 2.0}
    error_order = 3.0


class TestGeneralShARK(SolverTestCase):
    __test__ = True
    method = "general_shark"
    drift_evaluations: ClassVar = {"": (2, 0)}
    diffusion_evaluations: ClassVar = {"": (3, 0)}
    weak: ClassVar = {"additive": 2.0}


class TestSlowRK(SolverTestCase):
    __test__ = True
    method = "slow_rk"
    drift_evaluations: ClassVar = {"": (2, 0)}
    # Once, to see how many channels there are.
    diffusion_evaluations: ClassVar = {"": (5, 1), "diagonal": (5, 0), "scalar": (5, 0)}
    weak: ClassVar = {"diagonal": 2.0, "scalar": 2.0, "additive": 2.0, "commutative": 2.0}


class TestRK4(SolverTestCase):
    __test__ = True
    method = "rk4"
    drift_evaluations: ClassVar = {"": (4, 0)}


class TestDopri5(SolverTestCase):
    __test__ = True
    method = "dopri5"
    drift_evaluations: ClassVar = {"": (6, 1)}
    error_order = 5.0


class TestTsit5(SolverTestCase):
    __test__ = True
    method = "tsit5"
    drift_evaluations: ClassVar = {"": (6, 1)}
    error_order = 5.0


def test_every_method_in_the_table_has_its_test_case() -> None:
    tested = [case.method for case in SolverTestCase.__subclasses__()]
    assert sorted(tested) == sorted(METHODS), "add a subclass of SolverTestCase for a new method"


@pytest.mark.parametrize("name", sorted(METHODS))
def test_every_method_says_what_it_is_for(name: str) -> None:
    method = METHODS[name]
    assert isinstance(method, Method) and isinstance(method.order, Order)
    assert method.calculus and method.calculus <= BOTH
    assert method.noise and method.noise <= ANY_NOISE
    order = method.order
    for kind, value in {
        "general": order.strong,
        "scalar": order.strong_commutative,
        "additive": order.strong_additive,
        "none": order.ode,
    }.items():
        assert (value is not None) >= (kind in method.noise)
    ranked = [x for x in (order.strong, order.strong_commutative, order.strong_additive) if x is not None]
    assert ranked == sorted(ranked)
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
        ("additive", "ito", 1.5),
        ("additive", "stratonovich", 1.5),
        ("commutative", "ito", 1.0),
        ("commutative", "stratonovich", 1.0),
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
