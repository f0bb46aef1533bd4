"""In DistributedDataParallel two processes have the gradients of one, whatever the adjoint."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.solvers.adjoints import two_processes

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.slow
@pytest.mark.parametrize("adjoint", ["checkpointed", "reversible", "backsolve"])
def test_two_processes_have_the_gradients_of_one(tmp_path: Path, adjoint: str) -> None:
    command = [
        sys.executable,
        "-m",
        "tests.solvers.adjoints.two_processes",
        str(tmp_path / "two.pt"),
        adjoint,
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    finished = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert finished.returncode == 0, finished.stderr
    two = torch.load(tmp_path / "two.pt", weights_only=True)
    one = two_processes.gradients(0, 1, adjoint, wrapped=False)
    assert one.keys() == two.keys() and len(one) == 8
    for name, gradient in one.items():
        torch.testing.assert_close(two[name], gradient, rtol=1e-11, atol=1e-12)
