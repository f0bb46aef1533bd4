"""What every autoregressive model has to pass besides: it predicts from the past, one step ahead."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
import torch

from latentsde.data import Batch, collate
from latentsde.models.autoregressive import Autoregressive
from latentsde.models.bound import hide
from latentsde.models.rows import without_empty_rows
from tests.models.series_model_case import EVERYONE, SERIES, SeriesModelCase, trained


class AutoregressiveCase(SeriesModelCase):
    """Inherit and name the model."""

    latent_randomness: ClassVar[bool] = False

    @property
    def model(self) -> Autoregressive:
        model = trained(self.model_name)
        assert isinstance(model, Autoregressive)
        return model

    def test_later_values_change_no_earlier_prediction(self, monkeypatch: pytest.MonkeyPatch) -> None:
        batch = self.batch()
        own = self.decoded(batch, monkeypatch)
        for k in range(3):
            from_k = torch.arange(batch.mask.shape[1])[:, None] >= k
            other = replace(batch, values=batch.values + (batch.mask & from_k))
            changed = self.decoded(other, monkeypatch)
            torch.testing.assert_close(changed[:, :, : k + 1], own[:, :, : k + 1], rtol=0.0, atol=0.0)
            # And the row after it does change, where there is one.
            after = batch.lengths > k + 1
            assert (changed[after, :, k + 1] != own[after, :, k + 1]).all()

    def test_the_bound_predicts_each_row_from_the_rows_before_it(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What the bound decodes is the prediction given the series cut off there."""
        model = self.model
        own = self.decoded(self.batch(), monkeypatch)
        for s in (0, 3):
            rows = np.arange(len(SERIES.times))[SERIES.rows(s)]
            seen = [r for r in rows if np.isfinite(SERIES.values[r]).any()]
            for k, row in enumerate(seen):
                later = np.isin(np.arange(len(SERIES.times)), rows[rows >= row])
                past = SERIES.with_values(np.where(later[:, None], np.nan, SERIES.values))
                query = torch.tensor([[SERIES.times[row]]], dtype=torch.float64)
                paths = model.posterior_paths(collate(past, [s], model.scaler), query, samples=1, seed=0)
                torch.testing.assert_close(paths.location[0, 0, 0], own[s, 0, k], rtol=1e-4, atol=1e-4)

    def test_a_hidden_value_is_one_that_was_never_there(self) -> None:
        """States given a partly hidden batch are those given the series without the hidden values."""
        partly = hide(self.batch(), 0.5, seed=9)
        fewer = without_empty_rows(partly)
        assert fewer.lengths.sum() < self.batch().lengths.sum()
        times = self.model.model_time(self.batch().times)
        states = [self.model.states_at(each, times, or_at=True) for each in (partly, fewer)]
        torch.testing.assert_close(*states, rtol=0.0, atol=0.0)

    def test_a_query_on_a_row_knows_the_row(self) -> None:
        batch = self.batch()
        at = batch.times[:, 1:2]
        moved = batch.values.clone()
        moved[:, 1] += batch.mask[:, 1].float()
        own, other = (
            self.model.posterior_paths(each, at, samples=1, seed=0).latent
            for each in (batch, replace(batch, values=moved))
        )
        assert (own != other).any(-1).all()

    def test_before_the_first_row_the_state_is_the_start(self) -> None:
        """At any time, and as for a series in which nothing is ever observed."""
        batch = self.batch()
        nothing = torch.zeros_like(batch.mask)
        empty = replace(batch, mask=nothing, values=batch.values * nothing)
        first = self.model.model_time(batch.times[:, :1])
        long_before, just_before = (
            self.model.states_at(batch, first - gap, or_at=True) for gap in (30.0, 1e-6)
        )
        never = self.model.states_at(empty, first + 5.0, or_at=True)
        torch.testing.assert_close(long_before, just_before, rtol=0.0, atol=0.0)
        torch.testing.assert_close(long_before, never, rtol=0.0, atol=0.0)

    def test_samples_of_the_prior_are_predicted_from_their_own_past(self) -> None:
        """Ancestral sampling: the states are those of the model that is given the samples as observations."""
        model, ids = self.model, torch.tensor([7, 8])
        static = torch.tensor([[0.3], [-1.0]])
        queries = model.config.start + torch.tensor([[0.0, 0.7, 1.0, 6.0]] * 2, dtype=torch.float64)
        paths = model.prior_paths(static, ids, queries, samples=1, seed=0)
        assert paths.observations is not None
        values = paths.observations[0]
        mask = torch.ones_like(values, dtype=torch.bool)
        batch = Batch(ids, queries, values, mask, static, torch.full_like(ids, 4))
        states = model.states_at(batch, model.model_time(queries), or_at=False)
        torch.testing.assert_close(states, paths.latent[0], rtol=1e-4, atol=1e-5)

    def test_more_samples_change_nothing(self) -> None:
        one, many = (self.model.elbo(self.batch(EVERYONE), seed=s, samples=s) for s in (1, 4))
        assert torch.equal(one.log_weights, many.log_weights)
