"""The latent ODE against torchdiffeq: the path from z0, and the ODE-RNN that finds z0."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torchdiffeq import odeint

from latentsde.data import collate
from latentsde.models.initial_value import Rows
from latentsde.models.latent_ode import LatentODE
from tests.models.small import small_model_named, small_series

SERIES = small_series()


def latent_ode(dt: float) -> LatentODE:
    """In double precision, with a rhythm in its field and a static covariate."""
    model = small_model_named("latent_ode", SERIES, period=5.0, dt=dt)
    assert isinstance(model, LatentODE)
    return model.double()


def test_the_path_is_the_solution_of_its_ode_on_both_sides_of_the_start() -> None:
    """Each series on times of its own, against torchdiffeq at a tolerance of 1e-9; of order 2 in dt."""
    times = torch.tensor([[-1.5, -0.2, 0.0, 0.7, 4.0], [-0.1, 0.3, 2.0, 2.5, 9.0]], dtype=torch.float64)
    static = torch.tensor([[0.4], [-1.2]], dtype=torch.float64)
    z0 = torch.tensor([[0.5, -1.0, 2.0], [-0.3, 0.1, 0.9]], dtype=torch.float64)
    errors = []
    for dt in (0.1, 0.05):
        model = latent_ode(dt)
        rows = Rows(times, torch.tensor([5, 5]))
        with torch.no_grad():
            own, steps = model.states(z0, static, rows, times)
            exact = torch.stack([solved(model, z0[s], static[s], times[s]) for s in range(2)])
        assert steps > 8.0 * model.config.time_scale / dt
        errors.append(float((own - exact).abs().max()))
    assert errors[1] < 1e-3 and 3.0 < errors[0] / errors[1] < 5.0


def solved(model: LatentODE, z0: Tensor, static: Tensor, times: Tensor) -> Tensor:
    """(T, L) by torchdiffeq, with the field written out."""

    def field(t: Tensor, z: Tensor) -> Tensor:
        drift, angles = model.drift, (t - model.time_features.phase) * model.time_features.frequencies
        known = torch.cat([angles.sin(), angles.cos(), static])
        network = drift.network
        assert network.from_known is not None
        hidden = torch.tanh(network.from_state(z) + known @ network.from_known.weight.T)
        return network.output(hidden) - torch.nn.functional.softplus(drift.raw_rate) * z

    def along(direction: Tensor) -> Tensor:
        return odeint(field, z0, direction, rtol=1e-9, atol=1e-10)

    origin = torch.zeros(1, dtype=times.dtype)
    earlier, later = times[times < 0], times[times > 0]
    before = along(torch.cat([origin, earlier.flip(0)]))[1:].flip(0)
    after = along(torch.cat([origin, later]))[1:]
    at_start = z0.expand(int((times == 0).sum()), -1)
    return torch.cat([before, at_start, after])


def test_the_encoder_is_an_ode_rnn_run_backwards_to_the_time_of_z0() -> None:
    """Algorithm 1 of the paper written out for each series, its ODE by torchdiffeq."""
    model = latent_ode(0.02)
    batch = collate(SERIES, range(len(SERIES)), model.scaler)
    batch = replace(batch, values=batch.values.double(), static=batch.static.double())
    with torch.no_grad():
        own = model.summary(batch)
        values, times, extra = model.rows(batch)
        recurrence = model.encoder.recurrence
        assert len(set(batch.lengths.tolist())) > 1
        for s, length in enumerate(batch.lengths.tolist()):
            state = torch.zeros(1, model.config.encoder, dtype=torch.float64)
            for k in reversed(range(length)):
                row = torch.cat([values[s, k], batch.mask[s, k].double(), extra[s, k]])
                state = recurrence.cell(row.unsqueeze(0), state)
                until = float(times[s, k - 1]) if k else 0.0
                span = torch.tensor([0.0, float(times[s, k]) - until], dtype=torch.float64)
                if span[1] > 0:
                    field = recurrence.between.field
                    state = odeint(lambda t, y, f=field: f(y), state, span, rtol=1e-8, atol=1e-9)[-1]
            torch.testing.assert_close(own[s], state[0], rtol=1e-4, atol=1e-4)


def test_with_the_gru_encoder_the_summary_is_that_of_the_latent_sde() -> None:
    other, sde = (
        small_model_named(name, SERIES, period=5.0) for name in ("latent_ode_rnn_encoder", "latent_sde")
    )
    other.encoder.load_state_dict(sde.encoder.state_dict())  # type: ignore[union-attr]
    other.initial.load_state_dict(sde.initial.state_dict())  # type: ignore[union-attr]
    batch = collate(SERIES, [1, 4], other.scaler)
    mean, std = other.encode(batch)  # type: ignore[operator]
    code = sde.encode(batch)  # type: ignore[operator]
    torch.testing.assert_close((mean, std), (code.mean, code.std))
