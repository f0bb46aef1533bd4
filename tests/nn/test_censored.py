"""Values known by their limits alone: the log probability of an interval, exact in both tails."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats  # type: ignore[import-untyped, unused-ignore]
from torch import Tensor

from latentsde.nn import Likelihoods

FAMILIES = ("censored-normal", "censored-laplace")
LAWS = {"censored-normal": stats.norm, "censored-laplace": stats.laplace}
INF = math.inf


def log_prob(family: str, location: float, lower: float, upper: float, dtype: torch.dtype) -> Tensor:
    made = Likelihoods((family,)).to(dtype)
    limits = torch.tensor([[lower, upper]], dtype=dtype)
    return made.log_prob(
        torch.tensor([location], dtype=dtype), torch.zeros(1, dtype=dtype), limits=limits
    ).detach()


def scale(family: str) -> float:
    return float(Likelihoods((family,)).double().scale[0].detach())


@pytest.mark.parametrize("family", FAMILIES)
def test_without_limits_it_is_the_family_it_is_named_after(family: str) -> None:
    made, plain = Likelihoods((family,)), Likelihoods((family.removeprefix("censored-"),))
    location, value = torch.linspace(-3, 3, 7).unsqueeze(1), torch.linspace(4, -5, 7).unsqueeze(1)
    known = torch.full((7, 1, 2), math.nan)
    for limits in (None, known):
        assert torch.equal(made.log_prob(location, value, limits=limits), plain.log_prob(location, value))


@pytest.mark.parametrize("family", FAMILIES)
@given(
    location=st.floats(-20, 20),
    lower=st.one_of(st.just(-INF), st.floats(-20, 20)),
    width=st.one_of(st.just(INF), st.floats(1e-3, 30)),
)
def test_an_interval_has_the_probability_of_scipy(
    family: str, location: float, lower: float, width: float
) -> None:
    upper = lower + width if lower > -INF else location + (width if width < INF else 1.0)
    a, b = ((x - location) / scale(family) for x in (lower, upper))
    law = LAWS[family]
    if a + b > 0:
        a, b = -b, -a
    wanted = law.logcdf(b) + math.log(-math.expm1(law.logcdf(a) - law.logcdf(b)))
    found = float(log_prob(family, location, lower, upper, torch.float64))
    # An interval narrower than a hundredth of the scale is taken at its middle: wrong by width² / 24.
    assert found == pytest.approx(wanted, rel=1e-9, abs=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
@given(cuts=st.lists(st.floats(-8, 8), min_size=1, max_size=6, unique=True), location=st.floats(-3, 3))
def test_the_pieces_of_the_line_have_probability_one(family: str, cuts: list[float], location: float) -> None:
    ends = [-INF, *sorted(cuts), INF]
    pieces = [float(log_prob(family, location, a, b, torch.float64).exp()) for a, b in pairwise(ends)]
    assert sum(pieces) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
@given(
    location=st.floats(-1e4, 1e4, width=32),
    lower=st.one_of(st.just(-INF), st.floats(-1e3, 1e3, width=32)),
    width=st.one_of(st.just(INF), st.floats(2**-10, 1024, width=32)),
)
def test_value_and_gradients_are_finite_far_in_the_tails(
    family: str, location: float, lower: float, width: float
) -> None:
    """In float32, thousands of standard deviations away."""
    upper = lower + width if lower > -INF else 5.0
    made = Likelihoods((family,))
    at = torch.tensor([location], requires_grad=True)
    found = made.log_prob(at, torch.zeros(1), limits=torch.tensor([[lower, upper]]))
    found.sum().backward()
    assert torch.isfinite(found).all() and float(found.detach()) <= 0.0
    assert at.grad is not None and torch.isfinite(at.grad).all()
    assert made.raw_scale.grad is not None and torch.isfinite(made.raw_scale.grad).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_the_right_tail_of_float32_is_that_of_float64(family: str) -> None:
    for far in (1.0, 10.0, 100.0, 1000.0):
        single, double = (log_prob(family, -far, 0.0, INF, dtype) for dtype in (torch.float32, torch.float64))
        assert float(single) == pytest.approx(float(double), rel=1e-5)
        assert double < -0.4 * far  # no rounding to log 0 or log 1


@pytest.mark.parametrize("family", FAMILIES)
def test_a_limit_draws_the_location_to_its_side(family: str) -> None:
    made = Likelihoods((family,))
    for lower, upper, sign in ((-INF, 0.0, -1.0), (0.0, INF, 1.0), (2.0, 3.0, 1.0), (-3.0, -2.0, -1.0)):
        at = torch.zeros(1, requires_grad=True)
        made.log_prob(at, torch.zeros(1), limits=torch.tensor([[lower, upper]])).sum().backward()
        assert at.grad is not None and float(at.grad) * sign > 0


def test_known_and_censored_values_stand_beside_other_families() -> None:
    made = Likelihoods(("normal", "censored-normal", "poisson")).double()
    location = torch.tensor([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]], dtype=torch.float64)
    value = torch.tensor([[1.0, 2.0, 3.0], [4.0, 0.3, 6.0]], dtype=torch.float64)
    limits = torch.full((2, 3, 2), math.nan, dtype=torch.float64)
    limits[1, 1] = torch.tensor([-INF, 0.3])
    found = made.log_prob(location, value, limits=limits)
    assert torch.equal(found[0], made.log_prob(location, value)[0])
    scale = float(made.scale[1].detach())
    assert float(found[1, 1].detach()) == pytest.approx(stats.norm.logcdf(0.3, 0.5, scale))
