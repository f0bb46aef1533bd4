"""The bounds of test_law.py see a wrong C++ kernel: kernels with one wrong number each are compiled."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
TREE = Path("latentsde/brownian/kernels/cpu/tree.h")
TESTS = ("tests/significance.py", "tests/brownian/bridge_law.py", "tests/brownian/test_law.py")

MEASURE = """
import json
from latentsde.brownian import implementation
from tests.brownian.test_law import BRIDGE_BOUND, LEAF_BOUND, worst_bridge_figure, worst_leaf_figure
print(json.dumps([implementation(), worst_bridge_figure() / BRIDGE_BOUND, worst_leaf_figure() / LEAF_BOUND]))
"""


class Figures(NamedTuple):
    """The worst |figure| of points above the leaves, and inside them, in units of their bounds."""

    bridge: float
    leaf: float


def compiled(folder: Path, right: str = "", wrong: str = "") -> Figures:
    """The figures of a copy of the package whose tree has `wrong` in the place of `right`."""
    if shutil.which("c++") is None and shutil.which("g++") is None and shutil.which("clang++") is None:
        pytest.skip("there is no C++ compiler here")
    if not (ROOT / TREE).exists() or not (ROOT / "setup.py").exists():
        pytest.skip("not a source tree: there is nothing to compile")
    unwanted = shutil.ignore_patterns("__pycache__", "*.so", "*.pyd")
    shutil.copytree(ROOT / "latentsde", folder / "latentsde", ignore=unwanted)
    for name in (*TESTS, "setup.py", "pyproject.toml", "README.md", "LICENSE"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    source = (folder / TREE).read_text(encoding="utf-8")
    if right:
        (folder / TREE).write_text(source.replace(right, wrong), encoding="utf-8")
    build = [sys.executable, "setup.py", "build_ext", "--inplace"]
    subprocess.run(build, cwd=folder, check=True, capture_output=True, timeout=600)
    measure = [sys.executable, "-c", MEASURE]
    done = subprocess.run(measure, cwd=folder, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    name, bridge, leaf = json.loads(done.stdout)
    assert name.startswith("C++")
    return Figures(bridge, leaf)


@pytest.mark.slow
def test_the_right_kernel_is_within_the_bounds(tmp_path: Path) -> None:
    # False alarm: 2 FALSE_ALARM, as in test_law.py, whose seeds and figures these are.
    figures = compiled(tmp_path)
    assert figures.bridge < 1 and figures.leaf < 1


WRONG_MIDDLES = {
    # The variance of W's own bridge at the middle, 1/4, in place of that given H as well, 1/16.
    "variance of the middle": ("(Real)(0.25 * scale)", "(Real)(0.5 * scale)"),
    # Halves whose areas are 3 % too wide.
    "variance of the areas": ("(Real)(0.14433756729740644113 * scale)", "(Real)(0.14866 * scale)"),
    # The share that both halves' areas take of the middle's normal, with the wrong sign.
    "sign of a covariance": (
        "(Real)0.25 * whole.h[i] - (Real)0.5 * first[i]",
        "(Real)0.25 * whole.h[i] + (Real)0.5 * first[i]",
    ),
}
# The deviation at the middle for every point of a leaf; above the leaves nothing is wrong.
WRONG_LEAF = (
    "__builtin_sqrt(product * (1.0 - 3.0 * product))",
    "__builtin_sqrt(0.25 * (1.0 - 3.0 * 0.25))",
)


@pytest.mark.skipif(not (ROOT / TREE).exists(), reason="not a source tree")
@pytest.mark.parametrize("right", [right for right, _ in [*WRONG_MIDDLES.values(), WRONG_LEAF]])
def test_what_the_wrong_kernels_change_is_in_the_source_once(right: str) -> None:
    # The slow tests below would find out too late.
    assert (ROOT / TREE).read_text(encoding="utf-8").count(right) == 1


@pytest.mark.slow
@pytest.mark.parametrize("change", WRONG_MIDDLES.values(), ids=WRONG_MIDDLES)
def test_a_kernel_with_a_wrong_middle_is_seen(tmp_path: Path, change: tuple[str, str]) -> None:
    assert compiled(tmp_path, *change).bridge > 1


@pytest.mark.slow
def test_a_kernel_with_leaves_that_do_not_know_where_a_point_is_is_seen(tmp_path: Path) -> None:
    figures = compiled(tmp_path, *WRONG_LEAF)
    assert figures.bridge < 1 < figures.leaf
