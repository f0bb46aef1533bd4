"""How exactly a reversible method finds its way back: the error of the state reconstructed after N steps.

    python experiments/reversibility.py

The pair's way back multiplies rounding errors by 1/λ in every step (McCallum & Foster 2024): λ^-N is 2e4
after 10,000 steps at λ = 0.999. Printed are the root mean square distance from the start after N steps there
and N steps back, in units of the state's size, and the error of the reversible adjoint's gradient with
respect to the start against the direct one's.
"""

from __future__ import annotations

import argparse
from typing import Any

import torch
from torch import Tensor

from latentsde import VirtualBrownianTree, solve
from latentsde.solvers import METHODS, Method, ReversiblePair
from latentsde.solvers.equation import Equation
from latentsde.solvers.grid import equal_steps
from latentsde.solvers.timeline import Timeline

SAMPLES, SPAN = 256, 2.0


class Rolling:
    """dy = sin 2y dt + (0.5 + 0.2 cos y) ∘ dW: contracts little, so that what is seen is the method's."""

    noise_type, sde_type = "diagonal", "stratonovich"

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.sin(2.0 * y)

    def g(self, t: Tensor, y: Tensor) -> Tensor:
        return 0.5 + 0.2 * torch.cos(y)


def reconstruction(method: Method, steps: int, dtype: torch.dtype) -> float:
    """The distance of the reconstructed start from the start, relative to its size."""
    equation, y0 = Equation(Rolling()), torch.linspace(-1.5, 1.5, SAMPLES, dtype=dtype).unsqueeze(1)
    path = VirtualBrownianTree(0.0, SPAN, (SAMPLES, 1), seed=3, dtype=dtype)
    times = torch.tensor([0.0, SPAN], dtype=torch.float64)
    timeline = Timeline(equal_steps(times, SPAN / steps), y0, path)
    y: Any = y0
    carry = method.start(equation, timeline.first, y0)
    for step in timeline.walk():
        y, carry = method.advance(equation, step, y, carry)
    for start, stop in reversed(timeline.blocks()):
        for step in reversed(timeline.block(start, stop)):
            if isinstance(method, ReversiblePair):
                y, carry = method.undo(equation, step, y, carry)
            else:
                y, carry = method.advance(equation, step.reversed(), y, carry)
    return float(((y - y0).square().mean() / y0.square().mean()).sqrt())


def gradient_error(method: Method, steps: int, dtype: torch.dtype) -> float:
    """Of the reversible adjoint against the direct one, relative to the gradient's size."""
    gradients = []
    for adjoint in ("direct", "reversible"):
        y0 = torch.linspace(-1.5, 1.5, SAMPLES, dtype=dtype).unsqueeze(1).requires_grad_()
        dt = SPAN / steps
        end = solve(Rolling(), y0, [0.0, SPAN], dt=dt, method=method, seed=3, adjoint=adjoint).ys[-1]
        gradients.append(torch.autograd.grad(end.sum(), y0)[0])
    direct, reversible = gradients
    return float((direct - reversible).norm() / direct.norm())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, nargs="+", default=[100, 1000, 10000])
    options = parser.parse_args()
    torch.set_num_threads(1)
    methods: dict[str, Method] = {"reversible_heun": METHODS["reversible_heun"]}
    methods |= {f"ReversiblePair(midpoint, {x})": ReversiblePair("midpoint", x) for x in (0.99, 0.999, 1.0)}
    heading = ("float32: start", "gradient", "float64: start", "gradient")
    print(f"{'method':32} {'steps':>6}  {heading[0]:>14} {heading[1]:>9}  {heading[2]:>14} {heading[3]:>9}")
    for name, method in methods.items():
        for steps in options.steps:
            figures = [
                measure(method, steps, dtype)
                for dtype in (torch.float32, torch.float64)
                for measure in (reconstruction, gradient_error)
            ]
            single, single_gradient, double, double_gradient = (f"{x:.1e}" for x in figures)
            print(
                f"{name:32} {steps:6}  {single:>14} {single_gradient:>9}  {double:>14} {double_gradient:>9}"
            )


if __name__ == "__main__":
    main()
