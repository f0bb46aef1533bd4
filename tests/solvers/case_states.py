"""Of SolverTestCase: grids of times and kinds of state."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from tests.solvers.case import Case
from tests.solvers.equations import DOUBLE, InTuples, Oscillator
from tests.solvers.paths import Column

Y0 = torch.tensor([[0.4, -1.0], [1.3, 0.2], [0.1, 0.6]], dtype=DOUBLE)


class TimeTests(Case):
    def test_samples_on_their_own_times_are_as_if_alone(self) -> None:
        own = [[0.0, 0.21, 0.5, 1.3], [0.1, 0.15], [-0.4, 0.3, 0.9]]
        for ts in (own, [[-t for t in times] for times in own]):
            width = max(len(times) for times in ts)
            padded = torch.tensor(
                [times + times[-1:] * (width - len(times)) for times in ts], dtype=DOUBLE
            ).t()
            for equation in self.learned():
                path = self.path_for(equation, -2, 2, Y0, seed=1)
                together = self.solve(equation, Y0, padded, dt=0.1, path=path)
                steps = []
                for sample, times in enumerate(ts):
                    start = Y0[sample : sample + 1]
                    named = self.path_for(equation, -2, 2, start, seed=1, ids=torch.tensor([sample]))
                    alone = self.solve(equation, start, times, dt=0.1, path=named)
                    steps.append(alone.stats.steps)
                    # Up to the last bits: alone, a step is a Python number, together a tensor.
                    torch.testing.assert_close(
                        together.ys[: len(times), sample], alone.ys[:, 0], rtol=1e-13, atol=1e-13
                    )
                    assert (together.ys[len(times) :, sample] == together.ys[len(times) - 1, sample]).all()
                assert together.stats.steps == max(steps)

    def test_a_shared_grid_is_the_grid_of_each(self) -> None:
        ts = torch.tensor([0.0, 0.3, 1.0], dtype=DOUBLE)
        for equation in self.learned():
            path = self.path_for(equation, 0, 1, Y0, seed=1)
            shared = self.solve(equation, Y0, ts, dt=0.1, path=path)
            each = self.solve(equation, Y0, ts.unsqueeze(1).expand(3, 3), dt=0.1, path=path)
            torch.testing.assert_close(each.ys, shared.ys, rtol=1e-13, atol=1e-13)

    def test_a_step_of_no_length_does_nothing(self) -> None:
        y0 = Y0[:2]
        for equation in self.learned():
            ts = torch.tensor([[0.5, 0.0], [0.5, 0.4], [0.5, 1.0]], dtype=DOUBLE)
            solution = self.solve(equation, y0, ts, dt=0.1, seed=0)
            assert (solution.ys[:, 0] == y0[0]).all()
            assert (solution.ys[1:, 1] != y0[1]).all()
            nothing = self.solve(equation, y0, torch.full((3, 2), 0.5), dt=0.1, seed=0)
            assert nothing.stats.steps == 0 and (nothing.ys == y0).all()


class StateTests(Case):
    @pytest.mark.parametrize("shape", [(3,), (3, 1), (3, 4), (3, 2, 1, 5), ()])
    def test_any_shape_of_state(self, shape: tuple[int, ...]) -> None:
        for equation in self.learned():
            if not shape and equation.noise_type not in ("diagonal", "none"):
                continue
            flat = torch.linspace(-1, 1, max(1, math.prod(shape)), dtype=DOUBLE).view(
                shape[0] if shape else 1, -1
            )
            path = self.path_for(equation, 0, 1, flat, seed=1)
            expected = self.solve(equation, flat, [0.0, 0.3, 1.0], dt=0.2, path=path).ys
            y0 = flat.view(shape)
            path = self.path_for(equation, 0, 1, y0, seed=1)
            ys = self.solve(equation, y0, [0.0, 0.3, 1.0], dt=0.2, path=path).ys
            assert ys.shape == (3, *shape)
            torch.testing.assert_close(ys.reshape(expected.shape), expected, rtol=1e-13, atol=1e-13)

    def test_a_tuple_is_its_parts_side_by_side(self) -> None:
        # Position and velocity, noise on the velocity alone.
        calculus = min(self.chosen.calculus)
        kind = "none" if "diagonal" not in self.chosen.noise else "diagonal"
        joint = Oscillator("additive" if self.chosen.additive_only else kind, calculus)
        y0, path = Y0[:2], None if kind == "none" else self.path(0, 1, (2, 2), seed=1)
        parts = (y0[:, :1], y0[:, 1:])
        for ts in ([0.0, 0.3, 1.0], torch.tensor([[0.0, 0.0], [0.3, 0.5], [1.0, 0.5]], dtype=DOUBLE)):
            expected = self.solve(joint, y0, ts, dt=0.1, path=path)
            columns: Any = None if path is None else (None, Column(path, 1))
            solution = self.solve(InTuples(joint), parts, ts, dt=0.1, path=columns)
            assert isinstance(solution.ys, tuple)
            torch.testing.assert_close(torch.cat(solution.ys, -1), expected.ys, rtol=1e-13, atol=1e-13)
            assert solution.stats.steps == expected.stats.steps
            made = self.solve(InTuples(joint), parts, ts, dt=0.1, seed=4)
            assert torch.isfinite(torch.cat(made.ys)).all()

    def test_float32_is_the_same_solution_to_rounding(self) -> None:
        for equation in self.learned():
            solutions = []
            for dtype in (DOUBLE, torch.float32):
                path = self.path_for(equation, 0, 1, Y0, seed=1, dtype=dtype)
                solution = self.solve(equation.to(dtype), Y0.to(dtype), [0.0, 0.3, 1.0], dt=0.02, path=path)
                assert solution.ys.dtype == dtype
                solutions.append(solution.ys.double())
            torch.testing.assert_close(*solutions, rtol=0.0, atol=2e-5)

    def test_the_states_type_is_kept_whatever_the_paths(self) -> None:
        equation = self.learned()[0].float()
        path = self.path_for(equation, 0, 1, Y0, seed=1)
        ys = self.solve(equation, Y0.float(), [0, 1], dt=0.25, path=path).ys
        assert ys.dtype == torch.float32
