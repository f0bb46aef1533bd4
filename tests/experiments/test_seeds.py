"""Experiments with seeds: what is finished is not run again, and what is written is whole."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from experiments.results import insert, lines_of_json
from experiments.seeds import Experiment, run


@dataclass(frozen=True)
class Plan:
    size: int = 3
    at: tuple[int, ...] = (1, 2)


def experiment(ran: list[int], plan: Plan | None = None, fail_at: int | None = None) -> Experiment:
    def one(plan: Plan, seed: int) -> dict[str, Any]:
        if seed == fail_at:
            raise KeyboardInterrupt
        ran.append(seed)
        return {"value": seed * plan.size}

    def table(plan: Plan, results: list[dict[str, Any]]) -> list[str]:
        return ["| value |", "|---|", *(f"| {result['value']} |" for result in results)]

    return Experiment("sums", plan or Plan(), one, table, lambda plan, results: Figure(figsize=(1, 1)))


def test_finished_seeds_are_read_and_not_run_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ran: list[int] = []
    first = run(experiment(ran), [0, 4], tmp_path)
    again = run(experiment(ran), [4, 5, 0], tmp_path)
    assert ran == [0, 4, 5]
    assert [r["value"] for r in first] == [0, 12] and [r["value"] for r in again] == [12, 15, 0]
    assert "seed 4: found" in capsys.readouterr().out
    content = json.loads((tmp_path / "sums.json").read_text())
    assert set(content["seeds"]) == {"0", "4", "5"}
    for entry in content["seeds"].values():
        assert {"seed", "duration_seconds", "threads", "machine", "versions", "date"} <= set(entry)
        assert entry["machine"]["cpu"] and entry["versions"]["torch"]
    assert "| 15 |" in (tmp_path / "sums.md").read_text()
    assert {path.name for path in tmp_path.iterdir()} == {"sums.json", "sums.md", "sums.png"}


def test_a_killed_run_loses_the_seed_it_was_at_alone(tmp_path: Path) -> None:
    ran: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        run(experiment(ran, fail_at=2), [0, 1, 2, 3], tmp_path)
    run(experiment(ran), [0, 1, 2, 3], tmp_path)
    assert ran == [0, 1, 2, 3]


def test_results_of_another_plan_are_not_taken(tmp_path: Path) -> None:
    run(experiment([]), [0], tmp_path)
    with pytest.raises(SystemExit, match="another plan"):
        run(experiment([], Plan(size=4)), [0], tmp_path)


def test_a_page_keeps_what_stands_around_the_marks(tmp_path: Path) -> None:
    page = tmp_path / "docs" / "results" / "page.md"
    page.parent.mkdir(parents=True)
    page.write_text("before\n<!-- sums -->\nold\n<!-- end of sums -->\nafter\n")
    run(experiment([]), [2], None, page)
    text = page.read_text()
    assert text.startswith("before\n<!-- sums -->\n| value |") and text.endswith(
        "<!-- end of sums -->\nafter\n"
    )
    assert "| 6 |" in text and "old" not in text
    assert (tmp_path / "docs" / "figures" / "sums.png").exists() and page.with_name("sums.json").exists()
    insert("new", page, "other")
    assert page.read_text() == text + "<!-- other -->\nnew\n<!-- end of other -->\n"


def test_a_page_without_the_second_mark_is_left_as_it_is(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- sums -->\nold\n\nprose\n")
    with pytest.raises(ValueError, match="without <!-- end of sums -->"):
        insert("new", page, "sums")
    assert page.read_text() == "<!-- sums -->\nold\n\nprose\n"


@given(
    st.recursive(
        st.none() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_lists_of_plain_values_stand_on_a_line_and_nothing_else_changes(content: Any) -> None:
    assert json.loads(lines_of_json(content)) == content


def test_a_list_of_numbers_is_one_line() -> None:
    assert lines_of_json({"a": [1, 2.5], "b": [[1], [2, 3]]}) == (
        '{\n "a": [1, 2.5],\n "b": [\n  [1],\n  [2, 3]\n ]\n}\n'
    )
