"""Gradients of the path KL are those of sticking the landing: without variance at the exact posterior.

All seeds are fixed; the one statistical bound here is wide and says so.
"""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal

from latentsde import solve
from latentsde.girsanov import BridgedPathKL, PathKL
from tests.path_kl import DOUBLE, Contracted, Pair, kl, path_for, start


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
