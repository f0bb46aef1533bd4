"""The compiled module of cpu/module.cpp. Addresses are those of contiguous tensors: ids int64, times and
grids float64, answers float32, or float64 if `wide`; the caller keeps them alive and has checked their
shapes.
"""

class Tree:
    def increment(self, ta: float, tb: float, w: int, h: int, threads: int, /) -> None:
        """W and H (batch, channels) over [ta, tb]; h = 0 for none. ValueError for times outside the path."""

    def increments(self, times: int, count: int, per_sample: bool, w: int, h: int, threads: int, /) -> None:
        """W and H (count - 1, batch, channels) over the intervals of times (count,) or (count, batch)."""

class Cells:
    def increment(self, ta: float, tb: float, w: int, h: int, threads: int, /) -> None:
        """As `Tree.increment`; ValueError for times that are not points of the grid."""

    def increments(
        self, times: int, count: int, per_sample: bool, w: int, h: int, threads: int, /
    ) -> None: ...

def tree(
    seed: int, ids: int, batch: int, channels: int, t0: float, t1: float, slack: float, wide: bool, /
) -> Tree: ...
def cells(
    seed: int,
    ids: int,
    batch: int,
    channels: int,
    grid: int,
    points: int,
    per_sample: bool,
    descending: bool,
    wide: bool,
    /,
) -> Cells:
    """Keeps the address of the grid, (points,) or (points, batch)."""

def normals(
    seed: int,
    ids: int,
    batch: int,
    channels: int,
    nodes: int,
    count: int,
    per_sample: bool,
    domain_and_kind: int,
    out: int,
    wide: bool,
    threads: int,
    /,
) -> None:
    """Standard normals (count, batch, channels) of the nodes, int64 (count,) or (count, batch)."""

def words(counters: int, count: int, seed: int, out: int, /) -> None:
    """Philox of uint32 counters (4, count) into (4, count)."""

def instruction_sets() -> tuple[str, ...]:
    """What this processor has kernels for, slowest first; the last one is in use unless told otherwise."""

def instruction_set() -> str: ...
def use_instruction_set(name: str, /) -> None:
    """For tests and benchmarks."""
