"""`latentsde bench`: options, bad arguments, and the script that is the same command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from latentsde.benchmarks.adjoint_memory import plan as memory_plan
from latentsde.benchmarks.adjoint_memory import run as adjoint_memory
from latentsde.benchmarks.brownian import run as brownian
from latentsde.benchmarks.brownian.plan import FULL, QUICK
from latentsde.benchmarks.solver import plan as solver_plan
from latentsde.benchmarks.solver import run as solver
from tests.cli.commands import latentsde, refused

SCRIPTS = Path(__file__).resolve().parents[2] / "benchmarks"
COMMANDS = ("brownian", "solver", "adjoint-memory")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the command would have measured."""
    calls: list[dict[str, Any]] = []

    def record(plan: Any, **options: Any) -> None:
        calls.append({"plan": plan, **options})

    for module in (brownian, solver, adjoint_memory):
        monkeypatch.setattr(module, "run", record)
    return calls


def test_the_defaults_are_the_full_plans_on_two_threads(asked: list[dict[str, Any]]) -> None:
    for command in COMMANDS:
        assert latentsde("bench", command).code == 0
    plans = [FULL, solver_plan.FULL, memory_plan.FULL]
    assert asked == [{"plan": plan, "threads": 2, "out": Path("runs/bench")} for plan in plans]


def test_quick_takes_the_quick_plans(asked: list[dict[str, Any]]) -> None:
    for command in COMMANDS:
        assert latentsde("bench", command, "--quick").code == 0
    assert [call["plan"] for call in asked] == [QUICK, solver_plan.QUICK, memory_plan.QUICK]


def test_sizes_and_rounds_reach_the_solvers_plan(asked: list[dict[str, Any]]) -> None:
    options = ("--quick", "--rounds", "7", "--sizes", "2x3x4,5x6x7")
    assert latentsde("bench", "solver", *options).code == 0
    plan = asked[0]["plan"]
    assert (plan.rounds, plan.budget) == (7, solver_plan.QUICK.budget)
    assert plan.sizes == (solver_plan.Size(2, 3, 4), solver_plan.Size(5, 6, 7))


@pytest.mark.parametrize("text", ["2x3", "2x3x4,", "2x3x0", "2x3xmany", "2x3x-4"])
def test_a_size_that_is_none_ends_with_one_line(text: str, asked: list[dict[str, Any]]) -> None:
    message = refused(latentsde("bench", "solver", "--sizes", text))
    assert "'--sizes'" in message and "32x4x32" in message and asked == []


def test_a_device_that_is_none_ends_with_one_line(asked: list[dict[str, Any]]) -> None:
    assert "'tpu' is not known" in refused(latentsde("bench", "adjoint-memory", "--device", "tpu"))
    assert latentsde("bench", "adjoint-memory", "--device", "cpu").code == 0
    assert [call["plan"].device for call in asked] == ["cpu"]


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


@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_help_shows_an_example(command: str | None) -> None:
    ending = latentsde("bench", *([command] if command else []), "--help")
    assert ending.code == 0 and ending.err == ""
    assert f"latentsde bench {command or 'brownian'}" in ending.out.split("Example:")[1]


def test_the_overview_names_it() -> None:
    assert "\n  bench " in latentsde().out
    assert all(f"\n  {command} " in latentsde("bench").out for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_script_is_the_same_command(command: str) -> None:
    script = SCRIPTS / f"{command.replace('-', '_')}.py"
    done = subprocess.run(
        [sys.executable, script, "--threads", "0"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and "--threads" in done.stderr and done.stderr.count("\n") == 1
