"""Small MNIST and CIFAR-10 on disk, in every layout that the readers know."""

from __future__ import annotations

import gzip
import io
import pickle
import struct
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from PIL import Image

from latentsde.data.images.cifar10 import CLASSES
from latentsde.errors import InputError

PER_BATCH = 20
TRAIN_BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))
ALL_BATCHES = (*TRAIN_BATCHES, "test_batch")

Batches = dict[str, tuple[np.ndarray, np.ndarray]]


def complaint(call: Callable[..., object], *arguments: Any, **options: Any) -> str:
    """The one sentence that the call ends in."""
    with pytest.raises(InputError) as error:
        call(*arguments, **options)
    message = str(error.value)
    assert message and "\n" not in message and not message.endswith(".")
    return message


def idx(values: np.ndarray, code: int = 0x08) -> bytes:
    """An IDX file; the values are given big-endian where they have several bytes."""
    return (
        bytes([0, 0, code, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()
    )


def mnist(seed: int = 0, train: int = 7, test: int = 3) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(seed)
    files = {}
    for name, count in (("train", train), ("t10k", test)):
        files[f"{name}-images-idx3-ubyte"] = draw.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        files[f"{name}-labels-idx1-ubyte"] = draw.integers(0, 10, count, dtype=np.uint8)
    return files


def write_mnist(folder: Path, files: dict[str, np.ndarray], zipped: Iterable[str] = ()) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, values in files.items():
        if name in zipped:
            (folder / f"{name}.gz").write_bytes(gzip.compress(idx(values)))
        else:
            (folder / name).write_bytes(idx(values))


def cifar10(seed: int = 0) -> Batches:
    """Pixels (20, 3072) and labels (20,) of six batches: both parts balanced, a single training batch not."""
    draw = np.random.default_rng(seed)
    train = draw.permutation(np.repeat(np.arange(10), 5 * PER_BATCH // 10)).reshape(5, -1)
    labels = [*train, draw.permutation(np.repeat(np.arange(10), PER_BATCH // 10))]
    pixels = draw.integers(0, 256, (6, PER_BATCH, 3072), dtype=np.uint8)
    return dict(zip(ALL_BATCHES, zip(pixels, labels, strict=True), strict=True))


def records(pixels: np.ndarray, labels: np.ndarray) -> bytes:
    return np.column_stack([labels.astype(np.uint8), pixels]).tobytes()


class Python2Pickler(pickle._Pickler):  # type: ignore[name-defined]
    """Writes texts as Python 2 did when the original files were made: as strings of bytes."""

    def save_text(self, text: str | bytes) -> None:
        raw = text.encode("latin1") if isinstance(text, str) else text
        self.write(pickle.BINSTRING + struct.pack("<i", len(raw)) + raw)
        self.memoize(text)

    dispatch: ClassVar = {**pickle._Pickler.dispatch, str: save_text, bytes: save_text}  # type: ignore[attr-defined]


def python2_pickle(value: object) -> bytes:
    file = io.BytesIO()
    Python2Pickler(file, protocol=2).dump(value)
    return file.getvalue().replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")


def batch(pixels: np.ndarray, labels: np.ndarray) -> dict[str, object]:
    """The dictionary of a file of the Python version."""
    return {"batch_label": "a batch", "labels": labels.tolist(), "data": pixels, "filenames": ["x.png"]}


def binary_files(batches: Batches) -> dict[str, bytes]:
    return {f"{name}.bin": records(*content) for name, content in batches.items()}


def python_files(batches: Batches) -> dict[str, bytes]:
    return {name: python2_pickle(batch(*content)) for name, content in batches.items()}


def write_folder(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


def write_archive(path: Path, folder: str, files: dict[str, bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        # Not in the order of the batches, and with a file more, as in the original.
        for name, content in reversed([("readme.html", b"<html>"), *files.items()]):
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def jpeg(pixels: np.ndarray, format: str = "JPEG", **options: Any) -> bytes:
    """A file of pixels (H, W, 3) or (H, W)."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format, **options)
    return file.getvalue()


def compact_arrays(batches: Batches) -> dict[str, np.ndarray]:
    """The arrays of `cifar10_jpeg.npz`, smooth images as JPEG keeps them."""
    arrays: dict[str, np.ndarray] = {"label_names": np.array(CLASSES)}
    for part, names in (("train", TRAIN_BATCHES), ("test", ("test_batch",))):
        labels = np.concatenate([batches[name][1] for name in names])
        files = [jpeg(gradient(number)) for number in range(len(labels))]
        arrays[f"{part}_bytes"] = np.frombuffer(b"".join(files), np.uint8)
        arrays[f"{part}_offsets"] = np.cumsum([0, *map(len, files)])
        arrays[f"{part}_labels"] = labels.astype(np.uint8)
    return arrays


def gradient(number: int) -> np.ndarray:
    """An image (32, 32, 3) that grows brighter downwards, on a level of its own."""
    rows = np.linspace(0, 100, 32)[:, None, None]
    return np.broadcast_to(rows + number, (32, 32, 3)).astype(np.uint8)
