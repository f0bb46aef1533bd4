"""What a user meets first: a light import, and a guide whose example runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def run(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout


def test_the_library_imports_pyro_with_its_room_alone() -> None:
    code = "import sys, latentsde; latentsde.solve, latentsde.PathKL; print('pyro' in sys.modules)"
    assert run(code).strip() == "False"


def test_the_example_of_the_guide_runs_and_learns() -> None:
    section = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8").split("\n## Pyro\n")[1]
    block = re.search(r"^```python\n(.*?)^```", section, flags=re.MULTILINE | re.DOTALL)
    assert block is not None
    first, last, theta = (float(number) for number in run(block.group(1)).split())
    assert last < first - 5.0
    assert 0.6 < theta < 0.8
