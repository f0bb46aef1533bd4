"""The trained bound is near the truth where that is known: `experiments/ornstein_uhlenbeck.py`, shortened."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from experiments.ornstein_uhlenbeck import exact_log_likelihood, gap_per_observation, simulate
from latentsde import IrregularSeries, LatentSDE, TrainingConfig, fit


@pytest.mark.slow
def test_the_gap_to_the_exact_likelihood_is_at_most_a_fiftieth_of_a_nat(tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        train = IrregularSeries.from_frame(simulate(1000, 1), id="id", time="time")
        model = LatentSDE.for_series(train, dt=0.1, latent=1, context=16, hidden=32, encoder=32)
        config = TrainingConfig(steps=600, anneal_steps=100, hidden_share=0.0)
        fit(model, train, out=tmp_path / "run", config=config, progress=False, tensorboard=False)
        gap, error = gap_per_observation(model, simulate(300, 2), draws=4)
    finally:
        torch.set_num_threads(threads)
    assert gap + 3.0 * error > 0.0
    assert gap < 0.02


def test_the_exact_likelihood_is_that_of_the_joint_normal() -> None:
    """The Kalman filter of the experiment against the density of all observations at once."""
    frame = simulate(3, 0)
    for index, (_, series) in enumerate(frame.groupby("id", sort=False)):
        times, values = (torch.tensor(series[name].to_numpy()) for name in ("time", "x"))
        covariance = 0.125 * torch.exp(-(times[:, None] - times).abs()) + 0.04 * torch.eye(
            len(times), dtype=times.dtype
        )
        joint = torch.distributions.MultivariateNormal(torch.zeros_like(times), covariance).log_prob(values)
        assert abs(float(joint) - exact_log_likelihood(frame)[index]) < 1e-9
