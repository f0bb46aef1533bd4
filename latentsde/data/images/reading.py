"""Image data sets by name, from a folder of the user's: nothing is ever downloaded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from latentsde.data.images import cifar10, idx
from latentsde.data.images.labelled import LabelledImages
from latentsde.errors import InputError, quote

READERS: dict[str, Callable[[str | Path, Sequence[str]], list[LabelledImages]]] = {
    "mnist": idx.read_parts,
    "cifar10": cifar10.read_parts,
}
"""(root, parts) -> those of "train" and "test"."""


def read_images(name: str, root: str | Path) -> tuple[LabelledImages, LabelledImages]:
    """Training and test images of "mnist" or "cifar10"; see `read_mnist` and `read_cifar10` for `root`.

    Raises `InputError` for another name, a folder that is missing or without the data, and damaged files.
    """
    train, test = _reader(name)(root, ("train", "test"))
    return train, test


def read_test_images(name: str, root: str | Path) -> LabelledImages:
    """The test images alone: those of training are neither needed nor looked at. Raises as `read_images`."""
    return _reader(name)(root, ("test",))[0]


def _reader(name: str) -> Callable[[str | Path, Sequence[str]], list[LabelledImages]]:
    if name not in READERS:
        raise InputError(f"there are no images called {quote(name)}; choose {' or '.join(READERS)}")
    return READERS[name]
