"""Adaptive steps leave the law as it is: after a rejection the same path is used."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from latentsde import VirtualBrownianTree, solve
from latentsde.solvers import PID
from tests.significance import bound, mean_z, normality, variance_z
from tests.solvers.equations import DOUBLE, Geometric


class Redrawn:
    """What a path is not: new noise for every question."""

    levy_area = None

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape, self.asked = shape, 0

    def increments(self, times: Tensor) -> Any:
        self.asked += 1
        low, high = float(times.min()), float(times.max())
        low, high = min(low, 0.0), max(high, 1.0)
        return VirtualBrownianTree(low, high, self.shape, seed=self.asked, dtype=DOUBLE).increments(times)


def ends_of_geometric_brownian_motion(path: Any, *, per_sample: bool) -> tuple[Tensor, Any]:
    """log y(1) of dy = y ∘ dW, which is W(1): standard normal. The tolerance makes many rejections."""
    y0 = torch.ones(path.shape, dtype=DOUBLE)
    controller = PID(rtol=0.05, atol=1e-6, dt0=0.5, per_sample=per_sample, factor_max=10.0, safety=1.0)
    solution = solve(
        Geometric("stratonovich", 0.0, 1.0), y0, [0, 1], method="heun", path=path, controller=controller
    )
    return solution.ys[-1].log(), solution.stats


def figures(draws: Tensor) -> tuple[float, float, float]:
    flat = draws.flatten().unsqueeze(1)
    return float(mean_z(flat, 0.0, 1.0)), float(variance_z(flat, 1.0)), normality(draws)


def test_the_law_stays_right_after_rejections() -> None:
    # Three figures at a false-alarm rate of 1e-5 together; the step's own error is in none of them by more
    # than a hundredth (the next test).
    path = VirtualBrownianTree(0, 1, (4000, 1), seed=21, dtype=DOUBLE)
    draws, stats = ends_of_geometric_brownian_motion(path, per_sample=True)
    assert stats.rejected > 20
    mean, variance, p = figures(draws)
    assert max(abs(mean), abs(variance)) < bound(3) and p > 1e-5 / 3
    assert (draws - path(0, 1)).abs().mean() < 0.03


def test_redrawing_after_a_rejection_would_be_seen() -> None:
    draws, _ = ends_of_geometric_brownian_motion(Redrawn((4000, 1)), per_sample=True)
    _, variance, p = figures(draws)
    assert variance < -2 * bound(3) and p < 1e-9


def test_shared_steps_keep_the_law_too() -> None:
    draws = []
    for seed in range(100):
        path = VirtualBrownianTree(0, 1, (5, 1), seed=seed, dtype=DOUBLE)
        ends, stats = ends_of_geometric_brownian_motion(path, per_sample=False)
        draws.append(ends)
        assert stats.rejected > 0
    mean, variance, p = figures(torch.cat(draws))
    assert max(abs(mean), abs(variance)) < bound(3) and p > 1e-5 / 3
