"""What every sample path has: a shape, a seed, the names of its samples, and what it answers in."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from .increments import Increments
from .philox import MAX_CHANNELS

Times = float | Tensor
LEVY_AREAS = (None, "space-time")


class Path(ABC):
    """A Brownian sample path of `shape` = (batch, ...) whose samples are named by `ids`."""

    def __init__(
        self,
        shape: Sequence[int],
        *,
        seed: int,
        ids: Tensor | None,
        levy_area: str | None,
        dtype: torch.dtype,
        device: torch.device | str,
    ) -> None:
        self.shape = tuple(int(n) for n in shape)
        self.seed = int(seed)
        self.dtype = dtype
        self.device = torch.device(device)
        self.levy_area = levy_area
        self.channels = math.prod(self.shape[1:])
        samples = self.shape[0] if self.shape else 1
        if ids is None:
            ids = torch.arange(samples, dtype=torch.int64)
        if levy_area not in LEVY_AREAS:
            raise ValueError(f'levy_area must be None or "space-time", got {levy_area!r}')
        if not dtype.is_floating_point:
            raise ValueError(f"a path needs a floating-point dtype, got {dtype}")
        if ids.shape != (samples,) or ids.dtype != torch.int64:
            raise ValueError(
                f"ids must be int64 of shape ({samples},), one for each sample of shape[0], "
                f"got {ids.dtype} of shape {tuple(ids.shape)}"
            )
        if self.channels >= MAX_CHANNELS:
            raise ValueError(f"a sample may have fewer than 2^31 channels, got {self.channels}")
        self.ids = ids.to(self.device)

    def __call__(self, ta: Times, tb: Times) -> Tensor:
        """W over [ta, tb], of `shape`; going backwards (ta > tb) gives -W."""
        return self.increment(ta, tb).W

    def increment(self, ta: Times, tb: Times) -> Increments:
        """W and H over [ta, tb]: numbers, or tensors (batch,) with an interval for each sample."""
        ends = torch.stack(torch.broadcast_tensors(self._times(ta), self._times(tb)))
        w, h = self.increments(ends)
        return Increments(w[0], None if h is None else h[0])

    @abstractmethod
    def increments(self, times: Tensor) -> Increments:
        """W and H over the consecutive intervals of `times`, (n,) or (n, batch): (n-1, *shape) each."""

    def _times(self, time: Times) -> Tensor:
        """A time as float64: (), or (batch,) for a time of each sample."""
        tensor = torch.as_tensor(time, dtype=torch.float64, device=self.device)
        if tensor.dim() == 0 or (tensor.dim() == 1 and len(tensor) == len(self.ids)):
            return tensor
        if tensor.numel() == 1:
            return tensor.reshape(())
        raise ValueError(
            f"a time must be a number or a tensor of shape ({len(self.ids)},), one for each sample, "
            f"got shape {tuple(tensor.shape)}"
        )
