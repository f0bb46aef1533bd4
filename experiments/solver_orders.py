"""The order and the price of every method, measured.

    python experiments/solver_orders.py                     a table for reading, five minutes on one core
    python experiments/solver_orders.py --out orders.md     the table of docs/solvers.md

Strong order: the slope of the root mean square error at time 1 against the step, on nonlinear equations that
depend on time, from a solution of the same path with a step 16 times below the smallest. Weak order: the
slope of the largest error among the first and second moments on linear equations, where one step's moments
are a sum over the nodes of a Gauss-Hermite rule and those of many steps its powers: there is no sampling
error. Orders are measured down to the step where the error is rounding.
"""

from __future__ import annotations

import argparse
import functools
import math
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import latentsde
from latentsde import solve
from latentsde.brownian import AlignedPath
from latentsde.brownian.levy_area import levy_area
from latentsde.solvers import METHODS
from latentsde.solvers.choice import fits
from latentsde.solvers.equation import Equation
from latentsde.solvers.methods import Step

DOUBLE = torch.float64
NOISES = ("diagonal", "scalar", "additive", "commutative", "general")
CHANNELS = {"diagonal": 2, "scalar": 1, "additive": 3, "commutative": 2, "general": 2}
LEVELS = (3, 4, 5, 6, 7)
ODE_LEVELS = (3, 4, 5, 6, 7)
FINE = 11
SAMPLES = 400
Y0 = torch.tensor([1.0, -0.7], dtype=DOUBLE)


class Nonlinear:
    """Two components, noise of the given kind, and a drift that does not commute with it.

    Read as Itô it has the solutions of the Stratonovich equation: the correction is in its drift.
    """

    turn = torch.tensor([[0.8, -0.6], [0.6, 0.8]], dtype=DOUBLE)
    mixing = torch.tensor([[0.6, 0.4], [-0.3, 0.5]], dtype=DOUBLE)
    forcing = torch.tensor([[0.8, 0.1, 0.3], [-0.2, 0.5, 0.4]], dtype=DOUBLE)

    def __init__(self, noise_type: str, sde_type: str) -> None:
        self.noise_type, self.sde_type = noise_type, sde_type

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        a, b = y.unbind(-1)
        drift = torch.stack([0.5 * torch.sin(b + t) - 0.2 * a, 0.5 * torch.cos(a) - 0.1 * b], -1)
        return drift + 0.5 * self.correction(t, y) if self.sde_type == "ito" else drift

    def g(self, t: Tensor, y: Tensor) -> Tensor:
        if self.noise_type == "diagonal":
            return 0.7 + 0.6 * torch.sin(y + t)
        if self.noise_type == "scalar":
            a, b = y.unbind(-1)
            return torch.stack([0.3 + 0.6 * torch.cos(b + t), 0.5 - 0.6 * torch.sin(a)], -1).unsqueeze(-1)
        if self.noise_type == "additive":
            return ((1.0 + t).unsqueeze(-1) * self.forcing).expand(*y.shape, 3)
        if self.noise_type == "commutative":  # diagonal noise in turned coordinates
            size = 1.0 + 0.7 * torch.sin(y @ self.turn + t)
            return self.turn @ (size.unsqueeze(-1) * self.mixing)
        a, b = y.unbind(-1)
        first = torch.stack([torch.cos(b), 0.2 * a], -1)
        second = torch.stack([0.3 + 0.0 * a, 1.2 * torch.sin(a + t)], -1)
        return torch.stack([first, second], -1)

    def correction(self, t: Tensor, y: Tensor) -> Tensor:
        """Σ_j (∂g_j) g_j."""
        a, b = y.unbind(-1)
        if self.noise_type == "diagonal":
            return self.g(t, y) * 0.6 * torch.cos(y + t)
        if self.noise_type == "scalar":
            first, second = self.g(t, y)[..., 0].unbind(-1)
            return torch.stack([-0.6 * torch.sin(b + t) * second, -0.6 * torch.cos(a) * first], -1)
        if self.noise_type == "additive":
            return torch.zeros_like(y)
        if self.noise_type == "commutative":
            turned = y @ self.turn + t
            size, derivative = 1.0 + 0.7 * torch.sin(turned), 0.7 * torch.cos(turned)
            return (size * derivative * self.mixing.square().sum(-1)) @ self.turn.t()
        first = torch.stack([-torch.sin(b) * 0.2 * a, 0.2 * torch.cos(b)], -1)
        second = torch.stack([torch.zeros_like(a), 0.36 * torch.cos(a + t)], -1)
        return first + second


class Wave:
    """A driven, nonlinear oscillator: an ODE that depends on time."""

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        a, b = y.unbind(-1)
        return torch.stack([3.0 * b + torch.cos(5.0 * t), -3.0 * torch.sin(a) * (1.0 + 0.2 * b * b)], -1)


class Linear:
    """dy = (B y + c) dt + Σ_j (A_j y + s_j) dW_j, whose moments are exact, in both calculi."""

    drift = torch.tensor([[-0.6, 0.4], [-0.3, 0.2]], dtype=DOUBLE)
    first = torch.tensor([[0.3, 0.5], [-0.4, 0.6]], dtype=DOUBLE)

    def __init__(self, noise_type: str, sde_type: str) -> None:
        self.noise_type, self.sde_type = noise_type, sde_type
        one, zero = self.first, torch.zeros(2, 2, dtype=DOUBLE)
        self.offset = torch.zeros(2, CHANNELS[noise_type], dtype=DOUBLE)
        if noise_type == "diagonal":
            self.matrices = torch.diag_embed(torch.tensor([[0.7, 0.0], [0.0, -0.5]], dtype=DOUBLE))
        elif noise_type == "scalar":
            self.matrices = one.unsqueeze(0)
        elif noise_type == "additive":
            self.matrices, self.offset = torch.stack([zero] * 3), Nonlinear.forcing
        elif noise_type == "commutative":
            self.matrices = torch.stack([one, 0.2 * torch.eye(2, dtype=DOUBLE) - 0.5 * one @ one])
        else:
            self.matrices = torch.stack([one, torch.tensor([[0.1, 0.0], [0.8, -0.2]], dtype=DOUBLE)])

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        return y @ self.drift.t()

    def g(self, t: Tensor, y: Tensor) -> Tensor:
        columns = torch.einsum("mij,...j->...im", self.matrices, y) + self.offset
        return columns.sum(-1) if self.noise_type == "diagonal" else columns

    def exact_moments(self) -> Tensor:
        """E z ⊗ z at time 1 of z = (y, 1), from y = Y0 at 0: (9,)."""
        drift = _homogeneous(self.drift, torch.zeros(2, dtype=DOUBLE))
        noises = [_homogeneous(a, s) for a, s in zip(self.matrices, self.offset.t(), strict=True)]
        if self.sde_type == "stratonovich":
            drift = drift + 0.5 * sum(a @ a for a in noises)
        one = torch.eye(3, dtype=DOUBLE)
        rate = torch.kron(drift, one) + torch.kron(one, drift) + sum(torch.kron(a, a) for a in noises)
        return torch.matrix_exp(rate) @ torch.kron(_with_one(Y0), _with_one(Y0))


def _homogeneous(matrix: Tensor, offset: Tensor) -> Tensor:
    full = torch.zeros(3, 3, dtype=DOUBLE)
    full[:2, :2], full[:2, 2] = matrix, offset
    return full


def _with_one(y: Tensor) -> Tensor:
    return torch.cat([y, torch.ones_like(y[..., :1])], -1)


def slope(errors: Sequence[float], levels: Sequence[int] = LEVELS) -> float:
    """The order p of errors that fall as h^p, leaving out those that are rounding."""
    kept = [(level, math.log2(e)) for level, e in zip(levels, errors, strict=True) if e > 1e-12]
    return -float(np.polyfit(*zip(*kept, strict=True), 1)[0]) if len(kept) > 1 else math.inf


# Strong order


@functools.cache
def path(noise_type: str) -> AlignedPath:
    grid = torch.linspace(0.0, 1.0, 2**FINE + 1, dtype=DOUBLE)
    shape = (SAMPLES, CHANNELS[noise_type])
    return AlignedPath(shape, grid, seed=77, levy_area="space-time", dtype=DOUBLE)


@functools.cache
def reference(noise_type: str) -> Tensor:
    """Solutions at 1 on `path`, the same for both calculi."""
    method = "spark" if noise_type == "general" else "slow_rk"
    equation, y0 = Nonlinear(noise_type, "stratonovich"), Y0.expand(SAMPLES, 2)
    return solve(equation, y0, [0, 1], dt=2.0**-FINE, path=path(noise_type), method=method).ys[-1]


@functools.cache
def ode_reference() -> Tensor:
    return solve(Wave(), Y0.unsqueeze(0), [0, 1], dt=2.0**-FINE, method="tsit5").ys[-1]


def strong_errors(method: str, noise_type: str, calculus: str) -> list[float]:
    """Root mean square errors at 1 with the steps 2^-level of LEVELS."""
    errors = []
    for level in LEVELS:
        equation, y0 = Nonlinear(noise_type, calculus), Y0.expand(SAMPLES, 2)
        y = solve(equation, y0, [0, 1], dt=2.0**-level, path=path(noise_type), method=method).ys[-1]
        errors.append(float((y - reference(noise_type)).square().mean().sqrt()))
    return errors


def ode_errors(method: str) -> list[float]:
    """Errors at 1 with the steps 2^-level of ODE_LEVELS."""
    errors = []
    for level in ODE_LEVELS:
        y = solve(Wave(), Y0.unsqueeze(0), [0, 1], dt=2.0**-level, method=method).ys[-1]
        errors.append(float((y - ode_reference()).square().mean().sqrt()))
    return errors


# Weak order


def weak_errors(method: str, noise_type: str, calculus: str) -> list[float]:
    """Errors of the first and second moments at 1 with the steps 2^-level of LEVELS; no sampling error."""
    equation = Linear(noise_type, calculus)
    exact = equation.exact_moments()
    errors = []
    for level in LEVELS:
        maps, weights = one_step(method, equation, 2.0**-level)
        start = torch.zeros(maps.shape[-1], dtype=DOUBLE)
        start[:2], start[-1] = Y0, 1.0
        if len(start) == 5:  # the method's second state starts where the first does
            start[2:4] = Y0
        squared = torch.einsum("n,nij,nkl->ikjl", weights, maps, maps)
        squared = squared.reshape(len(start) ** 2, -1)
        end = torch.linalg.matrix_power(squared, 2**level) @ torch.kron(start, start)
        rows = torch.tensor([0, 1, len(start) - 1])
        moments = end.view(len(start), -1)[rows][:, rows].reshape(-1)
        errors.append(float((moments - exact).abs().max()))
    return errors


def one_step(method: str, equation: Linear, h: float) -> tuple[Tensor, Tensor]:
    """A step of a linear equation as matrices (nodes, n, n) on (y, 1), or (y, z, 1) for reversible Heun, at
    the nodes of a Gauss-Hermite rule for the step's normals, and the nodes' weights.
    """
    chosen, wrapped = METHODS[method], Equation(equation)
    channels = CHANNELS[equation.noise_type]
    area = chosen.levy_area_for(wrapped)
    count = channels * (1 if area is None else 2) + (1 if area == "foster" else 0)
    normals, weights = _rule(count, 8 if count <= 3 else 6)
    nodes = len(normals)
    W = normals[:, :channels] * math.sqrt(h)
    H = None if area is None else normals[:, channels : 2 * channels] * math.sqrt(h / 12)
    A = None
    if area == "foster":
        A = levy_area(W, H, h, area, normals[:, -1].view(-1, 1, 1).expand(-1, channels, channels))
    t = torch.tensor(0.0, dtype=DOUBLE)
    step = Step(t, t + h, h, h, W, H, A)
    pair = method == "reversible_heun"
    size = 5 if pair else 3
    columns = []
    for basis in torch.eye(size, dtype=DOUBLE)[: size - 1].unbind(0), (torch.zeros(size, dtype=DOUBLE),):
        for vector in basis:
            y = vector[:2].expand(nodes, 2)
            z = vector[2:4].expand(nodes, 2)
            carry = (z, wrapped.f(t, z), wrapped.g(t, z)) if pair else chosen.start(wrapped, t, y)
            y1, carry = chosen.advance(wrapped, step, y, carry)
            columns.append(torch.cat([y1, carry[0]], -1) if pair else y1)
    offset = columns.pop()
    maps = torch.zeros(nodes, size, size, dtype=DOUBLE)
    maps[:, :-1, -1], maps[:, -1, -1] = offset, 1.0
    for index, column in enumerate(columns):
        maps[:, :-1, index] = column - offset
    return maps, weights


def _rule(dimensions: int, degree: int) -> tuple[Tensor, Tensor]:
    """Nodes (n, dimensions) and weights (n,) of a product rule for standard normals."""
    nodes, weights = (torch.from_numpy(x) for x in np.polynomial.hermite_e.hermegauss(degree))
    weights = weights / weights.sum()
    grids = torch.cartesian_prod(*[nodes] * dimensions).view(-1, dimensions)
    return grids, torch.cartesian_prod(*[weights] * dimensions).view(-1, dimensions).prod(-1)


# Price


def evaluations(method: str, noise_type: str, calculus: str) -> tuple[int, int]:
    """Evaluations of f and g a step, without those made once."""
    counts = []
    for steps in (8, 16):
        equation: Any = Wave() if noise_type == "none" else Nonlinear(noise_type, calculus)
        stats = solve(equation, Y0.unsqueeze(0), [0, 1], dt=1 / steps, seed=0, method=method).stats
        counts.append((stats.drift_evaluations, stats.diffusion_evaluations))
    return tuple((b - a) // 8 for a, b in zip(*counts, strict=True))  # type: ignore[return-value]


# The table


def calculi(method: str, noise_type: str) -> list[str]:
    """The calculi in which a method takes a noise; for additive noise, and for none, which are one, one."""
    if noise_type == "none":
        return ["none"] if "none" in METHODS[method].noise else []
    fitting = [
        c for c in ("ito", "stratonovich") if fits(METHODS[method], Equation(Nonlinear(noise_type, c)))
    ]
    return fitting[:1] if noise_type == "additive" else fitting


def row(method: str) -> dict[str, str]:
    """Measured cells of a method: for each kind of noise "strong / weak (f + g)"."""
    cells = {}
    for noise_type in (*NOISES, "none"):
        parts = []
        for calculus in calculi(method, noise_type):
            drifts, diffusions = evaluations(method, noise_type, calculus)
            if noise_type == "none":
                parts.append(f"{slope(ode_errors(method), ODE_LEVELS):.2f} ({drifts})")
                continue
            strong = slope(strong_errors(method, noise_type, calculus))
            weak = slope(weak_errors(method, noise_type, calculus))
            parts.append(f"{strong:.2f} / {weak:.1f} ({drifts} + {diffusions})")
        cells[noise_type] = "; ".join(dict.fromkeys(parts))
    return cells


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, help="where to write the table in Markdown")
    parser.add_argument("--method", choices=sorted(METHODS), help="this one alone")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    began = time.perf_counter()
    lines = ["| method | calculus | " + " | ".join((*NOISES, "ODE")) + " |", "|---" * (len(NOISES) + 3) + "|"]
    with torch.no_grad():
        for method in [arguments.method] if arguments.method else sorted(METHODS):
            taken = METHODS[method].calculus if METHODS[method].noise != {"none"} else {"-"}
            names = "any" if METHODS[method].additive_only else ", ".join(sorted(taken)).replace("ito", "Itô")
            lines.append(
                f"| `{method}` | {names} | " + " | ".join(v or "-" for v in row(method).values()) + " |"
            )
            print(lines[-1], flush=True)
    took = f"{platform.machine()}, {time.perf_counter() - began:.0f} s on one thread"
    note = (
        f"Seed 77, {SAMPLES} paths, steps 2^-{LEVELS[0]} to 2^-{LEVELS[-1]}; "
        f"latentsde {latentsde.__version__}, torch {torch.__version__}, {took}."
    )
    print(note)
    if arguments.out is not None:
        arguments.out.write_text("\n".join([*lines, "", note, ""]), encoding="utf-8")


if __name__ == "__main__":
    main()
