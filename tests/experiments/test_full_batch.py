"""L-BFGS over all data: it finds the minimum of a sum, and goes on from what was kept as if never stopped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from experiments.full_batch import ROUND, minimise
from latentsde.errors import InputError

CURVED = torch.tensor([[-1.2, 1.0], [0.5, 2.0], [2.0, -1.0]], dtype=torch.float64)
PLAN = {"terms": 3}


def valley(x: Tensor, y: Tensor) -> Tensor:
    """Rosenbrock's, 0 at (1, 1) alone."""
    return (1.0 - x).square() + 100.0 * (y - x.square()).square()


def found(
    iterations: int,
    place: Path,
    start: Tensor = CURVED,
    term: Callable[[Tensor, Tensor], Tensor] = valley,
    plan: dict[str, int] = PLAN,
) -> Tensor:
    """The point to which a sum of a term for each row comes."""
    point = start.clone().requires_grad_()
    minimise(lambda part: term(*point[part]), len(start), [point], iterations, place, plan)
    return point.detach()


def test_the_minimum_of_a_sum_is_found_and_nothing_is_done_after_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reached = found(1000, tmp_path / "kept.pt")
    torch.testing.assert_close(reached, torch.ones_like(CURVED))
    rounds = capsys.readouterr().out.count("iteration")
    assert rounds < 1000 // ROUND // 2
    assert torch.equal(found(1000, tmp_path / "kept.pt"), reached)


def test_a_second_call_goes_on_where_the_first_one_stopped(tmp_path: Path) -> None:
    whole = found(2 * ROUND + 3, tmp_path / "whole.pt")
    half = found(ROUND, tmp_path / "parts.pt")
    assert not torch.equal(half, whole)
    # What is given to begin with does not matter then.
    for _ in range(2):
        assert torch.equal(found(2 * ROUND + 3, tmp_path / "parts.pt", start=torch.zeros_like(CURVED)), whole)
    for iterations, plan in ((ROUND, PLAN), (3 * ROUND, {"terms": 4})):
        with pytest.raises(InputError, match=r"parts\.pt is of another plan, or of more iterations"):
            found(iterations, tmp_path / "parts.pt", plan=plan)


def test_where_the_loss_is_not_finite_no_step_ends(tmp_path: Path) -> None:
    """The first step, of length 1, goes beyond the edge of what can be computed."""
    edge = torch.tensor([[0.3, 0.2]], dtype=torch.float64)
    reached = found(60, tmp_path / "edge.pt", edge, lambda x, y: x - x.log() + (y - y.log()) / 50.0)
    torch.testing.assert_close(reached, torch.ones_like(edge), rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError, match="not finite after 0 iterations"):
        found(5, tmp_path / "nothing.pt", -edge, lambda x, y: x.log() + y)
    assert not (tmp_path / "nothing.pt").exists()
