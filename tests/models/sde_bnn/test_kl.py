"""The path KL of the weights: its closed form, its gradient, and the loss it becomes a part of."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor, nn

from latentsde import VirtualBrownianTree, solve
from latentsde.errors import InputError
from latentsde.models.sde_bnn import SDEBNN, Depth, negative_elbo
from latentsde.models.sde_bnn.process import Network, WeightProcess
from latentsde.models.sde_bnn.weights import FlatModule
from tests.significance import bound

from .blocks import LinearDrift

STEPS, SIGMA, UNIT = 10, 0.7, 0.8


def layer(prior: str, sticking: bool, a: float = 0.6, k: float = 1.4) -> SDEBNN:
    """Two weights whose posterior drift has unit · a - k (w - w0) beyond the prior's."""
    torch.manual_seed(0)
    made = SDEBNN(
        nn.Linear(1, 1),
        sigma=SIGMA,
        unit=UNIT,
        prior=prior,
        sticking_the_landing=sticking,
        depth=Depth(STEPS),
    ).double()
    with torch.no_grad():
        made.start.copy_(torch.tensor([0.8, -0.3]))
    made.drift = LinearDrift(2, a, k)  # type: ignore[assignment]
    return made


def closed_form(made: SDEBNN) -> Tensor:
    """½ Σ E|u|² h of the Euler chain, σu = unit · a - k (w - w0): a recursion of mean and variance of w."""
    drift, start = made.drift, made.start
    assert isinstance(drift, LinearDrift)
    pull, k = float(made.prior == "ornstein-uhlenbeck"), drift.k
    mean, variance = start, torch.zeros_like(start)
    total, h = start.new_zeros(()), 1.0 / STEPS
    for _ in range(STEPS):
        ours = UNIT * drift.a - k * (mean - start)
        total = total + 0.5 * h * (ours.square() + k**2 * variance).sum() / SIGMA**2
        mean, variance = (
            mean + (ours - pull * mean) * h,
            variance * (1.0 - (pull + k) * h) ** 2 + SIGMA**2 * h,
        )
    return total


@pytest.mark.parametrize("prior", ["ornstein-uhlenbeck", "brownian"])
@pytest.mark.parametrize("sticking", [True, False])
def test_the_kl_is_half_the_integral_of_the_squared_control(prior: str, sticking: bool) -> None:
    """Mean of 20,000 weight paths; false alarm 1e-5."""
    made = layer(prior, sticking)
    with torch.no_grad():
        kl = made(torch.zeros(20_000, 1, dtype=torch.float64), seed=5, samples=20_000).kl
        exact = closed_form(made)
    error = kl.std() / len(kl) ** 0.5
    assert error < 0.02 * exact
    assert (kl.mean() - exact).abs() < bound() * error


@pytest.mark.parametrize("sticking", [True, False])
def test_the_gradient_is_that_of_the_mean(sticking: bool) -> None:
    """Against central differences of the closed form; 400 means of 50 paths, normal to a good approximation;
    false alarm 1e-5.
    """
    made = layer("ornstein-uhlenbeck", sticking)
    assert isinstance(made.drift, LinearDrift)
    parameters = [made.start, made.drift.a, made.drift.k]
    found = []
    for seed in range(400):
        kl = made(torch.zeros(50, 1, dtype=torch.float64), seed=seed, samples=50).kl.mean()
        found.append(torch.cat([x.flatten() for x in torch.autograd.grad(kl, parameters)]))
    draws = torch.stack(found)

    differences = []
    with torch.no_grad():
        for parameter in parameters:
            flat = parameter.view(-1)
            for k in range(len(flat)):
                ends = []
                for move in (1e-5, -2e-5):
                    flat[k] += move
                    ends.append(closed_form(made))
                flat[k] += 1e-5
                differences.append((ends[0] - ends[1]) / 2e-5)
    exact = torch.stack(differences)
    z = (draws.mean(0) - exact) / (draws.std(0) / len(draws) ** 0.5)
    assert (z.abs() < bound(len(z))).all(), z


def test_sticking_the_landing_takes_the_weights_where_they_are() -> None:
    """Summed by hand along the path: ½|u|²h + u·ΔB with u of the weights at each step's start, not of those
    at time 0.
    """
    drift = LinearDrift(2, 0.6, 1.4)
    zero, sigma = torch.zeros(2, dtype=torch.float64), torch.tensor(SIGMA, dtype=torch.float64)
    process = WeightProcess(drift, sigma, "ornstein-uhlenbeck", zero, 1.0)
    network = Network(process, FlatModule(nn.Linear(1, 1)), sticking_the_landing=True)
    w0 = torch.tensor([[0.8, -0.3], [0.1, 2.0]], dtype=torch.float64)
    h0 = torch.ones(2, 3, 1, dtype=torch.float64)
    path = VirtualBrownianTree(0.0, 1.0, (2, 2), seed=3, dtype=torch.float64)
    times = [k / STEPS for k in range(STEPS + 1)]
    solution = solve(network, (w0, h0), times, dt=1.0 / STEPS, method="euler", path=(path, None))
    assert solution.functional is not None
    weights = solution.ys[0]
    total = torch.zeros(2, dtype=torch.float64)
    from_the_start = torch.zeros(2, dtype=torch.float64)
    for k, (t0, t1) in enumerate(itertools.pairwise(times)):
        u = drift(torch.tensor(t0), weights[k]) / SIGMA
        u0 = drift(torch.tensor(t0), weights[0]) / SIGMA
        square, dB = 0.5 * u.square().sum(-1) * (t1 - t0), path(t0, t1)
        total += square + (u * dB).sum(-1)
        from_the_start += square + (u0 * dB).sum(-1)
    torch.testing.assert_close(solution.functional[-1], total, rtol=1e-10, atol=1e-12)
    assert (from_the_start - total).abs().min() > 0.05


def test_the_landing_gives_the_drifts_own_parameters_no_gradient() -> None:
    """In a single step from a given start the gradient by the drift is that of ½|u|²h, whatever the noise."""
    process = WeightProcess(
        LinearDrift(2, 0.6, 1.4), torch.tensor(SIGMA).double(), "brownian", torch.zeros(2).double(), 1.0
    )
    w0, h0 = torch.tensor([[0.8, -0.3]]).double(), torch.ones(1, 3, 1).double()
    assert isinstance(process.drift, LinearDrift)
    exact = (process.drift.a - process.drift.k * w0[0]).detach() / SIGMA**2
    for sticking in (True, False):
        found = []
        for seed in (1, 2):
            network = Network(process, FlatModule(nn.Linear(1, 1)), sticking_the_landing=sticking)
            solution = solve(network, (w0, h0), [0.0, 1.0], dt=1.0, method="euler", seed=seed)
            assert solution.functional is not None
            found.append(torch.autograd.grad(solution.functional[-1].sum(), process.drift.a)[0])
        assert torch.equal(found[0], found[1])
        torch.testing.assert_close(found[0], exact)


def test_the_start_is_paid_for_against_its_prior() -> None:
    """KL(N(m, s²) || N(0, p²)) of each weight, mean of 20,000 draws; false alarm 1e-5 for each estimator."""
    for sticking in (True, False):
        made = SDEBNN(
            nn.Linear(1, 1),
            hidden=None,
            initial="normal",
            initial_std=0.3,
            initial_prior_std=0.5,
            sticking_the_landing=sticking,
        ).double()
        with torch.no_grad():
            made.start.copy_(torch.tensor([0.8, -0.3]))
            kl = made(torch.zeros(20_000, 1, dtype=torch.float64), seed=2, samples=20_000).kl
            q = torch.distributions.Normal(made.start, 0.3)
            p = torch.distributions.Normal(torch.zeros(2, dtype=torch.float64), 0.5)
            exact = torch.distributions.kl_divergence(q, p).sum()
        assert (kl.mean() - exact).abs() < bound() * kl.std() / len(kl) ** 0.5


def test_the_loss_is_the_mean_nll_and_the_kl_of_all_weights_over_the_training_set() -> None:
    log_likelihood = torch.tensor([[-1.0, -3.0], [-2.0, -4.0]])
    kl = torch.tensor([30.0, 50.0])
    found = negative_elbo(log_likelihood, kl, training_size=100, tempering=0.5)
    assert (float(found.nll), float(found.kl), float(found.loss)) == pytest.approx((2.5, 0.4, 2.7))
    # Twice the batch of the same data is the same loss: no mini-batch pays the KL by itself.
    twice = negative_elbo(log_likelihood.repeat(1, 2), kl, training_size=100, tempering=0.5)
    assert float(twice.loss) == pytest.approx(2.7)
    # The sum over an epoch is minus the bound of the whole set.
    batches = [negative_elbo(log_likelihood, kl, training_size=100).loss * 2 for _ in range(50)]
    assert float(sum(batches)) == pytest.approx(2.5 * 100 + 40.0)


@pytest.mark.parametrize(("size", "tempering"), [(0, 1.0), (10, -0.1), (10, float("nan"))])
def test_a_loss_that_means_nothing_is_refused(size: int, tempering: float) -> None:
    with pytest.raises(InputError, match="must be at least"):
        negative_elbo(torch.zeros(1, 2), torch.zeros(1), training_size=size, tempering=tempering)
