"""What the parts of SolverTestCase share: the method, what it is for, and paths with what it asks of them."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from torch import Tensor

from latentsde import VirtualBrownianTree, solve
from latentsde.solvers import METHODS, Method
from tests.solvers.equations import DOUBLE, Learned, LearnedDrift, noise_shape

NOISE_TYPES = ("diagonal", "scalar", "additive", "commutative", "general")
CALCULI = ("ito", "stratonovich")


class Case:
    """The attributes are described at `SolverTestCase`."""

    __test__ = False

    method: ClassVar[str]
    weak: ClassVar[dict[str, float]] = {}
    smooth_order: ClassVar[float] = 2.0

    @property
    def chosen(self) -> Method:
        return METHODS[self.method]

    def fits(self, noise_type: str, calculus: str) -> bool:
        """Additive noise reads the same in both calculi."""
        right_calculus = noise_type == "additive" or calculus in self.chosen.calculus
        if self.chosen.additive_only and noise_type != "additive":
            return False
        return right_calculus and noise_type in self.chosen.noise

    def strong_order(self, noise_type: str) -> float | None:
        order = self.chosen.order
        return {"additive": order.strong_additive, "general": order.strong}.get(
            noise_type, order.strong_commutative
        )

    def weak_order(self, noise_type: str) -> float:
        return self.weak.get(noise_type, 1.0)

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """A test of "fitting" equations runs for each kind the method is for, one of "unfit" ones for each
        other kind, one of "undone" ones for each kind whose steps it undoes.
        """
        pairs = [(noise_type, calculus) for noise_type in NOISE_TYPES for calculus in CALCULI]
        fitting = [pair for pair in pairs if self.fits(*pair)]
        chosen = {
            "fitting": fitting,
            "unfit": [pair for pair in pairs if pair not in fitting],
            "undone": [("none", "none")] * ("none" in self.chosen.noise)
            + [pair for pair in fitting if self.chosen.undoes or pair[0] == "additive"],
        }
        for name, values in chosen.items():
            if name in metafunc.fixturenames:
                metafunc.parametrize(name, values, ids="-".join)

    def learned(self) -> list[Any]:
        """Equations with parameters, of every kind that the method is for."""
        equations: list[Any] = [Learned(n, c) for n in NOISE_TYPES for c in CALCULI if self.fits(n, c)]
        return equations if equations else [LearnedDrift()]

    def solve(self, equation: Any, y0: Any, ts: Any, **options: Any) -> Any:
        return solve(equation, y0, ts, method=self.method, **options)

    def path(self, t0: float, t1: float, shape: tuple[int, ...], **options: Any) -> VirtualBrownianTree:
        area = None if self.chosen.levy_area is None else "space-time"
        options = {"seed": 77, "dtype": DOUBLE, **options}
        return VirtualBrownianTree(t0, t1, shape, levy_area=area, **options)

    def path_for(self, equation: Any, t0: float, t1: float, y0: Tensor, **options: Any) -> Any:
        """A path of the equation's noise; None for an ODE."""
        if equation.noise_type == "none":
            return None
        return self.path(t0, t1, noise_shape(equation.noise_type, y0), **options)


def rms(x: Tensor) -> float:
    return float(x.square().mean().sqrt())
