"""Between Pyro's batch shapes, one axis for each plate, and the single batch axis of `solve`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

FIELDS = ("f", "g", "h", "contraction")


def drawn_seed() -> int:
    """A seed from torch's default generator, the one that `pyro.set_rng_seed` sets."""
    return int(torch.randint(2**63 - 1, (), dtype=torch.int64))


class BatchShaped:
    """An SDE written for states (*batch, *event), as one for states (n, *event) that `solve` takes.

    Its fields get t as a 0-d tensor, or (*batch, 1, ...) with times for each sample.
    """

    def __init__(self, sde: Any, batch: torch.Size, event_dim: int) -> None:
        self.batch, self.event_dim = batch, event_dim
        self.noise_type, self.sde_type = sde.noise_type, sde.sde_type
        for name in ("additive", "correlation_factor"):
            if hasattr(sde, name):
                setattr(self, name, getattr(sde, name))
        for name in FIELDS:
            if hasattr(sde, name):
                setattr(self, name, functools.partial(self._call, getattr(sde, name)))

    def _call(self, field: Callable[..., Tensor], t: Tensor, y: Tensor, *rest: Any) -> Tensor:
        shaped = [x if not isinstance(x, Tensor) or x.dim() < 2 else self._unflat(x) for x in (t, y, *rest)]
        value = field(*shaped)
        leading = y.dim() - 1 - self.event_dim  # 1 where a block of steps is asked for at once
        after = value.shape[leading + len(self.batch) :]
        return value.reshape(*value.shape[:leading], self.batch.numel(), *after)

    def _unflat(self, x: Tensor) -> Tensor:
        place = x.dim() - 1 - self.event_dim
        size = self.batch if x.shape[place] != 1 else (1,) * len(self.batch)
        return x.reshape(*x.shape[:place], *size, *x.shape[place + 1 :])


def flattened(sde: Any, z0: Tensor, ts: Any, event_dim: int) -> tuple[Any, Tensor, Any, torch.Size]:
    """The SDE, start (n, *event) and times for `solve`, and the batch shape of z0, (*batch, *event)."""
    if not isinstance(z0, Tensor) or not 1 <= event_dim <= z0.dim():
        got = tuple(z0.shape) if isinstance(z0, Tensor) else type(z0).__name__
        raise ValueError(
            f"z0 must be a tensor (*batch, *event) with event_dim = {event_dim} axes of event, at least one; "
            f"got {got}"
        )
    batch, event = z0.shape[: z0.dim() - event_dim], z0.shape[z0.dim() - event_dim :]
    if isinstance(ts, Tensor) and ts.dim() > 1:
        ts = ts.expand(len(ts), *batch).reshape(len(ts), -1)
    if len(batch) == 1:
        return sde, z0, ts, batch
    return BatchShaped(sde, batch, event_dim), z0.reshape(batch.numel(), *event), ts, batch


def times_last(ys: Tensor, batch: torch.Size) -> Tensor:
    """(times, n, *event) as solved -> (*batch, times, *event), the shape of a site."""
    path = ys.transpose(0, 1)
    return path.reshape(*batch, *path.shape[1:])
