"""BaseBrownian: what a solver may ask of any Brownian motion."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch

from .types import Scalar

Answer = Any
"""The tensor W; (W, U) with return_U; (W, A) with return_A; (W, U, A) with both. U and A are None where they
are not approximated. Not a union: whoever calls knows which one it is."""


class BaseBrownian(ABC):
    """A Brownian motion of one shape, dtype and device, asked for its increments."""

    __slots__ = ()

    @abstractmethod
    def __call__(
        self, ta: Scalar, tb: Scalar | None = None, return_U: bool = False, return_A: bool = False
    ) -> Answer:
        """W over [ta, tb], and on request U = ∫ (W(s) - W(ta)) ds and the antisymmetric Lévy area A."""

    @abstractmethod
    def __repr__(self) -> str: ...

    @property
    @abstractmethod
    def dtype(self) -> torch.dtype: ...

    @property
    @abstractmethod
    def device(self) -> torch.device: ...

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]: ...

    @property
    @abstractmethod
    def levy_area_approximation(self) -> str: ...

    def size(self) -> tuple[int, ...]:
        """The shape of W, as a tensor's `size()`."""
        return self.shape


class DerivedBrownian(BaseBrownian):
    """One whose answers come from another: its shape, dtype, device and Lévy area are that one's."""

    def __init__(self, source: BaseBrownian) -> None:
        self._source = source

    @property
    def dtype(self) -> torch.dtype:
        return self._source.dtype

    @property
    def device(self) -> torch.device:
        return self._source.device

    @property
    def shape(self) -> tuple[int, ...]:
        return self._source.shape

    @property
    def levy_area_approximation(self) -> str:
        return self._source.levy_area_approximation
