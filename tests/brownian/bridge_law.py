"""The law of a part of an interval given the whole, as figures that are standard normal when it holds.

With increments over [s, t] of length 1 and over [s, s + r]: W_r = r W + 6 r(1-r) H + X and H_r = r² H + Y,
where (X, Y) is normal and independent of (W, H). The moments of X and Y follow from Cov(W_a, W_b) = min(a, b)
alone and are derived so, by integrals of that covariance, in `moments`: not by the formulas of
`latentsde.brownian.bridge`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from latentsde.brownian import Increments
from tests.significance import covariance_z, mean_z, variance_z


def moments(r: float) -> Tensor:
    """The covariance matrix (4, 4) of (W, H, W_r, H_r) on [0, 1], integrals of min(a, b) in closed form."""

    def between(a: float, b: float) -> float:  # Cov(W_a, W_b)
        return min(a, b)

    def integral(a: float, b: float) -> float:  # Cov(W_a, ∫_0^b W)
        return b * b / 2 if b <= a else a * a / 2 + a * (b - a)

    def double(a: float, b: float) -> float:  # Cov(∫_0^a W, ∫_0^b W), a <= b
        return a**3 / 3 + a * a / 2 * (b - a)

    joint = torch.tensor(
        [
            [between(1, 1), integral(1, 1), between(1, r), integral(1, r)],
            [integral(1, 1), double(1, 1), integral(r, 1), double(r, 1)],
            [between(r, 1), integral(r, 1), between(r, r), integral(r, r)],
            [integral(1, r), double(r, 1), integral(r, r), double(r, r)],
        ],
        dtype=torch.float64,
    )
    # H = ∫W - W/2 over the whole, H_r = ∫_0^r W / r - W_r / 2.
    change = torch.tensor(
        [[1, 0, 0, 0], [-0.5, 1, 0, 0], [0, 0, 1, 0], [0, 0, -0.5, 1 / r]], dtype=torch.float64
    )
    return change @ joint @ change.t()


FIGURES = 9
"""Figures of one point: two means, two variances, a covariance, and four covariances with what is given."""


def bridge_figures(whole: Increments, part: Increments, length: float, r: float) -> Tensor:
    """(9,) figures, standard normal if the bridge is right, from samples (n,) of the whole and its first
    share.
    """
    assert whole.H is not None and part.H is not None
    w, h, w_r, h_r = (x.double().flatten() / length**0.5 for x in (whole.W, whole.H, part.W, part.H))
    covariance = moments(r)
    given, conditioned = covariance[:2, :2], covariance[2:, :2]
    weights = conditioned @ torch.linalg.inv(given)
    residual = covariance[2:, 2:] - weights @ conditioned.t()
    x = w_r - weights[0, 0] * w - weights[0, 1] * h
    y = h_r - weights[1, 0] * w - weights[1, 1] * h
    var_w, var_h = 1.0, 1.0 / 12.0
    var_x, var_y = float(residual[0, 0]), float(residual[1, 1])
    return torch.stack(
        [
            mean_z(x, 0.0, var_x),
            mean_z(y, 0.0, var_y),
            variance_z(x, var_x),
            variance_z(y, var_y),
            covariance_z(x, y, float(residual[0, 1]), (var_x, var_y)),
            covariance_z(x, w, 0.0, (var_x, var_w)),
            covariance_z(x, h, 0.0, (var_x, var_h)),
            covariance_z(y, w, 0.0, (var_y, var_w)),
            covariance_z(y, h, 0.0, (var_y, var_h)),
        ]
    )
