"""MNIST, and any other file in its IDX format, gzipped or not.

An IDX file is two zeros, the code of a type, the number of dimensions, the size of each as a 32-bit integer,
and the values, all big-endian, last dimension fastest (LeCun, Cortes & Burges, yann.lecun.com/exdb/mnist).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

from latentsde.data.images.labelled import LabelledImages
from latentsde.data.images.sources import content, folder, md5, members, not_found
from latentsde.errors import InputError

TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}

FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
NAMES = FILES["train"] + FILES["test"]
LOOKED_FOR = f"{', '.join(NAMES)} (also .gz), directly or in mnist or MNIST/raw"

# Of the uncompressed bytes: copies are compressed again on their way.
CHECKSUMS: Mapping[str, str] = MappingProxyType(
    {
        "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
        "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
        "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
        "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
    }
)


def read_mnist(root: str | Path) -> tuple[LabelledImages, LabelledImages]:
    """The 60,000 training and the 10,000 test images (N, 1, 28, 28), classes "0" to "9".

    Looks for the four IDX files in `root`, `root/mnist` and `root/MNIST/raw`, where torchvision puts them.
    Raises `InputError` for files that are missing, damaged, or whose MD5 is not that of the published ones.
    """
    train, test = read_parts(root, ("train", "test"))
    return train, test


def read_parts(root: str | Path, parts: Sequence[str]) -> list[LabelledImages]:
    """The `parts` "train" or "test" of MNIST."""
    return [read_part(root, part) for part in parts]


def read_part(root: str | Path, part: str, checksums: Mapping[str, str] = CHECKSUMS) -> LabelledImages:
    """The `part` "train" or "test" of MNIST; files without an entry in `checksums` are not compared."""
    root = folder(root, "MNIST", LOOKED_FOR)
    for base in (root, root / "mnist", root / "MNIST" / "raw"):
        if paths := members(base, NAMES, "MNIST"):
            images, labels = (_verified(paths[name], checksums.get(name)) for name in FILES[part])
            digits = tuple(str(digit) for digit in range(10))
            return LabelledImages(images.unsqueeze(1), labels.long(), digits)
    raise not_found(root, "MNIST", LOOKED_FOR)


def read_idx(path: str | Path) -> Tensor:
    """The values of an IDX file, in its shape and type. Raises `InputError` for a file that is not whole."""
    return _parse(content(Path(path)), str(path))


def _verified(path: Path, checksum: str | None) -> Tensor:
    found = content(path)
    values = _parse(found, str(path))
    if checksum is not None and md5(found) != checksum:
        raise InputError(
            f"{path} is damaged: the MD5 of its uncompressed bytes is {md5(found)}, the published file's is "
            f"{checksum}; copy it again"
        )
    return values


def _parse(found: bytes, source: str) -> Tensor:
    code, dimensions = (found[2], found[3]) if len(found) >= 4 and found[:2] == b"\0\0" else (0, 0)
    if code not in TYPES or not 1 <= dimensions <= 8:
        begins = f"begins with the bytes {found[:4].hex(' ')}" if found else "is empty"
        raise InputError(
            f"{source} is not an IDX file, it {begins}; give one such as train-images-idx3-ubyte.gz"
        )
    start = 4 + 4 * dimensions
    if len(found) < start:
        raise InputError(f"{source} ends within its header of {start} bytes; copy it again")
    shape = tuple(int(size) for size in np.frombuffer(found, ">u4", dimensions, offset=4))
    kind = np.dtype(TYPES[code])
    expected = start + math.prod(shape) * kind.itemsize
    if len(found) != expected:
        raise InputError(
            f"{source} has {len(found)} bytes, by its header it has {expected} (shape {shape}); copy it again"
        )
    values = np.frombuffer(found, kind, offset=start).reshape(shape)
    return torch.from_numpy(values.astype(kind.newbyteorder("=")))
