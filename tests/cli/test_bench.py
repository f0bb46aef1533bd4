"""`latentsde bench`: options, bad arguments, and the script that is the same command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from latentsde.benchmarks.brownian import run as brownian
from latentsde.benchmarks.brownian.plan import FULL, QUICK, Plan
from tests.cli.commands import latentsde, refused

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "brownian.py"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the command would have measured."""
    calls: list[dict[str, Any]] = []

    def record(plan: Plan, **options: Any) -> None:
        calls.append({"plan": plan, **options})

    monkeypatch.setattr(brownian, "run", record)
    return calls


def test_the_defaults_are_the_full_plan_on_two_threads(asked: list[dict[str, Any]]) -> None:
    assert latentsde("bench", "brownian").code == 0
    assert asked == [{"plan": FULL, "threads": 2, "out": Path("runs/bench")}]


def test_options_reach_the_plan(asked: list[dict[str, Any]], tmp_path: Path) -> None:
    options = ("--quick", "--rounds", "7", "--threads", "3", "--out", tmp_path)
    assert latentsde("bench", "brownian", *options).code == 0
    (call,) = asked
    assert (call["plan"].rounds, call["plan"].limit, call["threads"]) == (7, QUICK.limit, 3)
    assert call["out"] == tmp_path


@pytest.mark.parametrize(
    ("arguments", "places"),
    [
        (("--rounds", "0"), ["'--rounds'", "1 to"]),
        (("--rounds", "some"), ["'--rounds'", "'some'"]),
        (("--threads", "0"), ["'--threads'", "1 to"]),
        (("--unknown",), ["--unknown"]),
    ],
)
def test_bad_options_end_with_one_line(
    arguments: tuple[str, ...], places: list[str], asked: list[dict[str, Any]]
) -> None:
    message = refused(latentsde("bench", "brownian", *arguments))
    assert all(place in message for place in places) and "bench brownian --help" in message
    assert asked == []


def test_an_unknown_benchmark_is_refused() -> None:
    assert "nothing" in refused(latentsde("bench", "nothing"))


def test_a_file_for_a_directory_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ending = latentsde("bench", "brownian", "--quick", "--out", tmp_path / "file")
    assert str(tmp_path / "file") in refused(ending) and ending.out == ""
    assert (tmp_path / "file").read_text() == ""


@pytest.mark.parametrize("arguments", [("bench",), ("bench", "--help"), ("bench", "brownian", "--help")])
def test_help_shows_an_example(arguments: tuple[str, ...]) -> None:
    ending = latentsde(*arguments)
    assert ending.code == 0 and ending.err == ""
    assert "latentsde bench brownian --quick" in ending.out.split("Example:")[1]


def test_the_overview_names_it() -> None:
    assert "\n  bench " in latentsde().out


def test_the_script_is_the_same_command() -> None:
    done = subprocess.run(
        [sys.executable, SCRIPT, "--rounds", "0"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and "--rounds" in done.stderr and done.stderr.count("\n") == 1
