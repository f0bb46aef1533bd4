"""`latentsde bench brownian` end to end on tiny shapes, so that it cannot rot. Nothing here judges a time."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import matplotlib.image
import pytest

from latentsde.benchmarks import installed
from latentsde.benchmarks.brownian import run as brownian
from latentsde.benchmarks.brownian.cases import ONE_CALL, groups
from latentsde.benchmarks.brownian.plan import FULL, QUICK, MemoryPlan, Plan
from latentsde.benchmarks.brownian.run import NAME
from latentsde.brownian import implementation
from latentsde.errors import InputError
from latentsde.version import __version__

TINY = Plan(
    rounds=2,
    limit=1e-3,
    budget=1e-3,
    noise_shapes=((4, 2), (3, 2)),
    peer_shapes=((4, 2),),
    random_shapes=((4, 2),),
    overhead_shape=(4, 2),
    steps=8,
    aligned_steps=6,
    other_steps=5,
    queries=4,
    quick=True,
    memory=MemoryPlan(
        shape=(4, 2), short=4, long=8, long_back=0, seconds=60.0, every_pattern=False, peer_seconds=0.0
    ),
)
TITLES = ["torch.randn", "torchsde.BrownianInterval", "torchsde.BrownianTree"]
TITLES += ["diffrax.VirtualBrownianTree, jit", ONE_CALL]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], list[str], Path]:
    """The result of a tiny run, the lines it printed, and where it was written."""
    out = tmp_path_factory.mktemp("bench") / "new"
    lines: list[str] = []
    result = brownian.run(TINY, threads=1, out=out, say=lines.append)
    return result, lines, out


def test_every_case_is_measured_or_named_as_absent(run: tuple[dict[str, Any], list[str], Path]) -> None:
    result = run[0]
    asked = [group for group in groups(TINY)]
    there = [(g.title, case.what, list(g.shape)) for g in asked for case in g.cases]
    assert [(c["against"], c["case"], c["shape"]) for c in result["comparisons"]] == there
    assert {c["against"] for c in result["comparisons"]} | set(result["not_measured"]) == set(TITLES)
    assert [m["case"] for m in result["memory"]] == ["tree, one call a step", "aligned, by blocks"]
    assert all(m["steps_done"] == 8 and m["short_steps"] == 4 for m in result["memory"])


def test_each_comparison_has_its_numbers(run: tuple[dict[str, Any], list[str], Path]) -> None:
    for row in run[0]["comparisons"]:
        assert row["ours_seconds"] > 0 and row["peer_seconds"] > 0 and row["times_faster"] > 0
        assert 1 <= row["rounds"] == len(row["rounds_seconds"]["ours"]) == len(row["rounds_seconds"]["peer"])
        assert 1 <= row["steps"]["ours"] <= row["steps"]["ours_full"]
        required = row["required_times_faster"] or row["required_seconds"]
        assert (row["met"] is None) == (required is None)


def test_the_result_is_written_as_json_with_where_it_comes_from(
    run: tuple[dict[str, Any], list[str], Path],
) -> None:
    result, _, out = run
    read = json.loads((out / f"{NAME}.json").read_text())
    assert read == json.loads(json.dumps(result))
    assert set(read["versions"]) == {"latentsde", "torch", "torchsde", "jax", "diffrax"}
    assert read["versions"]["latentsde"] == __version__
    assert read["machine"]["cpu"] and read["machine"]["implementation"] == implementation()
    assert read["threads"] == 1 and read["plan"]["quick"] and read["duration_seconds"] > 0
    assert datetime.fromisoformat(read["date"]).utcoffset() is not None


def test_the_figure_is_written_and_nothing_else(run: tuple[dict[str, Any], list[str], Path]) -> None:
    out = run[2]
    assert sorted(path.name for path in out.iterdir()) == [f"{NAME}.json", f"{NAME}.png"]
    height, width, _ = matplotlib.image.imread(out / f"{NAME}.png").shape
    assert width > 1000 and height > 300


def test_the_table_has_a_line_for_each_case_and_says_that_it_is_quick(
    run: tuple[dict[str, Any], list[str], Path],
) -> None:
    result, lines, _ = run
    text = "\n".join(lines)
    assert implementation() in text and "quick" in lines[0] and "(quick)" in text
    for row in result["comparisons"]:
        assert any(line.strip().startswith(row["case"]) for line in lines), row
    assert f"of {sum(r['met'] is not None for r in result['comparisons']) + 2} requirements met" in text


def test_absent_peers_are_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("jax", "diffrax", "torchsde"):
        monkeypatch.setitem(sys.modules, module, None)
    absent = {group.title: group.absent for group in groups(TINY) if group.absent}
    assert absent == dict.fromkeys(TITLES[1:4], "not installed: pip install 'latentsde[bench]'")
    assert all(not group.cases for group in groups(TINY) if group.absent)


def test_one_absent_peer_of_two_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "diffrax", None)
    assert installed.missing("math", "diffrax") == "not installed: pip install 'latentsde[bench]'"
    assert installed.missing("math") is None


def test_a_place_that_is_no_directory_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    lines: list[str] = []
    with pytest.raises(InputError, match="not a directory"):
        brownian.run(TINY, out=tmp_path / "file" / "below", say=lines.append)
    assert lines == []


def test_the_requirements_are_those_of_the_specification() -> None:
    noise = ((1024, 16), (4096, 32), (1024, 256))
    small, large = ((32, 3), (256, 4)), ((1024, 16),)
    assert (FULL.noise_shapes, FULL.peer_shapes, FULL.overhead_shape) == (noise, small + large, (32, 3))
    assert (FULL.steps, FULL.aligned_steps, FULL.queries) == (1024, 1000, 1000)
    memory = asdict(FULL.memory)
    assert (memory["shape"], memory["short"], memory["long"]) == ((1024, 16), 1_000, 1_000_000)
    assert not FULL.quick and QUICK.quick
    required = [
        (group.title, group.shape, case.at_least or case.at_most)
        for group in groups(FULL)
        for case in group.cases
        if case.at_least or case.at_most
    ]
    at_least = {
        TITLES[0]: {(shape, 1.0) for shape in noise},
        TITLES[1]: {(shape, 25.0) for shape in small} | {(large[0], 10.0)},
        TITLES[2]: {(shape, 25.0) for shape in small},
        TITLES[3]: {(shape, 1.0) for shape in small + large},
        ONE_CALL: {((32, 3), 15e-6)},
    }
    measured = {title for title, _, _ in required}
    assert {t: {(s, r) for title, s, r in required if title == t} for t in measured} == {
        title: found for title, found in at_least.items() if title in measured
    }
    assert {TITLES[0], ONE_CALL} <= measured
