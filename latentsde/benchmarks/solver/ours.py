"""Ours as a contender: `solve` with a method and an adjoint; and what of it does not exist yet."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch

from latentsde.benchmarks.solver.plan import Size
from latentsde.benchmarks.solver.problem import KINDS, differentiate, problem, start
from latentsde.benchmarks.timing import Contender
from latentsde.solvers import METHODS, Stats, solve

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
        more: dict[str, Any] = {"compile": True} if self.compiled else {}
        return solve(
            sde,
            y0,
            (0.0, 1.0),
            method=self.method,
            dt=1.0 / steps,
            seed=SEED,
            adjoint=self.adjoint,
            **more,
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

    def missing(self) -> str | None:
        """Why `solve` refuses this, in one line; None where it works."""
        if self.compiled and "compile" not in inspect.signature(solve).parameters:
            return "missing: solve has no compile"
        try:
            replace(self, compiled=False).contender(_TINY, 2).prepare(1)()
        except (ValueError, TypeError, NotImplementedError) as error:
            return f"missing: {str(error).splitlines()[0]}"
        return None


def every_method() -> list[Ours]:
    """Each of `METHODS` on the first kind of problem that it takes; one that takes none is tried on the
    first, and then is missing with the reason.
    """
    found = []
    for method in METHODS:
        tried = [Ours(kind, method) for kind in (*KINDS[:3], "dense", "ode")]
        found.append(next((ours for ours in tried if ours.missing() is None), tried[0]))
    return found
