"""The peers a path is measured against. None is a dependency: each is imported when it is measured."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from latentsde.benchmarks.timing import Contender


def torchsde_interval(shape: tuple[int, ...]) -> Callable[[], Any]:
    """Makes a `BrownianInterval` as `torchsde.sdeint` does for a method without Lévy area: no step hint."""
    torchsde: Any = importlib.import_module("torchsde")
    import torch

    return lambda: torchsde.BrownianInterval(t0=0.0, t1=1.0, size=shape, dtype=torch.float32, device="cpu")


def torchsde_tree(shape: tuple[int, ...]) -> Callable[[], Any]:
    """Makes a `BrownianTree` with its defaults: a tolerance of 1e-6."""
    torchsde: Any = importlib.import_module("torchsde")
    import torch

    return lambda: torchsde.BrownianTree(t0=0.0, w0=torch.zeros(shape), t1=1.0)


def diffrax_tree(name: str, shape: tuple[int, ...], steps: int, tolerance: float) -> Contender:
    """`steps` consecutive increments of diffrax' `VirtualBrownianTree` within one compiled loop.

    The loop adds the increments up, or the compiler would drop them. Its length is an argument, so that it is
    compiled once, in the warm-up. float32 on the CPU, wherever else jax could run.
    """
    jax: Any = importlib.import_module("jax")
    diffrax: Any = importlib.import_module("diffrax")
    cpu = jax.devices("cpu")[0]

    def sweep(key: Any, count: Any) -> Any:
        like = jax.ShapeDtypeStruct(shape, jax.numpy.float32)
        path = diffrax.VirtualBrownianTree(
            0.0, 1.0, tolerance, like, key, levy_area=diffrax.BrownianIncrement
        )
        start = jax.numpy.zeros(shape, jax.numpy.float32)
        return jax.lax.fori_loop(
            0, count, lambda k, total: total + path.evaluate(k / steps, (k + 1) / steps), start
        )

    compiled = jax.jit(sweep)

    def prepare(count: int) -> Callable[[], object]:
        with jax.default_device(cpu):
            key = jax.random.key(0)

        def work() -> object:
            with jax.default_device(cpu):
                return compiled(key, count).block_until_ready()

        return work

    return Contender(name, steps, prepare)
