"""Without the compiled kernel everything works and says so once; without a compiler the build succeeds."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from latentsde import VirtualBrownianTree
from latentsde.brownian import standard_normal

ROOT = Path(__file__).resolve().parents[2]

NO_KERNEL = """
import sys
sys.modules["latentsde.brownian.kernels._cpu"] = None  # its import is an ImportError from here on
"""

IMPORT = (
    NO_KERNEL
    + """
import warnings
warnings.simplefilter("error", RuntimeWarning)
import latentsde
latentsde.__version__
import latentsde.brownian
latentsde.VirtualBrownianTree(0, 1, (3,), seed=0)
print("silent")
"""
)

MANY_CALLS = (
    NO_KERNEL
    + """
import json
import warnings
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    from tests.brownian.test_fallback import answers
    from latentsde.brownian import implementation
    numbers = answers()
    name = implementation()
ours = [[w.category.__name__, str(w.message)] for w in caught if "latentsde" in str(w.message)]
print(json.dumps([name, ours, numbers]))
"""
)


def answers() -> list[float]:
    """What four paths answer to three queries each, and plain normals."""
    found = [standard_normal((3,), seed=1, dtype=torch.float64)]
    for seed in (1, 2):
        tree = VirtualBrownianTree(0, 1, (2, 3), seed=seed, levy_area="space-time", dtype=torch.float64)
        for path in (tree, tree.aligned([0.0, 0.25, 0.7, 1.0])):
            for query in ((0.0, 0.25), (0.25, 0.7), (1.0, 0.25)):
                found += [x for x in path.increment(*query) if x is not None]
    return torch.cat([x.flatten() for x in found]).tolist()


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_and_making_a_path_does_not_warn() -> None:
    assert run(IMPORT) == "silent"


def test_paths_without_the_kernel_warn_once_and_are_the_same_paths() -> None:
    name, warned, numbers = json.loads(run(MANY_CALLS))
    assert name == "PyTorch"
    ((category, message),) = warned
    assert category == "RuntimeWarning"
    assert "slower" in message and "PyTorch" in message  # the consequence
    assert "Install a C++17 compiler, then run: pip install --force-reinstall" in message  # the remedy
    assert numbers == pytest.approx(answers(), rel=0.0, abs=1e-13)


def test_a_build_without_a_compiler_succeeds_with_one_warning(tmp_path: Path) -> None:
    pytest.importorskip("setuptools", reason="setuptools builds the package, and is not installed")
    if not (ROOT / "setup.py").exists():
        pytest.skip("not a source tree: there is nothing to build")
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    unwanted = shutil.ignore_patterns("__pycache__", "*.so", "*.pyd", "*.gz")
    shutil.copytree(ROOT / "latentsde", tmp_path / "latentsde", ignore=unwanted)
    missing = str(tmp_path / "no-such-compiler")
    environment = os.environ | {"CC": missing, "CXX": missing, "LDSHARED": missing, "LDCXXSHARED": missing}
    command = [sys.executable, "setup.py", "build_ext", "--inplace"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    said = [line for line in (done.stdout + done.stderr).splitlines() if "latentsde's C++ kernel" in line]
    (warning,) = said
    assert warning.startswith("warning:") and "was not built" in warning and "no-such-compiler" in warning
    assert "slower" in warning and "Install a C++17 compiler" in warning
    assert not [*tmp_path.rglob("_cpu*.so"), *tmp_path.rglob("_cpu*.pyd")]
