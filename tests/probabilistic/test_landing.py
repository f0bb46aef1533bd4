"""Sticking the landing for ordinary sites: the density's value unchanged, its gradient to the value alone."""

from __future__ import annotations

from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.distributions.transforms import ExpTransform
from pyro.infer import Trace_ELBO
from torch import Tensor

from latentsde.pyro import StickingTheLanding

DOUBLE = torch.float64


def families() -> list[tuple[Any, Any]]:
    """Distributions made from a location (2,) and a scale (2,)."""
    root = torch.tensor([[1.0, 0.0], [0.3, 1.0]], dtype=DOUBLE)
    return [
        ("Normal", lambda m, s: dist.Normal(m, s)),
        ("LogNormal, one event", lambda m, s: dist.LogNormal(m, s).to_event(1)),
        (
            "transformed",
            lambda m, s: dist.TransformedDistribution(
                dist.MultivariateNormal(m, scale_tril=root * s), ExpTransform()
            ),
        ),
    ]


@pytest.mark.parametrize("make", [pytest.param(make, id=name) for name, make in families()])
def test_density_and_slope_in_the_value_are_those_of_the_distribution(make: Any) -> None:
    m = torch.tensor([0.2, -0.1], dtype=DOUBLE, requires_grad=True)
    s = torch.tensor([0.5, 0.7], dtype=DOUBLE, requires_grad=True)
    law = StickingTheLanding(make(m, s))
    assert law.batch_shape == make(m, s).batch_shape and law.event_shape == make(m, s).event_shape
    torch.manual_seed(0)
    value = law.rsample((3,)) if law.event_shape else law.rsample()
    torch.manual_seed(0)
    torch.testing.assert_close(value, make(m, s).rsample((3,)) if law.event_shape else make(m, s).rsample())

    free = value.detach().requires_grad_()
    ours, theirs = law.log_prob(free), make(m, s).log_prob(free)
    torch.testing.assert_close(ours, theirs)
    slope = torch.autograd.grad(theirs.sum(), free)[0]
    got = torch.autograd.grad(ours.sum(), (free, m, s), allow_unused=True)
    torch.testing.assert_close(got[0], slope)
    assert float(slope.abs().min()) > 1e-3 and got[1] is None and got[2] is None


@pytest.mark.parametrize("sticking", [True, False])
def test_at_the_exact_posterior_the_gradient_does_not_vary(sticking: bool) -> None:
    """z ~ N(0, 1), x = 1 seen with unit noise: the posterior is N(1/2, 1/2)."""
    m = torch.tensor(0.5, dtype=DOUBLE, requires_grad=True)
    s = torch.tensor(0.5**0.5, dtype=DOUBLE, requires_grad=True)

    def model() -> None:
        z = pyro.sample("z", dist.Normal(torch.zeros((), dtype=DOUBLE), 1.0))
        pyro.sample("x", dist.Normal(z, 1.0), obs=torch.ones((), dtype=DOUBLE))

    def guide() -> None:
        law = dist.Normal(m, s)
        pyro.sample("z", StickingTheLanding(law) if sticking else law)

    pyro.set_rng_seed(0)
    gradients = torch.stack(
        [
            torch.stack(torch.autograd.grad(Trace_ELBO().differentiable_loss(model, guide), (m, s)))
            for _ in range(5)
        ]
    )
    if sticking:
        assert float(gradients.abs().max()) < 1e-12
    else:
        assert float(gradients.std(0).min()) > 1e-2


def test_a_plate_expands_it_and_scales_it() -> None:
    def guide(law: Any) -> Tensor:
        with pyro.plate("all", 6, subsample_size=3):
            value: Tensor = pyro.sample("z", law)
        return value

    law = dist.Normal(torch.tensor(0.3, dtype=DOUBLE, requires_grad=True), 0.5)
    pyro.set_rng_seed(0)
    plain = pyro.poutine.trace(guide).get_trace(law)
    pyro.set_rng_seed(0)
    landed = pyro.poutine.trace(guide).get_trace(StickingTheLanding(law))
    assert landed.nodes["z"]["value"].shape == (3,)
    torch.testing.assert_close(landed.log_prob_sum(), plain.log_prob_sum())


def test_a_distribution_without_reparametrisation_is_refused() -> None:
    with pytest.raises(ValueError, match="no rsample"):
        StickingTheLanding(dist.Poisson(torch.tensor(3.0)))
