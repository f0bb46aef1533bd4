"""L-BFGS over all data: it finds the minimum of a sum, and goes on from what was kept as if never stopped."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from experiments.full_batch import ROUND, minimise

CURVED = torch.tensor([[-1.2, 1.0], [0.5, 2.0], [2.0, -1.0]], dtype=torch.float64)


def valley(point: Tensor, part: int) -> Tensor:
    """A term for each row of CURVED, one dimension each, of Rosenbrock's sum; all are 0 at 1 alone."""
    x, y = point[part]
    return (1.0 - x).square() + 100.0 * (y - x.square()).square()


def found(iterations: int, place: Path, start: Tensor = CURVED) -> Tensor:
    point = start.clone().requires_grad_()
    minimise(lambda part: valley(point, part), len(CURVED), [point], iterations, place)
    return point.detach()


def test_the_minimum_of_a_sum_is_found(tmp_path: Path) -> None:
    torch.testing.assert_close(found(8 * ROUND, tmp_path / "kept.pt"), torch.ones_like(CURVED))


def test_a_second_call_goes_on_where_the_first_one_stopped(tmp_path: Path) -> None:
    whole = found(2 * ROUND, tmp_path / "whole.pt")
    half = found(ROUND, tmp_path / "parts.pt")
    assert not torch.equal(half, whole)
    # What is given to begin with does not matter then.
    assert torch.equal(found(2 * ROUND, tmp_path / "parts.pt", start=torch.zeros_like(CURVED)), whole)
    assert torch.equal(found(2 * ROUND, tmp_path / "parts.pt", start=torch.zeros_like(CURVED)), whole)
