"""The exact bridge of (W, H): what a point inside an interval is, given the whole interval.

On an interval of length 1 with increment W and space-time Lévy area H, and at the fraction r of it,

    W_r = r W + 6 r(1-r) H + X,      Var X = r(1-r) (1 - 3 r(1-r)),
    H_r = r² H + Y,                  Var Y = r(1-r³) / 12,      Cov(X, Y) = -r³(1-r) / 2,

with (X, Y) normal and independent of (W, H). It is Gaussian conditioning of (W_r, H_r) on (W, H); at r = 1/2
it is Theorem 3.5 of Jelinčič, Foster & Kidger 2024 (Z = X ~ N(0, 1/16)). Inside the tree A_r = ∫_0^r W ds = r
(H_r + W_r/2) stands for H, because integrals add up.
"""

from __future__ import annotations

import math

from torch import Tensor


def bridge(r: Tensor, w: Tensor, h: Tensor, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """(W_r, H_r) at the fractions `r` in [0, 1] of unit intervals with (w, h), driven by two standard
    normals.
    """
    product = r * (1.0 - r)
    deviation_x = (product * (1.0 - 3.0 * product)).sqrt()
    covariance = -0.5 * r * r * product
    slope = covariance / deviation_x.clamp_min(1e-300)  # 0 at both ends
    variance_y = r * (1.0 - r**3) / 12.0
    deviation_y = (variance_y - slope * slope).clamp_min(0.0).sqrt()
    w_r = r * w + 6.0 * product * h + deviation_x * first
    h_r = r * r * h + slope * first + deviation_y * second
    return w_r, h_r


# Deviations at the midpoint: of X, whose variance is 1/16, and of what tells the two areas apart.
_DEVIATION_X = 0.25
_DEVIATION_AREA = math.sqrt(1.0 / 48.0)


def midpoint(w: Tensor, h: Tensor, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(W, H) of the left half and of the right half of unit intervals with (w, h), in units of the whole
    interval.
    """
    z = _DEVIATION_X * first
    n = _DEVIATION_AREA * second
    w_left = 0.5 * w + 1.5 * h + z
    shared = 0.25 * h - 0.5 * z
    return w_left, shared + n, w - w_left, shared - n
