"""Image data sets by name, from a folder of the user's: nothing is ever downloaded."""

from __future__ import annotations

from pathlib import Path

from latentsde.data.images.cifar10 import read_cifar10
from latentsde.data.images.idx import read_mnist
from latentsde.data.images.labelled import LabelledImages
from latentsde.errors import InputError, quote

READERS = {"mnist": read_mnist, "cifar10": read_cifar10}


def read_images(name: str, root: str | Path) -> tuple[LabelledImages, LabelledImages]:
    """Training and test images of "mnist" or "cifar10"; see `read_mnist` and `read_cifar10` for `root`.

    Raises `InputError` for another name, a folder that is missing or without the data, and damaged files.
    """
    if name not in READERS:
        raise InputError(f"there are no images called {quote(name)}; choose {' or '.join(READERS)}")
    return READERS[name](root)
