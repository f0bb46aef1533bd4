"""The direct adjoint: every step is kept, and autograd goes back over all of them."""

from __future__ import annotations

from dataclasses import dataclass

from ..march import Problem, Trajectory, march
from .base import Adjoint


@dataclass(frozen=True)
class Direct(Adjoint):
    """Exact gradients of the steps, and second derivatives; memory grows with the number of steps."""

    name = "direct"

    def solve(self, problem: Problem) -> Trajectory:
        return march(problem)
