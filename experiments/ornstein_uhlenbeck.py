"""How far the trained bound is from the truth, where the truth is known.

Ornstein-Uhlenbeck series dz = -θ z dt + σ dW observed with normal noise at random times: a Kalman filter with
the generating parameters gives the exact log-likelihood of held-out series, and a latent SDE that knows
nothing of this is trained on others. Printed is the mean gap (exact minus ELBO) in nats per observation, in
original units: the scaling's Jacobian is part of the ELBO.

    python experiments/ornstein_uhlenbeck.py            about two minutes on one core
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from latentsde import IrregularSeries, LatentSDE, TrainingConfig, fit
from latentsde.data import collate

THETA, SIGMA, NOISE = 1.0, 0.5, 0.2
SPAN, OBSERVATIONS = 8.0, 20
STATIONARY_VARIANCE = SIGMA**2 / (2.0 * THETA)


def simulate(count: int, seed: int) -> pd.DataFrame:
    """`count` series at uniform random times: columns id, time, x. Exact transitions, no discretisation."""
    rng = np.random.default_rng(seed)
    times = np.sort(rng.uniform(0.0, SPAN, (count, OBSERVATIONS)), axis=1)
    state = rng.normal(0.0, np.sqrt(STATIONARY_VARIANCE), count)
    states = [state]
    for gap in np.diff(times, axis=1).T:
        decay = np.exp(-THETA * gap)
        state = decay * state + rng.normal(size=count) * np.sqrt(STATIONARY_VARIANCE * (1.0 - decay**2))
        states.append(state)
    values = np.stack(states, axis=1) + rng.normal(0.0, NOISE, (count, OBSERVATIONS))
    names = np.repeat([f"s{k}" for k in range(count)], OBSERVATIONS)
    return pd.DataFrame({"id": names, "time": times.reshape(-1), "x": values.reshape(-1)})


def exact_log_likelihood(frame: pd.DataFrame) -> np.ndarray:
    """(series,) nats by the Kalman filter with the generating parameters, in order of first appearance."""
    times = frame["time"].to_numpy().reshape(-1, OBSERVATIONS)
    values = frame["x"].to_numpy().reshape(-1, OBSERVATIONS)
    mean, variance = np.zeros(len(values)), np.full(len(values), STATIONARY_VARIANCE)
    total = np.zeros(len(values))
    for k in range(OBSERVATIONS):
        if k:
            decay = np.exp(-THETA * (times[:, k] - times[:, k - 1]))
            mean, variance = decay * mean, decay**2 * variance + STATIONARY_VARIANCE * (1.0 - decay**2)
        spread = variance + NOISE**2
        error = values[:, k] - mean
        total -= 0.5 * (error**2 / spread + np.log(2.0 * np.pi * spread))
        gain = variance / spread
        mean, variance = mean + gain * error, variance * (1.0 - gain)
    return total


def gap_per_observation(model: LatentSDE, frame: pd.DataFrame, *, draws: int) -> tuple[float, float]:
    """(mean gap, its standard error over the series) in nats per observation, the ELBO averaged over `draws`
    estimates.
    """
    series = IrregularSeries.from_frame(frame, id="id", time="time")
    batch = collate(series, np.arange(len(series)), model.scaler)
    with torch.no_grad():
        bound = torch.stack([model.elbo(batch, seed=seed).value() for seed in range(draws)]).mean(0).numpy()
    jacobian = -np.log(model.scaler.std).sum() * OBSERVATIONS
    gaps = (exact_log_likelihood(frame) - bound - jacobian) / OBSERVATIONS
    return float(gaps.mean()), float(gaps.std() / np.sqrt(len(gaps)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--series", type=int, default=2000, help="training series")
    parser.add_argument("--held-out", type=int, default=500)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--dt", type=float, default=0.1)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    options = parser.parse_args()
    torch.set_num_threads(1)
    held_out = simulate(options.held_out, 2)
    exact = exact_log_likelihood(held_out).sum() / len(held_out)
    print(f"exact log-likelihood of the held-out series: {exact:.4f} nats per observation")
    for seed in options.seeds:
        train = IrregularSeries.from_frame(simulate(options.series, 1), id="id", time="time")
        model = LatentSDE.for_series(
            train, seed=seed, dt=options.dt, latent=1, context=16, hidden=32, encoder=32
        )
        start = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            config = TrainingConfig(steps=options.steps, anneal_steps=100, hidden_share=0.0, seed=seed)
            fit(model, train, out=Path(folder) / "run", config=config, progress=False, tensorboard=False)
        gap, error = gap_per_observation(model, held_out, draws=8)
        print(
            f"seed {seed}: gap {gap:.4f} ± {error:.4f} (standard error over series) nats per observation, "
            f"{options.steps} iterations, {time.perf_counter() - start:.0f} s"
        )


if __name__ == "__main__":
    main()
