"""A module that solves an SDE, wrapped in DistributedDataParallel: its gradients, for test_processes.py.

Run as a program: `two_processes OUT ADJOINT` starts two processes and saves what the first of them has.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import Tensor, distributed, multiprocessing, nn
from torch.nn.parallel import DistributedDataParallel

from latentsde import VirtualBrownianTree, solve
from tests.solvers.adjoints.held import Holding, loss_of
from tests.solvers.equations import DOUBLE

BATCH = 4


class Model(nn.Module):
    """Encodes what was observed, solves from there, returns a loss for each sample."""

    def __init__(self, adjoint: str) -> None:
        super().__init__()
        self.equation = Holding("diagonal", "stratonovich")
        self.first = nn.Linear(3, 2, dtype=DOUBLE)
        self.first.weight.data = torch.linspace(-1, 1, 6, dtype=DOUBLE).view(2, 3)
        self.first.bias.data = torch.tensor([0.2, -0.1], dtype=DOUBLE)
        self.adjoint = adjoint

    def forward(self, observed: Tensor, ids: Tensor) -> Tensor:
        self.equation.observed = observed
        self.equation.encode()
        path = VirtualBrownianTree(0, 1, (len(ids), 2), seed=3, ids=ids, dtype=DOUBLE)
        options = {"dt": 0.1, "method": "reversible_heun", "path": path, "adjoint": self.adjoint}
        ys = solve(self.equation, self.first(observed), [0.0, 0.5, 1.0], **options).ys
        return torch.stack([loss_of(ys[:, k]) for k in range(len(ids))])


def gradients(rank: int, processes: int, adjoint: str, *, wrapped: bool) -> dict[str, Tensor]:
    """Of the mean loss of the whole batch, from this process's share of it; two backward passes."""
    torch.set_num_threads(1)
    model = Model(adjoint)
    # The buffer and the leaves that are no parameters are nothing that processes share.
    model.equation.level = model.equation.level.detach()
    called: nn.Module = DistributedDataParallel(model) if wrapped else model
    observed = torch.linspace(-1, 1, 3 * BATCH, dtype=DOUBLE).view(BATCH, 3)
    rows = slice(rank * BATCH // processes, (rank + 1) * BATCH // processes)
    for _ in range(2):
        model.zero_grad()
        called(observed[rows], torch.arange(BATCH)[rows]).mean().backward()
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def _process(rank: int, out: str, adjoint: str) -> None:
    store = distributed.FileStore(f"{out}.store", 2)
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=2)
    found = gradients(rank, 2, adjoint, wrapped=True)
    if rank == 0:
        torch.save(found, out)
    distributed.destroy_process_group()


if __name__ == "__main__":
    multiprocessing.spawn(_process, args=(str(Path(sys.argv[1])), sys.argv[2]), nprocs=2)  # type: ignore[attr-defined, no-untyped-call]
