"""The Lévy area A of an interval, approximated from its increment W and space-time Lévy area H.

For h = tb - ta and i ≠ j, A_ij = 1/2 ∫ (W_i dW_j - W_j dW_i) is H_i W_j - W_i H_j + a_ij, and a_ij, the area
of the bridge, has given (W, H) the mean 0 and the variance

    h²/20 + (h/5) (H_i² + H_j²)

(Foster, Lyons & Oberhauser 2020, "An optimal polynomial approximation of Brownian motion", and Foster's
thesis), which over H is h²/12 on average. Davie 2014, "KMT theory applied to approximations of SDE", takes a
normal a_ij of the average variance, Foster one of the conditional variance.

torchsde 0.2.6 takes h²/6 and h²/50 + (h/5)(H_i² + H_j²): its areas have 4/3 and 0.88 of the variance h²/4.
"""

from __future__ import annotations

import math

from torch import Tensor

from ...brownian import standard_normal
from .settings import LEVY_AREA_APPROXIMATIONS


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
    normals = standard_normal((*w.shape, w.shape[-1]), seed=seed, dtype=w.dtype, device=w.device).triu(1)
    if approximation == LEVY_AREA_APPROXIMATIONS.foster:
        square = h * h
        variance = square.unsqueeze(-1) + square.unsqueeze(-2)
        normals = normals * (0.05 * length**2 + 0.2 * length * variance).sqrt()
    else:
        normals = normals * (length / math.sqrt(12.0))
    half = h.unsqueeze(-1) * w.unsqueeze(-2) + normals
    return half - half.transpose(-1, -2)
