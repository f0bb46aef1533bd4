"""SeriesModelCase: what every model of series has to pass. A new model inherits it; see test_models.py."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from latentsde.data import Batch, IrregularSeries, collate
from latentsde.files import write_json
from latentsde.models import ELBO, Forecaster, SeriesModel, describe, load_run, predict, save_weights
from latentsde.models.bound import hide
from tests.models.small import small_model_named, small_series

SERIES = small_series()
EVERYONE = np.arange(len(SERIES))
# Before the start, on a row, between rows, long after.
QUERIES = np.array([-4.0, float(SERIES.times[SERIES.rows(1)][1]), 5.0, 5.5, 40.0])


@functools.cache
def trained(name: str) -> SeriesModel:
    """Untrained, but away from zero, with a rhythm and a static covariate, so that all inputs exist."""
    return small_model_named(name, SERIES, period=5.0)


def parts(bound: ELBO) -> Tensor:
    return torch.stack([bound.log_likelihood, bound.kl_initial, bound.kl_path])


def stretched(batch: Batch, rows: int = 3) -> Batch:
    """The batch with further padding, of values that nobody must look at."""
    count, _, features = batch.values.shape
    return replace(
        batch,
        times=torch.cat([batch.times, batch.times[:, -1:].expand(-1, rows)], 1),
        values=torch.cat([batch.values, torch.full((count, rows, features), 77.0)], 1),
        mask=torch.cat([batch.mask, torch.zeros(count, rows, features, dtype=torch.bool)], 1),
    )


class SeriesModelCase:
    """Inherit and name the model.

    Attributes:
        model_name: in MODELS.
        latent_randomness: whether there is any; without, the bound is the log-likelihood itself.
        unused: parameters without a gradient, besides those of likelihoods that no feature has.
    """

    model_name: ClassVar[str]
    latent_randomness: ClassVar[bool] = True
    unused: ClassVar[frozenset[str]] = frozenset()

    @property
    def model(self) -> SeriesModel:
        return trained(self.model_name)

    def batch(self, indices: Any = EVERYONE) -> Batch:
        return collate(SERIES, indices, self.model.scaler)

    def asked(self, batch: Batch) -> Tensor:
        return torch.from_numpy(QUERIES).expand(len(batch), -1)

    def decoded(self, batch: Batch, monkeypatch: pytest.MonkeyPatch, **how: Any) -> Tensor:
        """The locations (B, samples, T, F) that the bound's likelihood is made of."""
        model = self.model
        seen: list[Tensor] = []
        count = type(model).log_likelihood

        def spy(location: Tensor, of: Batch) -> Tensor:
            seen.append(location.detach())
            return count(model, location, of)

        with monkeypatch.context() as patch:
            patch.setattr(model, "log_likelihood", spy)
            model.elbo(batch, seed=1, **how)
        (location,) = seen
        return location.reshape(len(batch), -1, *location.shape[-2:])

    # The bound

    def test_a_series_has_the_same_bound_in_any_batch(self) -> None:
        def bound(batch: Batch) -> torch.Tensor:
            return parts(self.model.elbo(batch, seed=3, samples=2, seen=hide(batch, 0.4, seed=4)))

        alone = [bound(self.batch([k])) for k in EVERYONE]
        torch.testing.assert_close(bound(self.batch()), torch.cat(alone, dim=1), rtol=1e-4, atol=1e-4)

    def test_unobserved_values_and_padding_do_not_matter(self) -> None:
        batch = self.batch()
        spoiled = stretched(replace(batch, values=torch.where(batch.mask, batch.values, 77.0)))
        bounds, gradients = [], []
        for each in (batch, spoiled):
            bound = self.model.elbo(each, seed=1)
            bounds.append(parts(bound))
            wanted = [p for n, p in self.model.named_parameters() if not self._is_unused(n)]
            gradients.append(torch.autograd.grad(bound.value().mean(), wanted))
        torch.testing.assert_close(*bounds, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-4)

    def test_hidden_values_are_not_seen_and_are_scored(self, monkeypatch: pytest.MonkeyPatch) -> None:
        batch = self.batch()
        seen = hide(batch, 0.5, seed=1)
        hidden = batch.mask & ~seen.mask
        assert hidden.any() and seen.mask.any()
        other = replace(batch, values=batch.values + hidden)
        before, after = (self.decoded(each, monkeypatch, seen=seen) for each in (batch, other))
        torch.testing.assert_close(after, before, rtol=0.0, atol=0.0)
        bounds = [self.model.elbo(each, seed=1, seen=seen) for each in (batch, other)]
        assert (bounds[0].log_likelihood != bounds[1].log_likelihood)[hidden.any(2).any(1)].all()
        # What is seen is: otherwise the comparison above would say nothing.
        moved = replace(seen, values=seen.values + seen.mask)
        assert not torch.equal(self.decoded(batch, monkeypatch, seen=moved), before)

    def test_every_parameter_gets_a_gradient(self) -> None:
        model = small_model_named(self.model_name, SERIES, period=5.0)
        (-model.elbo(self.batch(), seed=1).value().mean()).backward()
        without = {n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0}
        assert all(self._is_unused(name) for name in without), without
        assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)

    def _is_unused(self, name: str) -> bool:
        return name in self.unused or name == "likelihoods.raw_degrees"  # of the Student t

    def test_the_parts_of_the_bound_add_up(self) -> None:
        bound = self.model.elbo(self.batch(), seed=1, samples=3)
        torch.testing.assert_close(bound.log_weights.mean(1), bound.value(), rtol=1e-5, atol=1e-4)
        assert torch.equal(bound.observed, self.batch().mask.sum((1, 2)))
        costs = parts(bound)[1:]
        assert costs.any() == self.latent_randomness
        assert bound.log_weights.shape == (len(SERIES), 3 if self.latent_randomness else 1)

    def test_a_series_without_observations_has_the_bound_of_nothing(self) -> None:
        batch = self.batch()
        mask = batch.mask & (batch.ids != batch.ids[2])[:, None, None]
        empty = replace(batch, mask=mask, values=batch.values * mask, lengths=mask.any(2).sum(1))
        bound = self.model.elbo(empty, seed=1, seen=hide(empty, 0.2, seed=2))
        assert bound.log_likelihood[2] == 0.0 and bound.value().isfinite().all()
        paths = self.model.posterior_paths(empty, self.asked(empty), samples=2, seed=0)
        assert paths.location.isfinite().all()

    # Predictions

    def test_a_series_is_predicted_the_same_in_any_company(self) -> None:
        batch = self.batch()
        together = self.model.posterior_paths(batch, self.asked(batch), samples=3, seed=5)
        for k in EVERYONE:
            one = self.batch([k])
            alone = self.model.posterior_paths(one, self.asked(one), samples=3, seed=5)
            torch.testing.assert_close(together.latent[:, k], alone.latent[:, 0], rtol=1e-3, atol=1e-3)
            torch.testing.assert_close(together.location[:, k], alone.location[:, 0], rtol=1e-3, atol=1e-3)

    def test_predictions_look_at_what_is_observed_and_at_nothing_else(self) -> None:
        batch = self.batch()
        spoiled = stretched(replace(batch, values=torch.where(batch.mask, batch.values, 77.0)))
        moved = replace(batch, values=batch.values + batch.mask)
        own, other, changed = (
            self.model.posterior_paths(each, self.asked(each), samples=2, seed=0).location
            for each in (batch, spoiled, moved)
        )
        torch.testing.assert_close(own, other, rtol=1e-3, atol=1e-3)
        assert (own[:, :, 3] != changed[:, :, 3]).any(-1).all()

    def test_any_time_can_be_asked_for(self) -> None:
        table = Forecaster(self.model, {}).predict(SERIES, QUERIES, samples=10)
        numbers = table[["mean", "std", "q05", "q50", "q95"]].to_numpy()
        assert len(table) == len(SERIES) * len(QUERIES) * 2 and np.isfinite(numbers).all()
        assert (table["std"] > 0).all()

    def test_a_loaded_model_is_the_model(self, tmp_path: Path) -> None:
        write_json(tmp_path / "config.json", describe(self.model))
        save_weights(self.model, tmp_path)
        loaded, _ = load_run(tmp_path)
        assert type(loaded) is type(self.model) and loaded.config == self.model.config
        batch = self.batch()
        assert torch.equal(parts(loaded.elbo(batch, seed=2)), parts(self.model.elbo(batch, seed=2)))

    # Samples of the prior

    def test_samples_of_the_prior_are_functions_of_seed_and_name(self) -> None:
        forecaster = Forecaster(self.model, {})
        before = torch.get_rng_state()
        few, again, many = (forecaster.sample(SERIES, QUERIES, n=n, seed=4) for n in (2, 2, 5))
        other = forecaster.sample(SERIES, QUERIES, n=2, seed=6)
        assert torch.equal(before, torch.get_rng_state())
        pd.testing.assert_frame_equal(few, again)
        pd.testing.assert_frame_equal(few, many.iloc[: len(few)], rtol=1e-4)
        assert np.isfinite(few[["a", "b"]].to_numpy()).all()
        assert (few[["a", "b"]] != other[["a", "b"]]).to_numpy().all()

    def test_paths_from_one_prior_differ(self) -> None:
        drawn = next(predict(self.model, None, [QUERIES], ids=np.array([3]), samples=3, seed=0))
        assert drawn.samples.shape == (3, len(QUERIES), 2)
        assert len(np.unique(drawn.samples[:, :, 0])) == 3 * len(QUERIES)

    # Other data

    def test_counts_without_covariates_or_rhythm(self) -> None:
        rng = np.random.default_rng(0)
        table = pd.DataFrame({"id": np.repeat([1, 2], 9), "t": np.tile(np.arange(9.0), 2)})
        series = IrregularSeries.from_frame(table.assign(n=rng.poisson(4.0, 18)), id="id", time="t")
        model = small_model_named(self.model_name, series, likelihoods="poisson")
        bound = model.elbo(collate(series, [0, 1], model.scaler), seed=0)
        assert bound.value().isfinite().all()
        both = [
            next(predict(model, series.select([0]), [np.array([3.5, 12.0])], samples=20)),
            next(predict(model, None, [np.array([3.5, 12.0])], ids=np.array([0]), samples=20)),
        ]
        for drawn in both:
            assert (drawn.samples >= 0).all() and (drawn.samples == np.round(drawn.samples)).all()
