"""Rows of a padded batch brought to the front: those with an observation, those a chain passes through."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from ..data import Batch


def without_empty_rows(batch: Batch) -> Batch:
    """The batch without the rows in which nothing is observed: what `collate` makes of the observed values
    alone, but for the padding.
    """
    wanted = batch.mask.any(-1)
    order, lengths = to_the_front(wanted)
    index = order.unsqueeze(-1).expand_as(batch.mask)
    return replace(
        batch,
        times=padded(batch.times, order, lengths),
        values=batch.values.gather(1, index),
        mask=batch.mask.gather(1, index),
        lengths=lengths,
        limits=None if batch.limits is None else batch.limits[_rows(order), order],
    )


def _rows(order: Tensor) -> Tensor:
    return torch.arange(len(order), device=order.device).unsqueeze(1)


def to_the_front(wanted: Tensor) -> tuple[Tensor, Tensor]:
    """(B, T) bool -> indices (B, T) with the wanted rows first, in their order, and their numbers (B,)."""
    return (~wanted).to(torch.uint8).argsort(dim=1, stable=True), wanted.sum(1)


def padded(times: Tensor, order: Tensor, lengths: Tensor) -> Tensor:
    """Times (B, T) in an order whose first `lengths` (B,) are wanted; after them the last is repeated."""
    last = (lengths - 1).clamp_min(0).unsqueeze(1)
    columns = torch.arange(order.shape[1], device=order.device).expand_as(order)
    return times.gather(1, order.gather(1, torch.minimum(columns, last)))


def rows_before(times: Tensor, lengths: Tensor, queries: Tensor, *, or_at: bool) -> Tensor:
    """(B, Q): how many of a series' rows lie before each query, or at it."""
    count = torch.searchsorted(times.contiguous(), queries.contiguous(), right=or_at)
    return torch.minimum(count, lengths.unsqueeze(1))


def pick(states: Tensor, index: Tensor) -> Tensor:
    """(B, T, H) at (B, Q) -> (B, Q, H)."""
    return states.gather(1, index.unsqueeze(-1).expand(-1, -1, states.shape[-1]))


class Chain(NamedTuple):
    """The times that a model of discrete steps passes through to answer queries.

    A query between observations is a side step from the last row before it, and bears on no other; queries
    after the last row follow one another, as new rows would.

    Attributes:
        times: (B, N) of the chain: the rows, then the later queries, padded by repeating the last.
        place: (B, Q) how many rows of the chain lie at or before each query.
        gap: (B, Q) from the last of these to the query, or from 0; 0 where the query is such a row itself.
        aside: (B, Q) bool: the query is a side step.
    """

    times: Tensor
    place: Tensor
    gap: Tensor
    aside: Tensor


def chain(times: Tensor, lengths: Tensor, queries: Tensor) -> Chain:
    """For rows at model times (B, T), of which `lengths` (B,) count, and increasing queries (B, Q); all from
    0 on.
    """
    batch, width = times.shape
    last = times.gather(1, (lengths - 1).clamp_min(0).unsqueeze(1))
    is_row = torch.arange(width, device=times.device) < lengths.unsqueeze(1)
    is_later = (queries > last) | (lengths == 0).unsqueeze(1)
    order, count = to_the_front(torch.cat([is_row, is_later], dim=1))
    along = padded(torch.cat([times, queries], dim=1), order, count)[:, : max(1, int(count.max()))]
    place = torch.where(
        is_later, lengths.unsqueeze(1) + is_later.cumsum(1), rows_before(times, lengths, queries, or_at=True)
    )
    with_origin = torch.cat([times.new_zeros(batch, 1), along], dim=1)
    gap = (queries - with_origin.gather(1, place)).clamp_min(0.0)
    return Chain(along, place, gap, (gap > 0) | (place == 0))
