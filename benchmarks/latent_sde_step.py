"""Seconds for one training step (ELBO and gradient) of a latent SDE on irregular series: ours against
torchsde 0.2.6.

The same networks, batch and step size. torchsde takes one list of times for the whole batch, so it is asked
for the union of all observation times, at which it interpolates between its steps; ours steps on each series'
own times. Interleaved, medians of ratios.

    python benchmarks/latent_sde_step.py
"""

from __future__ import annotations

import argparse
from functools import partial

import numpy as np
import torch
import torchsde

from latentsde import LatentSDE, load_weather
from latentsde.benchmarks.timing import seconds_with_gradient
from latentsde.data import Batch, collate
from latentsde.models.posterior import PosteriorSDE


def ours(model: LatentSDE, batch: Batch, seed: int) -> torch.Tensor:
    return -model.elbo(batch, seed=seed).value().mean()


def with_torchsde(model: LatentSDE, batch: Batch, seed: int) -> torch.Tensor:
    """The same bound by `torchsde.sdeint(logqp=True)`, Euler, on the union of the batch's times."""
    code = model.encode(batch)
    generator = torch.Generator().manual_seed(seed)
    z0 = code.mean + code.std * torch.randn(code.mean.shape, generator=generator)
    observed = model.model_time(batch.times).float()
    union = torch.unique(torch.cat([torch.zeros(1), observed.reshape(-1)]))
    sde = PosteriorSDE(model, code.context, code.static)
    paths, path_kl = torchsde.sdeint(
        sde, z0, union, dt=model.config.dt / model.config.time_scale, method="euler", logqp=True
    )
    rank = torch.searchsorted(union, observed)
    z = paths[rank, torch.arange(len(batch)).unsqueeze(1)]
    log_prob = model.likelihoods.log_prob(model.decode(z, observed, batch.static.unsqueeze(1)), batch.values)
    prior_mean, prior_std = model.initial.prior(code.static)
    prior = torch.distributions.Normal(prior_mean.expand_as(code.mean), prior_std.expand_as(code.mean))
    kl_initial = torch.distributions.kl_divergence(torch.distributions.Normal(code.mean, code.std), prior)
    likelihood = torch.where(batch.mask, log_prob, 0.0).sum((1, 2))
    return -(likelihood - kl_initial.sum(-1) - path_kl.sum(0)).mean()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    series = load_weather().visible
    model = LatentSDE.for_series(series, period=24.0, dt=1.0, hidden=32)
    for name, jitter in (("on the hour", 0.0), ("at random minutes", 0.5)):
        batch = collate(series, np.arange(options.batch), model.scaler)
        shift = torch.rand(batch.times.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        times = torch.cummax(batch.times + jitter * shift, dim=1).values
        batch = Batch(batch.ids, times, batch.values, batch.mask, batch.static, batch.lengths)
        calls, parameters = (ours, with_torchsde), list(model.parameters())
        for call in calls:
            seconds_with_gradient(partial(call, model, batch, 0), parameters)
        timed = np.array(
            [
                [seconds_with_gradient(partial(call, model, batch, k), parameters) for call in calls]
                for k in range(options.rounds)
            ]
        )
        own, peer = np.median(timed, axis=0)
        print(
            f"observations {name}: ours {own * 1e3:.0f} ms, torchsde {peer * 1e3:.0f} ms a step, "
            f"torchsde / ours {np.median(timed[:, 1] / timed[:, 0]):.1f} (median of {options.rounds} ratios)"
        )


if __name__ == "__main__":
    main()
