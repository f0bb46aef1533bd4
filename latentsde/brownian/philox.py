"""Philox4x32-10, the counter-based generator under every path, and what its counters and keys mean.

Salmon, Moraes, Dror & Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3". A word is a uint32 held in an
int64.

The counter of a draw is (node, domain | kind | group, id low, id high) and its key is the seed, so that a
draw depends on nothing but its name: docs/brownian.md.
"""

from __future__ import annotations

import torch
from torch import Tensor

STREAM_VERSION = 2
"""Version of the whole mapping from (seed, id, channel, time) to W; saved with every run."""

# The second word of a counter. The domain tells what the node is: a node of a tree or a cell of a step grid.
TREE_DOMAIN = 0
CELL_DOMAIN = 1 << 31
# The kind tells what the normals are for. Values 2 and 3 are free.
KIND_W = 0
KIND_H = 1 << 29
# One counter makes the normals of as many adjacent channels as it has words.
GROUP = 4
MAX_CHANNELS = 2**31
# A tree's nodes are below it, so that plain normals and paths of one seed and one id are independent.
PLAIN_NODE = 2**31

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


def unsigned_seed(seed: int) -> int:
    """The 64 bits of a seed as the kernels take them."""
    return seed & (2**64 - 1)


def signed_seed(seed: int) -> int:
    """The same 64 bits as an int64: what a schema or an argument of a kernel can hold."""
    return (seed + 2**63) % 2**64 - 2**63


def derive_seed(seed: int, *labels: int) -> int:
    """A new seed in [0, 2^63) for each tuple of integer labels: independent streams from one seed, in any
    order.
    """
    for depth, label in enumerate(labels):
        counter = tuple(torch.tensor(w) for w in (label & _MASK, (label >> 32) & _MASK, depth, _MASK))
        low, high, _, _ = philox4x32(counter, key_of(seed))  # type: ignore[arg-type]
        seed = int(low) | (int(high) & 0x7FFFFFFF) << 32
    return seed


def words_of(node: Tensor, ids: Tensor, channels: int, domain_and_kind: int, seed: int) -> Words:
    """The words of every (node, id, group of channels): four tensors (..., groups).

    `node` (...) and `ids` (...) are int64 and broadcast together.
    """
    group = torch.arange(-(-channels // GROUP), device=ids.device)
    name = ids.unsqueeze(-1)
    counter = (node.unsqueeze(-1), group | domain_and_kind, name & _MASK, (name >> 32) & _MASK)
    return philox4x32(counter, key_of(seed))
