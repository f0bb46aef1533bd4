"""Series, each on its own times, as one padded batch of tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch

from latentsde.data.scaling import Scaler
from latentsde.data.series import IrregularSeries


@dataclass(frozen=True)
class Batch:
    """B series, T the longest's rows, F features, C static covariates.

    Rows without any observed value are left out. A series without an observed value has length 0 and its
    first row's time throughout.
    """

    ids: torch.Tensor
    """(B,) int64: the identity of each series' noise."""
    times: torch.Tensor
    """(B, T) float64: strictly increasing, then the last repeated."""
    values: torch.Tensor
    """(B, T, F) float32: scaled, 0 where not observed."""
    mask: torch.Tensor
    """(B, T, F) bool: observed."""
    static: torch.Tensor
    """(B, C) float32: scaled, 0 where missing."""
    lengths: torch.Tensor
    """(B,) int64: rows with an observed value."""
    limits: torch.Tensor | None = None
    """(B, T, F, 2) float32: scaled ends of the interval of a value known by its limits alone, NaN elsewhere;
    None where no series of the data set has such values."""
    ends: torch.Tensor | None = None
    """(B,) float64: the ends of follow-up; None where those are the last rows."""

    def __len__(self) -> int:
        return len(self.ids)

    def repeat(self, samples: int) -> Batch:
        """Every series `samples` times in a row, under the same id."""
        parts: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        given = {name: part for name, part in parts.items() if part is not None}
        return Batch(**{name: part.repeat_interleave(samples, 0) for name, part in given.items()})

    def to(self, device: torch.device | str) -> Batch:
        parts: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(self, **{name: part.to(device) for name, part in parts.items() if part is not None})


def collate(series: IrregularSeries, indices: Sequence[int] | np.ndarray, scaler: Scaler) -> Batch:
    """The series at `indices` (B,) as a batch. The company of a series decides only its padding."""
    indices = np.asarray(indices, dtype=np.int64).reshape(-1)
    observed_rows, observed_offsets = series.observed_rows
    lengths = observed_offsets[indices + 1] - observed_offsets[indices]
    columns = np.arange(max(1, lengths.max(initial=0)))
    positions = observed_offsets[indices][:, None] + np.minimum(columns, np.maximum(lengths - 1, 0)[:, None])
    empty = lengths == 0
    rows = np.where(
        empty[:, None],
        series.offsets[indices][:, None],
        observed_rows[np.where(empty[:, None], 0, positions)] if len(observed_rows) else 0,
    )
    values = scaler.scale(series.values[rows])
    mask = np.isfinite(values) & (columns < lengths[:, None])[:, :, None]
    return Batch(
        ids=torch.from_numpy(series.noise_ids[indices]),
        times=torch.from_numpy(series.times[rows]),
        values=torch.from_numpy(np.where(mask, values, 0.0).astype(np.float32)),
        mask=torch.from_numpy(mask),
        static=torch.from_numpy(scaler.scale_static(series.static[indices]).astype(np.float32)),
        lengths=torch.from_numpy(lengths),
        limits=None if series.limits is None else _limits(series.limits[rows], mask, scaler),
        ends=None if series.ends is None else torch.from_numpy(series.ends[indices]),
    )


def _limits(limits: np.ndarray, mask: np.ndarray, scaler: Scaler) -> torch.Tensor:
    scaled = scaler.scale_limits(limits)
    return torch.from_numpy(np.where(mask[..., None], scaled, np.nan).astype(np.float32))
