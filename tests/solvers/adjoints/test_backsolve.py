"""The backsolve adjoint's error falls with the step, at the order its method has."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from experiments.solver_orders import slope
from latentsde import VirtualBrownianTree, solve
from latentsde.solvers import Backsolve
from tests.significance import bound
from tests.solvers.adjoints.held import Parts, gradients, leaf, loss_of
from tests.solvers.equations import DOUBLE, Learned, LearnedDrift, noise_shape

LEVELS = (3, 4, 5, 6)
PATHS = 200


def errors(
    method: str, noise_type: str, calculus: str, levels: Any = LEVELS, adjoint: Any = "backsolve"
) -> list[float]:
    """The root mean square over paths of the difference to the direct gradients, of the same steps."""
    if noise_type == "none":
        equation: Any = LearnedDrift()
    else:
        equation = Learned(noise_type, calculus)
    y0 = torch.tensor([0.8, -0.7], dtype=DOUBLE).expand(PATHS, 2)
    if noise_type == "none":
        y0 = torch.linspace(-1.5, 1.5, 8, dtype=DOUBLE).view(4, 2)
    # A parameter for each path, so that its errors do not cancel over the paths.
    equation = _Own(equation, len(y0))
    noise = {}
    if noise_type != "none":
        area = "space-time"
        shape = noise_shape(noise_type, y0)
        noise["path"] = VirtualBrownianTree(0, 1, shape, seed=4, levy_area=area, dtype=DOUBLE)
    found = []
    for level in levels:
        direct, back = (
            gradients(equation, y0, [0.0, 1.0], method=method, dt=2.0**-level, adjoint=way, **noise)[1]
            for way in ("direct", adjoint)
        )
        squares = [(a - b).square().reshape(len(y0), -1).sum(1) for a, b in zip(back, direct, strict=True)]
        found.append(float(sum(squares).mean().sqrt()))  # type: ignore[union-attr, arg-type]
    return found


class _Own:
    """An equation whose parameters are (paths, 1): one of each for each path."""

    def __init__(self, equation: Any, paths: int) -> None:
        self.rate, self.size = (
            x.detach().expand(paths, 1).clone().requires_grad_() for x in (equation.rate, equation.size)
        )
        self._f = type(equation).f
        if hasattr(equation, "g"):
            self.noise_type, self.sde_type, self._g = equation.noise_type, equation.sde_type, type(equation).g
            self.g = self._diffusion

    def leaves(self) -> list[Tensor]:
        return [self.rate, self.size]

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        return self._f(self, t, y)

    def _diffusion(self, t: Tensor, y: Tensor) -> Tensor:
        return self._g(self, t, y)


@pytest.mark.parametrize(
    ("method", "noise_type", "calculus", "order"),
    [
        ("euler", "diagonal", "ito", 0.5),
        ("euler", "scalar", "ito", 0.5),
        ("euler", "commutative", "ito", 0.5),
        ("euler", "general", "ito", 0.5),
        ("euler", "additive", "ito", 1.0),
        ("milstein", "diagonal", "ito", 1.0),
        ("milstein", "scalar", "ito", 1.0),
        ("milstein", "commutative", "ito", 1.0),
        ("milstein", "additive", "ito", 1.0),
        ("milstein", "diagonal", "stratonovich", 1.0),
        ("srk", "diagonal", "ito", 1.5),
        ("srk", "scalar", "ito", 1.5),
        ("srk", "additive", "ito", 1.5),
        ("heun", "diagonal", "stratonovich", 1.0),
        ("heun", "scalar", "stratonovich", 1.0),
        ("heun", "commutative", "stratonovich", 1.0),
        ("heun", "general", "stratonovich", 0.5),
        ("heun", "additive", "ito", 1.0),
        ("midpoint", "diagonal", "stratonovich", 1.0),
        ("midpoint", "general", "stratonovich", 0.5),
        ("euler_heun", "diagonal", "stratonovich", 1.0),
        ("log_ode", "diagonal", "stratonovich", 1.0),
        ("log_ode", "general", "stratonovich", 0.5),
        ("spark", "general", "stratonovich", 0.5),
        ("shark", "additive", "ito", 1.5),
        ("reversible_heun", "diagonal", "stratonovich", 1.0),
        ("reversible_heun", "general", "stratonovich", 0.5),
    ],
)
def test_error_falls_with_the_step_at_the_methods_order(
    method: str, noise_type: str, calculus: str, order: float
) -> None:
    # A parameter of every path and two hundred paths: the slope scatters by less than 0.1.
    found = errors(method, noise_type, calculus)
    assert slope(found, LEVELS) > order - 0.2
    assert 0.0 < found[-1] < 0.2


@pytest.mark.parametrize(
    ("method", "order"),
    [
        *(("euler", 1), ("heun", 2), ("midpoint", 2), ("ralston", 2), ("reversible_heun", 2)),
        *(("rk4", 4), ("dopri5", 5), ("tsit5", 5)),
    ],
)
def test_error_of_odes_falls_with_the_step_at_the_methods_order(method: str, order: int) -> None:
    levels = (1, 2, 3, 4) if order > 2 else LEVELS
    found = errors(method, "none", "none", levels)
    assert slope(found, levels) > order - 0.4
    assert found[-1] < 10 * 2.0 ** (-order * levels[-1])


def test_another_method_may_go_back() -> None:
    for method in ("midpoint", "euler_heun", "log_ode"):
        coarse, fine = errors("heun", "diagonal", "stratonovich", (4, 6), adjoint=Backsolve(method))
        assert math.log2(coarse / fine) > 1.4 and fine < 0.1
    with pytest.raises(ValueError, match="'milstein' does not fit general noise"):
        solve(
            Learned("general", "ito"),
            torch.ones(2, 2, dtype=DOUBLE),
            [0, 1],
            dt=1,
            adjoint=Backsolve("milstein"),
        )


def test_own_times_tuples_and_backwards_in_time_are_met_to_the_step() -> None:
    y0 = torch.tensor([[0.4, -1.0], [1.3, 0.2], [0.1, 0.6]], dtype=DOUBLE)
    tuples = (y0, y0[:, 0].clone(), y0[:, :1, None].clone())
    own = torch.tensor([[0.0, 0.1, -0.4], [0.5, 0.15, 0.9], [1.3, 0.15, 0.9]], dtype=DOUBLE)
    for ts in (own, -own, [1.0, 0.4, 0.0]):
        for equation, method, tolerance in (
            (Parts("diagonal", "stratonovich"), "heun", 0.02),
            (Parts("general", "ito"), "euler", 0.15),
            (Parts("none", "none"), "rk4", 1e-6),
        ):
            (_, direct), (_, back) = (
                gradients(equation, tuples, ts, method=method, dt=0.02, seed=3, adjoint=adjoint)
                for adjoint in ("direct", "backsolve")
            )
            scale = max(float(g.abs().max()) for g in direct)
            assert (
                max(float((a - b).abs().max()) for a, b in zip(direct, back, strict=True)) < tolerance * scale
            )


def test_requested_times_make_the_way_back_exact_there() -> None:
    equation, method = Learned("diagonal", "ito"), "srk"
    path = VirtualBrownianTree(0, 1, (100, 2), seed=3, levy_area="space-time", dtype=DOUBLE)

    def run(ts: Any, adjoint: str) -> Tensor:
        start = torch.ones(100, 2, dtype=DOUBLE, requires_grad=True)
        ys = solve(equation, start, ts, dt=1 / 16, method=method, path=path, adjoint=adjoint).ys
        return torch.autograd.grad(loss_of(ys[-1]), start)[0]

    direct = run([0.0, 1.0], "direct")
    every = torch.linspace(0, 1, 17, dtype=DOUBLE)
    error, coarse = (float((run(ts, "backsolve") - direct).norm()) for ts in (every, [0.0, 1.0]))
    assert error < 0.5 * coarse


# Against closed forms


class Market:
    """Geometric Brownian motion with a rate and a volatility that gradients are asked for."""

    noise_type, sde_type = "diagonal", "ito"

    def __init__(self, rate: float, volatility: float) -> None:
        self.rate, self.volatility = leaf(rate), leaf(volatility)

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        return self.rate * y

    def g(self, t: Tensor, y: Tensor) -> Tensor:
        return self.volatility * y


@pytest.mark.parametrize(
    ("method", "adjoint"),
    [("milstein", "backsolve"), ("milstein", "checkpointed"), ("srk", "backsolve"), ("euler", "backsolve")],
)
def test_delta_and_vega_of_a_call_option_are_those_of_black_and_scholes(method: str, adjoint: str) -> None:
    # Pathwise derivatives. The z bound is of four figures of normal means; the step's bias has an allowance.
    rate, volatility, strike, n, dt = 0.05, 0.4, 1.1, 20_000, 1 / 32
    market = Market(rate, volatility)
    y0 = torch.full((n,), 1.0, dtype=DOUBLE, requires_grad=True)
    each = torch.full((n,), volatility, dtype=DOUBLE, requires_grad=True)
    market.volatility = each
    end = solve(market, y0, [0, 1], dt=dt, seed=11, method=method, adjoint=adjoint).ys[-1]
    payoff = math.exp(-rate) * (end - strike).clamp_min(0.0)
    deltas, vegas = torch.autograd.grad(payoff.sum(), [y0, each])
    d1 = (math.log(1.0 / strike) + rate + 0.5 * volatility**2) / volatility
    normal = torch.distributions.Normal(0.0, 1.0)
    delta = float(normal.cdf(torch.tensor(d1)))
    vega = float(normal.log_prob(torch.tensor(d1)).exp())
    for draws, exact in ((deltas, delta), (vegas, vega)):
        allowance = (0.5 if method == "euler" else 0.1) * dt
        assert abs(float(draws.mean()) - exact) < bound(4) * float(draws.std()) / math.sqrt(n) + allowance


@pytest.mark.parametrize("adjoint", ["direct", "checkpointed", "reversible", "backsolve"])
def test_gradient_of_the_mean_and_variance_of_an_ornstein_uhlenbeck_process(adjoint: str) -> None:
    # dy = θ (μ - y) dt + σ dW: E y(T) = μ + (y0 - μ) e^-θT, Var y(T) = σ² (1 - e^-2θT) / 2θ, with its
    # derivative by θ, as a likelihood of the drift is made of; pathwise over 20,000 paths.
    n, time, dt = 20_000, 1.5, 1 / 50

    class OrnsteinUhlenbeck:
        noise_type, sde_type, additive = "diagonal", "ito", True
        theta, mu, sigma = leaf(0.8), leaf(0.3), leaf(0.6)

        def f(self, t: Tensor, y: Tensor) -> Tensor:
            return self.theta * (self.mu - y)

        def g(self, t: Tensor, y: Tensor) -> Tensor:
            return self.sigma.expand_as(y)

    ou = OrnsteinUhlenbeck()
    y0 = torch.full((n,), 1.0, dtype=DOUBLE)
    end = solve(ou, y0, [0, time], dt=dt, seed=5, method="reversible_heun", adjoint=adjoint).ys[-1]
    wrt = [ou.theta, ou.mu, ou.sigma]
    decay = torch.exp(-ou.theta * time)
    mean = ou.mu + (1.0 - ou.mu) * decay
    second = mean**2 + ou.sigma**2 * (1 - decay**2) / (2 * ou.theta)
    exact = [torch.autograd.grad(x, wrt, retain_graph=True, allow_unused=True) for x in (mean, second)]
    found = [torch.autograd.grad(x, wrt, retain_graph=True) for x in (end.mean(), end.square().mean())]
    for values, truth in zip(found, exact, strict=True):
        for value, other in zip(values, truth, strict=True):
            # Deviations of these sums are below 2 / sqrt(n).
            wanted = 0.0 if other is None else float(other)
            assert abs(float(value) - wanted) < bound(6) * 2.0 / math.sqrt(n) + 0.1 * dt


@pytest.mark.parametrize("method", ["dopri5", "tsit5"])
def test_a_solve_that_goes_on_from_a_carry_is_solved_back(method: str) -> None:
    y0 = torch.linspace(-1.5, 1.5, 8, dtype=DOUBLE).view(4, 2)
    found = []
    for parts in (1, 2):
        equation, start = LearnedDrift(), y0.clone().requires_grad_()
        options: Any = {"method": method, "dt": 0.05, "adjoint": "backsolve"}
        if parts == 1:
            end = solve(equation, start, [0, 1], **options).ys[-1]
        else:
            first = solve(equation, start, [0, 0.5], **options)
            end = solve(equation, first.ys[-1], [0.5, 1], carry=first.carry, **options).ys[-1]
        found.append([end, *torch.autograd.grad(end.sin().sum(), [start, equation.rate])])
    torch.testing.assert_close(*found, rtol=1e-8, atol=1e-8)


def test_a_loss_of_the_carry_is_an_error_instead_of_a_part_of_the_gradient() -> None:
    equation, y0 = LearnedDrift(), torch.ones(4, 2, dtype=DOUBLE, requires_grad=True)
    first = solve(equation, y0, [0, 0.5], method="dopri5", dt=0.1, adjoint="backsolve")
    second = solve(equation, first.ys[-1], [0.5, 1], method="dopri5", dt=0.1, carry=first.carry)
    with pytest.raises(RuntimeError, match="no gradient of the carry"):
        second.ys[-1].sum().backward()


def test_a_way_back_that_needs_areas_which_are_not_there_is_an_error() -> None:
    y0 = torch.ones(4, 2, dtype=DOUBLE, requires_grad=True)
    options: Any = {"dt": 0.1, "seed": 3}
    with pytest.raises(ValueError, match="needs Lévy areas that the way there by 'heun'"):
        solve(Learned("additive", "ito"), y0, [0, 1], method="heun", adjoint=Backsolve("shark"), **options)
    with pytest.raises(ValueError, match="needs Lévy areas that the way there by 'slow_rk'"):
        solve(
            Learned("general", "stratonovich"),
            y0,
            [0, 1],
            method="slow_rk",
            adjoint=Backsolve("log_ode"),
            **options,
        )
    end = solve(Learned("additive", "ito"), y0, [0, 1], method="shark", adjoint=Backsolve("sra1"), **options)
    end.ys[-1].sum().backward()
    assert y0.grad is not None and bool(y0.grad.isfinite().all())
