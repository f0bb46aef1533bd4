"""IDX files come back as they were written, and a damaged one is told with its name."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from latentsde.data.images import LabelledImages, read_idx, read_mnist
from latentsde.data.images.idx import NAMES, read_part
from tests.data.images.written import complaint, idx, mnist, write_mnist


def read(root: Path) -> tuple[LabelledImages, LabelledImages]:
    """As `read_mnist`, of files that are not the published ones."""
    return read_part(root, "train", {}), read_part(root, "test", {})


@pytest.mark.parametrize("place", [".", "mnist", "MNIST/raw"])
@pytest.mark.parametrize("zipped", [(), NAMES, NAMES[:2]], ids=["plain", "gzip", "both"])
def test_mnist_comes_back_from_every_layout(tmp_path: Path, place: str, zipped: tuple[str, ...]) -> None:
    files = mnist()
    write_mnist(tmp_path / place, files, zipped)
    for part, name in zip(read(tmp_path), ("train", "t10k"), strict=True):
        np.testing.assert_array_equal(part.images[:, 0].numpy(), files[f"{name}-images-idx3-ubyte"])
        np.testing.assert_array_equal(part.labels.numpy(), files[f"{name}-labels-idx1-ubyte"])
        assert part.images.shape[1:] == (1, 28, 28) and part.classes == tuple("0123456789")
        assert part.note == ""


def test_a_file_as_it_is_comes_before_its_compressed_copy(tmp_path: Path) -> None:
    write_mnist(tmp_path, mnist(seed=1), zipped=NAMES)
    files = mnist(seed=2)
    write_mnist(tmp_path, files)
    np.testing.assert_array_equal(read(tmp_path)[1].images[:, 0].numpy(), files["t10k-images-idx3-ubyte"])


@pytest.mark.parametrize("zipped", [(), NAMES], ids=["plain", "gzip"])
def test_other_images_than_the_published_ones_are_refused(tmp_path: Path, zipped: tuple[str, ...]) -> None:
    write_mnist(tmp_path, mnist(), zipped)
    message = complaint(read_mnist, tmp_path)
    assert "train-images-idx3-ubyte" in message and "is damaged: the MD5" in message
    assert "6bbc9ace898e44ae57da46a324031adb" in message and "copy it again" in message


def test_one_wrong_bit_is_found(tmp_path: Path) -> None:
    files = mnist()
    write_mnist(tmp_path, files)
    sums = {name: hashlib.md5(idx(values)).hexdigest() for name, values in files.items()}
    assert len(read_part(tmp_path, "train", sums)) == 7
    path = tmp_path / "train-labels-idx1-ubyte"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert f"{path} is damaged: the MD5" in complaint(read_part, tmp_path, "train", sums)


@pytest.mark.parametrize(
    ("code", "dtype", "expected"),
    [
        (0x08, ">u1", torch.uint8),
        (0x09, ">i1", torch.int8),
        (0x0B, ">i2", torch.int16),
        (0x0C, ">i4", torch.int32),
        (0x0D, ">f4", torch.float32),
        (0x0E, ">f8", torch.float64),
    ],
)
def test_every_type_of_value_comes_back(tmp_path: Path, code: int, dtype: str, expected: torch.dtype) -> None:
    values = np.arange(24).reshape(2, 3, 4).astype(dtype)
    path = tmp_path / "values.idx"
    path.write_bytes(idx(values, code))
    found = read_idx(path)
    assert found.dtype == expected and found.shape == (2, 3, 4)
    np.testing.assert_array_equal(found.numpy(), values)


GOOD = idx(np.arange(6, dtype=np.uint8).reshape(2, 3))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is not an IDX file, it is empty"),
        (b"\0\0\x08", "begins with the bytes 00 00 08"),
        (b"PK\x03\x04rest", "begins with the bytes 50 4b 03 04"),
        (b"\0\0\x0a" + GOOD[3:], "begins with the bytes 00 00 0a 02"),
        (b"\0\0\x08\0\1", "begins with the bytes 00 00 08 00"),
        (b"\0\0\x08\x64" + b"\0\0\0\1" * 100 + b"\0", "begins with the bytes 00 00 08 64"),
        (GOOD[:9], "ends within its header of 12 bytes"),
        (GOOD[:-1], "has 17 bytes, by its header it has 18 (shape (2, 3))"),
        (GOOD + b"\0", "has 19 bytes, by its header it has 18"),
        (b"\0\0\x08\3" + b"\xff" * 12 + b"1", "shape (4294967295, 4294967295, 4294967295)"),
        (gzip.compress(GOOD, mtime=0)[:-5], "is a damaged gzip file"),
        (
            gzip.compress(GOOD, mtime=0)[:12] + b"\0\1\2\3" + gzip.compress(GOOD)[16:],
            "is a damaged gzip file",
        ),
    ],
)
def test_a_damaged_file_is_told_with_its_name(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "values.idx"
    path.write_bytes(content)
    message = complaint(read_idx, path)
    assert message.startswith(f"{path} ") and told in message


def test_labels_above_nine_and_unequal_counts_are_told(tmp_path: Path) -> None:
    files = mnist()
    files["train-labels-idx1-ubyte"][4] = 10
    write_mnist(tmp_path, files)
    assert "image 4 (from 0) has the label 10" in complaint(read, tmp_path)
    files["train-labels-idx1-ubyte"] = files["train-labels-idx1-ubyte"][:4]
    write_mnist(tmp_path, files)
    assert "7 images and 4 labels" in complaint(read, tmp_path)


def test_missing_files_are_named(tmp_path: Path) -> None:
    message = complaint(read_mnist, tmp_path)
    assert message.startswith(f"{tmp_path} holds no MNIST; it is never downloaded")
    assert all(name in message for name in (*NAMES, "mnist", "MNIST/raw", ".gz"))
    files = mnist()
    del files["t10k-labels-idx1-ubyte"]
    write_mnist(tmp_path / "mnist", files)
    assert f"{tmp_path / 'mnist'} lacks t10k-labels-idx1-ubyte" in complaint(read_mnist, tmp_path)
    assert "nowhere does not exist" in complaint(read_mnist, tmp_path / "nowhere")
    assert "cannot be read" in complaint(read_idx, tmp_path / "nowhere.idx")
