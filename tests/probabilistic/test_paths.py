"""A path's KL enters Pyro's ELBO with the right sign, weight and gradient.

The only statistical test has a fixed seed and a false-alarm rate of FALSE_ALARM = 1e-5.
"""

from __future__ import annotations

import math
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.infer import Predictive, Trace_ELBO, TraceMeanField_ELBO
from torch import Tensor

from latentsde import PathKL, solve
from latentsde.pyro import posterior_path, prior_path
from tests.path_kl import Pair
from tests.path_kl import start as start_of
from tests.probabilistic.linear_chain import DOUBLE, STEP, TIMES, Chain, Program, real, start
from tests.significance import bound

ELBOS = [Trace_ELBO, TraceMeanField_ELBO]


def loss(program: Any, elbo: Any = Trace_ELBO, **options: Any) -> Tensor:
    found = elbo(**options).differentiable_loss(program.model, program.guide)
    assert isinstance(found, Tensor)
    return found


@pytest.mark.parametrize("elbo", ELBOS)
@pytest.mark.parametrize("seed", [0, 1])
def test_of_the_exact_posterior_the_bound_is_the_evidence_on_every_path(elbo: Any, seed: int) -> None:
    program = Program(seed=seed)
    torch.testing.assert_close(loss(program, elbo), -program.target(), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("seed", [0, 1])
def test_sticking_the_landing_leaves_no_gradient_at_the_exact_posterior(seed: int) -> None:
    program = Program(seed=seed)
    loss(program).backward()
    assert program.shift.grad is not None
    assert float(program.shift.grad.abs().max()) < 1e-11
    plain = Program(seed=seed, sticking_the_landing=False)
    loss(plain).backward()
    assert plain.shift.grad is not None and float(plain.shift.grad.abs().max()) > 1e-3


def test_with_sampled_parameters_their_gradient_is_that_of_the_evidence_on_every_path() -> None:
    for seed in range(2):
        program = Program(seed=seed)
        loss(program).backward()
        (exact,) = torch.autograd.grad(-program.target(), program.theta)
        assert program.theta.grad is not None
        torch.testing.assert_close(program.theta.grad, exact, rtol=1e-10, atol=1e-10)
    unnamed = Program(seed=0, sampled=False)
    loss(unnamed).backward()
    assert unnamed.theta.grad is not None
    assert abs(float(unnamed.theta.grad - exact)) > 1e-3


def test_unnamed_sampled_parameters_cost_variance_and_no_bias() -> None:
    program, gradients = Program(sampled=False), []
    pyro.set_rng_seed(0)
    for _ in range(100):
        gradients.append(torch.autograd.grad(loss(program), program.theta)[0])
    (exact,) = torch.autograd.grad(-program.target(), program.theta)
    draws = torch.stack(gradients)
    z = (draws.mean() - exact) / draws.std() * math.sqrt(len(draws))
    assert float(draws.std()) > 1e-2
    assert abs(float(z)) < bound()


def test_sampled_parameters_under_a_checkpointed_adjoint() -> None:
    program = Program(seed=0, adjoint="checkpointed")
    loss(program).backward()
    (exact,) = torch.autograd.grad(-program.target(), program.theta)
    assert program.theta.grad is not None and program.shift.grad is not None
    torch.testing.assert_close(program.theta.grad, exact, rtol=1e-10, atol=1e-10)
    assert float(program.shift.grad.abs().max()) < 1e-11


class Nonlinear:
    """Model and guide of `Pair`, whose values nothing is known of; likelihood a Student t."""

    def __init__(self, *, scale: float = 1.0, **options: Any) -> None:
        self.pair, self.scale, self.options = Pair(), scale, {"seed": 4, "method": "euler", **options}
        self.prior = Pair()
        self.prior.f = self.prior.h  # type: ignore[method-assign]

    def model(self) -> None:
        with pyro.plate("series", 4), poutine.scale(scale=self.scale):
            z = prior_path("z", self.prior, start_of(4, 3), TIMES, dt=0.1)
            pyro.sample("x", dist.StudentT(5.0, z, 0.5).to_event(2), obs=torch.ones_like(z))

    def guide(self) -> None:
        with pyro.plate("series", 4), poutine.scale(scale=self.scale):
            posterior_path("z", self.pair, start_of(4, 3), TIMES, dt=0.1, **self.options)


@pytest.mark.parametrize("elbo", ELBOS)
@pytest.mark.parametrize("sticking", [False, True])
def test_the_loss_and_its_gradient_are_those_of_likelihood_and_functional(elbo: Any, sticking: bool) -> None:
    program = Nonlinear(sticking_the_landing=sticking, scale=2.5)
    found = loss(program, elbo)
    pair = Pair()
    solution = solve(
        PathKL(pair, sticking_the_landing=sticking), start_of(4, 3), TIMES, dt=0.1, seed=4, method="euler"
    )
    assert solution.functional is not None
    likelihood = torch.distributions.StudentT(5.0, solution.ys, 0.5).log_prob(torch.ones_like(solution.ys))
    expected = -2.5 * (likelihood.sum() - solution.functional[-1].sum())
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    found.backward()
    expected.backward()
    for ours, theirs in zip(program.pair.parameters(), pair.parameters(), strict=True):
        assert ours.grad is not None and theirs.grad is not None and float(theirs.grad.abs()) > 1e-3
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-10, atol=1e-10)


def test_a_batch_shape_of_any_rank_is_that_many_paths() -> None:
    """Plates (2, 3), or none, against a flat batch of 6; times for each sample too."""

    def parts(z0: Tensor, ts: Any) -> tuple[Tensor, Tensor]:
        guide = lambda: posterior_path("z", Pair(), z0, ts, dt=0.1, seed=3, method="euler")  # noqa: E731
        trace = poutine.trace(guide).get_trace()
        trace.compute_log_prob()
        return trace.nodes["z"]["value"], trace.nodes["z_kl"]["log_prob"]

    z0, own = start_of(6, 2), TIMES[:, None] * torch.linspace(0.5, 1.0, 6, dtype=DOUBLE)
    for ts in (TIMES, own):
        path, kl = parts(z0, ts)
        assert path.shape == (6, 4, 2) and kl.shape == (6,)
        shaped = ts if ts.dim() == 1 else ts.view(-1, 2, 3)
        nested, nested_kl = parts(z0.view(2, 3, 2), shaped)
        torch.testing.assert_close(nested, path.view(2, 3, 4, 2))
        torch.testing.assert_close(nested_kl, kl.view(2, 3))
        assert float(kl.detach().abs().min()) > 1e-4
    path, kl = parts(z0[:1], TIMES)
    single, single_kl = parts(z0[0], TIMES)
    torch.testing.assert_close(single, path[0])
    torch.testing.assert_close(single_kl, kl[0])


def test_vectorised_particles_are_paths_of_their_own() -> None:
    def model() -> None:
        theta = pyro.sample("theta", dist.LogNormal(real(0.0), 0.5))
        with pyro.plate("series", 2):
            z0 = pyro.sample("z0", dist.Normal(torch.zeros(1, dtype=DOUBLE), 1.0).to_event(1))
            prior_path("z", Chain(theta[..., None], real(0.5)), z0, TIMES, dt=STEP)

    def guide() -> None:
        theta = pyro.sample("theta", dist.LogNormal(real(0.2), 0.5))
        with pyro.plate("series", 2):
            z0 = pyro.sample("z0", dist.Normal(torch.ones(1, dtype=DOUBLE), 1.0).to_event(1))
            sde = Chain(theta[..., None], real(0.5))
            sde.f = lambda t, z: sde.h(t, z) + 0.3  # type: ignore[method-assign]
            posterior_path("z", sde, z0, TIMES, dt=STEP)

    pyro.set_rng_seed(0)
    elbo = Trace_ELBO(num_particles=5, vectorize_particles=True, max_plate_nesting=1)
    (traces,) = elbo._get_traces(model, guide, (), {})
    assert traces[1].nodes["z"]["value"].shape == (5, 2, 4, 1)
    kl = traces[1].nodes["z_kl"]["log_prob"]
    assert kl.shape == (5, 2) and len(kl.unique()) == 10


def test_a_path_is_drawn_from_pyros_generator_unless_a_seed_is_given() -> None:
    def draw(seed: int | None = None) -> Tensor:
        guide = lambda: posterior_path("z", Pair(), start_of(2, 3), TIMES, dt=0.1, seed=seed)  # noqa: E731
        path: Tensor = poutine.trace(guide).get_trace().nodes["z"]["value"]
        return path

    pyro.set_rng_seed(1)
    first, second = draw(), draw()
    pyro.set_rng_seed(1)
    again = draw()
    assert torch.equal(first, again) and not torch.equal(first, second)
    assert torch.equal(draw(7), draw(7)) and not torch.equal(draw(7), draw(8))
    solution = solve(PathKL(Pair()), start_of(2, 3), TIMES, dt=0.1, seed=7)
    assert torch.equal(draw(7), solution.ys.transpose(0, 1))


def test_without_a_guide_the_model_samples_the_prior() -> None:
    program = Program()
    pyro.set_rng_seed(0)
    drawn = Predictive(program.model, num_samples=3)()["z"]
    assert drawn.shape == (3, 2, 4, 1)
    assert (drawn[:, :, 0] == start()).all() and len(drawn[:, :, -1].unique()) == 6
    chain = Chain(real(0.8), real(0.6))
    path = prior_path("z", chain, start(), TIMES, dt=STEP, seed=2)
    assert torch.equal(path, solve(chain, start(), TIMES, dt=STEP, seed=2).ys.transpose(0, 1))


def test_hmc_and_automatic_guides_are_told_what_to_take() -> None:
    from pyro.infer import MCMC, NUTS
    from pyro.infer.autoguide import AutoNormal

    model = Program().model
    with pytest.raises(NotImplementedError, match="simulated_path"):
        MCMC(NUTS(model), num_samples=1, warmup_steps=1, disable_progbar=True).run()
    with pytest.raises(NotImplementedError, match="simulated_path"):
        AutoNormal(model)()


def test_what_cannot_be_solved_is_refused() -> None:
    with pytest.raises(ValueError, match="event_dim"):
        posterior_path("z", Pair(), torch.tensor(0.0), TIMES, dt=0.1)
    without = type("NoPrior", (), {"noise_type": "diagonal", "sde_type": "ito", "f": Pair.f, "g": Pair.g})()
    with pytest.raises(ValueError, match="prior drift"):
        posterior_path("z", without, start_of(2, 3), TIMES, dt=0.1)
