"""The path KL's gradients under every adjoint, with and without sticking the landing."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from experiments.solver_orders import slope
from latentsde import VirtualBrownianTree, solve
from latentsde.girsanov import BridgedPathKL, PathKL
from tests.path_kl import NOISE_TYPES, Contracted, Pair, path_for, start
from tests.solvers.equations import DOUBLE

Y0 = start(4, 2)
OWN = torch.tensor([[0.0, 0.1, 0.3, 0.2], [0.4, 0.5, 0.3, 0.6], [1.0, 0.5, 0.9, 0.8]], dtype=DOUBLE)


def kl_gradients(
    pair: Any,
    ts: Any = (0.0, 0.4, 1.0),
    *,
    kind: Any = PathKL,
    y0: Tensor = Y0,
    dt: float = 0.1,
    **options: Any,
) -> list[Tensor]:
    """Values and gradients of a loss of all states and all totals of the functional."""
    y0 = y0.clone().requires_grad_()
    build = {name: options.pop(name) for name in ("sticking_the_landing", "vectorized") if name in options}
    path = options.pop("path", None)
    path = path_for(pair, y0) if path is None else path
    solution = solve(kind(pair, **build), y0, ts, dt=dt, path=path, **options)
    assert solution.functional is not None
    weights = torch.linspace(0.5, 1.5, solution.functional.numel(), dtype=DOUBLE)
    loss = (solution.functional * weights.view_as(solution.functional)).sum() + solution.ys.square().sum()
    wrt = [y0, *(getattr(pair, name) for name in ("own", "prior", "size", "share") if hasattr(pair, name))]
    return [solution.functional.detach(), *torch.autograd.grad(loss, wrt)]


@pytest.mark.parametrize("times", [(0.0, 0.4, 1.0), (1.0, 0.4, 0.0), OWN], ids=["shared", "backwards", "own"])
@pytest.mark.parametrize("vectorized", [False, True])
@pytest.mark.parametrize("sticking_the_landing", [False, True])
def test_exact_adjoints_have_the_direct_gradients(
    sticking_the_landing: bool, vectorized: bool, times: Any
) -> None:
    for noise_type in NOISE_TYPES:
        options: dict[str, Any] = {"sticking_the_landing": sticking_the_landing, "vectorized": vectorized}
        for method, calculus, adjoint in (
            ("euler", "ito", "checkpointed"),
            ("reversible_heun", "stratonovich", "checkpointed"),
            ("reversible_heun", "stratonovich", "reversible"),
        ):
            pair = Pair(noise_type, calculus)
            direct = kl_gradients(pair, times, method=method, adjoint="direct", **options)
            found = kl_gradients(pair, times, method=method, adjoint=adjoint, **options)
            for one, other in zip(found, direct, strict=True):
                scale = max(1.0, float(other.abs().max()))
                torch.testing.assert_close(one, other, rtol=0.0, atol=1e-10 * scale)


@pytest.mark.parametrize("sticking_the_landing", [False, True])
@pytest.mark.parametrize("vectorized", [False, True])
def test_checkpointed_gradients_of_a_bridged_kl_are_the_direct_ones(
    sticking_the_landing: bool, vectorized: bool
) -> None:
    direct, found = (
        kl_gradients(
            Contracted(),
            kind=BridgedPathKL,
            method="bridged_euler",
            adjoint=adjoint,
            sticking_the_landing=sticking_the_landing,
            vectorized=vectorized,
        )
        for adjoint in ("direct", "checkpointed")
    )
    for one, other in zip(found, direct, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("method", "noise_type", "calculus"),
    [
        ("euler", "diagonal", "ito"),
        ("euler", "general", "ito"),
        ("euler", "additive", "ito"),
        ("milstein", "diagonal", "ito"),
        ("heun", "diagonal", "stratonovich"),
        ("heun", "scalar", "stratonovich"),
        ("reversible_heun", "diagonal", "stratonovich"),
        ("bridged_euler", "diagonal", "ito"),
    ],
)
@pytest.mark.parametrize("sticking_the_landing", [False, True])
def test_backsolve_gradients_converge_to_the_direct_ones(
    sticking_the_landing: bool, method: str, noise_type: str, calculus: str
) -> None:
    # With one component the least control of general noise has no poles.
    y0, levels = start(100, 1 if noise_type == "general" else 2), (4, 5, 6)
    bridged = method == "bridged_euler"
    errors = []
    for level in levels:
        direct, back = (
            kl_gradients(
                Contracted() if bridged else Pair(noise_type, calculus),
                (0.0, 1.0),
                kind=BridgedPathKL if bridged else PathKL,
                y0=y0,
                dt=2.0**-level,
                method=method,
                adjoint=adjoint,
                sticking_the_landing=sticking_the_landing,
            )
            for adjoint in ("direct", "backsolve")
        )
        torch.testing.assert_close(direct[0], back[0], rtol=1e-12, atol=1e-12)
        # Each path's own start: errors of different paths do not cancel.
        errors.append(float((direct[1] - back[1]).norm() / direct[1].norm()))
        largest = max(float(a.abs()) for a in direct[2:])
        share = [float((a - b).abs()) / largest for a, b in zip(direct[2:], back[2:], strict=True)]
    assert slope(errors, levels) > 0.35
    assert errors[-1] < 0.15 and max(share) < 0.1


@pytest.mark.parametrize("adjoint", ["direct", "checkpointed", "reversible", "backsolve"])
def test_sticking_the_landing_leaves_no_variance_at_the_prior(adjoint: str) -> None:
    # Where the posterior is the prior, every single path's gradient of the KL is zero: no Monte Carlo noise.
    class Same(Pair):
        def h(self, t: Tensor, y: Tensor) -> Tensor:
            return torch.cos(self.prior * y) - t * y

    pair = Same("diagonal", "stratonovich")
    with torch.no_grad():
        pair.prior.copy_(pair.own)
    y0 = start(50, 2)
    path = VirtualBrownianTree(0, 1, (50, 2), seed=3, dtype=DOUBLE)
    for sticking in (True, False):
        kl = PathKL(pair, sticking_the_landing=sticking)
        ys = solve(kl, y0, [0, 1], dt=0.05, path=path, method="reversible_heun", adjoint=adjoint)
        assert ys.functional is not None
        (own,) = torch.autograd.grad(ys.functional[-1].sum(), pair.own)
        assert float(own.abs()) < 1e-10
        if sticking:
            # What is left without it: ∫ u dW, whose gradient has mean zero and a variance.
            plain = PathKL(pair, sticking_the_landing=False)

            def with_noise(t: Tensor, y: Tensor, h: Any, dW: Tensor, plain: Any = plain) -> Tensor:
                u = (pair.f(t, y) - pair.h(t, y)) / pair.g(t, y)
                return PathKL.functional(plain, t, y, h, dW) + (u * dW).sum(-1)

            plain.functional = with_noise  # type: ignore[method-assign]
            noisy = solve(plain, y0, [0, 1], dt=0.05, path=path, method="reversible_heun", adjoint=adjoint)
            assert noisy.functional is not None
            (own,) = torch.autograd.grad(noisy.functional[-1].sum(), pair.own)
            assert float(own.abs()) > 0.1
