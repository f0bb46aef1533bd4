"""How much is measured: the full plan, and the quick one."""

from __future__ import annotations

from dataclasses import dataclass

Shape = tuple[int, ...]


@dataclass(frozen=True)
class MemoryPlan:
    """The sweeps whose peak memory is compared.

    Attributes:
        shape: of the path.
        short, long: steps of the two sweeps, each in a process of its own. The short one should have more
            than one block.
        short_back, long_back: the same of the backward sweeps; none where `long_back` is 0.
        seconds: after which a sweep is cut off.
        every_pattern: all four ways of asking, or one of the tree and one of the aligned path.
        peer_seconds: that torchsde's interval is given, for the figure; 0 for none.
    """

    shape: Shape = (1024, 16)
    short: int = 1_000
    long: int = 1_000_000
    short_back: int = 1_000
    long_back: int = 100_000
    seconds: float = 90.0
    every_pattern: bool = True
    peer_seconds: float = 15.0


@dataclass(frozen=True)
class Plan:
    """What `latentsde bench brownian` measures.

    Attributes:
        rounds: at most, of each measurement.
        limit: seconds one run of a contender may take; its sweep is cut where it would take longer.
        budget: seconds a measurement (a peer and a shape) may take before rounds are left out.
        noise_shapes: against `torch.randn`.
        peer_shapes: against torchsde's interval and diffrax' tree.
        random_shapes: against torchsde's tree, by random access.
        overhead_shape: of the fixed overhead of one call.
        steps: of the dyadic sweeps, a power of two.
        aligned_steps: of the aligned path, and of the longer grid that is not dyadic.
        other_steps: of the shorter grid that is not dyadic.
        queries: of random access.
        quick: whether this is a shortened plan, whose numbers are rough.
    """

    rounds: int = 9
    limit: float = 3.0
    budget: float = 35.0
    noise_shapes: tuple[Shape, ...] = ((1024, 16), (4096, 32), (1024, 256))
    peer_shapes: tuple[Shape, ...] = ((32, 3), (256, 4), (1024, 16))
    random_shapes: tuple[Shape, ...] = ((32, 3), (256, 4))
    overhead_shape: Shape = (32, 3)
    steps: int = 1024
    aligned_steps: int = 1000
    other_steps: int = 300
    queries: int = 1000
    quick: bool = False
    memory: MemoryPlan = MemoryPlan()


FULL = Plan()
QUICK = Plan(
    rounds=3,
    limit=0.05,
    budget=0.6,
    noise_shapes=FULL.noise_shapes[:1],
    random_shapes=FULL.random_shapes[:1],
    quick=True,
    memory=MemoryPlan(long=20_000, long_back=0, seconds=1.0, every_pattern=False, peer_seconds=0.0),
)
