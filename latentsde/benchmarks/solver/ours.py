"""Ours as a contender: `solve` with a method and an adjoint."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from latentsde.benchmarks.solver.plan import Size
from latentsde.benchmarks.solver.problem import KINDS, differentiate, problem, start
from latentsde.benchmarks.timing import Contender
from latentsde.solvers import METHODS, Stats, solve
from latentsde.solvers.choice import fits
from latentsde.solvers.equation import Equation

SEED = 7
_TINY = Size(2, 2, 2)


@dataclass(frozen=True)
class Ours:
    """One way of calling `solve`: `kind` of the problem, forward alone or forward and backward."""

    kind: str
    method: str
    adjoint: str = "direct"
    backward: bool = False
    compiled: bool = False

    def solve(self, sde: Any, y0: torch.Tensor, steps: int) -> Any:
        """The solution over the unit interval; the path is made from a seed, which is part of the time."""
        return solve(
            sde,
            y0,
            (0.0, 1.0),
            method=self.method,
            dt=1.0 / steps,
            seed=SEED,
            adjoint=self.adjoint,
            compile=self.compiled,
        )

    def contender(self, size: Size, steps: int) -> Contender:
        """A run is one whole solve, with the gradients where `backward`."""
        sde = problem(self.kind, size)

        def prepare(count: int) -> Callable[[], None]:
            sde.zero_grad(set_to_none=True)
            y0 = start(size, requires_grad=self.backward)

            def work() -> None:
                if self.backward:
                    differentiate(self.solve(sde, y0, steps).ys[-1])
                else:
                    with torch.no_grad():
                        self.solve(sde, y0, steps)

            return work

        return Contender("ours", 1, prepare, whole=True)

    def evaluations(self, steps: int) -> tuple[int, int]:
        """How many evaluations of f and of g `steps` steps take, as `solution.stats` reports them."""
        with torch.no_grad():
            stats: Stats = self.solve(problem(self.kind, _TINY), start(_TINY), steps).stats
        return stats.drift_evaluations, stats.diffusion_evaluations


def every_method() -> list[Ours]:
    """Each of `METHODS` on the first kind of problem that it takes."""
    equations = {kind: Equation(problem(kind, _TINY)) for kind in (*KINDS[:3], "dense", "ode")}
    return [
        Ours(next(kind for kind, equation in equations.items() if fits(chosen, equation)), name)
        for name, chosen in METHODS.items()
    ]
