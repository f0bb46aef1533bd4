"""A path is the same in any process: unpickled in a new one, in a fork after threads, in loader workers."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from latentsde import VirtualBrownianTree
from latentsde.brownian import AlignedPath, kernels
from latentsde.brownian.path import Path as BrownianPath

ROOT = Path(__file__).resolve().parents[2]
GRID = [0.0, 0.1, 0.125, 0.3, 0.5, 1.0]
DOUBLE = torch.float64


def paths() -> list[BrownianPath]:
    """Both kinds in both precisions, with queries behind them."""
    made: list[BrownianPath] = []
    for dtype in (torch.float32, DOUBLE):
        ids = torch.tensor([5, -7, 2**40])
        tree = VirtualBrownianTree(0, 1, (3, 2), seed=77, ids=ids, levy_area="space-time", dtype=dtype)
        made += [tree, tree.aligned(GRID)]
    for path in made:
        path(0.1, 0.5)
    return made


def answers(path: BrownianPath) -> list[Tensor]:
    """W and H over the grid, at once, and over one interval back."""
    found = [*path.increments(torch.tensor(GRID, dtype=DOUBLE)), *path.increment(0.5, 0.125)]
    return [x for x in found if x is not None]


def same(first: list[Tensor], second: list[Tensor]) -> bool:
    return len(first) == len(second) == 4 and all(map(torch.equal, first, second))


def check(made: list[BrownianPath], expected: list[list[Tensor]]) -> None:
    """In another process: its exit code is the verdict."""
    assert all(same(answers(path), answer) for path, answer in zip(made, expected, strict=True))


def test_a_path_sent_to_a_new_process_is_the_same_there() -> None:
    made = paths()
    process = multiprocessing.get_context("spawn").Process(
        target=check, args=(made, [answers(p) for p in made])
    )
    process.start()
    process.join(timeout=120)
    assert process.exitcode == 0


FORKED = """
import os
import torch
from latentsde import VirtualBrownianTree

torch.set_num_threads(2)
tree = VirtualBrownianTree(0, 1, (1001, 130), seed=3, levy_area="space-time")
grid = torch.linspace(0, 1, 6, dtype=torch.float64)
made = [tree, tree.aligned(grid)]
times = grid.tolist()

def ask(path):
    # Enough numbers that the kernel uses both threads.
    return [x for step in zip(times, times[1:]) for x in path.increment(*step)]

before = [ask(path) for path in made]
child = os.fork()
if child == 0:
    after = [ask(path) for path in made]
    right = all(torch.equal(x, y) for old, new in zip(before, after) for x, y in zip(old, new))
    os._exit(0 if right else 7)
_, status = os.waitpid(child, 0)
print("the fork ended with", os.waitstatus_to_exitcode(status))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_path_is_the_same_in_a_fork_of_a_process_whose_kernel_has_used_threads() -> None:
    # A pool of threads would not be there in the fork, and the first query would wait for it forever: so it
    # is with PyTorch's own, by which paths are computed where the kernel was not built.
    if kernels.cpu() is None:
        pytest.skip("the C++ kernel is not built")
    command = [sys.executable, "-c", FORKED]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "the fork ended with 0", done.stderr


class Steps(Dataset[tuple[Tensor, Tensor]]):
    """Item k is step k of a path that the data set holds."""

    def __init__(self, path: BrownianPath) -> None:
        self.path = path

    def __len__(self) -> int:
        return len(GRID) - 1

    def __getitem__(self, k: int) -> tuple[Tensor, Tensor]:
        w, h = self.path.increment(GRID[k], GRID[k + 1])
        assert h is not None
        return w, h


@pytest.mark.parametrize("number", [0, 1], ids=["tree", "aligned"])
def test_a_path_is_the_same_in_the_workers_of_a_loader(number: int) -> None:
    path = paths()[number]
    assert isinstance(path, AlignedPath) == (number == 1)
    method = "fork" if "fork" in multiprocessing.get_all_start_methods() else None
    loader = DataLoader(Steps(path), batch_size=2, num_workers=2, multiprocessing_context=method)
    batches = list(loader)
    expected = path.increments(torch.tensor(GRID, dtype=DOUBLE))
    for position, whole in enumerate(expected):
        assert whole is not None
        assert torch.equal(torch.cat([batch[position] for batch in batches]), whole)
