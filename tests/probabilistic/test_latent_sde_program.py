"""A LatentSDE under Pyro's SVI has the bound and the gradient that it has without."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.infer import SVI, Trace_ELBO, TraceMeanField_ELBO
from torch import Tensor

from latentsde.brownian import derive_seed
from latentsde.data import Batch, collate
from latentsde.models.bound import hide
from latentsde.pyro import LatentSDEProgram
from tests.models.small import small_model, small_series

SERIES = small_series()
SIZE = 10  # as if there were more series than in the batch


@pytest.fixture(autouse=True)
def empty_store() -> None:
    pyro.clear_param_store()


def setting(posterior: str = "control", **options: Any) -> tuple[LatentSDEProgram, Batch]:
    model = small_model(SERIES, posterior=posterior)
    batch = collate(SERIES, np.arange(4), model.scaler)
    return LatentSDEProgram(model, SIZE, **options), batch


def loss(program: LatentSDEProgram, batch: Batch, elbo: Any = Trace_ELBO, **options: Any) -> Tensor:
    found = elbo().differentiable_loss(program.model, program.guide, batch, **options)
    assert isinstance(found, Tensor)
    return found


@pytest.mark.parametrize("elbo", [Trace_ELBO, TraceMeanField_ELBO])
@pytest.mark.parametrize("hidden_share", [0.0, 0.4])
def test_the_loss_is_the_models_own_bound_and_so_is_its_gradient(elbo: Any, hidden_share: float) -> None:
    program, batch = setting(hidden_share=hidden_share)
    found = loss(program, batch, elbo, seed=5)
    found.backward()
    own = small_model(SERIES)
    expected = (
        -own.elbo(batch, seed=5, seen=hide(batch, hidden_share, seed=derive_seed(5, 2))).value().sum()
        * SIZE
        / 4
    )
    expected.backward()
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-3)
    some = 0
    for ours, theirs in zip(program.latent_sde.parameters(), own.parameters(), strict=True):
        assert (ours.grad is None) == (theirs.grad is None)
        if ours.grad is not None and theirs.grad is not None:
            torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-3, atol=1e-3)
            some += int(float(theirs.grad.abs().max()) > 1e-2)
    assert some > 20


def test_the_kl_weight_is_that_of_the_bound() -> None:
    program, batch = setting()
    found = loss(program, batch, seed=5, kl_weight=0.3)
    elbo = program.latent_sde.elbo(batch, seed=5)
    torch.testing.assert_close(found, -elbo.value(0.3).sum() * SIZE / 4, rtol=1e-5, atol=1e-3)
    assert abs(float((elbo.value() - elbo.value(0.3)).detach().sum())) > 1.0


def test_without_sticking_the_landing_value_and_gradient_are_others() -> None:
    (program, batch), (plain, _) = setting(), setting(sticking_the_landing=False, name="plain")
    first, second = loss(program, batch, seed=5), loss(plain, batch, seed=5)
    first.backward()
    second.backward()
    for name in ("initial.posterior_head.weight", "control.network.output.weight"):
        one, two = (p.latent_sde.get_parameter(name).grad for p in (program, plain))
        assert one is not None and two is not None and float((one - two).abs().max()) > 1e-3


def test_a_prior_counts_once_and_the_data_size_over_batch_times() -> None:
    """Loss = - (size / B) ELBO(w) - log p(w) + log q(w), the ELBO with w in the place of the parameter."""
    key = "diffusion.bias"
    program, batch = setting(priors={key: dist.Normal(0.5, 2.0)})
    pyro.set_rng_seed(3)
    guide = poutine.trace(program.guide).get_trace(batch, seed=5)
    w = guide.nodes[f"latent_sde.{key}"]["value"].detach()
    pyro.set_rng_seed(3)
    found = loss(program, batch, seed=5)
    own = small_model(SERIES)
    location = own.get_parameter(key).detach().clone()
    with torch.no_grad():
        own.get_parameter(key).copy_(w)
    log_q = torch.distributions.Normal(location, 0.05).log_prob(w).sum()
    log_p = torch.distributions.Normal(0.5, 2.0).log_prob(w).sum()
    expected = -own.elbo(batch, seed=5).value().sum() * SIZE / 4 - log_p + log_q
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-3)
    # What is sampled is no parameter any more: its posterior is.
    found.backward()
    assert program.latent_sde.get_parameter(key).grad is None
    for part in ("loc", "scale"):
        parameter = pyro.param(f"latent_sde.{key}.{part}").unconstrained()
        assert parameter.grad is not None and float(parameter.grad.abs().min()) > 1e-4
    assert torch.equal(program.latent_sde.get_parameter(key), small_model(SERIES).get_parameter(key))


def test_particles_are_different_paths_unless_a_seed_is_given() -> None:
    program, batch = setting()
    pyro.set_rng_seed(0)
    first, second = (float(loss(program, batch).detach()) for _ in range(2))
    pyro.set_rng_seed(0)
    assert float(loss(program, batch).detach()) == first != second
    assert float(loss(program, batch, seed=1).detach()) == float(loss(program, batch, seed=1).detach())


def test_svi_improves_the_bound() -> None:
    program, batch = setting(priors={"prior_drift.raw_rate": dist.Normal(-1.0, 1.0)})
    pyro.set_rng_seed(0)
    svi = SVI(program.model, program.guide, pyro.optim.Adam({"lr": 0.02}), Trace_ELBO())
    before = svi.evaluate_loss(batch, seed=0)
    for _ in range(15):
        svi.step(batch)
    assert svi.evaluate_loss(batch, seed=0) < before - 10.0


def test_the_model_alone_samples_the_prior() -> None:
    program, batch = setting()
    trace = poutine.trace(program.model).get_trace(batch, seed=2)
    path = trace.nodes["latent_sde.z"]["value"]
    assert path.shape == (4, 1 + batch.times.shape[1], 3)
    assert torch.equal(path[:, 0], trace.nodes["latent_sde.z0"]["value"])
    likelihood = program.latent_sde.evidence(
        path.unsqueeze(1), program.latent_sde.asked_times(batch), batch
    ).squeeze(1)
    trace.compute_log_prob()
    torch.testing.assert_close(trace.nodes["latent_sde.observations"]["log_prob_sum"], 2.5 * likelihood.sum())


def test_what_does_not_fit_is_refused() -> None:
    program, batch = setting()
    with pytest.raises(ValueError, match="vectorised particles"):
        elbo = Trace_ELBO(num_particles=2, vectorize_particles=True, max_plate_nesting=1)
        elbo.differentiable_loss(program.model, program.guide, batch)
    with pytest.raises(ValueError, match="no parameter"):
        setting(priors={"sigma": dist.Normal(0.0, 1.0)})
    loss(program, batch)
    other, _ = setting()
    with pytest.raises(ValueError, match="clear_param_store"):
        loss(other, batch)
    program.size = 3
    with pytest.raises(ValueError, match="size counts all series"):
        program.guide(batch)


def test_a_posterior_given_by_its_marginals_is_simulated() -> None:
    program, batch = setting("marginals")
    expected = -program.latent_sde.simulated_elbo(batch, seed=5).value().sum() * SIZE / 4
    torch.testing.assert_close(loss(program, batch, seed=5), expected, rtol=1e-5, atol=1e-3)


def test_a_weight_of_nothing_is_refused() -> None:
    program, batch = setting()
    with pytest.raises(ValueError, match="kl_weight"):
        loss(program, batch, kl_weight=0.0)
