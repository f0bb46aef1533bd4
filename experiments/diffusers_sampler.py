"""The image of a seed, refined: diffusers' SDE sampler (DPM-Solver++, DPMSolverSDEScheduler) on our Brownian
motion.

A small random convolutional network predicts the noise. Printed is the root mean square distance between the
images of one seed with n and 2n steps, over that between the images of different seeds with the most steps.
With one Brownian path for each seed it shrinks as the steps are refined; with noise that is drawn anew it
would stay near 1.

    python experiments/diffusers_sampler.py         needs `pip install diffusers`
    python experiments/diffusers_sampler.py --peer     the same on torchsde's own Brownian motion
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from typing import Any

import torch
from torch import Tensor, nn

import latentsde.compat.torchsde


def scheduler_class(peer: bool) -> Any:
    """diffusers' scheduler, with our classes in torchsde's place unless the peer is asked for."""
    if not peer:
        sys.modules["torchsde"] = latentsde.compat.torchsde
    from diffusers.schedulers.scheduling_dpmsolver_sde import DPMSolverSDEScheduler

    return DPMSolverSDEScheduler


def network(channels: int, width: int) -> nn.Module:
    """(batch, channels, height, width) of the same shape; random weights, always the same ones."""
    layers = nn.Sequential(
        nn.Conv2d(channels, width, 3, padding=1), nn.Tanh(), nn.Conv2d(width, channels, 3, padding=1)
    )
    generator = torch.Generator().manual_seed(0)
    for parameter in layers.parameters():
        parameter.data = 0.1 * torch.randn(parameter.shape, generator=generator)
    return layers


@torch.no_grad()
def image(scheduler: Any, model: nn.Module, size: tuple[int, ...], steps: int) -> Tensor:
    scheduler.set_timesteps(steps)
    x = torch.randn(1, *size, generator=torch.Generator().manual_seed(0)) * scheduler.init_noise_sigma
    for level in scheduler.timesteps:
        x = scheduler.step(model(scheduler.scale_model_input(x, level)), level, x).prev_sample
    return x


def distance(first: Tensor, second: Tensor) -> float:
    return float((first - second).square().mean().sqrt())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=10, help="of the coarsest image")
    parser.add_argument("--doublings", type=int, default=4)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--size", type=int, default=16, help="pixels of a side")
    parser.add_argument("--karras", action="store_true", help="sigmas of Karras et al. 2022")
    parser.add_argument("--peer", action="store_true", help="torchsde's own Brownian motion")
    options = parser.parse_args()
    torch.set_num_threads(1)
    make, model, size = scheduler_class(options.peer), network(3, 16), (3, options.size, options.size)
    steps = [options.steps * 2**k for k in range(options.doublings + 1)]

    start = time.perf_counter()
    images = {
        seed: [
            image(make(noise_sampler_seed=seed, use_karras_sigmas=options.karras), model, size, n)
            for n in steps
        ]
        for seed in options.seeds
    }
    seconds = time.perf_counter() - start

    finest = [row[-1] for row in images.values()]
    others = [distance(a, b) for a, b in itertools.combinations(finest, 2)]
    between = sum(others) / len(others) if others else float("nan")
    print(f"different seeds, {steps[-1]} steps: root mean square distance {between:.4f}")
    print("steps       distance of one seed / of different seeds")
    for k, (n, doubled) in enumerate(itertools.pairwise(steps)):
        mean = sum(distance(row[k], row[k + 1]) for row in images.values()) / len(images)
        print(f"{n:4d} - {doubled:4d}  {mean / between:.4f}")
    package = "torchsde" if options.peer else "latentsde"
    print(f"{len(images) * sum(steps)} steps in {seconds:.1f} s on {package}")


if __name__ == "__main__":
    main()
