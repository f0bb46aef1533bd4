"""The deep Markov model: its bound is one, is Pyro's own, and its paths are those of guide and transition."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pyro
import pytest
import torch
from pyro.infer import SVI, Trace_ELBO
from torch import Tensor, nn

from latentsde.brownian import derive_seed, standard_normal
from latentsde.data import Batch, collate
from latentsde.models.bound import hide
from latentsde.models.deep_markov import DeepMarkov
from latentsde.models.markov_chain import MarkovChain
from latentsde.nn import BackwardEncoder
from latentsde.nn.markov import GatedTransition, Step
from tests.models.small import small_model_named, small_series

SERIES = small_series()
DOUBLE = torch.float64


def deep_markov(**options: object) -> DeepMarkov:
    model = small_model_named("deep_markov", SERIES, **({"period": 5.0} | options))
    assert isinstance(model, DeepMarkov)
    return model


def whole_batch(model: DeepMarkov) -> Batch:
    return collate(SERIES, range(len(SERIES)), model.scaler)


@pytest.fixture
def pyros_store() -> Iterator[None]:
    """An empty parameter store and a generator of our own, and no traces of either left behind."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        pyro.clear_param_store()
        yield
        pyro.clear_param_store()


# Pyro's own bound


def test_pyros_bound_is_ours_for_the_same_noise(pyros_store: None) -> None:
    model = deep_markov()
    batch = whole_batch(model)
    for seen in (None, hide(batch, 0.4, seed=1)):
        loss = Trace_ELBO().loss(model.model, model.guide, batch, 3, seen)
        own = model.elbo(batch, seed=3, seen=seen).value().sum().item()
        assert loss == pytest.approx(-own, rel=1e-5)


def test_pyros_bound_with_its_own_noise_has_our_mean(pyros_store: None) -> None:
    """2 x 150 draws; false-alarm rate below 1e-5 (the difference within 4.5 standard errors)."""
    model = deep_markov()
    batch = collate(SERIES, [1], model.scaler)
    elbo = Trace_ELBO()
    theirs = torch.tensor([-elbo.loss(model.model, model.guide, batch) for _ in range(150)])
    ours = model.elbo(batch, seed=0, samples=150).log_weights.detach()[0]
    error = ((theirs.var() + ours.var()) / 150).sqrt()
    assert len(theirs.unique()) == 150
    assert (theirs.mean() - ours.mean()).abs() < 4.5 * error


def test_pyros_gradient_is_ours_for_the_same_noise(pyros_store: None) -> None:
    model = deep_markov()
    batch = whole_batch(model)
    used = [p for name, p in model.named_parameters() if name != "likelihoods.raw_degrees"]
    theirs = torch.autograd.grad(Trace_ELBO().differentiable_loss(model.model, model.guide, batch, 3), used)
    ours = torch.autograd.grad(-model.elbo(batch, seed=3).value().sum(), used)
    torch.testing.assert_close(theirs, ours, rtol=1e-4, atol=1e-4)


def test_svi_trains_the_model_itself(pyros_store: None) -> None:
    model = deep_markov()
    batch = whole_batch(model)
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    svi = SVI(model.model, model.guide, pyro.optim.Adam({"lr": 0.02}), Trace_ELBO())
    first = float(model.elbo(batch, seed=0, samples=20).value().sum())
    for _ in range(30):
        svi.step(batch)
    assert float(model.elbo(batch, seed=0, samples=20).value().sum()) > first + 20.0
    still = {name for name, parameter in model.named_parameters() if torch.equal(parameter, before[name])}
    assert still == {"likelihoods.raw_degrees"}  # of the Student t, which no feature has


def test_our_bound_leaves_pyros_parameter_store_alone(pyros_store: None) -> None:
    model = deep_markov()
    model.elbo(whole_batch(model), seed=0)
    assert not list(pyro.get_param_store())


# Exact cases


def linear_gaussian(series: int) -> tuple[DeepMarkov, Batch]:
    """One state, z' ~ N(a z + c, s²) whatever the gap, of which the first feature is observed; in double."""
    only_a = SERIES.select([series])
    only_a = only_a.with_values(np.where([True, False], only_a.values, np.nan))
    model = deep_markov(latent=1).double()
    with torch.no_grad():
        for network in (model.transition.gate, model.decoder.network, model.decoder.linear):
            for parameter in network.parameters():
                parameter.zero_()
        model.transition.gate[-1].bias.fill_(-200.0)  # type: ignore[union-attr, operator]
        model.transition.raw_std.weight.zero_()
        model.decoder.linear.weight[0, 0] = 1.0
    batch = collate(only_a, [0], model.scaler)
    return model, Batch(
        batch.ids, batch.times, batch.values.double(), batch.mask, batch.static.double(), batch.lengths
    )


def kalman(model: DeepMarkov, batch: Batch) -> tuple[float, float, float]:
    """Exact log-likelihood of the one series, and mean and variance of its last state."""
    weight, bias = float(model.transition.linear.weight), float(model.transition.linear.bias)
    step = float(torch.nn.functional.softplus(model.transition.raw_std.bias)) + 1e-3
    noise = float(model.likelihoods.scale[0]) ** 2
    mean, variance, total = float(model.start(batch.static)), 0.0, 0.0
    for k in range(int(batch.lengths)):
        mean, variance = weight * mean + bias, weight**2 * variance + step**2
        if batch.mask[0, k, 0]:
            x, s = float(batch.values[0, k, 0]), variance + noise
            total -= 0.5 * ((x - mean) ** 2 / s + math.log(2.0 * math.pi * s))
            mean, variance = mean + variance / s * (x - mean), variance * (1.0 - variance / s)
    return total, mean, variance


def test_the_bound_is_below_the_exact_likelihood_and_importance_weights_close_the_gap() -> None:
    """4,000 samples; false-alarm rate below 1e-6 (5 standard errors)."""
    model, batch = linear_gaussian(0)
    exact = kalman(model, batch)[0]
    bound = model.elbo(batch, seed=0, samples=4000)
    error = bound.log_weights.std().item() / math.sqrt(4000)
    assert bound.value().item() < exact + 5.0 * error
    assert bound.value().item() > exact - 200.0  # and is not vacuous
    assert bound.value().item() < bound.importance_weighted().item() < exact + 5.0


def test_at_the_exact_posterior_the_bound_is_the_likelihood_and_its_gradient_is_free_of_variance() -> None:
    model, batch = linear_gaussian(0)
    first = (part[:, :1] for part in (batch.times, batch.values, batch.mask))
    one = Batch(batch.ids, *first, batch.static, torch.ones_like(batch.lengths))
    exact, mean, variance = kalman(model, one)
    std = math.sqrt(variance) - 1e-3
    with torch.no_grad():
        model.combiner.output.weight.zero_()
        model.combiner.output.bias.copy_(torch.tensor([mean, math.log(math.expm1(std))], dtype=DOUBLE))
    bound = model.elbo(one, seed=0, samples=50)
    torch.testing.assert_close(
        bound.log_weights, torch.full_like(bound.log_weights, exact), rtol=0, atol=1e-10
    )
    (gradient,) = torch.autograd.grad(bound.log_weights[0, 3], model.combiner.output.bias)
    assert gradient.abs().max() < 1e-10


class Linear(Step):
    """z' ~ N(A z + V known, s²)."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.a = nn.Parameter(torch.randn(2, 2, dtype=DOUBLE))
            self.raw = nn.Parameter(torch.randn(2, dtype=DOUBLE))

    def prepare(self, known: Tensor) -> Tensor:
        return known

    def forward(self, previous: Tensor, prepared: Tensor) -> tuple[Tensor, Tensor]:
        return previous @ self.a.T + prepared, self.raw.exp().expand_as(previous)


def chain(step: Step, *, lands: bool = False, length: int = 4) -> MarkovChain:
    generator = torch.Generator().manual_seed(3)
    start, known, noise = (
        torch.randn(shape, dtype=DOUBLE, generator=generator) for shape in ((3, 2), (3, 4, 2), (3, 4, 2))
    )
    rows = torch.arange(4) < torch.tensor([length, 4, 2]).unsqueeze(1)
    return MarkovChain(step, start, known, rows, noise=noise, lands=lands)


def test_a_chains_density_is_the_product_of_its_steps() -> None:
    law = chain(Linear(), length=3)
    with torch.no_grad():
        z, step = law.rsample(), law.step
        for s, length in enumerate((3, 4, 2)):
            previous, total = law.start[s], 0.0
            for k in range(length):
                normal = torch.distributions.Normal(*step(previous, law.known[s, k]))
                torch.testing.assert_close(z[s, k], normal.loc + normal.scale * law.noise[s, k])
                total, previous = total + normal.log_prob(z[s, k]).sum(), z[s, k]
            torch.testing.assert_close(law.log_prob(z)[s], total)


def test_a_guide_that_is_the_prior_lands_without_variance() -> None:
    """log p(z) - log q(z) of equal laws is 0 for every path, and with `lands` its gradient in q's parameters
    too, since the path's own gradient cancels, through every later step.
    """
    gradients = {}
    for lands in (True, False):
        prior, guide = Linear().requires_grad_(False), Linear()
        law = chain(guide, lands=lands)
        leaves = [guide.a, guide.raw, law.start.requires_grad_(), law.known.requires_grad_()]
        z = law.rsample()
        weight = chain(prior).log_prob(z) - law.log_prob(z)
        assert weight.abs().max() < 1e-12
        gradients[lands] = torch.autograd.grad(weight.sum(), leaves)
    assert all(g.abs().max() < 1e-10 for g in gradients[True])
    assert all(g.abs().max() > 1e-2 for g in gradients[False])


# Paths


def test_paths_are_the_guide_on_the_rows_and_the_transition_after_them() -> None:
    model, batch = deep_markov(), collate(SERIES, [2], deep_markov().scaler)
    later = batch.times[:, -1:] + torch.tensor([[0.5, 3.0]], dtype=DOUBLE)
    queries = torch.cat([batch.times, later], dim=1)
    paths = model.posterior_paths(batch, queries, samples=1, seed=4)
    n = batch.times.shape[1]
    with torch.no_grad():
        times = model.model_time(queries)
        known = model._known(times, times.diff(dim=1, prepend=torch.zeros(1, 1)), batch.static)
        noise = standard_normal((1, n + 2, 3), seed=derive_seed(4, 10), ids=batch.ids)
        ahead = torch.cat([known[:, :n], model._summaries(batch)], dim=-1)
        start, counted = model.start(batch.static), torch.ones(1, n, dtype=torch.bool)
        z = MarkovChain(model.combiner, start, ahead, counted, noise=noise[:, :n]).rsample()
        after = MarkovChain(model.transition, z[:, -1], known[:, n:], counted, noise=noise[:, n:]).rsample()
    torch.testing.assert_close(paths.latent[0], torch.cat([z, after], dim=1), rtol=1e-4, atol=1e-5)
    # Side steps between them bear on neither.
    beside = torch.sort(torch.cat([queries, batch.times[:, :1] - 0.1, batch.times[:, 1:2] + 0.01], 1), dim=1)
    more = model.posterior_paths(batch, beside.values, samples=1, seed=4).latent[0, 0]
    torch.testing.assert_close(more[beside.indices[0] < n + 2], paths.latent[0, 0], rtol=1e-4, atol=1e-5)


def test_the_summary_between_rows_is_that_of_a_row_without_values() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        encoder = BackwardEncoder(2, 1, 5)
        values, extra = torch.randn(1, 3, 2), torch.randn(1, 3, 1)
    mask, times = (
        torch.tensor([[[True, True], [False, False], [True, False]]]),
        torch.tensor([[0.0, 0.7, 2.0]]),
    )
    values = values * mask
    whole = encoder(values, mask, times, torch.tensor([3]), extra)
    own = encoder.earlier(whole[:, 2:], torch.tensor([[1.3]]), extra[:, 1:2])
    torch.testing.assert_close(own, whole[:, 1:2])


def test_the_transition_begins_near_the_identity_and_knows_the_gap() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        transition = GatedTransition(3, 2, 8)
    z, near, far = (
        torch.randn(5, 3, generator=torch.Generator().manual_seed(0)),
        torch.zeros(5, 2),
        torch.ones(5, 2),
    )
    assert torch.equal(transition.linear(z), z)
    for here, there in zip(transition(z, near), transition(z, far), strict=True):
        assert (here != there).all()


def test_a_second_model_is_not_trained_in_vain(pyros_store: None) -> None:
    first, second = deep_markov(), deep_markov()
    batch = whole_batch(first)
    svi = [SVI(m.model, m.guide, pyro.optim.Adam({"lr": 0.01}), Trace_ELBO()) for m in (first, second)]
    svi[0].step(batch)
    with pytest.raises(ValueError, match="clear_param_store"):
        svi[1].step(batch)
