"""`latentsde bench solver` end to end on a tiny problem, so that it cannot rot. Nothing judges a time."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import matplotlib.image
import pytest

from latentsde.benchmarks.solver import run as solver
from latentsde.benchmarks.solver.cases import cases
from latentsde.benchmarks.solver.plan import Plan, Size
from latentsde.errors import InputError

TINY = Plan(rounds=1, budget=1e-3, sizes=(Size(2, 2, 2),), steps=3, compiled=False, quick=True)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], list[str], Path]:
    """The result of a tiny run, the lines it printed, and where it was written."""
    out = tmp_path_factory.mktemp("bench") / "new"
    lines: list[str] = []
    return solver.run(TINY, threads=1, out=out, say=lines.append), lines, out


def test_every_case_is_measured_or_named_as_absent(ran: tuple[dict[str, Any], list[str], Path]) -> None:
    found = ran[0]["comparisons"]
    asked = list(cases(TINY))
    assert [(one["comparison"], one["case"], one["size"]) for one in found] == [
        (case.title, case.what, str(case.size)) for case in asked
    ]
    for one, case in zip(found, asked, strict=True):
        assert (one["ratio"] is None) == (case.absent is not None)
        assert one["note"] == (case.absent or "")
        assert one["rounds"] == len(one["rounds_seconds"]["ours"]) == (0 if case.absent else 1)


def test_csv_json_and_figure_are_written(ran: tuple[dict[str, Any], list[str], Path]) -> None:
    result, _, out = ran
    assert sorted(path.name for path in out.iterdir()) == ["solver.csv", "solver.json", "solver.png"]
    read = json.loads((out / "solver.json").read_text())
    assert read == json.loads(json.dumps(result))
    assert read["threads"] == 1 and read["plan"]["steps"] == 3 and read["versions"]["torch"]
    with (out / "solver.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["case"] for row in rows] == [one["case"] for one in read["comparisons"]]
    height, width, _ = matplotlib.image.imread(out / "solver.png").shape
    assert width > 1000 and height > 300


def test_the_text_says_what_the_problem_is_and_that_it_is_quick(
    ran: tuple[dict[str, Any], list[str], Path],
) -> None:
    result, lines, _ = ran
    text = "\n".join(lines)
    assert "two hidden tanh layers" in lines[0] and "quick" in lines[0] and "(quick)" in text
    assert f"of {sum(bool(one['required']) for one in result['comparisons'])} bars met" in text


def test_a_place_that_is_no_directory_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    lines: list[str] = []
    with pytest.raises(InputError, match="not a directory"):
        solver.run(TINY, out=tmp_path / "file" / "below", say=lines.append)
    assert lines == []
