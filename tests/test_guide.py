"""Examples of the guide run as they stand there."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path
from typing import Any

import pytest

GUIDE = Path(__file__).resolve().parent.parent / "docs" / "guide.md"


def example(section: str) -> tuple[dict[str, Any], str]:
    """What the first block of Python of a section leaves behind, and what it prints."""
    text = GUIDE.read_text(encoding="utf-8").split(f"## {section}\n")[1]
    block = re.search(r"^```python\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    assert block is not None
    names: dict[str, Any] = {"__name__": "__main__"}
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(block.group(1), "guide.md", "exec"), names)
    return names, printed.getvalue()


def test_the_example_of_kinds_of_columns_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _, printed = example("Kinds of columns")
    assert "stage=late" in printed and "crp" in printed


def test_the_example_of_an_sde_bnn_runs() -> None:
    names, _ = example("SDE Bayesian networks")
    assert names["predicted"].output.shape == names["coarse"].output.shape == (5, 64, 3)
    assert all(p.grad is not None for p in names["network"].parameters())
    assert names["coarse"].kl.isnan().all()
