"""The paths have the law of Brownian motion and its space-time Lévy area, and a wrong bridge would be seen.

Statistical, with fixed seeds; false-alarm rate of every test FALSE_ALARM = 1e-5, or as stated.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from latentsde import VirtualBrownianTree
from latentsde.brownian import Increments, descent, kernels
from tests.brownian.bridge_law import FIGURES, bridge_figures
from tests.significance import FALSE_ALARM, bound, correlation_z, mean_z, normality, variance_z

pytestmark = pytest.mark.usefixtures("implementation")

DOUBLE = torch.float64
LEAF = 2.0**-30


def path(
    shape: tuple[int, ...], seed: int, ids: Tensor | None = None, *, span: float = 1.0
) -> VirtualBrownianTree:
    return VirtualBrownianTree(0.0, span, shape, seed=seed, ids=ids, levy_area="space-time", dtype=DOUBLE)


def uneven_grid(points: int, seed: int) -> Tensor:
    """Increasing times from 0 to 1, no two gaps alike."""
    gaps = torch.rand(points - 1, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE) + 0.2
    return torch.cat([torch.zeros(1, dtype=DOUBLE), gaps.cumsum(0) / gaps.sum()])


def standardised(increments: Increments, grid: Tensor) -> tuple[Tensor, Tensor]:
    """(W, H) of consecutive intervals as standard normals."""
    assert increments.H is not None
    length = grid.diff().abs().view(-1, *(1,) * (increments.W.dim() - 1))
    return increments.W / length.sqrt(), increments.H / (length / 12.0).sqrt()


def tree_draws(grid: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    return standardised(path((100, 10), seed).increments(grid), grid)


def aligned_draws(grid: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    return standardised(path((100, 10), seed).aligned(grid).increments(grid), grid)


def backward_draws(grid: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    down = grid.flip(0)
    return standardised(path((100, 10), seed).aligned(down).increments(down), down)


@pytest.mark.parametrize("draw", [tree_draws, aligned_draws, backward_draws])
def test_increments_and_areas_are_normal(draw: Callable[[Tensor, int], tuple[Tensor, Tensor]]) -> None:
    # 500,000 draws each; false alarm 2 FALSE_ALARM.
    w, h = draw(uneven_grid(501, 1), 2)
    assert w.numel() == h.numel() == 500_000
    assert normality(w) > FALSE_ALARM
    assert normality(h) > FALSE_ALARM


@pytest.mark.parametrize("aligned", [False, True])
def test_disjoint_intervals_are_independent(aligned: bool) -> None:
    # Squares as well: independent normals of one radius would be uncorrelated and dependent. Their
    # correlations have heavier tails than a normal's at 20,000 draws, hence the margin.
    grid = uneven_grid(21, 3)
    p = path((20_000,), 4)
    w, h = (x.t() for x in standardised((p.aligned(grid) if aligned else p).increments(grid), grid))
    columns = torch.cat([w, h, w.square(), h.square()], 1)
    crossed = correlation_z(columns, columns).fill_diagonal_(0.0).abs()
    assert crossed[:40, :40].max() < bound(80 * 79 // 2)
    assert crossed.max() < 1.5 * bound(80 * 79 // 2)


def test_areas_are_independent_of_the_increment_and_have_a_twelfth_of_its_variance() -> None:
    w, h = (x.flatten() for x in tree_draws(uneven_grid(201, 5), 6))
    moments = torch.stack([variance_z(w, 1.0), variance_z(h, 1.0), mean_z(w, 0.0, 1.0), mean_z(h, 0.0, 1.0)])
    columns = (torch.stack([w, w.square(), w**3], 1), torch.stack([h, h.square(), h**3], 1))
    assert torch.cat([moments, correlation_z(*columns).flatten()]).abs().max() < bound(13)


def test_samples_channels_and_seeds_are_independent() -> None:
    # Names that differ in one bit of the low or of the high word, or in sign; seeds and channels next to each
    # other.
    names = [0, 1, 2, 3, 2**31, 2**32, 2**32 + 1, 2**62, -1]
    grid = uneven_grid(2049, 7)
    columns = [
        path((len(names), 3), seed, torch.tensor(names)).increments(grid).W.flatten(1)
        / grid.diff().sqrt().unsqueeze(1)
        for seed in (0, 1, 2**32)
    ]
    draws = torch.cat(columns, 1)
    draws = torch.cat([draws, draws.square()], 1)
    crossed = correlation_z(draws, draws).fill_diagonal_(0.0)
    pairs = draws.shape[1] * (draws.shape[1] - 1) // 2
    # Beyond the normal's range at 2048 draws of squares: their correlations have heavier tails, hence the
    # wider margin.
    assert crossed[:81, :81].abs().max() < bound(pairs)
    assert crossed.abs().max() < 1.5 * bound(pairs)


def test_area_keeps_its_variance_on_a_millionth_of_the_span_in_float32() -> None:
    # 60,000 draws at each of 8 places: the deviation of the pooled estimate is 0.2 %, so that 1 % is 4.9 of
    # them (1e-6).
    places = [0.0, 1e-6, 0.1234567, 0.5 - 5e-7, 0.5, math.pi / 4, 0.9, 1.0 - 1e-6]
    single = VirtualBrownianTree(0, 1, (60_000,), seed=8, levy_area="space-time")
    areas = []
    for place in places:
        h = single.increment(place, place + 1e-6).H
        assert h is not None and h.dtype == torch.float32
        areas.append(h.double().square().mean() * 12.0 / 1e-6)
    assert abs(float(torch.stack(areas).mean()) - 1.0) < 0.01
    # Each place by itself to 5 of its own deviations, 5.8e-3.
    assert (torch.stack(areas) - 1.0).abs().max() < bound(8) * (2 / 60_000) ** 0.5


# What is given, and the shares of it that are looked at: points of many levels of the tree, next to the ends,
# between any two nodes.
WHOLES = [(0.0, 1.0), (0.25, 0.5), (0.1, 0.77), (0.5, 0.5 + 1e-3), (1 / 3, 1 / 3 + 1e-6)]
SHARES = [2.0**-8, 0.03, 1 / 9, 0.25, 0.3, 0.42, 0.5, 0.61, 0.75, 0.875, 0.93, 1 - 2.0**-9]


def worst_bridge_figure(samples: int = 10_000) -> float:
    """The largest |figure| over 60 points of the tree above its leaves."""
    worst = 0.0
    for number, (start, end) in enumerate(WHOLES):
        times = torch.tensor([start, *(start + r * (end - start) for r in SHARES), end], dtype=DOUBLE)
        p = path((samples,), 20 + number)
        whole = p.increment(start, end)
        for time, r in zip(times[1:-1].tolist(), SHARES, strict=True):
            part = p.increment(start, time)
            worst = max(worst, float(bridge_figures(whole, part, end - start, r).abs().max()))
    return worst


def worst_leaf_figure(samples: int = 10_000) -> float:
    """The same for 13 points inside leaves: the first of a path, and the last of a quarter for W alone."""
    worst = 0.0
    p = path((samples,), 30)
    whole = p.increment(0.0, LEAF)
    for r in SHARES:
        figures = bridge_figures(whole, p.increment(0.0, r * LEAF), LEAF, r)
        worst = max(worst, float(figures.abs().max()))
    start, middle = 0.25 - LEAF, 0.25 - 0.375 * LEAF
    inside = p.increment(start, middle).W / LEAF**0.5
    return max(worst, float(variance_z(inside, 0.625).abs()))


BRIDGE_BOUND = bound(len(WHOLES) * len(SHARES) * FIGURES)
LEAF_BOUND = bound(len(SHARES) * FIGURES + 1)


def test_every_point_has_its_law_given_an_interval_around_it() -> None:
    assert len(WHOLES) * len(SHARES) >= 50
    assert worst_bridge_figure() < BRIDGE_BOUND


def test_points_inside_a_leaf_have_their_law_given_the_leaf() -> None:
    assert worst_leaf_figure() < LEAF_BOUND


def wrong_midpoint(
    w: Tensor, h: Tensor, first: Tensor, second: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Halves with the variance of W's own bridge, 1/4, in place of that given H as well, 1/16."""
    return RIGHT_MIDPOINT(w, h, 2.0 * first, second)


def wrong_share(w: Tensor, h: Tensor, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Halves whose areas are 3 % too wide in deviation."""
    return RIGHT_MIDPOINT(w, h, first, 1.03 * second)


def wrong_bridge(r: Tensor, w: Tensor, h: Tensor, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """A bridge whose variance does not know where the point is: that of the middle everywhere."""
    middle_w, middle_h = RIGHT_BRIDGE(
        torch.full_like(r, 0.5), torch.zeros_like(w), torch.zeros_like(h), first, second
    )
    mean_w, mean_h = RIGHT_BRIDGE(r, w, h, torch.zeros_like(first), torch.zeros_like(second))
    return mean_w + middle_w, mean_h + middle_h


RIGHT_MIDPOINT, RIGHT_BRIDGE = descent.midpoint, descent.bridge


# What is made wrong is the implementation in PyTorch.
in_pytorch = pytest.mark.parametrize("implementation", ["PyTorch"], indirect=True)


@in_pytorch
@pytest.mark.parametrize("wrong", [wrong_midpoint, wrong_share])
def test_a_wrong_midpoint_is_seen(wrong: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "cpu", lambda: None)
    monkeypatch.setattr(descent, "midpoint", wrong)
    assert worst_bridge_figure() > BRIDGE_BOUND


@in_pytorch
def test_a_wrong_leaf_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "cpu", lambda: None)
    monkeypatch.setattr(descent, "bridge", wrong_bridge)
    assert worst_leaf_figure() > LEAF_BOUND


@in_pytorch
def test_a_straight_line_inside_leaves_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "cpu", lambda: None)
    monkeypatch.setattr(descent, "bridge", lambda r, w, h, first, second: (r * w, 0.0 * h))
    assert worst_leaf_figure() > LEAF_BOUND


@pytest.mark.parametrize("span", [1e-3, 1.0, 1e4])
def test_variance_is_the_length_on_any_span(span: float) -> None:
    grid = torch.linspace(0, span, 64, dtype=DOUBLE)
    w, h = standardised(path((200, 5), 12, span=span).increments(grid), grid)
    assert torch.stack([variance_z(w.flatten(), 1.0), variance_z(h.flatten(), 1.0)]).abs().max() < bound(2)
