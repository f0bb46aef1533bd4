"""What a path answers: the increment W and, on request, the space-time Lévy area H of an interval."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Increments(NamedTuple):
    """Over [a, b]: W = W(b) - W(a), and H = 1/(b-a) ∫ (W(s) - W(a) - (s-a)/(b-a) W) ds ~ N(0, (b-a)/12),
    independent of W.

    `H` is None for a path made without Lévy area. Going from b to a gives -W and the same H.
    """

    W: Tensor
    H: Tensor | None
