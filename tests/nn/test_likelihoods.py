"""Every observation model has the density of its name, and draws from it.

Statistical tests have fixed seeds and a false-alarm rate of FALSE_ALARM = 1e-5.
"""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats  # type: ignore[import-untyped, unused-ignore]
from torch import Tensor, distributions

from latentsde.nn import LIKELIHOODS, Likelihoods
from tests.significance import FALSE_ALARM, bound

DOUBLE = torch.float64
CONTINUOUS = [family for family in LIKELIHOODS if family != "poisson"]


def likelihoods(*families: str) -> Likelihoods:
    """With scales and degrees that differ from feature to feature."""
    made = Likelihoods(families).double()
    with torch.no_grad():
        made.raw_scale.add_(torch.linspace(-1.0, 1.5, len(families)))
        made.raw_degrees.add_(torch.linspace(-1.0, 2.0, len(families)))
    return made


def reference(made: Likelihoods, index: int, location: Tensor) -> distributions.Distribution:
    scale, degrees = made.scale[index].detach(), made.degrees[index].detach()
    return {
        "normal": lambda: distributions.Normal(location, scale),
        "laplace": lambda: distributions.Laplace(location, scale),
        "student-t": lambda: distributions.StudentT(degrees, location, scale),
        "poisson": lambda: distributions.Poisson(location.exp()),
    }[made.families[index]]()


def locations(shape: tuple[int, ...]) -> Tensor:
    return torch.linspace(-2.0, 3.0, math.prod(shape), dtype=DOUBLE).view(shape)


def values(made: Likelihoods, shape: tuple[int, ...]) -> Tensor:
    x = torch.linspace(-9.0, 11.0, math.prod(shape), dtype=DOUBLE).view(shape)
    counts = torch.tensor([family == "poisson" for family in made.families])
    return torch.where(counts, x.abs().round(), x)


@pytest.mark.parametrize("families", [*[(family,) for family in LIKELIHOODS], LIKELIHOODS, LIKELIHOODS[::-1]])
def test_log_densities_are_those_of_torch(families: tuple[str, ...]) -> None:
    made = likelihoods(*families)
    shape = (5, 7, len(families))
    location, value = locations(shape), values(made, shape)
    found = made.log_prob(location, value)
    assert found.shape == shape
    for index in range(len(families)):
        wanted = reference(made, index, location[..., index]).log_prob(value[..., index])
        torch.testing.assert_close(found[..., index], wanted, rtol=1e-10, atol=1e-10)


def test_log_densities_broadcast_samples_against_values() -> None:
    made = likelihoods("normal", "poisson")
    location, value = locations((3, 4, 2)), values(made, (4, 2))
    wanted = made.log_prob(location, value.expand(3, 4, 2))
    assert torch.equal(made.log_prob(location, value), wanted)


@pytest.mark.parametrize("family", CONTINUOUS)
def test_scale_and_degrees_are_learned_and_bounded(family: str) -> None:
    made = likelihoods(family)
    made.log_prob(locations((4, 1)), values(made, (4, 1))).sum().backward()
    assert made.raw_scale.grad is not None and (made.raw_scale.grad != 0).all()
    assert (made.raw_degrees.grad is None) == (family != "student-t")
    with torch.no_grad():
        made.raw_scale.fill_(-1e4)
        made.raw_degrees.fill_(-1e4)
        # A finite density and a finite variance.
        assert float(made.scale[0]) > 0 and float(made.degrees[0]) > 2
        assert torch.isfinite(made.log_prob(locations((4, 1)), values(made, (4, 1)))).all()


def test_a_poisson_feature_has_no_scale_to_learn() -> None:
    made = likelihoods("poisson")
    made.log_prob(locations((4, 1)).requires_grad_(), values(made, (4, 1))).sum().backward()
    assert made.raw_scale.grad is None


@pytest.mark.parametrize("family", CONTINUOUS)
def test_continuous_samples_have_their_distribution(family: str) -> None:
    made = likelihoods("poisson", family)
    location = torch.full((100_000, 2), 0.7, dtype=DOUBLE)
    with torch.no_grad():
        draws = made.sample(location, torch.Generator().manual_seed(1))[:, 1]
    scale, degrees = float(made.scale[1].detach()), float(made.degrees[1].detach())
    law = {
        "normal": stats.norm(0.7, scale),
        "laplace": stats.laplace(0.7, scale),
        "student-t": stats.t(degrees, 0.7, scale),
    }[family]
    assert stats.kstest(draws.numpy(), law.cdf).pvalue > FALSE_ALARM


@pytest.mark.parametrize("log_rate", [-2.0, 0.5, 4.0])
def test_counts_have_their_distribution(log_rate: float) -> None:
    made = likelihoods("poisson")
    n, rate = 100_000, math.exp(log_rate)
    draws = made.sample(torch.full((n, 1), log_rate, dtype=DOUBLE), torch.Generator().manual_seed(2))
    assert (draws == draws.round()).all() and (draws >= 0).all()
    mean_z = float(draws.mean() - rate) / math.sqrt(rate / n)
    # The sample variance of counts has variance (μ4 - σ⁴)/n, μ4 = λ + 3λ².
    variance_z = float(draws.var() - rate) / math.sqrt((rate + 2 * rate**2) / n)
    assert max(abs(mean_z), abs(variance_z)) < bound(2)


def test_samples_come_from_the_given_generator_alone() -> None:
    made, location = likelihoods(*LIKELIHOODS), locations((50, len(LIKELIHOODS)))
    state = torch.get_rng_state()
    first, second = (made.sample(location, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, second) and torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(first, made.sample(location, torch.Generator().manual_seed(4)))


@pytest.mark.parametrize("families", [*[(family,) for family in LIKELIHOODS], LIKELIHOODS])
def test_means_and_variances_are_those_of_torch(families: tuple[str, ...]) -> None:
    made, location = likelihoods(*families), locations((6, len(families)))
    for index in range(len(families)):
        wanted = reference(made, index, location[..., index])
        torch.testing.assert_close(made.mean(location)[..., index], wanted.mean, rtol=1e-12, atol=0.0)
        found = made.variance(location).detach()[..., index]
        torch.testing.assert_close(found, wanted.variance, rtol=1e-12, atol=0.0)


def test_networks_read_counts_by_their_logarithm_and_other_values_as_they_are() -> None:
    made = likelihoods("poisson", "normal")
    x = torch.tensor([[0.0, -3.0], [9.0, 2.0]], dtype=DOUBLE)
    assert torch.equal(made.encoder_values(x), torch.stack([x[:, 0].log1p(), x[:, 1]], -1))
