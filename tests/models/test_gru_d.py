"""GRU-D as in the paper: equations 10 to 13, written out row by row and feature by feature."""

from __future__ import annotations

import math

import torch

from latentsde.data import collate
from latentsde.models.gru_d import GRUD
from tests.models.small import small_model_named, small_series

SERIES = small_series()


def test_imputed_inputs_and_states_are_those_of_the_paper() -> None:
    model = small_model_named("gru_d", SERIES, period=5.0)
    assert isinstance(model, GRUD)
    batch = collate(SERIES, range(len(SERIES)), model.scaler)
    missing = ~batch.mask & (batch.lengths[:, None] > torch.arange(batch.mask.shape[1]))[..., None]
    assert missing.any()
    times = model.model_time(batch.times)
    with torch.no_grad():
        own = model.states_at(batch, times, or_at=True)
        for s, length in enumerate(batch.lengths.tolist()):
            state = model.start(batch.static[s : s + 1])
            seen_at = [float(times[s, 0])] * 2
            last = model.mean.tolist()
            for k in range(length):
                t = float(times[s, k])
                delta = [t - when for when in seen_at]
                decay = model.recurrence.between.rate(torch.tensor(delta)).clamp_min(0.0)
                row = []
                for f in range(2):
                    gamma = math.exp(
                        -max(0.0, float(model.input_rate[f] * delta[f] + model.input_rate_at_once[f]))
                    )
                    if batch.mask[s, k, f]:
                        row.append(float(batch.values[s, k, f]))
                        last[f], seen_at[f] = row[-1], t
                    else:
                        row.append(gamma * last[f] + (1.0 - gamma) * float(model.mean[f]))
                extra = model.extra(times[s, k].float()[None], batch.static[s : s + 1], torch.Size((1,)))
                inputs = torch.cat([torch.tensor([row]), batch.mask[s : s + 1, k].float(), extra], dim=1)
                state = model.recurrence.cell(inputs, state * torch.exp(-decay))
                # A query on the row decays by what the row itself leaves unobserved.
                gone = torch.tensor([t - when for when in seen_at])
                expected = state[0] * torch.exp(-model.recurrence.between.rate(gone).clamp_min(0.0))
                torch.testing.assert_close(own[s, k], expected, rtol=1e-4, atol=1e-5)
