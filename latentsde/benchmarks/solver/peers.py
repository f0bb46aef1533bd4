"""torchsde and diffrax on the same problem. Neither is a dependency: each is imported when it is measured."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from latentsde.benchmarks.solver import loops
from latentsde.benchmarks.solver.plan import Size
from latentsde.benchmarks.solver.problem import Diagonal, differentiate, problem, start
from latentsde.benchmarks.timing import Contender


def bare(kind: str, size: Size, drifts: int, diffusions: int, *, products: bool = False) -> Contender:
    """The evaluations that a method makes, and nothing else; see `loops.bare`."""
    sde, y = problem(kind, size), start(size)

    def work() -> None:
        loops.bare(sde, y, drifts, diffusions, products=products)

    return Contender("peer", 1, lambda count: work, whole=True)


def hand_loop(kind: str, method: str, size: Size, steps: int, *, backward: bool = True) -> Contender:
    """The loop one would write by hand; its noise is there beforehand."""
    dW = loops.noise((size.batch, size.channels), steps)
    return _contender(kind, size, lambda sde, y0: loops.run(method, sde, y0, steps, dW), backward)


def torchsde_solve(kind: str, method: str, size: Size, steps: int, *, backward: bool) -> Contender:
    """`torchsde.sdeint` as it is called without a Brownian motion: it makes its own."""
    return _contender(kind, size, lambda sde, y0: sdeint(sde, y0, steps, method), backward)


def torchsde_adjoint(kind: str, method: str, size: Size, steps: int) -> Contender:
    """Forward and backward by `torchsde.sdeint_adjoint`, the same method in both directions."""
    return _contender(kind, size, lambda sde, y0: sdeint_adjoint(sde, y0, steps, method), True)


def sdeint(sde: Any, y0: Tensor, steps: int, method: str) -> Tensor:
    """torchsde's y(1)."""
    torchsde: Any = importlib.import_module("torchsde")
    end: Tensor = torchsde.sdeint(sde, y0, torch.tensor([0.0, 1.0]), method=method, dt=1.0 / steps)[-1]
    return end


def sdeint_adjoint(sde: Any, y0: Tensor, steps: int, method: str) -> Tensor:
    """torchsde's y(1), with gradients by its adjoint."""
    torchsde: Any = importlib.import_module("torchsde")
    end: Tensor = torchsde.sdeint_adjoint(
        sde,
        y0,
        torch.tensor([0.0, 1.0]),
        method=method,
        dt=1.0 / steps,
        adjoint_method="adjoint_reversible_heun" if method == "reversible_heun" else method,
    )[-1]
    return end


def diffrax_solve(size: Size, steps: int, *, backward: bool, tree: bool) -> Contender:
    """Euler by `diffrax.diffeqsolve`, jitted, with its default adjoint; compiled before the clock runs.

    `tree` takes its virtual Brownian tree, to half a step; otherwise its path without a memory, which draws
    each increment anew and so has no way back.
    """
    jax: Any = importlib.import_module("jax")
    diffrax: Any = importlib.import_module("diffrax")
    lineax: Any = importlib.import_module("lineax")
    numpy, cpu = jax.numpy, jax.devices("cpu")[0]
    parameters, initial = _as_arrays(numpy, size)

    def drift(t: Any, y: Any, p: Any) -> Any:
        hidden = numpy.tanh(y @ p["layers.0.weight"].T + p["layers.0.bias"])
        hidden = numpy.tanh(hidden @ p["layers.2.weight"].T + p["layers.2.bias"])
        return hidden @ p["layers.4.weight"].T + p["layers.4.bias"]

    def diffusion(t: Any, y: Any, p: Any) -> Any:
        return lineax.DiagonalLinearOperator(jax.nn.sigmoid(p["slope"] * y + p["offset"]))

    def end(p: Any, y0: Any, key: Any) -> Any:
        like = jax.ShapeDtypeStruct(y0.shape, y0.dtype)
        if tree:
            path = diffrax.VirtualBrownianTree(0.0, 1.0, 0.5 / steps, like, key)
        else:
            path = diffrax.UnsafeBrownianPath(like, key)
        terms = diffrax.MultiTerm(diffrax.ODETerm(drift), diffrax.ControlTerm(diffusion, path))
        options = {} if tree else {"adjoint": diffrax.DirectAdjoint()}
        return diffrax.diffeqsolve(
            terms, diffrax.Euler(), 0.0, 1.0, 1.0 / steps, y0, p, max_steps=steps + 1, **options
        ).ys[-1]

    def loss(p: Any, y0: Any, key: Any) -> Any:
        return numpy.square(end(p, y0, key)).mean()

    run = jax.jit(jax.grad(loss, argnums=(0, 1)) if backward else end)

    def work() -> Any:
        with jax.default_device(cpu):
            return jax.block_until_ready(run(parameters, initial, jax.random.key(0)))

    return Contender("peer", 1, lambda count: work, whole=True)


def _as_arrays(numpy: Any, size: Size) -> tuple[dict[str, Any], Any]:
    sde = Diagonal(size, "ito")
    return {
        name: numpy.asarray(value.detach().numpy()) for name, value in sde.named_parameters()
    }, numpy.asarray(start(size).numpy())


def _contender(kind: str, size: Size, end: Callable[[Any, Tensor], Tensor], backward: bool) -> Contender:
    """A peer in torch: `end` takes the problem and y0 to y(1)."""
    sde = problem(kind, size)

    def prepare(count: int) -> Callable[[], None]:
        sde.zero_grad(set_to_none=True)
        y0 = start(size, requires_grad=backward)

        def work() -> None:
            if backward:
                differentiate(end(sde, y0))
            else:
                with torch.no_grad():
                    end(sde, y0)

        return work

    return Contender("peer", 1, prepare, whole=True)
