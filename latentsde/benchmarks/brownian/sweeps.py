"""The ways a path is asked: one call a step, in blocks of steps, forwards and back, at random."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latentsde.benchmarks.timing import Contender

NUMBERS_IN_A_BLOCK = 2**22
"""Numbers drawn by one call of `increments`: as many as `latentsde.solve` asks for."""

Pair = tuple[float, float]
MakePath = Callable[[], Any]


def dyadic(steps: int) -> Tensor:
    """The times k / steps, k = 0..steps, float64: a tree's nodes where `steps` is a power of two."""
    return torch.arange(steps + 1, dtype=torch.float64) / steps


def irregular(steps: int, seed: int = 0) -> Tensor:
    """0, sorted uniform times and 1: float64 (steps + 1,)."""
    inner = np.sort(np.random.default_rng(seed).random(steps - 1))
    return torch.from_numpy(np.concatenate([[0.0], inner, [1.0]]))


def random_pairs(count: int, seed: int = 0) -> list[Pair]:
    """Intervals (a, b), a < b, with ends drawn uniformly from [0, 1]."""
    ends = np.sort(np.random.default_rng(seed).random((count, 2)), axis=1)
    return [(float(a), float(b)) for a, b in ends]


def calls(name: str, make: MakePath, times: Tensor, *, area: bool = False) -> Contender:
    """A forward sweep by one call a step with numbers for times; `area` asks for the space-time area too."""
    pairs = _consecutive(times)
    return Contender(name, len(pairs), lambda steps: _asking(make(), pairs[:steps], area))


def there_and_back(
    name: str, make: MakePath, times: Tensor, *, turned: bool = True, whole: bool = False
) -> Contender:
    """A sweep forwards and then backwards over the same steps, one call a step.

    `turned` asks (b, a) on the way back, as our solver does; otherwise (a, b) again, as torchsde's does.
    """
    pairs = _consecutive(times)

    def prepare(steps: int) -> Callable[[], None]:
        there = pairs[:steps]
        back = [(b, a) if turned else (a, b) for a, b in reversed(there)]
        return _asking(make(), there + back, area=False)

    return Contender(name, len(pairs), prepare, increments=2, whole=whole)


def at_random(name: str, make: MakePath, pairs: Sequence[Pair]) -> Contender:
    """Calls at the given intervals, in the order given."""
    return Contender(name, len(pairs), lambda steps: _asking(make(), pairs[:steps], area=False))


def blocks(name: str, make: MakePath, times: Tensor, width: int) -> Contender:
    """A forward sweep by `increments`, a block of steps at a time; `width` numbers make one increment."""
    size = max(1, NUMBERS_IN_A_BLOCK // width)

    def prepare(steps: int) -> Callable[[], None]:
        path = make()
        parts = [times[start : min(start + size, steps) + 1] for start in range(0, steps, size)]

        def work() -> None:
            for part in parts:
                path.increments(part)

        return work

    return Contender(name, len(times) - 1, prepare)


def randn(name: str, shape: tuple[int, ...], steps: int) -> Contender:
    """As many calls of `torch.randn(shape)`."""

    def prepare(count: int) -> Callable[[], None]:
        def work() -> None:
            for _ in range(count):
                torch.randn(shape)

        return work

    return Contender(name, steps, prepare)


def _consecutive(times: Tensor) -> list[Pair]:
    return list(pairwise(times.tolist()))


def _asking(path: Any, pairs: Sequence[Pair], area: bool) -> Callable[[], None]:
    ask = path.increment if area else path

    def work() -> None:
        for a, b in pairs:
            ask(a, b)

    return work
