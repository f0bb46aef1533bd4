"""`latentsde bench adjoint-memory` end to end with given figures. Nothing here judges a time."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import matplotlib.image
import pytest

from latentsde.benchmarks.adjoint_memory import growth
from latentsde.benchmarks.adjoint_memory import run as adjoint_memory
from latentsde.benchmarks.adjoint_memory.contenders import CONTENDERS
from latentsde.benchmarks.adjoint_memory.plan import Plan
from latentsde.benchmarks.adjoint_memory.process import Solve
from latentsde.benchmarks.solver.plan import Size
from latentsde.errors import InputError

TINY = Plan(size=Size(4, 2, 3), steps=(100, 1_000, 10_000), quick=True)


def given(solve: Solve) -> tuple[float, float]:
    """Linear for what stores its steps, else constant."""
    grows = solve.contender in ("direct", "torchsde sdeint")
    return 5.0 + (0.1 * solve.steps if grows else 0.0), 1e-4 * solve.steps


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, Any], list[str], Path]:
    """The result of a run, the lines it printed, and where it was written."""
    monkeypatch.setattr(growth, "available_mb", lambda device: 1_000.0)
    lines: list[str] = []
    result = adjoint_memory.run(TINY, threads=1, out=tmp_path / "new", say=lines.append, measure=given)
    return result, lines, tmp_path / "new"


def test_every_contender_has_a_line_in_both_tables(ran: tuple[dict[str, Any], list[str], Path]) -> None:
    result, lines, _ = ran
    assert [one["contender"]["name"] for one in result["growths"]] == [one.name for one in CONTENDERS]
    for contender in CONTENDERS:
        assert sum(line.strip().split("  ")[0] == contender.name for line in lines) == 2
    assert "2 of 2 bars met" in "\n".join(lines) and "(quick)" in "\n".join(lines)


def test_what_was_left_out_is_in_every_result(ran: tuple[dict[str, Any], list[str], Path]) -> None:
    result, lines, out = ran
    direct = result["growths"][0]
    assert [point["mb"] for point in direct["points"]] == [15.0, 105.0, None]
    assert direct["points"][2]["predicted_mb"] == pytest.approx(1005.0)
    assert any("[1,005]" in line and "left out" in line for line in lines)
    with (out / "adjoint_memory.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[2] == {
        "contender": "direct",
        "method": "euler",
        "steps": "10000",
        "mb": "",
        "seconds": "",
    } | {"predicted_mb": rows[2]["predicted_mb"]}


def test_csv_json_and_figure_are_written(ran: tuple[dict[str, Any], list[str], Path]) -> None:
    result, _, out = ran
    names = ["adjoint_memory.csv", "adjoint_memory.json", "adjoint_memory.png"]
    assert sorted(path.name for path in out.iterdir()) == names
    assert json.loads((out / names[1]).read_text()) == json.loads(json.dumps(result))
    height, width, _ = matplotlib.image.imread(out / names[2]).shape
    assert width > 1000 and height > 300


def test_a_place_that_is_no_directory_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    lines: list[str] = []
    with pytest.raises(InputError, match="not a directory"):
        adjoint_memory.run(TINY, out=tmp_path / "file", say=lines.append, measure=given)
    assert lines == []
