"""Path KL: its value is the log-ratio of the two laws, its gradient that of sticking the landing.

Statistical tests have fixed seeds and a false-alarm rate of FALSE_ALARM = 1e-5.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal

from latentsde import VirtualBrownianTree, solve
from latentsde.girsanov import BridgedPathKL, PathKL
from tests.significance import bound

DOUBLE = torch.float64
NOISE_TYPES = ["diagonal", "scalar", "additive", "general"]
COLUMNS = {"scalar": 1, "additive": 1, "general": 2}


class Pair(nn.Module):
    """Posterior f, prior h and diffusion g, nonlinear, explicit in time, with a parameter each; any axes."""

    def __init__(self, noise_type: str = "diagonal", sde_type: str = "ito") -> None:
        super().__init__()
        self.noise_type, self.sde_type = noise_type, sde_type
        self.own = nn.Parameter(torch.tensor(0.8, dtype=DOUBLE))
        self.prior = nn.Parameter(torch.tensor(-0.6, dtype=DOUBLE))
        self.size = nn.Parameter(torch.tensor(0.7, dtype=DOUBLE))

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.cos(self.own * y) - t * y

    def h(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.sin(self.prior * y + t)

    def g(self, t: Tensor, y: Tensor) -> Tensor:
        if self.noise_type == "additive":
            return (self.size * (1.2 + torch.sin(t)) * torch.ones_like(y)).unsqueeze(-1)
        columns = [1.2 + torch.sin(y - t), 0.5 + torch.cos(2.0 * y)]
        if self.noise_type == "diagonal":
            return self.size * columns[0]
        return self.size * torch.stack(columns[: COLUMNS[self.noise_type]], -1)


def path_for(pair: Any, y0: Tensor, low: float = 0.0, high: float = 1.0) -> VirtualBrownianTree:
    shape = y0.shape if pair.noise_type == "diagonal" else (y0.shape[0], COLUMNS[pair.noise_type])
    return VirtualBrownianTree(low, high, tuple(shape), seed=3, dtype=DOUBLE)


def start(*shape: int) -> Tensor:
    return torch.linspace(-1.0, 1.5, math.prod(shape), dtype=DOUBLE).view(shape)


def kl(
    pair: Any,
    y0: Tensor,
    ts: Any = (0.0, 1.0),
    *,
    dt: float = 0.1,
    kind: type[PathKL] = PathKL,
    **options: Any,
) -> Tensor:
    """(batch,) the functional at the last time."""
    method = options.pop("method", "bridged_euler" if kind is BridgedPathKL else "euler")
    path = options.pop("path", None)
    path = path_for(pair, y0) if path is None else path
    functional = solve(kind(pair, **options), y0, ts, dt=dt, path=path, method=method).functional
    assert functional is not None
    return functional[-1]


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


# Gradients


def by_hand(pair: Pair, y0: Tensor, times: Tensor, w: Tensor) -> Tensor:
    """Euler and the functional, written down again for diagonal noise; the bar by a frozen copy of the
    module.
    """
    frozen = Pair(pair.noise_type, pair.sde_type)
    frozen.load_state_dict(pair.state_dict())
    frozen.requires_grad_(False)
    z, total = y0, torch.zeros(len(y0), dtype=DOUBLE)
    for k in range(len(w)):
        t, h = times[k], times[k + 1] - times[k]
        u = (pair.f(t, z) - pair.h(t, z)) / pair.g(t, z)
        u_bar = (frozen.f(t, z) - pair.h(t, z)) / pair.g(t, z)
        total = total + (0.5 * u.square() * h + u_bar * w[k]).sum(-1)
        z = z + pair.f(t, z) * h + pair.g(t, z) * w[k]
    return total


@pytest.mark.parametrize("vectorized", [False, True])
def test_gradients_detach_the_posteriors_parameters_in_the_stochastic_integral_and_nothing_else(
    vectorized: bool,
) -> None:
    pair, y0 = Pair(), start(4, 3).requires_grad_()
    leaves = [y0, pair.own, pair.prior, pair.size]
    times = torch.linspace(0, 1, 11, dtype=DOUBLE)
    expected = by_hand(pair, y0, times, path_for(pair, y0).increments(times).W)
    value = kl(pair, y0, vectorized=vectorized)
    torch.testing.assert_close(value, expected, rtol=1e-12, atol=1e-12)
    for weights in (torch.ones(4, dtype=DOUBLE), torch.tensor([0.0, -1.0, 3.0, 0.5], dtype=DOUBLE)):
        found = torch.autograd.grad((value * weights).sum(), leaves, retain_graph=True)
        wanted = torch.autograd.grad((expected * weights).sum(), leaves, retain_graph=True)
        torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-10)
    # Attached, the gradient of the posterior's parameter would be another.
    attached = torch.autograd.grad(kl(pair, y0, sticking_the_landing=False).sum(), pair.own)[0]
    assert abs(float(found[1] - attached)) > 1e-3


@pytest.mark.parametrize("kind", [PathKL, BridgedPathKL])
@pytest.mark.parametrize("vectorized", [False, True])
def test_gradients_of_all_but_the_posteriors_parameters_are_those_of_the_value(
    kind: type[PathKL], vectorized: bool
) -> None:
    # The bar keeps z, the prior's parameters and the diffusion's: their gradients are those of finite
    # differences.
    pair = Contracted()

    def value(y0: Tensor, prior: Tensor, size: Tensor) -> Tensor:
        other = Contracted()
        other.prior, other.size = prior, size
        other.own = pair.own
        return kl(other, y0, kind=kind, vectorized=vectorized, dt=0.25)

    leaves = [start(2, 2).requires_grad_(), pair.prior, pair.size]
    assert torch.autograd.gradcheck(value, leaves)


class Contracted:
    """A diagonal `Pair` with plain attributes, and a share of the noise that depends on the state."""

    noise_type, sde_type = "diagonal", "ito"

    def __init__(self) -> None:
        self.own, self.prior, self.size, self.share = (
            torch.tensor(x, dtype=DOUBLE, requires_grad=True) for x in (0.8, -0.6, 0.7, 0.5)
        )

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.cos(self.own * y) - t * y

    def h(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.sin(self.prior * y + t)

    def g(self, t: Tensor, y: Tensor) -> Tensor:
        return self.size * (1.2 + torch.sin(y - t))

    def contraction(self, t: Tensor, y: Tensor, h: Any) -> Tensor:
        return torch.exp(-self.share * (1.0 + y.square()) * abs(h))


@pytest.mark.parametrize("noise_type", ["diagonal", "scalar"])
def test_in_the_first_step_the_posteriors_parameters_move_the_control_cost_alone(noise_type: str) -> None:
    pair, y0 = Pair(noise_type), start(4, 1)
    sticking = torch.autograd.grad(kl(pair, y0, dt=1.0).sum(), pair.own)[0]
    plain = torch.autograd.grad(kl(pair, y0, dt=1.0, sticking_the_landing=False).sum(), pair.own)[0]
    torch.testing.assert_close(sticking, plain, rtol=1e-12, atol=1e-12)


class Tilted:
    """Prior dz = -a z dt + σ dW, and the posterior of its Euler chain given the log-likelihood c z_T."""

    noise_type, sde_type, additive = "diagonal", "ito", True
    a, sigma, c, end = 0.7, 0.5, 1.9, 2.0

    def __init__(self, h: float, parameter: Tensor) -> None:
        self.step, self.parameter = h, parameter

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        left = torch.round((self.end - t) / self.step) - 1
        return (
            self.h(t, y)
            + self.sigma**2 * self.c * (1 - self.a * self.step) ** left
            + self.parameter * (1 + y)
        )

    def h(self, t: Tensor, y: Tensor) -> Tensor:
        return -self.a * y

    def g(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.full_like(y, self.sigma)


@pytest.mark.parametrize("steps", [1, 7, 50])
def test_at_the_exact_posterior_of_the_chain_every_path_gives_the_evidence_and_no_gradient(
    steps: int,
) -> None:
    n, h = 50, Tilted.end / steps
    parameter = torch.zeros(
        n, 1, dtype=DOUBLE, requires_grad=True
    )  # one for each path: gradients of single paths
    sde, y0 = Tilted(h, parameter), torch.full((n, 1), 0.3, dtype=DOUBLE)
    solution = solve(PathKL(sde), y0, [0, Tilted.end], dt=h, seed=1, method="euler")
    assert solution.functional is not None
    elbo = sde.c * solution.ys[-1, :, 0] - solution.functional[-1]
    mean, variance = 0.3, 0.0
    for _ in range(steps):
        mean, variance = (1 - sde.a * h) * mean, (1 - sde.a * h) ** 2 * variance + sde.sigma**2 * h
    evidence = sde.c * mean + 0.5 * sde.c**2 * variance
    torch.testing.assert_close(
        elbo.detach(), torch.full((n,), evidence, dtype=DOUBLE), rtol=1e-12, atol=1e-12
    )
    (gradient,) = torch.autograd.grad(elbo.sum(), parameter)
    assert gradient.abs().max() < 1e-12
    plain = solve(PathKL(sde, sticking_the_landing=False), y0, [0, Tilted.end], dt=h, seed=1, method="euler")
    assert plain.functional is not None
    assert (sde.c * plain.ys[-1, :, 0] - plain.functional[-1]).std() > 0.1


class Observed:
    """Prior dz = -a z dt + σ dW seen at the end with a normal error, and its posterior in continuous time."""

    noise_type, sde_type, additive = "diagonal", "ito", True
    a, sigma, x, error, end = 0.7, 0.5, 1.9, 0.3, 1.0

    def __init__(self, parameter: Tensor, h: float | None = None) -> None:
        self.parameter, self.step = parameter, h

    def message(self, t: Tensor, ahead: int = 0) -> tuple[Tensor, Tensor]:
        """p(x | z) = N(x; A z, R) at t, or of the chain `ahead` steps later."""
        if self.step is None:
            left = self.end - t
            return torch.exp(-self.a * left), self.error**2 - self.sigma**2 * torch.expm1(
                -2 * self.a * left
            ) / (2 * self.a)
        factor = 1 - self.a * self.step
        left = torch.round((self.end - t) / self.step) - ahead
        noise = self.sigma**2 * self.step * (1 - factor ** (2 * left)) / (1 - factor**2)
        return factor**left, self.error**2 + noise

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        slope, variance = self.message(t)
        return (
            self.h(t, y) + self.sigma**2 * slope * (self.x - slope * y) / variance + self.parameter * (1 + y)
        )

    def h(self, t: Tensor, y: Tensor) -> Tensor:
        return -self.a * y

    def g(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.full_like(y, self.sigma)

    def contraction(self, t: Tensor, y: Tensor, h: Any) -> Tensor:
        if self.step is None:
            return torch.ones_like(y)
        after, variance = self.message(t, ahead=1)
        return (1 / (1 + self.sigma**2 * self.step * after**2 / variance)).sqrt().expand_as(y)


class ObservedChain(Observed):
    def f(self, t: Tensor, y: Tensor) -> Tensor:
        # z1 | z0, x by Bayes: prior N((1 - ah) z0, σ²h), seen through N(x; A z1, R).
        assert self.step is not None
        slope, variance = self.message(t, ahead=1)
        prior = (1 - self.a * self.step) * y
        gain = self.sigma**2 * self.step * slope / (variance + slope**2 * self.sigma**2 * self.step)
        return (prior + gain * (self.x - slope * prior) - y) / self.step + self.parameter * (1 + y)


def path_gradients(
    sde: Observed, kind: type[PathKL], h: float, n: int, sticking: bool = True
) -> tuple[Tensor, Tensor]:
    """(n,) estimates of the bound of single paths, and their gradients."""
    y0 = torch.full((n, 1), 0.3, dtype=DOUBLE)
    method = "bridged_euler" if kind is BridgedPathKL else "euler"
    solution = solve(
        kind(sde, sticking_the_landing=sticking, vectorized=True),
        y0,
        [0, sde.end],
        dt=h,
        seed=1,
        method=method,
    )
    assert solution.functional is not None
    z = solution.ys[-1]
    elbo = (Normal(z, sde.error).log_prob(torch.tensor(sde.x, dtype=DOUBLE)).sum(-1)) - solution.functional[
        -1
    ]
    return elbo.detach(), torch.autograd.grad(elbo.sum(), sde.parameter)[0].squeeze(-1)


@pytest.mark.parametrize("steps", [1, 6, 40])
def test_bridged_steps_make_the_exact_posterior_of_the_chain_free_of_variance(steps: int) -> None:
    h, n = Observed.end / steps, 50
    sde = ObservedChain(torch.zeros(n, 1, dtype=DOUBLE, requires_grad=True), h)
    elbo, gradient = path_gradients(sde, BridgedPathKL, h, n)
    slope, variance = sde.message(torch.tensor(0.0, dtype=DOUBLE))
    evidence = Normal(slope * 0.3, variance.sqrt()).log_prob(torch.tensor(sde.x, dtype=DOUBLE))
    torch.testing.assert_close(elbo, evidence.expand(n), rtol=1e-11, atol=1e-11)
    assert gradient.abs().max() < 1e-11
    assert path_gradients(sde, BridgedPathKL, h, n, sticking=False)[1].std() > 0.1


def test_with_the_posterior_of_continuous_time_the_variance_falls_as_the_square_of_the_step() -> None:
    # Relative to the estimator without sticking the landing, as in the talk. The deviation of each ratio is
    # about 2 / sqrt(n).
    n, ratios = 4000, []
    for h in (1 / 64, 1 / 128, 1 / 256):
        spreads = []
        for sticking in (True, False):
            sde = Observed(torch.zeros(n, 1, dtype=DOUBLE, requires_grad=True))
            spreads.append(path_gradients(sde, PathKL, h, n, sticking)[1].var())
        ratios.append(float(spreads[0] / spreads[1]))
    assert ratios[0] < 0.02
    for coarse, fine in itertools.pairwise(ratios):
        assert 3.0 < coarse / fine < 5.0


def test_a_drift_that_depends_on_nothing_has_no_gradient_to_give() -> None:
    class Constant:
        noise_type, sde_type = "diagonal", "ito"

        def f(self, t: Tensor, y: Tensor) -> Tensor:
            return torch.ones_like(y)

        def h(self, t: Tensor, y: Tensor) -> Tensor:
            return torch.zeros_like(y)

        def g(self, t: Tensor, y: Tensor) -> Tensor:
            return torch.ones_like(y)

    y0 = start(3, 2).requires_grad_()
    (gradient,) = torch.autograd.grad(kl(Constant(), y0).sum(), y0)
    assert (gradient == 0).all()


@pytest.mark.parametrize("vectorized", [False, True])
def test_gradients_of_single_samples_can_be_taken_one_after_the_other(vectorized: bool) -> None:
    pair, y0 = Pair(), start(4, 3)
    value = kl(pair, y0, vectorized=vectorized)
    parts = [torch.autograd.grad(value[k], pair.own, retain_graph=True)[0] for k in range(4)]
    (whole,) = torch.autograd.grad(value.sum(), pair.own)
    torch.testing.assert_close(torch.stack(parts).sum(), whole)


def test_second_derivatives_are_refused_under_sticking_the_landing_and_right_without() -> None:
    pair, y0 = Pair(), start(2, 2).requires_grad_()
    with pytest.raises(RuntimeError, match="sticking_the_landing=False"):
        torch.autograd.grad(kl(pair, y0).sum(), y0, create_graph=True)
    assert torch.autograd.gradgradcheck(lambda y: kl(pair, y, dt=0.5, sticking_the_landing=False), [y0])


def test_values_are_the_same_off_the_tape() -> None:
    for kind in (PathKL, BridgedPathKL):
        pair, y0 = Contracted(), start(4, 3)
        on_tape = kl(pair, y0, kind=kind)
        with torch.no_grad():
            off_tape = kl(pair, y0, kind=kind)
        assert not off_tape.requires_grad
        torch.testing.assert_close(on_tape.detach(), off_tape, rtol=1e-13, atol=1e-13)


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
