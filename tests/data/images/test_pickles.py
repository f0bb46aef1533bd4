"""A pickle is data here: it may hold an array, and nothing that it asks for is run."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from latentsde.data.images.cifar10 import read_parts
from latentsde.data.images.pickles import parse
from tests.data.images.written import (
    PER_BATCH,
    batch,
    cifar10,
    complaint,
    python2_pickle,
    python_files,
    write_archive,
    write_folder,
)

PIXELS, LABELS = cifar10()["test_batch"]
FOLDER = "cifar-10-batches-py"


class Touch:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


def malicious(path: Path, protocol: int = 2) -> bytes:
    return pickle.dumps({**batch(PIXELS, LABELS), "more": Touch(path)}, protocol)


@pytest.mark.parametrize("protocol", range(5))
def test_a_malicious_pickle_is_refused_and_not_executed(tmp_path: Path, protocol: int) -> None:
    trap = tmp_path / "trap"
    content = malicious(trap, protocol)
    message = complaint(parse, content, "test_batch")
    assert not trap.exists()
    assert "test_batch asks to run" in message and "mkdir" in message and "not run" in message
    pickle.loads(content)
    assert trap.exists()  # it would have been


@pytest.mark.parametrize("archived", [False, True])
def test_it_is_refused_in_every_layout(tmp_path: Path, archived: bool) -> None:
    root, trap = tmp_path / "data", tmp_path / "trap"
    files = {**python_files(cifar10()), "data_batch_4": malicious(trap)}
    if archived:
        write_archive(root / "cifar-10-python.tar.gz", FOLDER, files)
    else:
        write_folder(root / FOLDER, files)
    message = complaint(read_parts, root, ("train", "test"), checksums={}, batch=PER_BATCH)
    assert "data_batch_4 asks to run" in message and not trap.exists()


@pytest.mark.parametrize(
    "name",
    [
        "builtins eval",
        "__builtin__ eval",
        "builtins getattr",
        "os system",
        "numpy load",
        "numpy.core.multiarray fromfile",
        "numpy ndarray.tofile",
        "latentsde.data.images.sources content",
        "copyreg _reconstructor",
        "a_module_that_is_not_there name",
    ],
)
def test_no_other_name_is_looked_up(name: str) -> None:
    module, attribute = name.split()
    content = f"c{module}\n{attribute}\n.".encode()
    assert f"'{module}.{attribute}'" in complaint(parse, content, "x")


def test_a_name_is_refused_with_the_opcode_of_protocol_4_too() -> None:
    content = b"\x80\x04\x8c\x02os\x8c\x06system\x93."
    assert "'os.system'" in complaint(parse, content, "x")


@pytest.mark.parametrize("module", [b"numpy.core.multiarray", b"numpy._core.multiarray"])
def test_arrays_of_either_numpy_are_read(module: bytes) -> None:
    content = python2_pickle(batch(PIXELS, LABELS))
    assert content.count(b"cnumpy.core.multiarray\n") == 1
    content = content.replace(b"cnumpy.core.multiarray\n", b"c" + module + b"\n")
    pixels, labels = parse(content, "x")
    np.testing.assert_array_equal(pixels, PIXELS)
    np.testing.assert_array_equal(labels, LABELS)


def test_the_pickle_of_python_2_is_one() -> None:
    content = python2_pickle(batch(PIXELS, LABELS))
    assert content.startswith(b"\x80\x02") and pickle.BINUNICODE not in content[:10]
    found = pickle.loads(content, encoding="bytes")
    assert set(found) == {b"batch_label", b"labels", b"data", b"filenames"}


GOOD = python2_pickle(batch(PIXELS, LABELS))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is a damaged pickle"),
        (b"no pickle at all", "is a damaged pickle"),
        (GOOD[:100], "is a damaged pickle"),
        (GOOD[:-1], "is a damaged pickle"),
        (GOOD[:30000] + GOOD[30100:], "is a damaged pickle"),
        (pickle.dumps([1, 2], 2), "but a list"),
        (pickle.dumps({"labels": [1]}, 2), "no 'data'"),
        (pickle.dumps({"data": b"pixels", "labels": [1]}, 2), "no 'data'"),
        (pickle.dumps(batch(PIXELS[:, :-1], LABELS), 2), "no 'data' of 3072 bytes"),
        (pickle.dumps(batch(PIXELS.astype(float), LABELS), 2), "no 'data' of 3072 bytes"),
        (pickle.dumps({"data": PIXELS}, 2), "no 'labels'"),
        (pickle.dumps(batch(PIXELS, LABELS + 1), 2), "from 0 to 9"),
        (pickle.dumps(batch(PIXELS, LABELS - 1), 2), "from 0 to 9"),
        (pickle.dumps(batch(PIXELS, LABELS / 2), 2), "whole numbers"),
        (pickle.dumps(batch(PIXELS, LABELS[:-1]), 2), "20 images and 19 labels"),
    ],
)
def test_what_is_no_batch_is_told(content: bytes, told: str) -> None:
    message = complaint(parse, content, "data_batch_1")
    assert message.startswith("data_batch_1 ") and told in message
