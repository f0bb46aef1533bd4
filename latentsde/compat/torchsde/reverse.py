"""ReverseBrownian: a Brownian motion read backwards in time, for adjoints."""

from __future__ import annotations

from .base import Answer, BaseBrownian, DerivedBrownian
from .types import Scalar


class ReverseBrownian(DerivedBrownian):
    """Over [ta, tb] the answer of `base_brownian` over [-tb, -ta], unchanged in sign: an adjoint SDE negates
    its drift and diffusion itself.
    """

    def __init__(self, base_brownian: BaseBrownian) -> None:
        super().__init__(base_brownian)

    @property
    def base_brownian(self) -> BaseBrownian:
        return self._source

    def __call__(
        self, ta: Scalar, tb: Scalar | None = None, return_U: bool = False, return_A: bool = False
    ) -> Answer:
        if tb is None:
            raise ValueError("a ReverseBrownian has no start to measure from; ask it for both ta and tb")
        return self._source(-tb, -ta, return_U=return_U, return_A=return_A)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(base_brownian={self._source})"
