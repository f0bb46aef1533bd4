"""CIFAR-10 as JPEG says that it is lossy, and decodes JPEG files and nothing else."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from latentsde.data.images import LabelledImages
from latentsde.data.images.cifar10 import read_parts
from latentsde.data.images.compact import FILE, decoded
from tests.data.images.written import (
    PER_BATCH,
    TRAIN_BATCHES,
    cifar10,
    compact_arrays,
    complaint,
    gradient,
    jpeg,
    python_files,
    write_folder,
)

BATCHES = cifar10()


def read(root: Path) -> list[LabelledImages]:
    return read_parts(root, ("train", "test"), checksums={}, batch=PER_BATCH)


@pytest.mark.parametrize("place", [".", "cifar10"])
def test_the_compact_file_comes_back_with_its_note(tmp_path: Path, place: str) -> None:
    (tmp_path / place).mkdir(exist_ok=True)
    np.savez(tmp_path / place / FILE, **compact_arrays(BATCHES))
    for part, names in zip(read(tmp_path), (TRAIN_BATCHES, ("test_batch",)), strict=True):
        assert part.note == "JPEG CIFAR-10: lossy copies of the images"
        np.testing.assert_array_equal(part.labels.numpy(), np.concatenate([BATCHES[n][1] for n in names]))
        assert len(part) == len(names) * PER_BATCH
        for number, image in enumerate(part.images.numpy()):
            error = image.transpose(1, 2, 0).astype(int) - gradient(number)
            assert abs(error).max() <= 6


def test_every_other_layout_comes_before_it(tmp_path: Path) -> None:
    np.savez(tmp_path / FILE, **compact_arrays(BATCHES))
    write_folder(tmp_path / "cifar10" / "cifar-10-batches-py", python_files(BATCHES))
    assert [part.note for part in read(tmp_path)] == ["", ""]


def changed(**arrays: np.ndarray | None) -> bytes:
    file = io.BytesIO()
    merged = {**compact_arrays(BATCHES), **arrays}
    np.savez(file, **{name: array for name, array in merged.items() if array is not None})
    return file.getvalue()


ARRAYS = compact_arrays(BATCHES)
OFFSETS, TEST = ARRAYS["test_offsets"], ARRAYS["test_bytes"]
LABELS = ARRAYS["test_labels"]
TWICE = OFFSETS.copy()
TWICE[4] = TWICE[3]
CUT = TEST.copy()
CUT[OFFSETS[6] : OFFSETS[6] + 10] = 0
OVER, UNEQUAL = LABELS.copy(), LABELS.copy()
OVER[5] = 10
UNEQUAL[np.flatnonzero(LABELS == 0)] = 1
ALONE = io.BytesIO()
np.save(ALONE, TEST)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is a damaged npz file"),
        (b"no archive", "is a damaged npz file"),
        (ALONE.getvalue(), "is a damaged npz file"),
        (changed()[:2000], "is a damaged npz file"),
        (changed(test_labels=LABELS.astype(object)), "is a damaged npz file"),
        (changed(test_offsets=None), "lacks one of test_bytes, test_offsets"),
        (changed(label_names=ARRAYS["label_names"][::-1]), "other label_names"),
        (changed(label_names=np.array(3)), "other label_names"),
        (changed(test_bytes=TEST.astype(np.int16)), "not a row of uint8"),
        (changed(test_offsets=OFFSETS[:-1]), "do not cut test_bytes into 20 files"),
        (changed(test_offsets=OFFSETS + 1), "do not cut"),
        (changed(test_offsets=TWICE), "do not cut"),
        (changed(test_offsets=OFFSETS.astype(float)), "do not cut"),
        (changed(test_labels=OVER), "test image 5 (from 0) has the label 10"),
        (changed(test_labels=UNEQUAL), "test has 0 images of the class airplane"),
        (changed(test_bytes=CUT), "test image 6 (from 0) is not a whole JPEG file"),
    ],
)
def test_a_damaged_file_is_told(tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / FILE).write_bytes(content)
    message = complaint(read, tmp_path)
    assert str(tmp_path / FILE) in message and told in message and "copy it again" in message


def test_one_wrong_bit_of_the_archive_is_found(tmp_path: Path) -> None:
    content = bytearray(changed())
    content[len(content) // 3] ^= 1
    (tmp_path / FILE).write_bytes(content)
    assert "is a damaged npz file" in complaint(read, tmp_path)


@pytest.mark.parametrize(
    ("file", "told"),
    [
        (jpeg(gradient(0), "PNG"), "is not a whole JPEG file"),
        (jpeg(gradient(0))[:-200], "is not a whole JPEG file"),
        (jpeg(gradient(0))[:10], "is not a whole JPEG file"),
        (jpeg(gradient(0)[:, :24]), "is 24 x 32 RGB, not 32 x 32 RGB"),
        (jpeg(gradient(0)[..., 0]), "is 32 x 32 L, not 32 x 32 RGB"),
    ],
)
def test_what_is_no_jpeg_of_the_right_size_is_told(file: bytes, told: str) -> None:
    good = jpeg(gradient(0))
    offsets = np.cumsum([0, len(good), len(file)])
    message = complaint(decoded, np.frombuffer(good + file, np.uint8), offsets, "file, test")
    assert message.startswith("file, test image 1 (from 0)") and told in message
