"""CorrelatedPath: a Brownian path whose channels move together."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .increments import Increments
from .levy_area import levy_areas


class CorrelatedPath:
    """L W for a path W of independent channels: Brownian motions with the correlation matrix L Lᵀ.

    Args:
        path: of shape (batch, ..., m).
        factor: L, (d, m); its rows have length 1, such as those of a Cholesky factor of a correlation matrix.

    Raises:
        ValueError: a factor of another shape, or whose rows are not of length 1: a size belongs into the
            diffusion, where the Itô corrections of higher methods see it.
    """

    def __init__(self, path: Any, factor: Tensor) -> None:
        if factor.dim() != 2 or len(path.shape) < 2 or factor.shape[1] != path.shape[-1]:
            raise ValueError(
                f"a correlation factor (d, m) for a path of shape {tuple(path.shape)} needs m = "
                f"{path.shape[-1] if path.shape else 'its channels'}, got {tuple(factor.shape)}"
            )
        check_correlation(factor)
        self.path, self.factor = path, factor
        self.shape = (*path.shape[:-1], factor.shape[0])

    @property
    def levy_area(self) -> str | None:
        """What the path has besides W."""
        return self.path.levy_area

    def __call__(self, ta: Any, tb: Any) -> Tensor:
        """W over [ta, tb], of `shape`."""
        return self._mixed(self.path(ta, tb))

    def increment(self, ta: Any, tb: Any) -> Increments:
        """W and H over [ta, tb]."""
        w, h = self.path.increment(ta, tb)
        return Increments(self._mixed(w), None if h is None else self._mixed(h))

    def increments(self, times: Any) -> Increments:
        """W and H over the consecutive intervals of `times`."""
        w, h = self.path.increments(times)
        return Increments(self._mixed(w), None if h is None else self._mixed(h))

    def areas(self, times: Tensor, approximation: str) -> Tensor:
        """The Lévy areas (n-1, batch, d, d) over the consecutive intervals of `times`: L A Lᵀ."""
        w, h = self.path.increments(times)
        a = levy_areas(w, h, times, approximation, seed=self.path.seed, ids=self.path.ids)
        factor = self.factor.to(a.device, a.dtype)
        return factor @ a @ factor.t()

    def _mixed(self, channels: Tensor) -> Tensor:
        return channels @ self.factor.to(channels.device, channels.dtype).t()


def check_correlation(factor: Tensor) -> None:
    """ValueError for a factor of a matrix whose diagonal is not 1."""
    lengths = factor.detach().to(torch.float64).square().sum(-1)
    wrong = ((lengths - 1.0).abs() > 1e-5).flatten().nonzero()
    if len(wrong):
        row = int(wrong[0])
        raise ValueError(
            f"the rows of a correlation factor must have length 1, row {row} has "
            f"{float(lengths.flatten()[row].sqrt()):.4g}; put the noise's size into the diffusion"
        )
