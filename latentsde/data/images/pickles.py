"""The batches of CIFAR-10's Python version: pickles, read without running anything that they name."""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np

from latentsde.errors import InputError, quote

# All that a pickled array refers to; numpy 2 renamed the module, and Python 3 writes bytes by way of a codec.
ALLOWED = frozenset(
    {
        ("numpy.core.multiarray", "_reconstruct"),
        ("numpy._core.multiarray", "_reconstruct"),
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
        ("_codecs", "encode"),
    }
)


class _Arrays(pickle.Unpickler):
    """Loads numbers, texts, containers and numpy arrays; what else a pickle names is refused unimported."""

    def __init__(self, found: bytes, source: str) -> None:
        # Python 2 wrote the pixels as text.
        super().__init__(io.BytesIO(found), encoding="bytes")
        self.source = source

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            raise InputError(
                f"{self.source} asks to run {quote(f'{module}.{name}')}, which no CIFAR-10 batch does; "
                "it was not run, get the file from a source that you trust"
            )
        return super().find_class(module, name)


def parse(found: bytes, source: str) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (N, 3072), uint8, and labels (N,) of a pickled batch, a dictionary with "data" and "labels"."""
    try:
        batch = _Arrays(found, source).load()
    except InputError:
        raise
    except Exception as error:  # a damaged pickle raises almost anything
        raise InputError(f"{source} is a damaged pickle; copy it again") from error
    if not isinstance(batch, dict):
        raise InputError(f"{source} holds no CIFAR-10 batch but a {type(batch).__name__}; copy it again")
    pixels, labels = (batch.get(key.encode(), batch.get(key)) for key in ("data", "labels"))
    if not (isinstance(pixels, np.ndarray) and pixels.dtype == np.uint8 and pixels.shape[1:] == (3072,)):
        raise InputError(
            f"{source} has no 'data' of 3072 bytes for each image; give an original CIFAR-10 batch"
        )
    if not (isinstance(labels, list) and all(type(label) is int and 0 <= label <= 9 for label in labels)):
        raise InputError(
            f"{source} has no 'labels' that are whole numbers from 0 to 9; give an original CIFAR-10 batch"
        )
    if len(labels) != len(pixels):
        raise InputError(f"{source} has {len(pixels)} images and {len(labels)} labels; copy it again")
    return pixels, np.array(labels, dtype=np.int64)
