"""Observation times as data: the likelihood of a Poisson process on the posterior path."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import torch

from latentsde.data import IrregularSeries, collate
from latentsde.errors import InputError
from latentsde.models import LatentSDE, SeriesModel
from latentsde.models.observation_times import AskedTimes, log_likelihood_of_times
from tests.models.small import frame, small_model, small_series

SERIES = small_series()
MODEL = small_model(SERIES, observation_times="poisson")
EVERYONE = np.arange(len(SERIES))


def followed(until: float = 12.0) -> IrregularSeries:
    return IrregularSeries.from_frame(
        frame().assign(until=until),
        id="who",
        time="t",
        values=["a", "b"],
        static=["age"],
        follow_up="until",
    )


def event_times(series: IrregularSeries, s: int) -> np.ndarray:
    """Those of the rows that hold a value; one of this data set's holds none."""
    rows = series.rows(s)
    return series.times[rows][np.isfinite(series.values[rows]).any(1)]


def constant(model: LatentSDE, log_intensity: float) -> LatentSDE:
    """The model with one intensity for every state and time."""
    decoder = model.intensity_decoder
    assert decoder is not None
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.zero_()
        decoder.linear.bias.fill_(log_intensity)
    return model


@pytest.mark.parametrize("until", [None, 12.0])
def test_a_constant_intensity_has_the_closed_form(until: float | None) -> None:
    """n log λ - λ T, whatever the path; the earliest row of all is where the clock begins, and no event."""
    series = SERIES if until is None else followed(until)
    poisson = constant(small_model(series, observation_times="poisson"), 0.7)
    batch = collate(series, EVERYONE, poisson.scaler)
    asked = poisson.asked_times(batch)
    path = torch.randn(len(batch), 2, asked.times.shape[1], 3, generator=torch.Generator().manual_seed(0))
    found = poisson.log_likelihood_of_times(path, asked, batch)
    start, scale = poisson.config.start, poisson.config.time_scale
    for s in EVERYONE:
        times = event_times(series, s)
        span = ((times[-1] if until is None else until) - start) / scale
        wanted = (times > start).sum() * 0.7 - math.exp(0.7) * span
        assert found[s].tolist() == pytest.approx([wanted, wanted], rel=1e-5)


def test_the_bound_is_the_one_without_times_and_their_likelihood() -> None:
    """With solver steps at the same times; the noise then is the same."""
    batch = collate(SERIES, EVERYONE, MODEL.scaler)
    with torch.no_grad():
        base = constant(small_model(SERIES, observation_times="poisson"), -30.0).elbo(batch, seed=1)
        more = constant(small_model(SERIES, observation_times="poisson"), 0.3).elbo(batch, seed=1)
    torch.testing.assert_close(base.kl_path, more.kl_path)
    events = torch.tensor([(event_times(SERIES, s) > MODEL.config.start).sum() for s in EVERYONE])
    span = torch.tensor([event_times(SERIES, s)[-1] for s in EVERYONE]) - MODEL.config.start
    wanted = events * 30.3 - (math.exp(0.3) - math.exp(-30.0)) * span / MODEL.config.time_scale
    difference = (more.log_likelihood - base.log_likelihood).double()
    torch.testing.assert_close(difference, wanted, rtol=1e-3, atol=1e-2)


def test_a_series_has_the_same_bound_in_any_batch() -> None:
    together = MODEL.elbo(collate(SERIES, EVERYONE, MODEL.scaler), seed=3).value()
    alone = torch.cat([MODEL.elbo(collate(SERIES, [k], MODEL.scaler), seed=3).value() for k in EVERYONE])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4)


def test_the_intensity_learns() -> None:
    model = small_model(SERIES, observation_times="poisson")
    model.elbo(collate(SERIES, EVERYONE, model.scaler), seed=3).value().sum().backward()
    assert model.intensity_decoder is not None
    for parameter in model.intensity_decoder.parameters():
        assert parameter.grad is not None and (parameter.grad != 0).any()


@pytest.mark.parametrize(("observed", "end"), [([0.4, 1.1, 2.0], 3.3), ([0.5, 0.5, 0.5], 0.5)])
def test_the_integral_is_of_second_order(observed: list[float], end: float) -> None:
    """λ(t) = exp(sin 3t - t / 2) against ∫λ by a fine Simpson sum."""
    fine = np.linspace(0.0, end, 20_001)
    exact = float(np.trapezoid(np.exp(np.sin(3 * fine) - fine / 2), fine))
    errors = []
    for spacing in (0.1, 0.05, 0.025):
        times, until = torch.tensor([observed], dtype=torch.float64), torch.tensor([end], dtype=torch.float64)
        asked = AskedTimes.with_quadrature(times, until, spacing)
        log_intensity = (torch.sin(3 * asked.times) - asked.times / 2).unsqueeze(1)
        events = torch.zeros(1, 3, dtype=torch.bool)
        errors.append(abs(float(-log_likelihood_of_times(log_intensity, asked, events)) - exact))
        assert torch.equal(asked.times.gather(1, asked.rank), times)  # type: ignore[arg-type]
        assert asked.times[0, 0] == 0.0 and asked.times[0, -1] == end and (asked.times.diff() >= 0).all()
        assert float(asked.times.diff().max()) <= spacing * (1 + 1e-9)
    assert errors[2] < errors[1] / 3 < errors[0] / 9 < 1e-3


def test_a_known_rhythm_of_observations_is_recovered() -> None:
    """λ(t) = exp(.5 + .8 sin 2πt/4) in 300 series over 12 time units, 6,000 events: the maximum of the
    likelihood over intensities linear in the time features. Coefficients have a standard error below .02;
    within .1 is false-alarm rate below 1e-5.
    """
    rng = np.random.default_rng(0)
    rows = []
    for s in range(300):
        candidates = np.sort(rng.uniform(0.0, 12.0, rng.poisson(12.0 * math.exp(1.3))))
        kept = rng.random(len(candidates)) < np.exp(0.8 * np.sin(2 * np.pi * candidates / 4.0) - 0.8)
        rows += [(f"s{s}", t, 0.0) for t in (0.0, *candidates[kept])]
    table = pd.DataFrame(rows, columns=["id", "t", "x"]).assign(end=12.0)
    series = IrregularSeries.from_frame(table, id="id", time="t", follow_up="end")
    model = LatentSDE.for_series(series, latent=1, hidden=4, period=4.0, observation_times="poisson", dt=0.25)
    constant(model, 0.0)
    batch = collate(series, np.arange(len(series)), model.scaler)
    asked = model.asked_times(batch)
    path = torch.zeros(len(batch), 1, asked.times.shape[1], 1)
    assert model.intensity_decoder is not None
    linear = model.intensity_decoder.linear
    optimizer = torch.optim.LBFGS(linear.parameters(), max_iter=60, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = -model.log_likelihood_of_times(path, asked, batch).mean()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(loss)
    t = torch.linspace(0.0, 4.0, 17)
    with torch.no_grad():
        found = model.intensity(
            torch.zeros(17, 1), model.model_time(t).float(), batch.static[:1].expand(17, -1)
        )
    assert found is not None
    wanted = 0.5 + 0.8 * torch.sin(2 * math.pi * t / 4.0)
    assert float((found.log() - wanted).abs().max()) < 0.1


def test_paths_carry_the_intensity_in_the_unit_of_the_data() -> None:
    model = constant(
        small_model(SERIES, observation_times="poisson"), math.log(2.0 * MODEL.config.time_scale)
    )
    batch = collate(SERIES, [0, 1], model.scaler)
    queries = torch.tensor([[-1.0, 2.0, 30.0]] * 2, dtype=torch.float64)
    paths = model.posterior_paths(batch, queries, samples=4, seed=0)
    assert paths.intensity is not None and paths.intensity.shape == (4, 2, 3)
    torch.testing.assert_close(paths.intensity, torch.full((4, 2, 3), 2.0))
    prior = model.prior_paths(batch.static, batch.ids, queries, samples=4, seed=0).intensity
    assert prior is not None and prior.shape == (4, 2, 3)
    assert small_model(SERIES).posterior_paths(batch, queries, samples=2, seed=0).intensity is None


def test_what_cannot_model_times_says_so() -> None:
    class Other(LatentSDE):
        can_model_times = SeriesModel.can_model_times

    with pytest.raises(InputError, match="takes observation times as given"):
        Other(MODEL.config, MODEL.scaler)
    with pytest.raises(InputError, match="'given' or 'poisson', got 'hawkes'"):
        small_model(SERIES, observation_times="hawkes")


def test_follow_up_is_kept_with_its_series() -> None:
    series = IrregularSeries.from_frame(
        frame().assign(until=lambda d: d["age"]), id="who", time="t", values=["a", "b"], follow_up="until"
    )
    assert series.ends is not None and series.ends.tolist() == [40.0 + k for k in range(6)]
    part = series.select([4, 1])
    assert part.ends is not None and part.ends.tolist() == [44.0, 41.0]
    batch = collate(part, [1], MODEL.scaler)
    assert batch.ends is not None and batch.ends.tolist() == [41.0]
    # What is withheld as the future was not followed by who sees the rest.
    visible, withheld = series.hold_out_after(time=4.0)
    assert visible.ends is not None and visible.ends.tolist() == [4.0] * 6
    assert withheld.ends is not None and withheld.ends.tolist() == series.ends.tolist()
    visible, _ = series.hold_out_after(fraction=0.5)
    first = [
        min(t for t in series.times[series.rows(s)] if t > 0.5 * sum(series.times[series.rows(s)][[0, -1]]))
        for s in EVERYONE
    ]
    assert visible.ends is not None and visible.ends.tolist() == first


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.assign(until=1.0), "follow-up of series 's0' ends before its last row"),
        (lambda d: d.assign(until=20.0 + d["t"]), "'until' changes within series 's0'"),
        (lambda d: d.assign(until="2020-01-01"), "in which unit"),
    ],
)
def test_bad_ends_of_follow_up_are_refused(change: object, words: str) -> None:
    with pytest.raises(InputError, match=words):
        IrregularSeries.from_frame(
            change(frame()),  # type: ignore[operator]
            id="who",
            time="t",
            values=["a", "b"],
            follow_up="until",
        )
