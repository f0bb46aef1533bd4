"""CIFAR-10 comes back the same from every layout; what is damaged, incomplete or not an original is told."""

from __future__ import annotations

import gzip
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from latentsde.data.images import LabelledImages, read_binary, read_cifar10
from latentsde.data.images.cifar10 import CLASSES, parse_records, read_parts
from tests.data.images.written import (
    PER_BATCH,
    TRAIN_BATCHES,
    Batches,
    batch,
    binary_files,
    cifar10,
    complaint,
    python_files,
    records,
    write_archive,
    write_folder,
)

BIN, PY = "cifar-10-batches-bin", "cifar-10-batches-py"
BIN_ARCHIVE, PY_ARCHIVE = "cifar-10-binary.tar.gz", "cifar-10-python.tar.gz"


def read(root: Path) -> tuple[LabelledImages, LabelledImages]:
    """As `read_cifar10`, of small batches and archives that are not the published ones."""
    train, test = read_parts(root, ("train", "test"), checksums={}, batch=PER_BATCH)
    return train, test


def zipped(files: dict[str, bytes]) -> dict[str, bytes]:
    return {f"{name}.gz": gzip.compress(content) for name, content in files.items()}


def python3_files(batches: Batches, protocol: int) -> dict[str, bytes]:
    return {name: pickle.dumps(batch(*content), protocol) for name, content in batches.items()}


LAYOUTS: dict[str, Callable[[Path, Batches], None]] = {
    "binary": lambda root, batches: write_folder(root / BIN, binary_files(batches)),
    "binary, gzipped": lambda root, batches: write_folder(root / BIN, zipped(binary_files(batches))),
    "binary, directly": lambda root, batches: write_folder(root, binary_files(batches)),
    "binary, deeper": lambda root, batches: write_folder(root / "cifar10" / BIN, binary_files(batches)),
    "pickles": lambda root, batches: write_folder(root / PY, python_files(batches)),
    "pickles, directly": lambda root, batches: write_folder(root, python_files(batches)),
    "pickles of Python 3, protocol 2": lambda root, batches: write_folder(
        root / PY, python3_files(batches, 2)
    ),
    "pickles of Python 3, protocol 4": lambda root, batches: write_folder(
        root / PY, python3_files(batches, 4)
    ),
    "binary archive": lambda root, batches: write_archive(root / BIN_ARCHIVE, BIN, binary_files(batches)),
    "pickles archive": lambda root, batches: write_archive(root / PY_ARCHIVE, PY, python_files(batches)),
    "archive, deeper": lambda root, batches: write_archive(
        root / "cifar10" / PY_ARCHIVE, PY, python_files(batches)
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_lossless_layout_comes_back(tmp_path: Path, layout: str) -> None:
    batches = cifar10()
    LAYOUTS[layout](tmp_path, batches)
    before = sorted(tmp_path.rglob("*"))
    for part, names in zip(read(tmp_path), (TRAIN_BATCHES, ("test_batch",)), strict=True):
        pixels = np.concatenate([batches[name][0] for name in names]).reshape(-1, 3, 32, 32)
        np.testing.assert_array_equal(part.images.numpy(), pixels)
        np.testing.assert_array_equal(part.labels.numpy(), np.concatenate([batches[n][1] for n in names]))
        assert part.classes == CLASSES and part.note == ""
    assert sorted(tmp_path.rglob("*")) == before  # nothing is extracted to disk


def test_one_part_is_read_alone(tmp_path: Path) -> None:
    LAYOUTS["pickles archive"](tmp_path, cifar10())
    (test,) = read_parts(tmp_path, ("test",), checksums={}, batch=PER_BATCH)
    np.testing.assert_array_equal(test.labels.numpy(), cifar10()["test_batch"][1])


def test_layouts_are_tried_in_the_order_of_the_documentation(tmp_path: Path) -> None:
    layouts = {
        BIN: "binary",
        PY: "pickles",
        BIN_ARCHIVE: "binary archive",
        PY_ARCHIVE: "pickles archive",
    }
    for seed, layout in enumerate(layouts.values()):
        LAYOUTS[layout](tmp_path, cifar10(seed))
    for seed, name in enumerate(layouts):
        expected = cifar10(seed)["test_batch"][0].reshape(-1, 3, 32, 32)
        np.testing.assert_array_equal(read(tmp_path)[1].images.numpy(), expected)
        path = tmp_path / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert "holds no CIFAR-10" in complaint(read, tmp_path)


def test_every_layout_is_named_where_none_is_found(tmp_path: Path) -> None:
    message = complaint(read_cifar10, tmp_path)
    assert message.startswith(f"{tmp_path} holds no CIFAR-10; it is never downloaded")
    assert all(name in message for name in (BIN, PY, BIN_ARCHIVE, PY_ARCHIVE, "cifar10_jpeg.npz", "cifar10"))
    assert "nowhere does not exist" in complaint(read_cifar10, tmp_path / "nowhere")


def test_a_missing_batch_is_named_and_nothing_taken_in_its_place(tmp_path: Path) -> None:
    LAYOUTS["binary"](tmp_path, cifar10())
    LAYOUTS["pickles"](tmp_path, cifar10())
    (tmp_path / BIN / "data_batch_3.bin").unlink()
    assert f"{tmp_path / BIN} lacks data_batch_3.bin" in complaint(read, tmp_path)


def test_an_archive_without_a_batch_is_told(tmp_path: Path) -> None:
    files = binary_files(cifar10())
    del files["test_batch.bin"]
    write_archive(tmp_path / BIN_ARCHIVE, BIN, files)
    assert f"lacks {BIN}/test_batch.bin" in complaint(read, tmp_path)


@pytest.mark.parametrize("layout", ["binary archive", "pickles archive"])
def test_an_archive_that_is_not_the_published_one_is_refused(tmp_path: Path, layout: str) -> None:
    LAYOUTS[layout](tmp_path, cifar10())
    message = complaint(read_cifar10, tmp_path)
    assert "its MD5 is" in message and "extract it there" in message
    assert ("c32a1d4ab5d03f1284b67883e8d87530" in message) == (layout == "binary archive")
    assert ("c58f30108f718f92721af3b95e74349a" in message) == (layout == "pickles archive")


def test_a_file_of_the_python_version_that_is_not_the_published_one_is_refused(tmp_path: Path) -> None:
    LAYOUTS["pickles"](tmp_path, cifar10())
    message = complaint(read_cifar10, tmp_path)
    assert f"{tmp_path / PY / 'data_batch_1'} is damaged or not the original" in message
    assert "c99cafc152244af753f735de768cd75f" in message


@pytest.mark.parametrize("keep", [0, 5, 1000, 0.5, 0.999])
def test_a_truncated_archive_is_told(tmp_path: Path, keep: float) -> None:
    LAYOUTS["binary archive"](tmp_path, cifar10())
    path = tmp_path / BIN_ARCHIVE
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content)) if isinstance(keep, float) else keep])
    message = complaint(read, tmp_path)
    assert str(path) in message and "copy it again" in message


def test_a_set_of_another_size_is_no_cifar10(tmp_path: Path) -> None:
    LAYOUTS["binary"](tmp_path, cifar10())
    message = complaint(read_cifar10, tmp_path)
    assert "data_batch_1.bin has 20 images, not 10000" in message


def test_unequal_classes_are_told(tmp_path: Path) -> None:
    batches = cifar10()
    labels = batches["data_batch_2"][1]
    labels[np.flatnonzero(labels == 3)[0]] = 5
    LAYOUTS["binary"](tmp_path, batches)
    message = complaint(read, tmp_path)
    assert (
        "data_batch_1.bin to " in message and "has 9 images of the class cat, and CIFAR-10 has 10" in message
    )


def test_a_binary_file_of_any_length_comes_back(tmp_path: Path) -> None:
    pixels, labels = cifar10()["data_batch_1"]
    path = tmp_path / "first.bin.gz"
    path.write_bytes(gzip.compress(records(pixels[:3], labels[:3])))
    images = read_binary(path)
    np.testing.assert_array_equal(images.images.numpy(), pixels[:3].reshape(3, 3, 32, 32))
    assert images.labels.tolist() == labels[:3].tolist() and images.note == ""


@pytest.mark.parametrize("count", [0, 3072, 3074, 2 * 3073 - 1])
def test_parts_of_records_are_told(tmp_path: Path, count: int) -> None:
    path = tmp_path / "some.bin"
    path.write_bytes(b"\0" * count)
    message = complaint(read_binary, path)
    assert f"{path} has {count} bytes" in message and "3073" in message


def test_a_label_above_nine_is_told_with_its_record() -> None:
    content = records(np.zeros((4, 3072), np.uint8), np.array([0, 9, 10, 255]))
    assert "some.bin, record 2 (from 0) has the label 10" in complaint(parse_records, content, "some.bin")
