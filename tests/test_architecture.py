"""The house keeps its shape: rooms import downwards only, files stay short, no machine's paths get in.

Imports are read from the syntax tree, so those inside functions and under TYPE_CHECKING count as well.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "latentsde"

# What each room of the house may import from the others. Rooms of one floor do not know each other.
LEAVES = {"devices", "errors", "files", "memory", "ranges", "version"}
SOLVING = {"brownian", "solvers"}
CORE = SOLVING | {"girsanov", "sdes"}
MODELLING = CORE | {"nn", "models", "diffusion", "data"} | LEAVES
ROOMS: dict[str, set[str]] = {
    "errors": set(),
    "files": set(),
    "devices": {"errors"},
    "ranges": {"errors"},
    "memory": {"errors"},
    "version": set(),
    "brownian": set(),  # useful alone, so without even the leaves
    "solvers": {"brownian"},
    "girsanov": SOLVING | LEAVES,
    "sdes": SOLVING | LEAVES,
    "nn": CORE | LEAVES,
    "data": LEAVES,
    "plotting": LEAVES,
    "compat": SOLVING | LEAVES,
    "models": CORE | {"nn", "data"} | LEAVES,
    "diffusion": CORE | {"nn", "data"} | LEAVES,
    "pyro": CORE | {"nn", "models", "data"} | LEAVES,
    "training": MODELLING,
    "evaluation": MODELLING | {"plotting"},
    "benchmarks": SOLVING | {"plotting"} | LEAVES,
}
EVERYTHING = set(ROOMS) | {"latentsde"}
ROOMS["cli"] = EVERYTHING
ROOMS["latentsde"] = EVERYTHING | {"cli"}  # latentsde/__init__.py, where the public names are gathered
ROOMS["experiments"] = EVERYTHING

# Rooms that stay light, with everything they may import from outside the standard library.
LIGHT = {
    "errors": set[str](),
    "files": set[str](),
    "devices": {"torch"},
    "memory": set[str](),
    "version": set[str](),
    "brownian": {"torch", "triton"},
    "solvers": {"torch", "triton"},
    "girsanov": {"torch"},
    "sdes": {"torch"},
    "data": {"torch", "numpy", "pandas", "pyarrow", "PIL"},
    "plotting": {"matplotlib", "numpy", "pandas"},
}
# Dependencies that are replaced in one place, because only this room knows them.
CONFINED = {
    "sklearn": {"evaluation"},
    "lightning": {"training"},
    "typer": {"cli"},
    "pyro": {"pyro", "models"},
    "torchmetrics": {"evaluation"},
}
OUTSIDE_THE_PACKAGE = {"experiments", "benchmarks", "tests"}


def module_name(path: Path) -> str:
    """The dotted name of a file below the repository's root; an `__init__.py` has its folder's name."""
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> str:
    """`latentsde.solvers.methods` lies in "solvers", the package's own `__init__` in "latentsde"."""
    parts = module.split(".")
    return parts[1] if parts[0] == "latentsde" and len(parts) > 1 else parts[0]


def imported_modules(source: str, module: str, is_package: bool) -> set[str]:
    """Every module that the source imports, as absolute dotted names.

    `from latentsde import x` counts as `latentsde.x` where x is a room, and as `latentsde` where it is not.
    """
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = module.split(".")
                keep = len(parents) - node.level + is_package
                base = ".".join(parents[:keep] + ([node.module] if node.module else []))
            if base == "latentsde":
                found.update(f"latentsde.{a.name}" if a.name in ROOMS else "latentsde" for a in node.names)
            else:
                found.add(base)
    return found


def violations(source: str, module: str, is_package: bool = False) -> list[str]:
    """What is wrong with a file's imports, one sentence each; empty for a file that keeps the order."""
    room = room_of(module)
    if room not in ROOMS:
        return [f"{module} is in no known room: give {room!r} its place in tests/test_architecture.py"]
    wrong = []
    for imported in sorted(imported_modules(source, module, is_package)):
        top = imported.split(".")[0]
        if top == "latentsde":
            other = room_of(imported)
            if other != room and other not in ROOMS[room]:
                wrong.append(f"{module} ({room}) must not import {imported} ({other})")
        elif top in OUTSIDE_THE_PACKAGE and top != room:
            wrong.append(f"{module} must not import {imported}: it is not installed with the package")
        elif top in sys.stdlib_module_names or room == "experiments":
            continue
        elif room in LIGHT and top not in LIGHT[room]:
            wrong.append(f"{module} ({room}) must not need {top}")
        elif top in CONFINED and room not in CONFINED[top]:
            wrong.append(f"{module} must not import {top}: only {', '.join(sorted(CONFINED[top]))} does")
    return wrong


def python_files(*folders: Path) -> list[Path]:
    return sorted(file for folder in folders for file in folder.rglob("*.py"))


def test_rooms_import_downwards_only() -> None:
    files = python_files(PACKAGE, ROOT / "experiments")
    assert files
    wrong = [
        sentence
        for file in files
        for sentence in violations(
            file.read_text(encoding="utf-8"), module_name(file), file.name == "__init__.py"
        )
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("latentsde.brownian.tree", "import latentsde.solvers"),
        ("latentsde.brownian.tree", "from latentsde.solvers.solve import solve"),
        ("latentsde.brownian.tree", "from latentsde.errors import InputError"),
        ("latentsde.brownian.tree", "import numpy as np"),
        ("latentsde.solvers.solve", "from ..girsanov import with_path_kl"),
        ("latentsde.solvers.solve", "from .. import girsanov"),
        ("latentsde.solvers.methods.euler", "from ...nn.fields import Field"),
        ("latentsde.solvers.solve", "def f():\n    from latentsde.models import LatentSDE"),
        ("latentsde.solvers.sde", "if TYPE_CHECKING:\n    from latentsde.sdes import OU"),
        ("latentsde.solvers.solve", "from latentsde import solve"),
        ("latentsde.girsanov", "from latentsde import sdes"),
        ("latentsde.sdes.named", "import torch, scipy.linalg"),
        ("latentsde.nn.fields", "from latentsde.models.latent_sde import LatentSDE"),
        ("latentsde.models.latent_sde", "from latentsde.training import fit"),
        ("latentsde.models.latent_sde", "from latentsde.diffusion import sampler"),
        ("latentsde.training.module", "from latentsde.evaluation.metrics import Scores"),
        ("latentsde.training.module", "import latentsde.cli"),
        ("latentsde.training.module", "from sklearn.cluster import KMeans"),
        ("latentsde.data.series", "from latentsde.models import LatentSDE"),
        ("latentsde.data.series", "import torch\nimport matplotlib.pyplot as plt"),
        ("latentsde.plotting", "from latentsde.data.series import IrregularSeries"),
        ("latentsde.plotting.series", "import torch"),
        ("latentsde.compat.torchsde", "from latentsde.sdes import OU"),
        ("latentsde.evaluation.report", "import latentsde"),
        ("latentsde.models.latent_sde", "import lightning as L"),
        ("latentsde.models.latent_sde", "from latentsde.pyro import posterior_path"),
        ("latentsde.pyro.latent_sde", "from latentsde.training import fit"),
        ("latentsde.training.module", "def f():\n    import pyro.distributions as dist"),
        ("latentsde.models.latent_sde", "from experiments.mocap import CONFIG"),
        ("latentsde.cli.fit", "import tests.readme_example"),
        ("latentsde.utils", "import torch"),
    ],
)
def test_an_offending_import_is_seen(module: str, source: str) -> None:
    assert len(violations(source, module)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        (
            "latentsde.brownian.tree",
            "import math\nimport torch\nimport triton.language as tl\nfrom . import philox",
        ),
        ("latentsde.solvers.methods.euler", "from ..sde import SDE\nfrom ...brownian import Increment"),
        (
            "latentsde.girsanov",
            "from latentsde.solvers import solve\nfrom latentsde.errors import InputError",
        ),
        (
            "latentsde.models.latent_sde",
            "from latentsde.data.batch import Batch\nfrom latentsde import girsanov",
        ),
        ("latentsde.evaluation.report", "from latentsde import models, plotting, version"),
        ("latentsde.evaluation.gaussian_process", "from sklearn.gaussian_process import kernels"),
        ("latentsde.training.module", "import lightning as L"),
        ("latentsde.pyro.paths", "import pyro\nfrom ..girsanov import PathKL\nfrom latentsde import models"),
        ("latentsde.models.deep_markov", "import pyro.distributions as dist"),
        ("latentsde.cli.demo", "import latentsde\nfrom latentsde import fit\nimport typer"),
        ("latentsde", "from latentsde.cli import main"),
        ("experiments.mocap", "import latentsde\nimport scipy"),
    ],
)
def test_a_downward_import_is_allowed(module: str, source: str) -> None:
    assert violations(source, module) == []


def test_relative_imports_in_a_folders_init_start_at_that_folder() -> None:
    source = "from .tree import VirtualBrownianTree"
    assert imported_modules(source, "latentsde.brownian", is_package=True) == {"latentsde.brownian.tree"}
    assert violations("from ..solvers import solve", "latentsde.brownian", is_package=True)


def test_every_folder_with_sources_is_a_package() -> None:
    # Without its __init__.py a folder is there in a checkout and missing from the built package.
    folders = {file.parent for file in python_files(PACKAGE)}
    assert [str(folder) for folder in sorted(folders) if not (folder / "__init__.py").exists()] == []


def test_no_file_has_more_than_400_lines() -> None:
    long = {
        str(file.relative_to(ROOT)): lines
        for file in python_files(PACKAGE)
        if (lines := len(file.read_text(encoding="utf-8").splitlines())) > 400
    }
    assert not long, f"two subjects each, split them: {long}"


# A letter, digit or dot before the slash makes it a part of a longer address, which is nobody's home.
MACHINE_PATH = re.compile(rb"(?<![\w.])/(?:work|root|tmp/lab|home/\w+|Users/\w+)/")


def test_no_file_names_a_path_of_somebodys_machine() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: there is no list of the files that belong to it")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    files = [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]
    assert files
    found = [str(file.relative_to(ROOT)) for file in files if MACHINE_PATH.search(file.read_bytes())]
    assert not found, f"a path of somebody's machine in {', '.join(found)}"


@pytest.mark.parametrize("folder", ["work", "root", "tmp/lab", "home/ada", "Users/ada"])
def test_a_machine_path_is_seen(folder: str) -> None:
    assert MACHINE_PATH.search(f'open("/{folder}/data.csv")'.encode())
    assert not MACHINE_PATH.search(f"https://example.org/{folder}/data.csv".encode())
