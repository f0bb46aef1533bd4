"""The bridge's coefficients are those of Gaussian conditioning, to rounding."""

from __future__ import annotations

import hypothesis.strategies as st
import torch
from hypothesis import given
from torch import Tensor

from latentsde.brownian.bridge import bridge, midpoint
from tests.brownian.bridge_law import moments

# One input at a time: (W, H, first normal, second normal).
UNITS = torch.eye(4, dtype=torch.float64)


def conditional(r: float) -> tuple[Tensor, Tensor]:
    """Of (W_r, H_r) given (W, H): the weights (2, 2) of the mean, and the covariance (2, 2)."""
    covariance = moments(r)
    weights = covariance[2:, :2] @ torch.linalg.inv(covariance[:2, :2])
    return weights, covariance[2:, 2:] - weights @ covariance[:2, 2:]


@given(st.floats(2.0**-18, 1 - 2.0**-18))
def test_a_point_has_the_mean_and_covariance_it_has_given_the_whole(r: float) -> None:
    weights, covariance = conditional(r)
    found = torch.stack(bridge(torch.tensor(r, dtype=torch.float64), *UNITS))
    torch.testing.assert_close(found[:, :2], weights, rtol=1e-9, atol=1e-12)
    own = found[:, 2:] @ found[:, 2:].t()
    # Near the ends the variances are tiny differences of the moments' integrals.
    torch.testing.assert_close(own, covariance, rtol=0.0, atol=1e-12)
    torch.testing.assert_close(own[0, 0], covariance[0, 0], rtol=1e-8, atol=0.0)


def test_the_left_half_is_the_bridge_at_the_middle() -> None:
    weights, covariance = conditional(0.5)
    w_left, h_left, _, _ = midpoint(*UNITS)
    found = torch.stack([w_left, h_left])
    torch.testing.assert_close(found[:, :2], weights, rtol=1e-14, atol=1e-14)
    torch.testing.assert_close(found[:, 2:] @ found[:, 2:].t(), covariance, rtol=1e-13, atol=1e-14)


def test_two_halves_make_the_whole_and_are_mirror_images() -> None:
    w, h, *_ = UNITS
    w_left, h_left, w_right, h_right = midpoint(*UNITS)
    torch.testing.assert_close(w_left + w_right, w, rtol=0.0, atol=1e-15)
    joined = 0.5 * (h_left + h_right) + 0.25 * (w_left - w_right)
    torch.testing.assert_close(joined, h, rtol=0.0, atol=1e-15)
    # Run backwards, the whole is (-W, H) and its first half is the right one.
    mirror = torch.diag(torch.tensor([-1.0, 1.0, 1.0, -1.0], dtype=torch.float64))
    torch.testing.assert_close(-w_right, w_left @ mirror, rtol=0.0, atol=1e-15)
    torch.testing.assert_close(h_right, h_left @ mirror, rtol=0.0, atol=1e-15)
