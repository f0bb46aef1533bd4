"""Correlated noise: an SDE's `correlation_factor`, and the path behind it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from latentsde import PathKL, VirtualBrownianTree, solve
from latentsde.brownian import CorrelatedPath
from latentsde.solvers import METHODS, ReversiblePair
from tests.significance import bound, correlation_z
from tests.solvers.equations import DOUBLE, Geometric

CORRELATION = torch.tensor([[1.0, 0.8, -0.3], [0.8, 1.0, 0.1], [-0.3, 0.1, 1.0]], dtype=DOUBLE)
FACTOR = torch.linalg.cholesky(CORRELATION)


class Baskets(Geometric):
    """Correlated geometric Brownian motions."""

    def __init__(self, calculus: str, factor: Tensor = FACTOR) -> None:
        rates, sizes = (torch.tensor(x, dtype=DOUBLE) for x in ([0.1, -0.2, 0.3], [0.5, 0.9, 0.4]))
        super().__init__(calculus, rates, sizes)
        self.correlation_factor = factor


def test_increments_have_the_correlation_and_unit_variance() -> None:
    # False alarm: 1e-5.
    n = 20_000
    w = CorrelatedPath(VirtualBrownianTree(0, 1, (n, 3), seed=4, dtype=DOUBLE), FACTOR)(0.25, 0.75)
    own = torch.linalg.solve_triangular(FACTOR, w.t(), upper=False).t()
    assert correlation_z(own, own).fill_diagonal_(0).abs().max() < bound(6)
    assert (w.square().mean(0) / 0.5 - 1).abs().max() < bound(3) * (2 / n) ** 0.5


@pytest.mark.parametrize(
    ("method", "calculus"), [("milstein", "ito"), ("srk", "ito"), ("heun", "stratonovich")]
)
def test_strong_order_with_correlated_diagonal_noise_is_that_of_independent_noise(
    method: str, calculus: str
) -> None:
    path = VirtualBrownianTree(0, 1, (400, 3), seed=5, dtype=DOUBLE, levy_area="space-time")
    equation, y0 = Baskets(calculus), torch.ones(400, 3, dtype=DOUBLE)
    exact = equation.exact(y0, 1.0, path(0, 1) @ FACTOR.t())
    errors = [
        float((solve(equation, y0, [0, 1], dt=dt, path=path, method=method).ys[-1] - exact).square().mean())
        for dt in (2**-4, 2**-7, 2**-8, 2**-11)
    ]
    # The mean of two slopes over a factor of 16 each.
    logs = torch.tensor(errors).sqrt().log2()
    slope = (logs[0] + logs[1] - logs[2] - logs[3]) / 8
    declared = METHODS[method].order.strong_commutative
    assert declared is not None and abs(float(slope) - declared) < 0.2


def test_one_motion_for_all_is_scalar_noise() -> None:
    ones = torch.ones(3, 1, dtype=DOUBLE)
    path = VirtualBrownianTree(0, 1, (50, 1), seed=5, dtype=DOUBLE)
    y0 = torch.ones(50, 3, dtype=DOUBLE)
    together = solve(Baskets("stratonovich", ones), y0, [0, 1], dt=0.1, path=path, method="heun").ys
    alone = Geometric("stratonovich", Baskets("ito").drift, Baskets("ito").volatility)
    wide = type("Wide", (), {"shape": (50, 3), "increments": lambda self, t: _repeated(path, t)})()
    torch.testing.assert_close(together, solve(alone, y0, [0, 1], dt=0.1, path=wide, method="heun").ys)


def _repeated(path: Any, times: Tensor) -> Any:
    w, h = path.increments(times)
    return type(path.increments(times))(w.expand(*w.shape[:-1], 3), h)


def test_the_factor_has_a_gradient_by_exact_adjoints_and_is_refused_by_the_others() -> None:
    def loss(raw: Tensor, adjoint: str) -> Tensor:
        factor = raw / raw.norm(dim=-1, keepdim=True)
        equation = Baskets("stratonovich", factor)
        y0 = torch.ones(4, 3, dtype=DOUBLE)
        return solve(equation, y0, [0, 1], dt=0.25, seed=1, method="heun", adjoint=adjoint).ys[-1].sum()

    raw = FACTOR.clone().requires_grad_()
    for adjoint in ("direct", "checkpointed"):
        assert torch.autograd.gradcheck(lambda x, a=adjoint: loss(x, a), raw)
    with pytest.raises(ValueError, match="correlation_factor"):
        loss(raw, "backsolve")


def test_areas_of_the_path_are_mixed_like_its_increments() -> None:
    tree = VirtualBrownianTree(0, 1, (5, 3), seed=5, dtype=DOUBLE, levy_area="space-time")
    times = torch.tensor([0.0, 0.3, 1.0], dtype=DOUBLE)
    plain = CorrelatedPath(tree, torch.eye(3, dtype=DOUBLE)).areas(times, "davie")
    torch.testing.assert_close(
        CorrelatedPath(tree, FACTOR).areas(times, "davie"), FACTOR @ plain @ FACTOR.t()
    )


@pytest.mark.parametrize(
    ("factor", "words"),
    [
        (2.0 * FACTOR, "row 0 has 2"),
        (FACTOR[:2], r"must be \(3, m\)"),
        (FACTOR[0], r"must be \(3, m\)"),
    ],
)
def test_a_factor_that_is_none_is_an_error(factor: Tensor, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        solve(Baskets("ito", factor), torch.ones(2, 3, dtype=DOUBLE), [0, 1], dt=0.1, seed=0)


def test_a_path_of_another_shape_is_an_error() -> None:
    path = VirtualBrownianTree(0, 1, (2, 3), seed=1, dtype=DOUBLE)
    with pytest.raises(ValueError, match=r"\(2, 1\)"):
        solve(Baskets("ito", torch.ones(3, 1)), torch.ones(2, 3, dtype=DOUBLE), [0, 1], dt=0.1, path=path)


def test_methods_that_read_channels_as_independent_refuse_correlated_ones() -> None:
    class Two:
        noise_type, sde_type, correlation_factor = "commutative", "ito", FACTOR[:2, :2]

        def f(self, t: Tensor, y: Tensor) -> Tensor:
            return -y

        def g(self, t: Tensor, y: Tensor) -> Tensor:
            return torch.stack([0.3 * y, 0.2 * y], -1)

    y0 = torch.ones(3, 1, dtype=DOUBLE)
    independent = VirtualBrownianTree(0, 1, (3, 2), seed=1, dtype=DOUBLE)
    for method in ("milstein", "milstein_derivative", ReversiblePair("milstein"), None):
        with pytest.raises(ValueError, match="multiply the correlation factor into g"):
            solve(Two(), y0, [0, 1], dt=0.5, method=method, seed=1)
    other = type("Other", (Two,), {"correlation_factor": None})()
    with pytest.raises(ValueError, match="multiply the correlation factor into g"):
        solve(other, y0, [0, 1], dt=0.5, path=CorrelatedPath(independent, FACTOR[:2, :2]))
    # Euler reads none of their products.
    given = solve(Two(), y0, [0, 1], dt=0.5, method="euler", path=independent).ys
    multiplied = type("Multiplied", (Two,), {"correlation_factor": None, "noise_type": "general"})
    multiplied.g = lambda self, t, y: Two.g(self, t, y) @ FACTOR[:2, :2]  # type: ignore[attr-defined]
    torch.testing.assert_close(given, solve(multiplied(), y0, [0, 1], dt=0.5, path=independent).ys)


def test_path_kl_of_correlated_channels_is_an_error() -> None:
    with pytest.raises(ValueError, match="independent channels"):
        PathKL(Baskets("ito"), prior_drift=lambda t, y: y)
