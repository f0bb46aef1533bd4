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
DISCRETE = ("poisson", "bernoulli", "categorical")
CONTINUOUS = [family for family in LIKELIHOODS if family not in DISCRETE]
CLASSES = 3
MIXED = ("categorical", "normal", "poisson", "laplace", "bernoulli", "normal", "categorical", "student-t")


def likelihoods(*families: str) -> Likelihoods:
    """With scales and degrees that differ from feature to feature, and three classes for categories."""
    made = Likelihoods(families, [CLASSES * (family == "categorical") for family in families]).double()
    with torch.no_grad():
        made.raw_scale.add_(torch.linspace(-1.0, 1.5, len(families)))
        made.raw_degrees.add_(torch.linspace(-1.0, 2.0, len(families)))
    return made


def reference(made: Likelihoods, index: int, parameters: Tensor) -> distributions.Distribution:
    """Torch's distribution of a feature, from all outputs (..., outputs)."""
    scale, degrees = made.scale[index].detach(), made.degrees[index].detach()
    widths = [CLASSES if family == "categorical" else 1 for family in made.families]
    start = sum(widths[:index])
    own = parameters[..., start : start + widths[index]]
    location = own[..., 0]
    return {
        "normal": lambda: distributions.Normal(location, scale),
        "laplace": lambda: distributions.Laplace(location, scale),
        "student-t": lambda: distributions.StudentT(degrees, location, scale),
        "poisson": lambda: distributions.Poisson(location.exp()),
        "bernoulli": lambda: distributions.Bernoulli(logits=location),
        "categorical": lambda: distributions.Categorical(logits=own),
    }[made.families[index].removeprefix("censored-")]()


def locations(shape: tuple[int, ...]) -> Tensor:
    return torch.linspace(-2.0, 3.0, math.prod(shape), dtype=DOUBLE).view(shape)


def values(made: Likelihoods, shape: tuple[int, ...]) -> Tensor:
    x = torch.linspace(-9.0, 11.0, math.prod(shape), dtype=DOUBLE).view(shape)
    count = x.abs().round()
    known = {"poisson": count, "bernoulli": count % 2, "categorical": count % CLASSES}
    return torch.stack([known.get(family, x)[..., f] for f, family in enumerate(made.families)], -1)


@pytest.mark.parametrize(
    "families", [*[(family,) for family in LIKELIHOODS], LIKELIHOODS, LIKELIHOODS[::-1], MIXED]
)
def test_log_densities_are_those_of_torch(families: tuple[str, ...]) -> None:
    made = likelihoods(*families)
    shape = (5, 7, len(families))
    location, value = locations((5, 7, made.outputs)), values(made, shape)
    found = made.log_prob(location, value)
    assert found.shape == shape
    for index in range(len(families)):
        wanted = reference(made, index, location).log_prob(value[..., index])
        torch.testing.assert_close(found[..., index], wanted, rtol=1e-10, atol=1e-10)


def test_log_densities_broadcast_samples_against_values() -> None:
    made = likelihoods(*MIXED)
    location, value = locations((3, 4, made.outputs)), values(made, (4, len(MIXED)))
    wanted = made.log_prob(location, value.expand(3, 4, len(MIXED)))
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


def test_a_scale_that_is_held_is_the_one_given_and_not_trained() -> None:
    likelihoods = Likelihoods(("normal", "laplace", "student-t"))
    known = torch.tensor([2e-3, 0.7, 50.0])
    likelihoods.hold_scale(known)
    torch.testing.assert_close(likelihoods.scale, known)
    parameters = torch.zeros(3, requires_grad=True)
    likelihoods.log_prob(parameters, torch.ones(3)).sum().backward()
    assert parameters.grad is not None and likelihoods.raw_scale.grad is None
    for wrong in ([0.0, 1.0, 1.0], [1.0, 1.0, float("inf")], [1.0], 1.0):
        with pytest.raises(ValueError, match=r"one finite scale above .* for each of 3 features"):
            likelihoods.hold_scale(torch.tensor(wrong))
    torch.testing.assert_close(likelihoods.scale, known)


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
    }[family.removeprefix("censored-")]
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
    made = likelihoods(*LIKELIHOODS)
    location = locations((50, made.outputs))
    state = torch.get_rng_state()
    first, second = (made.sample(location, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, second) and torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(first, made.sample(location, torch.Generator().manual_seed(4)))


@pytest.mark.parametrize(
    "families", [(family,) for family in LIKELIHOODS if family != "categorical"] + [LIKELIHOODS, MIXED]
)
def test_means_and_variances_are_those_of_torch(families: tuple[str, ...]) -> None:
    made = likelihoods(*families)
    location = locations((6, made.outputs))
    for index, family in enumerate(families):
        if family == "categorical":  # torch has no mean of a class
            continue
        wanted = reference(made, index, location)
        torch.testing.assert_close(made.mean(location)[..., index], wanted.mean, rtol=1e-12, atol=0.0)
        found = made.variance(location).detach()[..., index]
        torch.testing.assert_close(found, wanted.variance, rtol=1e-12, atol=0.0)


@pytest.mark.parametrize("family", ["bernoulli", "categorical"])
def test_classes_are_drawn_as_often_as_they_are_likely(family: str) -> None:
    """Relative frequencies of 100,000 draws, and with them mean and variance."""
    made, n = likelihoods(family), 100_000
    logits = torch.tensor([[0.4, -1.0, 1.2]], dtype=DOUBLE)[:, : made.outputs]
    draws = made.sample(logits.expand(n, -1), torch.Generator().manual_seed(5))[:, 0]
    numbers = torch.arange(2 if family == "bernoulli" else CLASSES, dtype=DOUBLE)
    likely = made.log_prob(logits, numbers.unsqueeze(1)).exp().flatten()
    assert abs(float(likely.sum()) - 1.0) < 1e-12
    shares = torch.stack([(draws == k).double().mean() for k in numbers])
    assert float(shares.sum()) == pytest.approx(1.0)
    assert float(((shares - likely) / (likely * (1 - likely) / n).sqrt()).abs().max()) < bound(len(numbers))
    mean = (numbers * likely).sum()
    torch.testing.assert_close(made.mean(logits)[0, 0], mean)
    torch.testing.assert_close(made.variance(logits)[0, 0], ((numbers - mean) ** 2 * likely).sum())


def test_probabilities_are_named_for_categories_alone() -> None:
    made = likelihoods(*MIXED)
    location = locations((4, made.outputs))
    found = made.probabilities(location)
    assert [p is not None for p in found] == [family == "categorical" for family in MIXED]
    for index, probabilities in enumerate(found):
        if probabilities is not None:
            wanted = reference(made, index, location)
            assert isinstance(wanted, distributions.Categorical)
            torch.testing.assert_close(probabilities, wanted.probs)


@pytest.mark.parametrize("family", [f for f in LIKELIHOODS if not f.startswith("censored")])
@pytest.mark.parametrize("far", [30.0, -30.0, 80.0, -80.0])
def test_gradients_are_finite_far_from_the_data(family: str, far: float) -> None:
    made = likelihoods(family).float()
    location = torch.full((1, made.outputs), far)
    location[:, 1:] *= -1.0
    for value in (0.0, 1.0):
        at = location.clone().requires_grad_()
        found = made.log_prob(at, torch.tensor([[value]]))
        found.sum().backward()
        # exp(80) counts are too many for anybody, but still a number.
        assert torch.isfinite(found).all() and torch.isfinite(at.grad).all()  # type: ignore[arg-type]


def test_networks_read_counts_by_their_logarithm_and_other_values_as_they_are() -> None:
    made = likelihoods("poisson", "normal")
    x = torch.tensor([[0.0, -3.0], [9.0, 2.0]], dtype=DOUBLE)
    assert torch.equal(made.encoder_values(x), torch.stack([x[:, 0].log1p(), x[:, 1]], -1))
    assert made.encoder_mask(x > 0) is not None and torch.equal(made.encoder_mask(x > 0), x > 0)


def test_networks_read_classes_by_zeros_and_ones_and_the_side_of_a_limit() -> None:
    made = likelihoods("censored-normal", "categorical", "normal")
    x = torch.tensor([[0.5, 2.0, 7.0], [0.3, 0.0, 8.0]], dtype=DOUBLE)
    limits = torch.full((2, 3, 2), math.nan, dtype=DOUBLE)
    limits[0, 0] = torch.tensor([-math.inf, 0.5], dtype=DOUBLE)
    wanted = [[0.5, -1.0, 0.0, 0.0, 1.0, 7.0], [0.3, 0.0, 1.0, 0.0, 0.0, 8.0]]
    assert made.inputs == 6 and made.encoder_values(x, limits).tolist() == wanted
    assert made.encoder_values(x)[0, 1] == 0.0
    mask = torch.tensor([[True, False, True]])
    assert made.encoder_mask(mask).tolist() == [[True, True, False, False, False, True]]
