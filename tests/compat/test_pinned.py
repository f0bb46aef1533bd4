"""A path with given W, H or both over its whole interval has the law of the Gaussian bridge.

Statistical, with fixed seeds; false-alarm rate of every test FALSE_ALARM = 1e-5.
"""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from latentsde.compat.torchsde import BrownianInterval
from tests.significance import bound, covariance_z, mean_z, variance_z

DOUBLE = torch.float64
T0, T1 = -1.0, 3.0
SPAN = T1 - T0
SAMPLES = 10_000
PINS = [("W",), ("H",), ("W", "H")]
VALUES = {"W": 5.0, "H": -3.0}


def pinned(given: tuple[str, ...], seed: int = 3, values: dict[str, float] = VALUES) -> BrownianInterval:
    ends = {name: torch.full((SAMPLES,), values[name], dtype=DOUBLE) for name in given}
    return BrownianInterval(T0, T1, entropy=seed, levy_area_approximation="space-time", **ends)  # type: ignore[arg-type]


def areas(bm: BrownianInterval, ta: float, tb: float) -> tuple[Tensor, Tensor]:
    w, u = bm(ta, tb, return_U=True)
    return w, u / (tb - ta) - 0.5 * w


@pytest.mark.parametrize("given", PINS)
@pytest.mark.parametrize("part", [(0.0, 0.3), (0.3, 0.45), (0.9, 1.0), (0.25, 0.75), (0.4, 0.4001)])
def test_a_part_has_the_conditional_law(given: tuple[str, ...], part: tuple[float, float]) -> None:
    start, stop = part
    length = stop - start
    tilt = 1.0 - start - stop
    w, h = areas(pinned(given), T0 + SPAN * start, T0 + SPAN * stop)
    # On a unit span W and H of a part have covariances (d, 1/2 d t) and (0, 1/12 d²) with the whole (W, H),
    # whose variances are 1 and 1/12; d is the part's length and t its tilt.
    mean_w, mean_h, var_w, var_h, both = 0.0, 0.0, length, length / 12.0, 0.0
    if "W" in given:
        mean_w += length * VALUES["W"]
        var_w -= length**2
    if "H" in given:
        mean_w += 6.0 * length * tilt * VALUES["H"]
        mean_h += length**2 * VALUES["H"]
        var_w -= 3.0 * (length * tilt) ** 2
        var_h -= length**4 / 12.0
        both -= 0.5 * length**3 * tilt
    var_w, var_h, both = SPAN * var_w, SPAN * var_h, SPAN * both
    assert abs(float(mean_z(w, mean_w, var_w))) < bound(5)
    assert abs(float(mean_z(h, mean_h, var_h))) < bound(5)
    assert abs(float(variance_z(w - mean_w, var_w))) < bound(5)
    assert abs(float(variance_z(h - mean_h, var_h))) < bound(5)
    assert abs(float(covariance_z(w - mean_w, h - mean_h, torch.tensor(both), (var_w, var_h)))) < bound(5)


@pytest.mark.parametrize("given", PINS)
def test_what_is_not_given_keeps_its_own_value(given: tuple[str, ...]) -> None:
    free = BrownianInterval(T0, T1, (SAMPLES,), DOUBLE, entropy=3, levy_area_approximation="space-time")
    whole = dict(zip("WH", areas(pinned(given), T0, T1), strict=True))
    for name, own in zip("WH", areas(free, T0, T1), strict=True):
        expected = torch.full_like(own, VALUES[name]) if name in given else own
        torch.testing.assert_close(whole[name], expected, rtol=0.0, atol=1e-14)


def test_the_given_end_is_met_to_the_last_bit() -> None:
    w = torch.randn(1000, generator=torch.Generator().manual_seed(0)) * torch.logspace(-4, 4, 1000)
    assert torch.equal(BrownianInterval(T0, T1, W=w, entropy=1)(T0, T1), w)
    half = w[300:700].half()
    assert torch.equal(BrownianInterval(T0, T1, W=half, entropy=1)(T0, T1), half)


@pytest.mark.parametrize("given", PINS)
def test_parts_make_the_whole(given: tuple[str, ...]) -> None:
    bm = pinned(given)
    times = [T0, -0.3, -0.3 + 1e-6, 1.7, T1]
    total = integral = torch.zeros(SAMPLES, dtype=DOUBLE)
    for a, b in itertools.pairwise(times):
        w, u = bm(a, b, return_U=True)
        integral = integral + u + (b - a) * total
        total = total + w
    w, u = bm(T0, T1, return_U=True)
    torch.testing.assert_close(total, w, rtol=0.0, atol=1e-13)
    torch.testing.assert_close(integral, u, rtol=0.0, atol=1e-12)
    w, u = bm(-0.3, 1.7, return_U=True)
    back, back_u = bm(1.7, -0.3, return_U=True)
    assert torch.equal(back, -w)
    torch.testing.assert_close(back_u, -u + 2.0 * w, rtol=0.0, atol=1e-13)


def test_the_area_is_kept_where_it_is_given_and_not_asked_for() -> None:
    ends = {"W": torch.ones(5), "H": torch.full((5,), 2.0)}
    plain = BrownianInterval(T0, T1, entropy=1, **ends)  # type: ignore[arg-type]
    asked = BrownianInterval(T0, T1, entropy=1, levy_area_approximation="space-time", **ends)  # type: ignore[arg-type]
    assert torch.equal(plain(0.0, 1.7), asked(0.0, 1.7))
    assert plain(0.0, 1.7, return_U=True)[1] is None


def test_gradients_reach_what_is_given() -> None:
    w, h = (torch.zeros(3, dtype=DOUBLE, requires_grad=True) for _ in range(2))
    bm = BrownianInterval(T0, T1, W=w, H=h, entropy=1)
    bm(T0, 0.0).sum().backward()
    assert w.grad is not None and h.grad is not None
    torch.testing.assert_close(w.grad, torch.full_like(w, 0.25))
    torch.testing.assert_close(h.grad, torch.full_like(h, 6.0 * 0.25 * 0.75))
