"""Philox4x32-10, the counter-based generator under every path: counter -> four words -> normals.

Salmon, Moraes, Dror & Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3". A word is a uint32 held in an
int64.

The counter of a draw is (node, channel, id low, id high) and its key is the seed, so that a draw depends on
nothing but its name. The top bit of the channel word tells what the node is: a node of a tree (0) or a cell
of a step grid (1).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

STREAM_VERSION = 1
"""Version of the whole mapping from (seed, id, channel, time) to W; saved with every run."""

MAX_CHANNELS = 2**31
CELL_DOMAIN = 2**31
# A tree's nodes are below it, so that normals and paths of one seed and one id are independent.
_PLAIN_NODE = 2**31

_MASK = 0xFFFFFFFF
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10

Words = tuple[Tensor, Tensor, Tensor, Tensor]
Key = tuple[int, int]


def philox4x32(counter: Words, key: Key) -> Words:
    """Encrypt counters: four int64 tensors of uint32 words, broadcast together, under one key of two
    words.
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(_ROUNDS):
        # The 64-bit product wraps into the sign bit; shifting and masking read its two halves all the same.
        left = c0 * _MULTIPLIERS[0]
        right = c2 * _MULTIPLIERS[1]
        c0 = ((right >> 32) & _MASK) ^ c1 ^ k0
        c1 = right & _MASK
        c2 = ((left >> 32) & _MASK) ^ c3 ^ k1
        c3 = left & _MASK
        k0 = (k0 + _WEYL[0]) & _MASK
        k1 = (k1 + _WEYL[1]) & _MASK
    return c0, c1, c2, c3


def key_of(seed: int) -> Key:
    """The key of a seed: any Python integer, taken modulo 2^64."""
    return seed & _MASK, (seed >> 32) & _MASK


def derive_seed(seed: int, *labels: int) -> int:
    """A new seed in [0, 2^63) for each tuple of integer labels: independent streams from one seed, in any
    order.
    """
    for depth, label in enumerate(labels):
        counter = tuple(torch.tensor(w) for w in (label & _MASK, (label >> 32) & _MASK, depth, _MASK))
        low, high, _, _ = philox4x32(counter, key_of(seed))  # type: ignore[arg-type]
        seed = int(low) | (int(high) & 0x7FFFFFFF) << 32
    return seed


def box_muller(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Two float64 standard normals from two words, by uniforms (word + 1/2) 2^-32 that are never 0 or 1."""
    radius = first.to(torch.float64).add_(0.5).mul_(2.0**-32).log_().mul_(-2.0).sqrt_()
    angle = second.to(torch.float64).add_(0.5).mul_(2.0**-32 * 2.0 * math.pi)
    return radius * angle.cos(), radius * angle.sin()


def normal_pair(node: Tensor, channel: Tensor, ids: Tensor, key: Key) -> tuple[Tensor, Tensor]:
    """The two float64 normals of every (node, channel, id); the int64 arguments broadcast together."""
    # Contiguous words: torch computes strided logarithms by another routine, whose last bit may differ.
    words = philox4x32((node, channel, ids & _MASK, (ids >> 32) & _MASK), key)
    shape = torch.broadcast_shapes(node.shape, channel.shape, ids.shape)
    first, second = (word.expand(shape).contiguous() for word in words[:2])
    return box_muller(first, second)


def standard_normal(
    shape: tuple[int, ...],
    *,
    seed: int,
    ids: Tensor | None = None,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Standard normals of `shape`, shape[0] samples named by `ids` (int64, default 0..n-1), the same in any
    batch.
    """
    samples, channels = shape[0], math.prod(shape[1:])
    names = torch.arange(samples, device=device) if ids is None else ids.to(device)
    node = torch.full((1, 1), _PLAIN_NODE, dtype=torch.int64, device=device)
    channel = torch.arange(channels, dtype=torch.int64, device=device).unsqueeze(0)
    first, _ = normal_pair(node, channel, names.unsqueeze(1), key_of(seed))
    return first.reshape(shape).to(dtype)
