"""diffusers' DPM-Solver++ SDE sampler runs on our Brownian motion, and its images belong to their seed."""

from __future__ import annotations

import functools
import subprocess
import sys
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import latentsde.compat.torchsde as ours

module = pytest.importorskip(
    "diffusers.schedulers.scheduling_dpmsolver_sde",
    reason="diffusers is not installed; its sampler is tested where it is",
)

SIZE = (3, 8, 8)
STEPS = (20, 40, 80)


@pytest.fixture(autouse=True)
def replaced(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(module, "torchsde", ours)
    with warnings.catch_warnings():
        # One of these would be a time that the sampler asks for outside the interval of its sigmas.
        warnings.filterwarnings("error", message=".*outside the Brownian motion's interval.*")
        yield


class Network(nn.Module):
    """Noise predicted by a small random convolutional network that knows the time, each image on its own."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.first, self.last = nn.Conv2d(4, 8, 3, padding=1), nn.Conv2d(8, 3, 3, padding=1)
        for parameter in self.parameters():
            parameter.data = 0.1 * torch.randn(parameter.shape, generator=generator)

    @torch.no_grad()
    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        level = (time / 1000.0).to(x.dtype).expand(len(x), 1, *x.shape[2:])
        # Image by image: batched convolutions round differently.
        return torch.cat([self.last(self.first(one).tanh()) for one in torch.cat([x, level], 1).split(1)])


def images(steps: int, seed: int | list[int], batch: int = 1, karras: bool = False) -> Tensor:
    """`batch` images (batch, *SIZE), the first of them from the same start whatever the batch."""
    scheduler = module.DPMSolverSDEScheduler(noise_sampler_seed=seed, use_karras_sigmas=karras)
    scheduler.set_timesteps(steps)
    starts = [torch.randn(SIZE, generator=torch.Generator().manual_seed(k)) for k in range(batch)]
    x, network = torch.stack(starts) * scheduler.init_noise_sigma, Network()
    for time in scheduler.timesteps:
        noise = network(scheduler.scale_model_input(x, time), time)
        x = scheduler.step(noise, time, x).prev_sample
    assert x.isfinite().all()
    return x


def distance(first: Tensor, second: Tensor) -> float:
    return float((first - second).square().mean().sqrt())


@functools.cache
def image(steps: int, seed: int, karras: bool) -> Tensor:
    return images(steps, seed, karras=karras)


def refine(images: Sequence[Tensor], other: Tensor) -> bool:
    """Whether images come closer with their steps, nearer than another seed's is to the finest."""
    coarse, middle, fine = images
    nearer = distance(middle, fine) < 0.75 * distance(coarse, middle)
    return nearer and distance(coarse, fine) < 0.25 * distance(other, fine)


@pytest.mark.parametrize("karras", [False, True])
def test_more_steps_refine_the_image_of_a_seed(karras: bool) -> None:
    assert refine([image(steps, 1, karras) for steps in STEPS], other=image(STEPS[-1], 2, karras))


@pytest.mark.parametrize("karras", [False, True])
def test_noise_that_changed_with_the_steps_would_be_seen(karras: bool) -> None:
    of_three_seeds = [image(steps, 3 - k, karras) for k, steps in enumerate(STEPS)]
    assert not refine(of_three_seeds, other=image(STEPS[-1], 2, karras))


@pytest.mark.parametrize("seeds", [5, [5, 6, 7]])
def test_an_image_is_the_same_in_any_batch(seeds: int | list[int]) -> None:
    one = seeds if isinstance(seeds, int) else seeds[:1]
    alone, among = images(20, one), images(20, seeds, batch=3)
    assert torch.equal(alone[0], among[0])
    assert distance(among[0], among[1]) > 0.1 * float(among[0].std())


@pytest.mark.parametrize("seed", [5, [5, 6]])
@pytest.mark.parametrize("tree", ["diffusers", "k-diffusion"])
def test_a_sigma_one_rounding_outside_is_the_end(seed: int | list[int], tree: str) -> None:
    """diffusers #13274: torchsde's BrownianInterval recurses without end there."""
    x, low, high = torch.zeros(2, *SIZE), 0.029167533, 14.614643
    sampler = make_sampler(x, low, high, seed, tree)
    inf, zero = torch.tensor(torch.inf), torch.tensor(0.0)
    above, below = torch.tensor(high).nextafter(inf), torch.tensor(low).nextafter(zero)
    exact = sampler(torch.tensor(high), torch.tensor(low))
    assert exact.shape == x.shape and exact.isfinite().all()
    torch.testing.assert_close(sampler(above, below), exact, rtol=1e-6, atol=0.0)
    assert sampler(above, torch.tensor(5.0)).isfinite().all()


class TreeNoise:
    """k-diffusion's noise: a BrownianTree for each seed, times sorted, increments over their root."""

    def __init__(self, x: Tensor, low: float, high: float, seeds: int | list[int]) -> None:
        t0, t1 = torch.as_tensor(low), torch.as_tensor(high)
        self.batched = isinstance(seeds, list)
        w0 = torch.zeros_like(x[0] if self.batched else x)
        listed = seeds if isinstance(seeds, list) else [seeds]
        self.trees = [ours.BrownianTree(t0, w0, t1, entropy=seed) for seed in listed]

    def __call__(self, sigma: Tensor, sigma_next: Tensor) -> Tensor:
        t0, t1 = sorted((sigma, sigma_next))
        w = torch.stack([tree(t0, t1) for tree in self.trees]) * (1.0 if sigma < sigma_next else -1.0)
        return (w if self.batched else w[0]) / (sigma_next - sigma).abs().sqrt()


def make_sampler(x: Tensor, low: float, high: float, seed: int | list[int], tree: str) -> Any:
    make = TreeNoise if tree == "k-diffusion" else module.BrownianTreeNoiseSampler
    return make(x, low, high, seed)


@pytest.mark.parametrize("seed", [5, [5, 6]])
def test_both_packages_ways_of_asking_are_one_path(seed: int | list[int]) -> None:
    x = torch.zeros(2, *SIZE)
    first, second = (make_sampler(x, 0.03, 14.6, seed, tree) for tree in ("diffusers", "k-diffusion"))
    for sigma, following in [(14.6, 3.0), (3.0, 0.5), (0.5, 0.03), (0.5, 3.0)]:
        times = torch.tensor(sigma), torch.tensor(following)
        assert torch.equal(first(*times), second(*times))


def test_one_line_before_the_import_is_all_a_program_needs() -> None:
    program = """
        import sys
        import latentsde.compat.torchsde

        sys.modules["torchsde"] = latentsde.compat.torchsde
        from diffusers import DPMSolverSDEScheduler
        from diffusers.schedulers import scheduling_dpmsolver_sde
        import torch
        import torchsde.settings

        scheduler = DPMSolverSDEScheduler(noise_sampler_seed=1)
        scheduler.set_timesteps(3)
        x = torch.ones(1, 1, 2, 2)
        for time in scheduler.timesteps:
            x = scheduler.step(torch.zeros_like(x), time, x).prev_sample
        tree = scheduler.noise_sampler.tree.trees[0]
        assert type(tree) is latentsde.compat.torchsde.BrownianInterval, type(tree)
        assert not [name for name in sys.modules if name.startswith("torchsde._")]
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
