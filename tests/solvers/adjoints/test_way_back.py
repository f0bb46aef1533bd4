"""The reversible adjoint says when rounding has made it lose the way."""

from __future__ import annotations

import warnings

import pytest
import torch

from latentsde import solve
from latentsde.solvers import ReversiblePair
from tests.solvers.equations import Learned


@pytest.mark.parametrize(("coupling", "lost"), [(0.97, True), (0.999, False), (1.0, False)])
def test_a_state_that_is_not_found_again_is_a_warning(coupling: float, lost: bool) -> None:
    # 0.97^-600 is 9e7, more than float32 has digits; 0.999^-600 is 1.8.
    equation = Learned("diagonal", "stratonovich").float()
    y0 = torch.linspace(-1, 1, 8).view(4, 2).requires_grad_()
    method = ReversiblePair("midpoint", coupling)
    ys = solve(equation, y0, [0, 1], dt=1 / 600, seed=0, method=method, adjoint="reversible").ys
    if lost:
        with pytest.warns(RuntimeWarning, match=r"away from y0 after 600 steps in torch\.float32"):
            ys[-1].sum().backward()
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            ys[-1].sum().backward()
