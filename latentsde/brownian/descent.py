"""The virtual tree in plain PyTorch and float64: the reference of the kernels, for any device.

Units: the span is 1 and a tick is 2^-48 of it. A node (level, k) is the interval [k, k + 1] 2^-level with its
W and H; its normals have the number 2^level + k, those of the whole path 0. A part of the path is (W, area,
length) with area = length·H, the area between path and chord, because areas add up without cancellation.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from .bridge import bridge, midpoint
from .normals import normals
from .philox import KIND_H, KIND_W, TREE_DOMAIN

TIME_BITS = 48
"""Times are read on a grid of 2^48 points of the span (a few float64 roundings wide), so that a time that
lies on a coarse node up to rounding stops the descent there."""

DEPTH = 30
"""Nodes are split down to this level; two points of one leaf, 2^-30 of the span, share the leaf's normals."""

# Numbers of one intermediate result: bounds the memory of a query whatever its size.
_BLOCK = 2**18


def tree_increments(
    low: Tensor, high: Tensor, ids: Tensor, *, seed: int, channels: int
) -> tuple[Tensor, Tensor]:
    """W and H over [low, high], int64 ticks (n,) for all samples or (n, batch): float64 (n, batch, channels)
    each.

    low <= high; equal ends give zeros.
    """
    n, batch = len(low), len(ids)
    if n == 0 or batch == 0:
        nothing = torch.zeros(n, batch, channels, dtype=torch.float64, device=ids.device)
        return nothing, nothing.clone()
    shared = low.dim() == 1
    owner = torch.zeros_like(low) if shared else torch.arange(batch, device=low.device).expand(n, batch)
    names = ids.view(1, -1) if shared else ids.view(-1, 1)
    # Rows of one sample follow each other, so that those of a block share their ancestors.
    rows = [x.t().reshape(-1) for x in (low, high, owner)]
    size = max(1, _BLOCK // max(1, names.shape[1] * channels))
    blocks = zip(*(x.split(size) for x in rows), strict=True)
    parts = [_descend(a, b, who, _Nodes(names, seed, channels)) for a, b, who in blocks]
    w, h = (torch.cat(values) for values in zip(*parts, strict=True))
    if shared:
        return w, h
    return tuple(x.view(batch, n, channels).transpose(0, 1).contiguous() for x in (w, h))  # type: ignore[return-value]


class _Part(NamedTuple):
    """Parts of paths: w, area (rows, samples, channels) and length (rows, 1, 1), 0 where there is none."""

    w: Tensor
    area: Tensor
    length: Tensor

    def joined(self, right: _Part) -> _Part:
        """This part and the one that follows on it: both areas, and the triangle between the chords."""
        triangle = 0.5 * (right.length * self.w - self.length * right.w)
        return _Part(self.w + right.w, self.area + right.area + triangle, self.length + right.length)

    def at(self, rows: Tensor) -> _Part:
        return _Part(self.w[rows], self.area[rows], self.length[rows])

    def put(self, rows: Tensor, part: _Part) -> None:
        for whole, new in zip(self, part, strict=True):
            whole[rows] = new


class _Nodes:
    """The nodes of one level that the queries of a block pass, and those below them, level after level.

    A node's key is (owner << 32) | k: trees of one shape for all samples have one owner, else every sample is
    one.
    """

    def __init__(self, names: Tensor, seed: int, channels: int) -> None:
        self.names, self.seed, self.channels = names, seed, channels
        self.level = 0
        self.keys = torch.arange(len(names), device=names.device) << 32
        self.w = self.draw(self.keys, torch.zeros_like(self.keys), KIND_W)
        self.h = self.draw(self.keys, torch.zeros_like(self.keys), KIND_H) * math.sqrt(1.0 / 12.0)

    def draw(self, keys: Tensor, number: Tensor, kind: int) -> Tensor:
        """Normals (keys, samples, channels) of the nodes with these numbers."""
        names = self.names[keys >> 32]
        return normals(number.unsqueeze(1), names, self.channels, TREE_DOMAIN | kind, self.seed)

    def number(self, keys: Tensor) -> Tensor:
        return (1 << self.level) + (keys & 0xFFFFFFFF)

    def row(self, keys: Tensor) -> Tensor:
        return torch.searchsorted(self.keys, keys)

    def part(self, keys: Tensor) -> _Part:
        rows = self.row(keys)
        length = torch.full_like(self.w[rows, :1, :1], 2.0**-self.level)
        return _Part(self.w[rows], length * self.h[rows], length)

    def split(self, keys: Tensor) -> None:
        """Go down a level: to the halves of the nodes `keys`, in whatever order, repeated or not."""
        keys = torch.unique(keys)
        rows, number, scale = self.row(keys), self.number(keys), 2.0 ** (-self.level / 2)
        w_left, h_left, w_right, h_right = midpoint(
            self.w[rows],
            self.h[rows],
            scale * self.draw(keys, number, KIND_W),
            scale * self.draw(keys, number, KIND_H),
        )
        first = ((keys >> 32) << 32) | ((keys & 0xFFFFFFFF) << 1)
        self.keys = torch.stack([first, first + 1], dim=1).flatten()
        self.w = torch.stack([w_left, w_right], dim=1).flatten(0, 1)
        self.h = torch.stack([h_left, h_right], dim=1).flatten(0, 1)
        self.level += 1

    def leaf_parts(self, keys: Tensor, ticks: Tensor) -> tuple[_Part, _Part]:
        """The parts of leaves before and after a point, `ticks` into them."""
        rows, size = self.row(keys), 2.0**-DEPTH
        scale = math.sqrt(size)
        r = (ticks.to(torch.float64) * 2.0 ** (DEPTH - TIME_BITS)).view(-1, 1, 1)
        first, second = (self.draw(keys, self.number(keys), kind) for kind in (KIND_W, KIND_H))
        w, h = self.w[rows], self.h[rows]
        w_r, h_r = bridge(r, w / scale, h / scale, first, second)
        before = _Part(scale * w_r, r * size * scale * h_r, r * size)
        return before, _rest(_Part(w, size * h, torch.full_like(r, size)), before)


def _rest(whole: _Part, before: _Part) -> _Part:
    """What has to follow on `before` to make `whole`."""
    w, length = whole.w - before.w, whole.length - before.length
    triangle = 0.5 * (length * before.w - before.length * w)
    return _Part(w, whole.area - before.area - triangle, length)


def _descend(low: Tensor, high: Tensor, owner: Tensor, nodes: _Nodes) -> tuple[Tensor, Tensor]:
    """W and H (rows, samples, channels) over [low, high], ticks (rows,), each of the tree of its owner."""
    empty = low == high
    low, high = torch.where(empty, 0, low), torch.where(empty, 1 << TIME_BITS, high)
    last = high - 1  # a tick in the same nodes as the end of the interval
    # The smallest node around the interval is where the bits of its ends begin to differ.
    differing = torch.frexp((low ^ last).to(torch.float64)).exponent.to(torch.int64)
    around = (TIME_BITS - differing).clamp_max(DEPTH)
    size = torch.ones_like(low) << (TIME_BITS - around)
    is_node = (low & (size - 1) == 0) & (high == low + size)
    in_leaf = (around == DEPTH) & ~is_node
    # From there one chain of nodes goes to `low`, and another one to `high`, until a node begins or ends
    # there.
    low_end = torch.where(is_node, around, torch.maximum(around + 1, _level_of(low)).clamp_max(DEPTH))
    high_end = torch.where(is_node | in_leaf, -1, torch.maximum(around + 1, _level_of(high)).clamp_max(DEPTH))

    shape = (len(low), nodes.names.shape[1], nodes.channels)
    zero = torch.zeros(shape, dtype=torch.float64, device=low.device)
    lower = _Part(zero, zero.clone(), zero[:, :1, :1].clone())
    upper = _Part(*(x.clone() for x in lower))

    def keys(tick: Tensor, level: int, rows: Tensor) -> Tensor:
        return (owner[rows] << 32) | (tick[rows] >> (TIME_BITS - level))

    def found(rows: Tensor) -> Tensor:
        return rows.nonzero().squeeze(1)

    def starts(tick: Tensor, level: int) -> Tensor:
        return tick & ((1 << (TIME_BITS - level)) - 1)

    for level in range(int(torch.maximum(low_end, high_end).max()) + 1):
        # Chains that end at this level take its whole node.
        if len(rows := found((low_end == level) & ~in_leaf & (starts(low, level) == 0))):
            lower.put(rows, nodes.part(keys(low, level, rows)).joined(lower.at(rows)))
        if len(rows := found((high_end == level) & (starts(high, level) == 0))):
            upper.put(rows, upper.at(rows).joined(nodes.part(keys(last, level, rows))))
        to_low, to_high = found(low_end > level), found(high_end > level)
        if level == DEPTH or len(to_low) + len(to_high) == 0:
            break
        nodes.split(torch.cat([keys(low, level, to_low), keys(last, level, to_high)]))
        # Below the node around both ends, the half that a chain leaves behind is part of the interval.
        below, bit = around < level, TIME_BITS - level - 1
        if len(rows := found((low_end > level) & below & ((low >> bit) & 1 == 0))):
            lower.put(rows, nodes.part(keys(low, level + 1, rows) + 1).joined(lower.at(rows)))
        if len(rows := found((high_end > level) & below & ((last >> bit) & 1 == 1))):
            upper.put(rows, upper.at(rows).joined(nodes.part(keys(last, level + 1, rows) - 1)))

    # Ends inside leaves.
    if len(rows := found((low_end == DEPTH) & ~in_leaf & (starts(low, DEPTH) != 0))):
        _, after = nodes.leaf_parts(keys(low, DEPTH, rows), starts(low, DEPTH)[rows])
        lower.put(rows, after.joined(lower.at(rows)))
    if len(rows := found((high_end == DEPTH) & (starts(high, DEPTH) != 0))):
        before, _ = nodes.leaf_parts(keys(last, DEPTH, rows), starts(high, DEPTH)[rows])
        upper.put(rows, upper.at(rows).joined(before))
    if len(rows := found(in_leaf)):
        leaf, start = keys(low, DEPTH, rows), starts(low, DEPTH)[rows]
        shorter, _ = nodes.leaf_parts(leaf, start)
        longer, _ = nodes.leaf_parts(leaf, start + (high - low)[rows])
        lower.put(rows, _rest(longer, shorter))

    total = lower.joined(upper)
    nowhere = empty.view(-1, 1, 1)
    return torch.where(nowhere, 0.0, total.w), torch.where(nowhere, 0.0, total.area / total.length)


def _level_of(tick: Tensor) -> Tensor:
    """The first level at which a node begins at the tick."""
    lowest_bit = (tick & -tick).to(torch.float64)
    return torch.where(tick == 0, 0, TIME_BITS + 1 - torch.frexp(lowest_bit).exponent.to(torch.int64))
