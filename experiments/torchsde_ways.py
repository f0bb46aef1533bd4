"""Ways to solve the latent SDE of torchsde's examples: from z0 to (states at the model's times, path KL).

torchsde      the package itself
drop-in       the same code on latentsde.compat.torchsde
solve         latentsde.solve and its path KL, a functional of the path
loop          Euler's steps written by hand: what the networks alone cost
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
import torchsde  # type: ignore[import-untyped, unused-ignore]
from torch import Tensor

import latentsde
import latentsde.compat.torchsde
from latentsde import PathKL

Solved = tuple[Tensor, Tensor]
"""States (times, batch, latent), and the path KL, a number."""


@dataclass(frozen=True)
class Way:
    """`call(model, z0, seed)`, by a name and how its gradients are taken."""

    name: str
    gradients: str
    call: Callable[[Any, Tensor, int], Solved]
    additive_noise: bool = False
    """Whether it is for no other noise."""


def by_torchsde(package: Any, adjoint: bool, model: Any, z0: Tensor, seed: int, bm: Any = None) -> Solved:
    """What a user of torchsde writes; `bm` has a channel for each component, and one for the KL."""
    times = model.times
    if bm is None:
        size = (len(z0), model.latent + 1)
        bm = package.BrownianInterval(times[0], times[-1], size, entropy=seed)
    options = {"bm": bm, "method": "euler", "dt": model.dt, "logqp": True}
    if adjoint:
        params = tuple(model.held())
        zs, kl = package.sdeint_adjoint(model, z0, times, adjoint_params=params, **options)
    else:
        zs, kl = package.sdeint(model, z0, times, **options)
    return zs, kl.sum(0).mean()


def by_solve(
    adjoint: str, model: Any, z0: Tensor, seed: int, path: Any = None, compile: bool = False
) -> Solved:
    # The examples' objective; sticking the landing would add a term of mean zero.
    posterior = PathKL(
        model.native() if adjoint == "direct" else model, sticking_the_landing=False, vectorized=True
    )
    method = "reversible_heun" if adjoint == "reversible" else "euler"
    solution = latentsde.solve(
        posterior,
        z0,
        model.times,
        method=method,
        dt=model.dt,
        adjoint=adjoint,
        path=path,
        seed=None if path is not None else seed,
        compile=compile,
    )
    assert solution.functional is not None
    return solution.ys, solution.functional[-1].mean()


def by_hand(model: Any, z0: Tensor, seed: int) -> Solved:
    sde, dt = model.native(), model.dt
    outputs = (model.times / dt).round().long()
    points = (torch.arange(int(outputs[-1]) + 1) * dt).unbind(0)
    if hasattr(sde, "prepare"):
        sde.prepare(points)
    noise = torch.randn(len(points) - 1, *z0.shape, generator=torch.Generator().manual_seed(seed)) * dt**0.5
    z, states, drifts, diffusions = z0, [z0], [], []
    for t, dW in zip(points, noise, strict=False):
        drifts.append(sde.f(t, z))
        diffusions.append(sde.g(t, z))
        z = torch.addcmul(torch.add(z, drifts[-1], alpha=dt), diffusions[-1], dW)
        states.append(z)
    zs = torch.stack(states)
    u = (torch.stack(drifts) - sde.h(points[0], zs[:-1])) / torch.stack(diffusions)
    return zs[outputs], 0.5 * dt * u.square().sum((0, 2)).mean()


def _way(name: str, gradients: str, function: Callable[..., Solved], *arguments: Any, **options: Any) -> Way:
    return Way(name, gradients, lambda model, z0, seed: function(*arguments, model, z0, seed, **options))


OURS = latentsde.compat.torchsde
TRAINED = [
    _way("torchsde", "direct", by_torchsde, torchsde, False),
    _way("drop-in", "direct", by_torchsde, OURS, False),
    _way("solve", "direct", by_solve, "direct"),
]
COMPILED = _way("solve, compiled", "direct", by_solve, "direct", compile=True)
TIMED = [
    *TRAINED,
    _way("loop", "direct", by_hand),
    _way("torchsde", "adjoint", by_torchsde, torchsde, True),
    _way("drop-in", "adjoint", by_torchsde, OURS, True),
    _way("solve, backsolve", "adjoint", by_solve, "backsolve"),
    replace(_way("solve, reversible", "adjoint", by_solve, "reversible"), additive_noise=True),
]
