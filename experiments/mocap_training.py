"""Training of the motion-capture models: windows that begin anywhere, at any pace, of a growing length.

Sixteen sequences teach a net of 150 inputs the sequences, not walking. What is done about it:

* windows that begin at any frame: no net is told the time, so each is as good as the sequence itself;
* windows played a little faster or slower, by a factor exp(N(0, pace²)): a walk that is left out has a pace
  of its own;
* a horizon that grows from 20 frames to all, and a diffusion that starts small: a path of 300 random steps
  otherwise predicts the mean pose for ever.

Everything random in iteration k is a function of (seed, k), and a checkpoint is written every so many: a run
that was killed goes on to the same result. The average of the last weights is what is kept; nothing is
stopped early.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from experiments.mocap_model import GIVEN, SCALE, MocapModel
from latentsde.brownian import derive_seed
from latentsde.errors import InputError
from latentsde.files import write_whole


@dataclass(frozen=True)
class Recipe:
    """How a model is trained.

    Attributes:
        iterations, batch: windows a batch.
        learning_rate: warmed up over 50 iterations, then along a cosine to a fortieth.
        clip: largest norm of the gradient.
        average: of the exponential average of the weights, which is what is kept.
        kl_weight, anneal: the weight of both divergences, and the iterations it takes to get there.
        horizon, grow: frames of the longest window, and the iterations to grow to it from 20.
        from_start: share of the windows that begin at frame 0.
        pace: deviation of the logarithm of the windows' pace.
        input_noise: deviation of the noise on the frames that the encoder sees, in deviations of the data.
        weight_decay: of AdamW.
        logit: of the diffusion at first.
        stochastic: False for the latent ODE.
        width: of the drifts' hidden layer.
    """

    iterations: int = 3000
    batch: int = 32
    learning_rate: float = 1e-2
    clip: float = 10.0
    average: float = 0.995
    kl_weight: float = 0.1
    anneal: int = 500
    horizon: int = 300
    grow: int = 1500
    from_start: float = 0.5
    pace: float = 0.03
    input_noise: float = 0.0
    weight_decay: float = 0.0
    logit: float = -3.0
    stochastic: bool = True
    width: int = 30


@dataclass(frozen=True)
class Trained:
    """The average of the weights at the end, and how it got there.

    Attributes:
        history: (iteration, seconds, loss per frame) of every checkpoint.
    """

    model: MocapModel
    history: list[tuple[int, float, float]]


def trained(checkpoint: Path) -> MocapModel | None:
    """The averaged weights of a checkpoint, or None where training has not come to its end."""
    saved = torch.load(checkpoint, weights_only=True)
    recipe = Recipe(**saved["recipe"])
    if saved["state"]["iteration"] < recipe.iterations:
        return None
    model = MocapModel(stochastic=recipe.stochastic, width=recipe.width)
    model.load_state_dict(saved["averaged"])
    return model


def horizon(recipe: Recipe, iteration: int) -> int:
    """Frames of a window: from 20 on by equal factors, so that most iterations are short, and cheap."""
    grown = 20.0 * (recipe.horizon / 20.0) ** (iteration / recipe.grow) if recipe.grow else math.inf
    return int(min(recipe.horizon, grown))


def windows(
    sequences: Tensor, recipe: Recipe, length: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """A batch (B, length, 50) of windows of `sequences` (N, T, 50), and (B, length) which frames are of the
    sequence: the others, beyond its end, repeat its last.
    """
    count, last = recipe.batch, sequences.shape[1] - 1

    def uniform() -> Tensor:
        return torch.rand(count, generator=generator)

    which = (uniform() * len(sequences)).long()
    latest = max(0, last - max(20, length // 3))
    start = torch.where(uniform() < recipe.from_start, 0.0, (uniform() * (latest + 1)).floor())
    pace = torch.exp(recipe.pace * torch.randn(count, generator=generator))
    at = start[:, None] + torch.arange(length) * pace[:, None]
    before = at.clamp_max(last - 1e-3).floor().long()
    share = (at.clamp_max(last) - before).unsqueeze(-1)
    rows = which.unsqueeze(1)
    frames = sequences[rows, before] * (1.0 - share) + sequences[rows, before + 1] * share
    return frames, (at <= last).to(frames.dtype)


def train(
    sequences: Tensor,
    recipe: Recipe,
    *,
    seed: int,
    checkpoint: Path,
    every: int = 200,
    compile: bool = False,
    say: Callable[[str], object] = print,
) -> Trained:
    """Train on `sequences` (N, T, 50), degrees.

    Args:
        checkpoint: a file to go on from and to leave behind, written every `every` iterations.
        compile: the solver's steps: half a minute once, then two thirds of the time, and other roundings.
    """
    model = MocapModel(stochastic=recipe.stochastic, logit=recipe.logit, width=recipe.width, seed=seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.0, weight_decay=recipe.weight_decay, fused=True)
    averaged = copy.deepcopy(model)
    state: dict[str, Any] = {"iteration": 0, "seconds": 0.0, "history": []}
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        if saved["recipe"] != asdict(recipe):
            raise InputError(f"{checkpoint} is of another recipe; choose another --out, or remove it")
        model.load_state_dict(saved["model"])
        averaged.load_state_dict(saved["averaged"])
        optimizer.load_state_dict(saved["optimizer"])
        state = saved["state"]
    began, before = time.perf_counter(), state["seconds"]
    for iteration in range(state["iteration"], recipe.iterations):
        loss = _step(model, optimizer, sequences, recipe, iteration, derive_seed(seed, iteration), compile)
        _follow(averaged, model, min(recipe.average, (iteration + 1) / (iteration + 10)))
        if (iteration + 1) % every and iteration + 1 < recipe.iterations:
            continue
        state |= {"iteration": iteration + 1, "seconds": before + time.perf_counter() - began}
        state["history"].append((iteration + 1, round(state["seconds"], 1), round(loss, 3)))
        content = {"recipe": asdict(recipe), "model": model.state_dict(), "state": state}
        content["averaged"] = averaged.state_dict()
        content["optimizer"] = optimizer.state_dict()
        write_whole(checkpoint, lambda file, content=content: torch.save(content, file))
        say(f"{iteration + 1:6d}  {state['seconds']:6.0f} s  loss {loss:8.3f}")
    return Trained(averaged, [tuple(row) for row in state["history"]])


def _step(
    model: MocapModel,
    optimizer: torch.optim.Optimizer,
    sequences: Tensor,
    recipe: Recipe,
    iteration: int,
    seed: int,
    compile: bool,
) -> float:
    """One update; the loss in nats per frame."""
    generator = torch.Generator().manual_seed(derive_seed(seed, 0))
    frames, mask = windows(sequences, recipe, horizon(recipe, iteration), generator)
    noise = torch.randn(frames[:, :GIVEN].shape, generator=generator)
    given = frames[:, :GIVEN] + recipe.input_noise * SCALE * noise
    parts = model.loss(given, frames, mask, seed=derive_seed(seed, 1), compile=compile)
    weight = recipe.kl_weight * min(1.0, (iteration + 1) / recipe.anneal)
    bound = parts.log_likelihood - weight * (parts.kl_initial + parts.kl_path)
    loss = -(bound / mask.sum(1)).mean()
    cosine = 0.5 * (1.0 + math.cos(math.pi * iteration / recipe.iterations))
    for group in optimizer.param_groups:
        group["lr"] = recipe.learning_rate * min(1.0, (iteration + 1) / 50) * (0.025 + 0.975 * cosine)
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    # A step whose gradient overflows is left out; the next has another window and another path.
    if math.isfinite(float(clip_grad_norm_(model.parameters(), recipe.clip))):
        optimizer.step()
    return float(loss.detach())


@torch.no_grad()
def _follow(averaged: MocapModel, model: MocapModel, share: float) -> None:
    for mean, value in zip(averaged.parameters(), model.parameters(), strict=True):
        mean.lerp_(value, 1.0 - share)
