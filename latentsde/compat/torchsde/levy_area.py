"""The Lévy area A of an interval from its increment W and its area H, as `latentsde.brownian` has it.

torchsde 0.2.6 gives the area of the bridge, given (W, H), the variance h²/6 for "davie" and
h²/50 + (h/5)(H_i² + H_j²) for "foster": its areas have 4/3 and 0.88 of the variance h²/4 of true ones.
"""

from __future__ import annotations

from torch import Tensor

from ... import brownian
from ...brownian import standard_normal


def levy_area(w: Tensor, h: Tensor, length: float, approximation: str, seed: int) -> Tensor:
    """A (..., m, m) of the increments `w` and areas `h` (batch, ..., m); zeros (m,) or () for shapes of fewer
    than two dimensions, which are batches of one-dimensional motions.

    Args:
        length: of the interval, not negative.
        approximation: "davie" or "foster".
        seed: of the normals, which belong to (seed, sample, pair): the same in any batch.
    """
    if w.dim() < 2:
        return w.new_zeros(w.shape)
    shape = (*w.shape, w.shape[-1])
    normals = standard_normal(shape, seed=seed, dtype=w.dtype, device=w.device)
    return brownian.levy_area(w, h, length, approximation, normals)
