"""CIFAR-10 as JPEG files in one `cifar10_jpeg.npz`: lossy, a tenth of the size.

For each part, "train" and "test", the file has `<part>_bytes`, all JPEG files back to back; `<part>_offsets`
(N + 1,), image i being the bytes from offsets[i] to offsets[i + 1]; and `<part>_labels` (N,). `label_names`
are the classes.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from latentsde.data.images.sources import content
from latentsde.errors import InputError

FILE = "cifar10_jpeg.npz"
NOTE = "JPEG CIFAR-10: lossy copies of the images"
SIDE = 32


def read(path: Path, part: str, classes: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (N, 3, 32, 32), uint8, and labels (N,) of a part."""
    jpegs, offsets, labels = load(path, part, classes)
    return decoded(jpegs, offsets, f"{path}, {part}"), labels


def load(path: Path, part: str, classes: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """JPEG files, offsets and labels of a part, checked but not decoded."""
    keys = [f"{part}_bytes", f"{part}_offsets", f"{part}_labels", "label_names"]
    found = content(path)
    try:
        with np.load(io.BytesIO(found), allow_pickle=False) as archive:
            jpegs, offsets, labels, names = (archive[key] for key in keys)
    except KeyError as error:
        raise InputError(f"{path} lacks one of {', '.join(keys)}; copy it again") from error
    except Exception as error:  # numpy and zipfile have no common base for what a damaged file raises
        raise InputError(f"{path} is a damaged npz file; copy it again") from error
    if tuple(names.ravel().tolist()) != classes:
        raise InputError(f"{path} has other label_names than {', '.join(classes)}; copy it again")
    if jpegs.dtype != np.uint8 or jpegs.ndim != 1:
        raise InputError(f"{path} has {keys[0]} that are not a row of uint8; copy it again")
    if not (
        all(array.dtype.kind in "iu" and array.ndim == 1 for array in (offsets, labels))
        and len(offsets) == len(labels) + 1
        and offsets[0] == 0
        and offsets[-1] == len(jpegs)
        and (offsets[1:] > offsets[:-1]).all()
    ):
        raise InputError(
            f"{path} has {keys[1]} that do not cut {keys[0]} into {len(labels)} files; copy it again"
        )
    wrong = np.flatnonzero((labels < 0) | (labels >= len(classes)))
    if len(wrong):
        raise InputError(
            f"{path}, {part} image {wrong[0]} (from 0) has the label {labels[wrong[0]]}, and CIFAR-10 has "
            "0 to 9; copy it again"
        )
    return jpegs, offsets, labels.astype(np.int64)


def decoded(jpegs: np.ndarray, offsets: np.ndarray, source: str) -> np.ndarray:
    """Pixels (N, 3, 32, 32) of JPEG files that lie back to back, cut at `offsets` (N + 1,)."""
    from PIL import Image

    pixels = np.empty((len(offsets) - 1, SIDE, SIDE, 3), np.uint8)
    for number, (start, end) in enumerate(zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)):
        try:
            # Only the one decoder: a file of another kind has no business here.
            with Image.open(io.BytesIO(jpegs[start:end].tobytes()), formats=("JPEG",)) as image:
                size, mode = image.size, image.mode
                if size == (SIDE, SIDE) and mode == "RGB":
                    pixels[number] = image
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise InputError(
                f"{source} image {number} (from 0) is not a whole JPEG file; copy it again"
            ) from error
        if size != (SIDE, SIDE) or mode != "RGB":
            raise InputError(
                f"{source} image {number} (from 0) is {size[0]} x {size[1]} {mode}, not 32 x 32 RGB; "
                "copy it again"
            )
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
