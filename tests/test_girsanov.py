"""Path KL: its value is the log-ratio of the two laws, for any noise, shape and grid.

Statistical tests have fixed seeds and a false-alarm rate of FALSE_ALARM = 1e-5.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal

from latentsde import VirtualBrownianTree, solve
from latentsde.girsanov import BridgedPathKL, PathKL
from tests.path_kl import COLUMNS, DOUBLE, NOISE_TYPES, Contracted, Pair, kl, path_for, start
from tests.significance import bound

# The value


@pytest.mark.parametrize("ts", [[0.0, 0.35, 1.0], [1.0, 0.35, 0.0]], ids=["forwards", "backwards"])
def test_sticking_the_landing_is_the_log_ratio_of_the_two_laws_at_the_path(ts: list[float]) -> None:
    # Euler's steps are normal: the ratio of the densities of all points of the path under posterior and
    # prior, to rounding.
    pair, y0 = Pair(), start(4, 3)
    grid = torch.cat([torch.linspace(a, b, 5, dtype=DOUBLE)[:-1] for a, b in itertools.pairwise(ts)])
    grid = torch.cat([grid, torch.tensor(ts[-1:], dtype=DOUBLE)])
    path = path_for(pair, y0)
    solution = solve(PathKL(pair), y0, grid, dt=1.0, path=path, method="euler")
    expected = torch.zeros(4, dtype=DOUBLE)
    for k in range(len(grid) - 1):
        t, h = grid[k], grid[k + 1] - grid[k]
        z0, z1 = solution.ys[k], solution.ys[k + 1]
        deviation = pair.g(t, z0) * h.abs().sqrt()
        own, prior = (Normal(z0 + drift(t, z0) * h, deviation) for drift in (pair.f, pair.h))
        expected = expected + (own.log_prob(z1) - prior.log_prob(z1)).sum(-1)
        assert solution.functional is not None
        torch.testing.assert_close(solution.functional[k + 1], expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("ts", [[0.0, 1.0], [1.0, 0.0]], ids=["forwards", "backwards"])
@pytest.mark.parametrize("noise_type", ["scalar", "general", "additive"])
def test_with_fewer_noises_than_components_it_is_the_log_ratio_in_the_noise(
    noise_type: str, ts: list[float]
) -> None:
    class Controlled(Pair):
        """f = h + g u with one u for all components of a sample."""

        def u(self, y: Tensor) -> Tensor:
            return torch.cos(self.own * y.mean(-1, keepdim=True)) * torch.linspace(
                0.5, 1.0, COLUMNS[noise_type]
            )

        def f(self, t: Tensor, y: Tensor) -> Tensor:
            return self.h(t, y) + (self.g(t, y) * self.u(y).unsqueeze(-2)).sum(-1)

    pair, y0, path = (
        Controlled(noise_type),
        start(4, 3),
        VirtualBrownianTree(0, 1, (4, COLUMNS[noise_type]), seed=3, dtype=DOUBLE),
    )
    grid = torch.linspace(ts[0], ts[1], 11, dtype=DOUBLE)
    solution = solve(PathKL(pair), y0, grid, dt=1.0, path=path, method="euler")
    w = path.increments(grid).W
    expected = torch.zeros(4, dtype=DOUBLE)
    for k in range(10):
        h = grid[k + 1] - grid[k]
        u = pair.u(solution.ys[k])
        unit = Normal(0.0, h.abs().sqrt())
        expected = expected + (unit.log_prob(w[k]) - unit.log_prob(w[k] + u * h)).sum(-1)
    assert solution.functional is not None
    torch.testing.assert_close(solution.functional[-1], expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("method", ["euler", "heun"])
def test_path_kl_of_two_ornstein_uhlenbeck_processes_is_the_closed_form(method: str) -> None:
    # Posterior -a z, prior -b z: ½ ((b-a)/σ)² Σ h E z_k², with E z_k² of the method's own chain, and within
    # O(h) the integral.
    a, b, sigma, z0, steps, n = 1.3, 0.4, 0.6, 1.0, 50, 20_000
    h = 2.0 / steps

    class OrnsteinUhlenbeck:
        noise_type, sde_type, additive = "diagonal", "ito", True

        def f(self, t: Tensor, y: Tensor) -> Tensor:
            return -a * y

        def h(self, t: Tensor, y: Tensor) -> Tensor:
            return -b * y

        def g(self, t: Tensor, y: Tensor) -> Tensor:
            return torch.full_like(y, sigma)

    factor, kick = (
        (1 - a * h, 1.0) if method == "euler" else (1 - a * h + 0.5 * (a * h) ** 2, 1 - 0.5 * a * h)
    )
    second, total = z0**2, 0.0
    for _ in range(steps):
        total += 0.5 * ((b - a) / sigma) ** 2 * second * h
        second = factor**2 * second + (kick * sigma) ** 2 * h
    decayed, stationary = -math.expm1(-2 * a * 2.0) / (2 * a), sigma**2 / (2 * a)
    integral = 0.5 * ((b - a) / sigma) ** 2 * (z0**2 * decayed + stationary * (2.0 - decayed))
    assert abs(total - integral) < h * integral
    y0 = torch.full((n, 1), z0, dtype=DOUBLE)
    for sticking in (False, True):
        functional = solve(
            PathKL(OrnsteinUhlenbeck(), sticking_the_landing=sticking),
            y0,
            [0, 2],
            dt=h,
            seed=5,
            method=method,
        ).functional
        assert functional is not None
        z = (functional[-1].mean() - total) / functional[-1].std() * math.sqrt(n)
        assert abs(float(z)) < bound(4)


def test_path_kl_of_a_shifted_process_is_half_the_squared_shift_for_every_path() -> None:
    # Posterior θ (μ - z), prior -θ z: u = θ μ / σ everywhere.
    theta, mu, sigma = 0.9, 1.7, 0.4

    class Shifted:
        noise_type, sde_type = "diagonal", "ito"

        def f(self, t: Tensor, y: Tensor) -> Tensor:
            return theta * (mu - y)

        def g(self, t: Tensor, y: Tensor) -> Tensor:
            return torch.full_like(y, sigma)

    value = solve(
        PathKL(Shifted(), lambda t, y: -theta * y, sticking_the_landing=False),
        torch.zeros(5, 2),
        [0, 0.5, 3],
        dt=0.1,
        seed=0,
    ).functional
    assert value is not None
    expected = 2 * 0.5 * (theta * mu / sigma) ** 2 * torch.tensor([0.0, 0.5, 3.0])
    torch.testing.assert_close(value, expected.unsqueeze(1).expand(3, 5), rtol=1e-5, atol=0.0)


class Multiplicative:
    """A control that depends on z: read as Stratonovich, its stochastic integral has a mean."""

    noise_type = "diagonal"

    def __init__(self, calculus: str) -> None:
        self.sde_type = calculus

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        return -y + self.g(t, y) * torch.sin(2.0 * y)

    def h(self, t: Tensor, y: Tensor) -> Tensor:
        return -y

    def g(self, t: Tensor, y: Tensor) -> Tensor:
        return 0.8 + 0.4 * torch.cos(y)


@pytest.mark.parametrize(
    ("method", "calculus"),
    [
        ("euler", "ito"),
        ("milstein", "ito"),
        ("heun", "stratonovich"),
        ("midpoint", "stratonovich"),
        ("reversible_heun", "stratonovich"),
    ],
)
def test_what_sticking_the_landing_adds_has_mean_zero(method: str, calculus: str) -> None:
    n, sde = 20_000, Multiplicative(calculus)
    y0 = torch.zeros(n, 1, dtype=DOUBLE)
    path = VirtualBrownianTree(0, 1, (n, 1), seed=6, dtype=DOUBLE)
    with_it, without = (
        kl(sde, y0, dt=1 / 16, path=path, method=method, sticking_the_landing=sticking)
        for sticking in (True, False)
    )
    added = with_it - without
    assert abs(float(added.mean() / added.std())) * math.sqrt(n) < bound()
    # The trapezium sum of the same integral is what a Stratonovich reading would add: this test sees its
    # mean.
    grid = torch.linspace(0, 1, 17, dtype=DOUBLE)
    ys = solve(sde, y0, grid, dt=1.0, path=path, method=method).ys
    u = torch.sin(2.0 * ys)
    wrong = (0.5 * (u[1:] + u[:-1]) * path.increments(grid).W).sum((0, 2))
    assert float(wrong.mean() / wrong.std()) * math.sqrt(n) > 5 * bound()


# Shapes, grids and noise types


@pytest.mark.parametrize("noise_type", NOISE_TYPES)
@pytest.mark.parametrize("shape", [(4,), (4, 3), (4, 2, 3)])
@pytest.mark.parametrize("per_sample", [False, True])
def test_vectorized_is_step_by_step(noise_type: str, shape: tuple[int, ...], per_sample: bool) -> None:
    pair, y0 = Pair(noise_type), start(*shape)
    ts: Any = [0.0, 0.45, 1.0]
    if per_sample:
        ts = torch.tensor([[0.0, 0.0, 0.5, 0.2], [0.4, 0.3, 0.5, 0.3], [0.4, 1.0, 0.5, 0.8]], dtype=DOUBLE)
    results = []
    for vectorized in (False, True):
        value = kl(pair, y0, ts, vectorized=vectorized)
        assert value.shape == (4,)
        results.append((value, *torch.autograd.grad(value.sum(), [pair.own, pair.prior, pair.size])))
    torch.testing.assert_close(*results, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("vectorized", [False, True])
@pytest.mark.parametrize("noise_type", NOISE_TYPES)
def test_a_sample_on_its_own_times_has_the_value_it_has_alone(noise_type: str, vectorized: bool) -> None:
    pair, y0 = Pair(noise_type), start(3, 2)
    own = [[0.0, 0.21, 0.9], [0.1, 0.15], [0.3, 1.0]]
    padded = torch.tensor([times + times[-1:] * (3 - len(times)) for times in own], dtype=DOUBLE).t()
    path = path_for(pair, y0)
    together = kl(pair, y0, padded, path=path, vectorized=vectorized)
    for sample, times in enumerate(own):
        named = VirtualBrownianTree(
            0, 1, (1, *path.shape[1:]), seed=3, ids=torch.tensor([sample]), dtype=DOUBLE
        )
        alone = kl(pair, y0[sample : sample + 1], times, path=named, vectorized=vectorized)
        torch.testing.assert_close(together[sample : sample + 1], alone, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("noise_type", NOISE_TYPES)
@pytest.mark.parametrize("shape", [(4, 1), (4,), (4, 2, 3), (4, 3, 2)])
def test_the_shape_of_the_state_does_not_matter(noise_type: str, shape: tuple[int, ...]) -> None:
    # Scalar and general noise have one control for all components of a sample, whatever their arrangement,
    # and none for two samples.
    pair, flat = Pair(noise_type), start(4, math.prod(shape[1:]))
    path = path_for(pair, flat)
    expected = kl(pair, flat, path=path)
    y0 = flat.view(shape)
    for vectorized in (False, True):
        torch.testing.assert_close(kl(pair, y0, vectorized=vectorized), expected, rtol=1e-11, atol=1e-11)


def test_a_missing_prior_drift_is_an_error() -> None:
    class Posterior:
        noise_type, sde_type = "diagonal", "ito"

        def f(self, t: Tensor, y: Tensor) -> Tensor:
            return -y

        g = f

    with pytest.raises(ValueError, match="prior_drift"):
        PathKL(Posterior())
    PathKL(Posterior(), prior_drift=lambda t, y: y)


def test_a_given_prior_drift_comes_before_the_posteriors_own() -> None:
    pair, y0 = Pair(), start(3, 2)
    other = kl(pair, y0, prior_drift=pair.f, sticking_the_landing=False)
    assert (other == 0).all()


# Bridged steps


@pytest.mark.parametrize("ts", [[0.0, 1.0], [1.0, 0.0]], ids=["forwards", "backwards"])
@pytest.mark.parametrize("sticking", [True, False])
def test_bridged_path_kl_is_the_log_ratio_of_the_two_laws_at_the_path(
    ts: list[float], sticking: bool
) -> None:
    pair, y0, grid = Contracted(), start(4, 3), torch.linspace(ts[0], ts[1], 6, dtype=DOUBLE)
    kind = BridgedPathKL(pair, sticking_the_landing=sticking)
    solution = solve(kind, y0, grid, dt=1.0, path=path_for(pair, y0), method="bridged_euler")
    expected = torch.zeros(4, dtype=DOUBLE)
    for k in range(5):
        t, h = grid[k], grid[k + 1] - grid[k]
        z0, z1 = solution.ys[k], solution.ys[k + 1]
        deviation = pair.g(t, z0) * h.abs().sqrt()
        own = Normal(z0 + pair.f(t, z0) * h, deviation * pair.contraction(t, z0, h))
        prior = Normal(z0 + pair.h(t, z0) * h, deviation)
        expected = expected + (own.log_prob(z1) - prior.log_prob(z1)).sum(-1)
    assert solution.functional is not None
    torch.testing.assert_close(solution.functional[-1], expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("vectorized", [False, True])
def test_bridged_path_kl_costs_the_foellmer_drift_in_the_mean(vectorized: bool) -> None:
    # One step from one point: ½ (u²h + s² - 1 - log s²).
    n, pair, h = 40_000, Contracted(), 0.6
    y0, t = torch.full((n, 1), 0.4, dtype=DOUBLE), torch.tensor(0.0, dtype=DOUBLE)
    with torch.no_grad():
        value = kl(pair, y0, (0.0, h), dt=1.0, kind=BridgedPathKL, vectorized=vectorized)
        u = (pair.f(t, y0[0]) - pair.h(t, y0[0])) / pair.g(t, y0[0])
        s2 = pair.contraction(t, y0[0], h).square()
        expected = 0.5 * (u.square() * h + s2 - 1 - s2.log())
    assert abs(float((value.mean() - expected) / value.std())) * math.sqrt(n) < bound()
