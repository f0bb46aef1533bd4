"""The cases of `latentsde bench brownian`: which sweep of ours against which peer, and what is required."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch

from latentsde.benchmarks.brownian import peers, sweeps
from latentsde.benchmarks.brownian.plan import Plan, Shape
from latentsde.benchmarks.installed import missing
from latentsde.benchmarks.timing import Contender
from latentsde.brownian import AlignedPath, VirtualBrownianTree

SEED = 7
OVERHEAD = 15e-6
NOISE, ONE_CALL = "torch.randn", "fixed overhead of one call, beside torch.randn"
CALL, BLOCK = "one call a step", "by blocks"


@dataclass(frozen=True)
class Case:
    """One line of the table: `ours` against `peer`, per increment.

    `at_least` is how many times faster than the peer it must be, `at_most` the seconds an increment may take.
    """

    what: str
    ours: Contender
    peer: Contender
    at_least: float | None = None
    at_most: float | None = None


@dataclass(frozen=True)
class Group:
    """Cases of one shape that are measured together, interleaved; or why they are not."""

    title: str
    shape: Shape
    cases: tuple[Case, ...] = field(default=())
    absent: str | None = None


def groups(plan: Plan) -> Iterator[Group]:
    """Every group of the plan, in the order of the table. A group is made when it is asked for."""
    for shape in plan.noise_shapes:
        yield against_randn(plan, shape, others=shape == plan.noise_shapes[0])
    yield from _where_there("torchsde.BrownianInterval", ("torchsde",), plan.peer_shapes, plan, _interval)
    yield from _where_there("torchsde.BrownianTree", ("torchsde",), plan.random_shapes, plan, _random)
    yield from _where_there(
        "diffrax.VirtualBrownianTree, jit", ("jax", "diffrax"), plan.peer_shapes, plan, _diffrax
    )
    yield overhead(plan, plan.overhead_shape)


def against_randn(plan: Plan, shape: Shape, *, others: bool) -> Group:
    """Sweeps of the tree and of an aligned path against `torch.randn`; `others` adds those with no
    requirement.
    """
    dyadic, equal = sweeps.dyadic(plan.steps), sweeps.dyadic(plan.aligned_steps)
    peer = sweeps.randn(NOISE, shape, plan.steps)
    tree, aligned = _tree(shape), _aligned(shape, equal)
    width = math.prod(shape)

    def both(what: str, make: sweeps.MakePath, times: torch.Tensor, must: float | None) -> list[Case]:
        return [
            Case(f"{what}, {CALL}", sweeps.calls(f"{what} {CALL}", make, times), peer, at_least=must),
            Case(
                f"{what}, {BLOCK}", sweeps.blocks(f"{what} {BLOCK}", make, times, width), peer, at_least=must
            ),
        ]

    cases = [*both("tree", tree, dyadic, 1.0), *both("aligned", aligned, equal, 1.0)]
    if others:
        for what, make, times in (
            ("tree with H", _tree(shape, "space-time"), dyadic),
            ("aligned with H", _aligned(shape, equal, "space-time"), equal),
        ):
            cases += [
                Case(f"{what}, {CALL}", sweeps.calls(f"{what} {CALL}", make, times, area=True), peer),
                Case(f"{what}, {BLOCK}", sweeps.blocks(f"{what} {BLOCK}", make, times, width), peer),
            ]
        for what, times in (
            (f"tree, {plan.aligned_steps} equal steps", equal),
            (f"tree, {plan.other_steps} equal steps", sweeps.dyadic(plan.other_steps)),
            (f"tree, {plan.aligned_steps} random steps", sweeps.irregular(plan.aligned_steps)),
        ):
            cases += both(what, tree, times, None)
    return Group(NOISE, shape, tuple(cases))


def overhead(plan: Plan, shape: Shape) -> Group:
    """What one call costs where there is next to nothing to draw."""
    grid = sweeps.dyadic(plan.aligned_steps)
    peer = sweeps.randn(NOISE, shape, plan.steps)
    tree = _tree(shape)
    at_random = sweeps.at_random("random", tree, sweeps.random_pairs(plan.queries))
    cases = (
        Case("tree", sweeps.calls("tree", tree, sweeps.dyadic(plan.steps)), peer, at_most=OVERHEAD),
        Case("aligned", sweeps.calls("aligned", _aligned(shape, grid), grid), peer, at_most=OVERHEAD),
        Case("tree, random access", at_random, peer),
    )
    return Group(ONE_CALL, shape, cases)


def _interval(plan: Plan, shape: Shape, title: str) -> tuple[Case, ...]:
    times = sweeps.dyadic(plan.steps)
    ours = sweeps.there_and_back("tree", _tree(shape), times)
    # Its own adjoint asks for (a, b) on the way back; (b, a) is an error there. Cut to a few dozen steps it
    # would answer the way back from its cache of 45 intervals, several times faster than it really is.
    peer = sweeps.there_and_back(title, peers.torchsde_interval(shape), times, turned=False, whole=True)
    must = 25.0 if math.prod(shape) <= 1024 else 10.0
    return (Case("tree, forwards and back", ours, peer, at_least=must),)


def _random(plan: Plan, shape: Shape, title: str) -> tuple[Case, ...]:
    pairs = sweeps.random_pairs(plan.queries)
    ours = sweeps.at_random("tree", _tree(shape), pairs)
    peer = sweeps.at_random(title, peers.torchsde_tree(shape), pairs)
    return (Case("tree, random access", ours, peer, at_least=25.0),)


def _diffrax(plan: Plan, shape: Shape, title: str) -> tuple[Case, ...]:
    times = sweeps.dyadic(plan.steps)
    call = sweeps.calls(CALL, _tree(shape), times)
    block = sweeps.blocks(BLOCK, _tree(shape), times, math.prod(shape))
    level = plan.steps.bit_length()
    # Our resolution, and half a step as its users take it.
    fine = peers.diffrax_tree(f"{title} fine", shape, plan.steps, 2.0**-30)
    coarse = peers.diffrax_tree(f"{title} coarse", shape, plan.steps, 2.0**-level)
    return tuple(
        Case(f"tree, {how}; its tol 2^-{bits}", ours, peer, at_least=1.0)
        for bits, peer in ((30, fine), (level, coarse))
        for how, ours in ((CALL, call), (BLOCK, block))
    )


def _where_there(
    title: str,
    modules: tuple[str, ...],
    shapes: tuple[Shape, ...],
    plan: Plan,
    cases: Callable[[Plan, Shape, str], tuple[Case, ...]],
) -> Iterator[Group]:
    absent = missing(*modules)
    for shape in shapes:
        if absent:
            yield Group(title, shape, absent=absent)
        else:
            yield Group(title, shape, cases(plan, shape, title))


def _tree(shape: Shape, area: str | None = None) -> Callable[[], VirtualBrownianTree]:
    return lambda: VirtualBrownianTree(0.0, 1.0, shape, seed=SEED, levy_area=area)


def _aligned(shape: Shape, grid: torch.Tensor, area: str | None = None) -> Callable[[], AlignedPath]:
    return lambda: _tree(shape, area)().aligned(grid)
