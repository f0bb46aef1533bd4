"""The order and the price of every method, measured.

    python -m experiments.solver_orders                          a minute on one core
    python -m experiments.solver_orders --out docs/solvers.md    into the page, between its marks

Strong order: the slope of the root mean square error at time 1 against the step, on nonlinear equations that
depend on time, from a solution of the same path with a step 16 times below the smallest. Weak order: the
slope of the largest error among the first and second moments on linear equations, where one step's moments
are a sum over the nodes of a Gauss-Hermite rule and those of many steps its powers: there is no sampling
error. Back: how far all steps of length 2^-7 and their reversals, the last one first, end from the start, for
the first kind of noise that the method undoes.
"""

from __future__ import annotations

import argparse
import functools
import itertools
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
from experiments.solver_problems import CHANNELS, DOUBLE, Y0, Linear, Nonlinear, Wave
from latentsde import solve
from latentsde.brownian import AlignedPath, levy_areas
from latentsde.brownian.levy_area import levy_area
from latentsde.solvers import METHODS
from latentsde.solvers.choice import fits
from latentsde.solvers.equation import Equation
from latentsde.solvers.methods import Step
from latentsde.solvers.methods.base import BOTH

NOISES = ("diagonal", "scalar", "additive", "commutative", "general")
LEVELS = (3, 4, 5, 6, 7)
ODE_LEVELS = (3, 4, 5, 6, 7)
FINE = 11
SAMPLES = 400
MARKS = ("<!-- measured orders -->", "<!-- end -->")


def slope(errors: Sequence[float], levels: Sequence[int] = LEVELS) -> float:
    """The order p of errors that fall as h^p, leaving out those that are rounding."""
    kept = [(level, math.log2(e)) for level, e in zip(levels, errors, strict=True) if e > 1e-12]
    if len(kept) < 2:
        return math.inf
    return -float(np.polyfit([level for level, _ in kept], [e for _, e in kept], 1)[0])


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
    H: Any = None if area is None else normals[:, channels : 2 * channels] * math.sqrt(h / 12)
    A = None
    if area == "foster":
        A = levy_area(W, H, h, area, normals[:, -1].view(-1, 1, 1).expand(-1, channels, channels))
    t = torch.tensor(0.0, dtype=DOUBLE)
    step = Step(t, t + h, h, h, W, H, A)
    pair = method == "reversible_heun"
    size = 5 if pair else 3
    columns: list[Any] = []
    y1: Any
    for basis in torch.eye(size, dtype=DOUBLE)[: size - 1].unbind(0), (torch.zeros(size, dtype=DOUBLE),):
        for vector in basis:
            y = vector[:2].expand(nodes, 2)
            z = vector[2:4].expand(nodes, 2)
            carry: Any = (z, wrapped.f(t, z), wrapped.g(t, z)) if pair else chosen.start(wrapped, t, y)
            y1, carry = chosen.advance(wrapped, step, y, carry)
            columns.append(torch.cat([y1, carry[0]], -1) if pair else y1)
    offset = columns.pop()
    maps: Tensor = torch.zeros(nodes, size, size, dtype=DOUBLE)
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


# The way back


def way_back(method: str, noise_type: str, calculus: str, level: int) -> float:
    """Mean absolute distance from the start after all steps of length 2^-level on [0, 1] and all of them
    reversed, the last one first.
    """
    sde: Any = Wave() if noise_type == "none" else Nonlinear(noise_type, calculus)
    chosen, equation = METHODS[method], Equation(sde)
    y0 = Y0.unsqueeze(0) if noise_type == "none" else Y0.expand(SAMPLES, 2)
    steps = _steps(method, equation, level)
    y, carry = y0, chosen.start(equation, steps[0].t0, y0)
    for step in steps:
        y, carry = chosen.advance(equation, step, y, carry)  # type: ignore[assignment]
    carry = chosen.start(equation, steps[-1].t1, y)
    for step in reversed(steps):
        y, carry = chosen.advance(equation, step.reversed(), y, carry)  # type: ignore[assignment]
    return float((y - y0).abs().mean())


def _steps(method: str, equation: Equation, level: int) -> list[Step]:
    times, h = torch.linspace(0.0, 1.0, 2**level + 1, dtype=DOUBLE), 2.0**-level
    if not equation.has_noise:
        return [Step(a, b, h, h, None) for a, b in itertools.pairwise(times)]
    noise: Any = path(equation.noise_type)
    W, H = noise.increments(times)
    area, A = METHODS[method].levy_area_for(equation), None
    if area == "foster":
        A = levy_areas(W, H, times, area, seed=noise.seed, ids=noise.ids)
    return [
        Step(times[k], times[k + 1], h, h, W[k], H[k], None if A is None else A[k]) for k in range(2**level)
    ]


# Price


def evaluations(method: str, noise_type: str, calculus: str) -> tuple[int, int]:
    """Evaluations of f and g a step, without those made once."""
    counts = []
    for steps in (8, 16):
        equation: Any = Wave() if noise_type == "none" else Nonlinear(noise_type, calculus)
        stats = solve(equation, Y0.unsqueeze(0), [0, 1], dt=1 / steps, seed=0, method=method).stats
        counts.append((stats.drift_evaluations, stats.diffusion_evaluations))
    return tuple((b - a) // 8 for a, b in zip(*counts, strict=True))


# The table


def calculi(method: str, noise_type: str) -> list[str]:
    """The calculi in which a method takes a noise; for additive noise, and for none, which are one, one."""
    if noise_type == "none":
        return ["none"] if "none" in METHODS[method].noise else []
    fitting = [
        c for c in ("ito", "stratonovich") if fits(METHODS[method], Equation(Nonlinear(noise_type, c)))
    ]
    return fitting[:1] if noise_type == "additive" else fitting


def reading(method: str) -> str:
    """The calculi of a method in words."""
    if METHODS[method].noise == {"none"}:
        return ""
    if METHODS[method].calculus == BOTH:
        return "both"
    return "Itô" if "ito" in METHODS[method].calculus else "Stratonovich"


def row(method: str) -> dict[str, str]:
    """Measured cells of a method: for each kind of noise "strong / weak (f + g)", and the way back."""
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
    ways = [(n, c) for n in (*NOISES, "none") for c in calculi(method, n) if undone(method, n)]
    cells["back"] = f"{way_back(method, *ways[0], 7):.0e}" if ways else ""
    return cells


def undone(method: str, noise_type: str) -> bool:
    """Whether reversed steps approximate the inverse: for additive noise, and ODEs, always."""
    return METHODS[method].undoes or noise_type in ("additive", "none")


def write(table: str, file: Path) -> None:
    """The table as a file, or between the marks of one that has them."""
    before, mark, rest = (file.read_text(encoding="utf-8") if file.exists() else "").partition(MARKS[0])
    after = rest.partition(MARKS[1])[2] if mark else "\n"
    file.write_text(f"{before if mark else ''}{MARKS[0]}\n{table}\n{MARKS[1]}{after}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--out", type=Path, help="the file for the table, between its marks where it has them"
    )
    parser.add_argument("--method", choices=sorted(METHODS), help="this one alone")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    began = time.perf_counter()
    columns = ("method", "calculus", *NOISES, "ODE", "back")
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    with torch.no_grad():
        for method in [arguments.method] if arguments.method else sorted(METHODS):
            cells = (f"`{method}`", reading(method), *row(method).values())
            lines.append(f"| {' | '.join(cell or '-' for cell in cells)} |")
            print(lines[-1], flush=True)
    took = f"{platform.machine()}, {time.perf_counter() - began:.0f} s on one thread"
    note = (
        f"Seed 77, {SAMPLES} paths, steps 2^-{LEVELS[0]} to 2^-{LEVELS[-1]}; "
        f"latentsde {latentsde.__version__}, torch {torch.__version__}, {took}."
    )
    print(note)
    if arguments.out is not None:
        write("\n".join([*lines, "", note]), arguments.out)


if __name__ == "__main__":
    main()
