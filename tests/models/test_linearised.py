"""The linearised posterior: exact where the model is linear, a bound in any case, a run like any other."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor
from torch.autograd.functional import jacobian

import latentsde
from latentsde.data import Batch, IrregularSeries, collate
from latentsde.errors import InputError
from latentsde.files import write_json
from latentsde.models import LatentSDE, describe, linearised
from latentsde.models.linearised import Row, at_once, filtered, one_by_one, smoothed
from latentsde.models.saving import save_weights
from latentsde.training import TrainingConfig, fit
from tests.models.linear_gaussian import batch_of, exact_posterior, linear_series
from tests.models.small import small_model, small_series

SERIES = linear_series()


def linear(dt: float) -> LatentSDE:
    """dz = -κ z dt + σ dW, x = 1.5 z + noise; float64."""
    model = LatentSDE.for_series(SERIES, latent=1, hidden=4, posterior="linearised", dt=dt).double()
    with torch.no_grad():
        model.decoder.linear.weight.fill_(1.5)
        model.decoder.linear.bias.zero_()
        model.initial.prior_raw.copy_(torch.tensor([0.3, -0.4]))
    return model


def coupled(dt: float, series: IrregularSeries, scale: float = 1e-4) -> tuple[LatentSDE, Tensor]:
    """Three dimensions with a drift that is linear as far as `scale` shows: its matrix besides."""
    model = LatentSDE.for_series(series, latent=3, hidden=3, posterior="linearised", dt=dt).double()
    matrix = torch.tensor([[-0.3, 1.0, 0.2], [-1.0, -0.2, 0.0], [0.4, 0.0, -0.5]], dtype=torch.float64)
    with torch.no_grad():
        network = model.prior_drift.network
        network.from_state.weight.copy_(scale * torch.eye(3))
        network.from_state.bias.zero_()
        rate = torch.nn.functional.softplus(model.prior_drift.raw_rate)
        network.output.weight.copy_((matrix + torch.diag(rate)) / scale)
        if network.from_known is not None:
            network.from_known.weight.zero_()
    return model, matrix


def log_likelihood_of_linear(model: LatentSDE, matrix: Tensor, batch: Batch, row: int) -> float:
    """From the joint normal of all that was observed; the covariance's integral by Gauss-Legendre."""
    count = int(batch.lengths[row])
    times = model.model_time(batch.times)[row, :count]
    mean, std = model.initial.prior(batch.static[row])
    noise = torch.diag(model.diffusion.typical.square())
    nodes, weights = (torch.from_numpy(x) for x in np.polynomial.legendre.leggauss(30))

    def covariance(t: Tensor) -> Tensor:
        over = torch.matrix_exp(matrix * t)
        total = over @ torch.diag(std.square()) @ over.T
        for x, w in zip(nodes, weights, strict=True):
            back = torch.matrix_exp(matrix * t * 0.5 * (x + 1.0))
            total = total + 0.5 * t * w * back @ noise @ back.T
        return total

    slope = model.decoder.linear.weight[:, : len(matrix)]
    offset = model.decoder.linear.bias + model.decoder.linear.weight[:, len(matrix) :] @ batch.static[row]
    features = len(slope)
    law_mean = torch.cat([slope @ torch.matrix_exp(matrix * t) @ mean + offset for t in times])
    law = torch.zeros(count * features, count * features, dtype=torch.float64)
    for i in range(count):
        for k in range(i, count):
            block = slope @ torch.matrix_exp(matrix * (times[k] - times[i])) @ covariance(times[i]) @ slope.T
            law[k * features : (k + 1) * features, i * features : (i + 1) * features] = block
            law[i * features : (i + 1) * features, k * features : (k + 1) * features] = block.T
    law = law + torch.diag(model.likelihoods.scale.square().repeat(count))
    known = batch.mask[row, :count].flatten()
    exact = torch.distributions.MultivariateNormal(law_mean[known], law[known][:, known])
    return float(exact.log_prob(batch.values[row, :count].flatten()[known]))


@torch.no_grad()
def test_it_is_the_exact_likelihood_of_a_linear_model_up_to_the_steps() -> None:
    errors = []
    for dt in (0.4, 0.1, 0.025):
        model = linear(dt)
        batch = batch_of(SERIES, model)
        ours = model.elbo(batch, seed=0).log_likelihood
        exact = [float(exact_posterior(model, batch, row, batch.times[0, :1])[2]) for row in range(3)]
        errors.append(float((ours - torch.tensor(exact, dtype=torch.float64)).abs().max()))
    assert errors[-1] < 1e-4
    assert all(coarse > 8.0 * fine for coarse, fine in itertools.pairwise(errors))


@torch.no_grad()
def test_dimensions_that_move_one_another_and_missing_values() -> None:
    series = small_series()
    model, matrix = coupled(0.05, series)
    batch = collate(series, np.arange(len(series)), model.scaler)
    batch = replace(batch, values=batch.values.double(), static=batch.static.double())
    assert not batch.mask.all()
    ours = filtered(model, batch).log_likelihood
    for row in range(len(batch)):
        assert float(ours[row]) == pytest.approx(
            log_likelihood_of_linear(model, matrix, batch, row), abs=2e-3
        )


def test_what_comes_back_is_what_the_filter_says_of_its_start() -> None:
    """A normal likelihood has m + S d and S + S H S for mean and covariance of z0, of its first two
    derivatives d and H by the prior's mean m.
    """
    series = small_series()
    model, _ = coupled(0.05, series)
    batch = collate(series, np.arange(len(series)), model.scaler)
    batch = replace(batch, values=batch.values.double(), static=batch.static.double())
    own = model.initial.prior(batch.static)
    start = own[0].detach().expand(len(batch), -1).clone().requires_grad_()
    variance = own[1].detach().expand_as(start).square()
    model.initial.prior = lambda static: (start, variance.sqrt())  # type: ignore[method-assign]
    slope = torch.autograd.grad(filtered(model, batch).log_likelihood.sum(), start, create_graph=True)[0]
    rows = [torch.autograd.grad(slope[:, k].sum(), start, retain_graph=True)[0] for k in range(3)]
    bend = torch.stack(rows, dim=1)
    code = smoothed(model, batch)
    # The steps of the mean are of fourth order and those of the rest of third: 5e-5 at this dt.
    torch.testing.assert_close(code.mean, start + variance * slope, rtol=0.0, atol=2e-4)
    covariance = torch.diag_embed(variance) + variance.unsqueeze(-1) * bend * variance.unsqueeze(-2)
    spread = torch.linalg.inv(covariance).diagonal(dim1=-2, dim2=-1).rsqrt()
    torch.testing.assert_close(code.std, spread, rtol=0.0, atol=2e-4)


@pytest.mark.parametrize("spread", [1e-3, 1.0, 30.0])
def test_features_can_be_taken_in_one_by_one_or_at_once(spread: float) -> None:
    """Errors of observations from 1e-3 to 1, and rows of which nothing or little is seen."""
    generator = torch.Generator().manual_seed(0)
    batch, features, latent = 40, 6, 3
    root = spread * torch.randn(batch, latent, latent, generator=generator, dtype=torch.float64)
    covariance = (root @ root.mT).permute(1, 2, 0).contiguous().requires_grad_()
    error, sizes = torch.randn(2, batch, features, generator=generator, dtype=torch.float64)
    slope = torch.randn(batch, features, latent, generator=generator, dtype=torch.float64)
    seen = torch.rand(batch, features, generator=generator) < torch.linspace(0.0, 1.0, batch)[:, None]
    weight = torch.where(seen, 10.0 ** (6.0 * sizes.sigmoid()), 0.0)
    row = Row(torch.where(seen, error, 0.0), slope, weight)
    ours, other = one_by_one(row, range(features), covariance), at_once(row, covariance)
    for a, b in zip(ours, other, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-9 * (1.0 + spread**2))
    by = [torch.autograd.grad(update.log_density.sum(), covariance)[0] for update in (ours, other)]
    torch.testing.assert_close(
        *(slope + slope.transpose(0, 1) for slope in by), rtol=1e-5, atol=1e-9 * (1.0 + spread**2)
    )


@torch.no_grad()
def test_dense_observations_hold_a_state_that_grows_and_rounding_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two dimensions that grow together by e^80 over a series: what is not symmetric would by as much."""
    times = np.arange(0.0, 40.0, 0.1)
    rows = {"id": "s", "t": times, "x": np.sin(times), "y": np.cos(times)}
    series = IrregularSeries.from_frame(pd.DataFrame(rows), id="id", time="t")
    model = LatentSDE.for_series(series, latent=2, hidden=2, posterior="linearised", dt=0.1).double()
    network, scale = model.prior_drift.network, 1e-4
    network.from_state.weight.copy_(scale * torch.eye(2))
    network.from_state.bias.zero_()
    matrix = model.config.time_scale * torch.tensor([[1.0, 0.5], [-0.2, 1.0]])
    rate = torch.nn.functional.softplus(model.prior_drift.raw_rate)
    network.output.weight.copy_((matrix + torch.diag(rate)) / scale)
    batch = collate(series, [0], model.scaler)
    batch = replace(batch, values=batch.values.double(), static=batch.static.double())
    ours = float(filtered(model, batch).log_likelihood)
    monkeypatch.setattr(linearised, "one_by_one", lambda row, observed, covariance: at_once(row, covariance))
    assert ours == pytest.approx(float(filtered(model, batch).log_likelihood), rel=1e-7)


@torch.no_grad()
def test_a_series_has_the_likelihood_that_it_has_alone() -> None:
    model = small_model(small_series(), posterior="linearised", dt=0.3)
    whole = collate(small_series(), np.arange(6), model.scaler)
    together = model.elbo(whole, seed=0).log_likelihood
    for k in range(6):
        alone = model.elbo(collate(small_series(), [k], model.scaler), seed=0).log_likelihood
        assert float(alone) == pytest.approx(float(together[k]), rel=1e-5)


@torch.no_grad()
def test_every_path_of_a_linear_model_has_the_log_likelihood_for_its_weight() -> None:
    """The posterior is exact but for the steps, so that weights of single paths hardly differ."""
    spreads = []
    for dt in (0.1, 0.025):
        model = linear(dt)
        batch = batch_of(SERIES, model)
        exact = model.elbo(batch, seed=0).log_likelihood
        weights = model.simulated_elbo(batch, seed=1, samples=50).log_weights
        spreads.append(float(weights.std(1).max()))
        assert ((weights.mean(1) - exact).abs() < 0.5 * dt).all()
    assert spreads[0] > 3.0 * spreads[1] and spreads[1] < 0.05


@torch.no_grad()
def test_paths_of_a_linear_model_follow_the_exact_posterior() -> None:
    """2,000 paths: means and deviations before, at, between and after observations, within 5 standard errors
    and Euler's error of a fiftieth of a deviation.
    """
    model = linear(0.01)
    batch = batch_of(SERIES, model, [1])
    asked = torch.tensor([[0.5, 1.3, 1.7, 2.05, 4.0, 6.0, 8.0]], dtype=torch.float64)
    z = model.posterior_paths(batch, asked, samples=2000, seed=0).latent[:, 0, :, 0].double()
    mean, std, _ = exact_posterior(model, batch, 0, model.model_time(asked)[0])
    assert ((z.mean(0) - mean).abs() < (0.02 + 5.0 / 2000**0.5) * std).all()
    assert ((z.std(0) / std - 1.0).abs() < 0.02 + 5.0 / 4000**0.5).all()


def test_derivatives_are_those_of_autograd() -> None:
    model = small_model(small_series(), posterior="linearised").double()
    z = torch.tensor([0.3, -0.8, 1.2], dtype=torch.float64)
    known = torch.tensor([0.4], dtype=torch.float64)
    condition = model.prior_drift.network.condition(known)
    value, slope = model.prior_drift.linearised(z, condition)
    assert torch.allclose(value, model.prior_drift(z, condition))
    assert torch.allclose(slope, jacobian(lambda z: model.prior_drift(z, condition), z))
    inputs = torch.cat([z, known])
    value, slope = model.decoder.linearised(inputs)
    assert torch.allclose(value, model.decoder(inputs))
    assert torch.allclose(slope, jacobian(model.decoder, inputs))


@torch.no_grad()
def test_what_linearisation_leaves_out_of_a_bent_model_goes_with_the_noise() -> None:
    """Against importance-weighted bounds of the simulated posterior, 100 paths each."""
    series, errors = small_series(), []
    for width in (0.3, 0.1):
        model = small_model(series, posterior="linearised", dt=0.1, min_diffusion=0.01).double()
        low, high = model.diffusion.low, model.diffusion.high
        share = torch.full((3,), (0.5 * width - low) / (high - low), dtype=torch.float64)
        model.diffusion.bias.copy_(torch.logit(share))
        model.initial.prior_raw[3:] = np.log(width)
        batch = collate(series, np.arange(len(series)), model.scaler)
        batch = replace(batch, values=batch.values.double(), static=batch.static.double())
        weighted = model.simulated_elbo(batch, seed=1, samples=100).importance_weighted()
        errors.append((filtered(model, batch).log_likelihood - weighted).abs().mean())
    assert errors[1] < 0.2 and errors[0] > 5.0 * errors[1]


def test_nothing_is_learned_but_the_model_and_all_of_it_is() -> None:
    model = small_model(small_series(), posterior="linearised", dt=0.3)
    batch = collate(small_series(), np.arange(6), model.scaler)
    model.elbo(batch, seed=0).value().sum().backward()
    rooms = {name.split(".")[0] for name, _ in model.named_parameters()}
    assert rooms == {"likelihoods", "initial", "prior_drift", "diffusion", "decoder"}
    without = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == ["likelihoods.raw_degrees"]


def test_training_improves_likelihood_and_bound_and_the_run_is_loaded(tmp_path: Path) -> None:
    series = small_series(series=12)
    model = LatentSDE.for_series(series, latent=2, hidden=8, posterior="linearised", dt=1.0)
    batch = collate(series, np.arange(len(series)), model.scaler)

    def bounds() -> Tensor:
        with torch.no_grad():
            return torch.stack(
                [f(batch, seed=7, samples=8).value().mean() for f in (model.elbo, model.simulated_elbo)]
            )

    before = bounds()
    config = TrainingConfig(steps=30, warmup_steps=5, anneal_steps=0, learning_rate=0.02)
    fit(model, series, out=tmp_path / "run", config=config, progress=False, tensorboard=False)
    assert (bounds() > before + 0.5).all()
    write_json(tmp_path / "config.json", describe(model))
    save_weights(model, tmp_path)
    loaded = latentsde.load(tmp_path)
    ours = latentsde.models.Forecaster(model, {}).predict(series, [1.0, 20.0], samples=10)
    assert loaded.predict(series, [1.0, 20.0], samples=10)["mean"].tolist() == ours["mean"].tolist()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"likelihoods": "laplace"}, "takes the likelihood 'normal' alone, got 'laplace'"),
        ({"diffusion": "state"}, "takes a constant diffusion"),
        ({"observation_times": "poisson"}, "observation times are data only along a simulated path"),
    ],
)
def test_what_it_cannot_linearise_is_refused(options: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        LatentSDE.for_series(small_series(), posterior="linearised", **options)


def test_it_is_not_trained_for_forecasts(tmp_path: Path) -> None:
    model = small_model(small_series(), posterior="linearised")
    with pytest.raises(InputError, match="leave hidden_after out"):
        fit(model, small_series(), out=tmp_path / "run", config=TrainingConfig(hidden_after=5.0))
