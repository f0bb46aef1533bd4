"""CIFAR-10 (Krizhevsky 2009) in any form it is passed on in: two versions, as folder or archive, and JPEG."""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import MappingProxyType

import numpy as np
import torch

from latentsde.data.images import compact, pickles
from latentsde.data.images.labelled import LabelledImages
from latentsde.data.images.sources import content, folder, md5, md5_of_file, members, not_found
from latentsde.errors import InputError

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
BATCH = 10_000
"""Images of each of the six batches."""
BATCHES = {"train": [f"data_batch_{number}" for number in range(1, 6)], "test": ["test_batch"]}

CHECKSUMS: Mapping[str, str] = MappingProxyType(
    {
        "cifar-10-binary.tar.gz": "c32a1d4ab5d03f1284b67883e8d87530",
        "cifar-10-python.tar.gz": "c58f30108f718f92721af3b95e74349a",
        "cifar-10-batches-py/data_batch_1": "c99cafc152244af753f735de768cd75f",
        "cifar-10-batches-py/data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "cifar-10-batches-py/data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "cifar-10-batches-py/data_batch_4": "634d18415352ddfa80567beed471001a",
        "cifar-10-batches-py/data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
        "cifar-10-batches-py/test_batch": "40351d587109b95175f43aff81a1287e",
    }
)
"""MD5 of the published archives, and of the files of which one is published."""

Batch = tuple[np.ndarray, np.ndarray]
"""Pixels (N, 3072), uint8: red, green, blue, each row by row; and labels (N,)."""


def read_binary(path: str | Path) -> LabelledImages:
    """The images (N, 3, 32, 32) of one file of the binary version, gzipped or not, of any length.

    A record is a byte for the label and 1024 each for red, green and blue, row by row. Raises `InputError`
    for a file that is empty, does not consist of whole records, or has labels above 9.
    """
    return _images([parse_records(content(Path(path)), str(path))])


def read_cifar10(root: str | Path) -> tuple[LabelledImages, LabelledImages]:
    """The 50,000 training and the 10,000 test images (N, 3, 32, 32), in the order of the files.

    Looks in `root`, then in `root/cifar10`, for the first of

    1. `cifar-10-batches-bin`, the binary version; its files may also lie there directly and be gzipped;
    2. `cifar-10-batches-py`, the Python version, which torchvision has too; likewise;
    3. `cifar-10-binary.tar.gz` or `cifar-10-python.tar.gz`, the archives of these, read in memory;
    4. `cifar10_jpeg.npz`, lossy copies (see `compact`), which say so in `note`.

    Raises `InputError` for none of them, and for one that is incomplete, damaged or not the original.
    """
    train, test = read_parts(root, ("train", "test"))
    return train, test


def read_parts(
    root: str | Path,
    parts: Sequence[str],
    *,
    checksums: Mapping[str, str] = CHECKSUMS,
    batch: int = BATCH,
) -> list[LabelledImages]:
    """The `parts` "train" or "test" of CIFAR-10, from batches of `batch` images.

    Archives and files of folders without an entry in `checksums` are not compared.
    """
    root = folder(root, "CIFAR-10", LOOKED_FOR)
    bases = (root, root / "cifar10")
    for version in VERSIONS:
        for place in (place for base in bases for place in (base / version.folder, base)):
            if paths := members(place, version.files, "CIFAR-10"):
                return [_from_folder(paths, version, part, batch, checksums) for part in parts]
    for version in VERSIONS:
        for path in (base / version.archive for base in bases):
            if path.is_file():
                return _from_archive(path, version, parts, batch, checksums.get(version.archive))
    for path in (base / compact.FILE for base in bases):
        if path.is_file():
            return [_from_jpegs(path, part, batch) for part in parts]
    raise not_found(root, "CIFAR-10", LOOKED_FOR)


def parse_records(found: bytes, source: str) -> Batch:
    """The batch that is a file of the binary version."""
    if not found or len(found) % 3073:
        raise InputError(
            f"{source} has {len(found)} bytes, not a number of whole records of 3073; "
            "give a file of CIFAR-10's binary version or copy it again"
        )
    records = np.frombuffer(found, np.uint8).reshape(-1, 3073)
    labels = records[:, 0]
    wrong = np.flatnonzero(labels > 9)
    if len(wrong):
        raise InputError(
            f"{source}, record {wrong[0]} (from 0) has the label {labels[wrong[0]]}, and CIFAR-10 has "
            "0 to 9; copy it again"
        )
    return records[:, 1:], labels.astype(np.int64)


@dataclass(frozen=True)
class _Version:
    """Six files in a folder, the archive of that folder, and how a file is read from (bytes, source)."""

    folder: str
    suffix: str
    archive: str
    parse: Callable[[bytes, str], Batch]

    def of(self, part: str) -> list[str]:
        return [name + self.suffix for name in BATCHES[part]]

    def archived(self, part: str) -> list[str]:
        return [f"{self.folder}/{file}" for file in self.of(part)]

    @property
    def files(self) -> list[str]:
        return self.of("train") + self.of("test")


VERSIONS = (
    _Version("cifar-10-batches-bin", ".bin", "cifar-10-binary.tar.gz", parse_records),
    _Version("cifar-10-batches-py", "", "cifar-10-python.tar.gz", pickles.parse),
)
LOOKED_FOR = (
    "cifar-10-batches-bin (data_batch_1.bin to data_batch_5.bin, test_batch.bin; also .gz), "
    "cifar-10-batches-py (data_batch_1 to data_batch_5, test_batch), "
    f"cifar-10-binary.tar.gz, cifar-10-python.tar.gz or {compact.FILE}, directly or in cifar10"
)


def _from_folder(
    paths: Mapping[str, Path], version: _Version, part: str, batch: int, checksums: Mapping[str, str]
) -> LabelledImages:
    own = [paths[file] for file in version.of(part)]
    batches = []
    for path, archived in zip(own, version.archived(part), strict=True):
        found = content(path)
        # What is no batch at all gets the parser's sentence, which says more.
        batches.append(version.parse(found, str(path)))
        checksum = checksums.get(archived)
        if checksum is not None and md5(found) != checksum:
            raise InputError(
                f"{path} is damaged or not the original: its MD5 is {md5(found)}, the published file's is "
                f"{checksum}; copy it again"
            )
    return _joined(batches, [str(path) for path in own], batch)


def _from_archive(
    path: Path, version: _Version, parts: Sequence[str], batch: int, checksum: str | None
) -> list[LabelledImages]:
    if checksum is not None and (found := md5_of_file(path)) != checksum:
        raise InputError(
            f"{path} is damaged or was compressed again: its MD5 is {found}, the published archive's is "
            f"{checksum}; copy it again, or extract it there"
        )
    wanted = [name for part in parts for name in version.archived(part)]
    contents = {}
    try:
        with tarfile.open(path, "r:gz") as archive:
            # In the order of the archive: going back would decompress it again from the start.
            for member in archive:
                name = str(PurePosixPath(member.name))  # without a leading "./"
                if name in wanted and member.isfile() and (file := archive.extractfile(member)):
                    contents[name] = file.read()
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} is a damaged archive; copy it again") from error
    lacking = [name for name in wanted if name not in contents]
    if lacking:
        raise InputError(f"{path} lacks {', '.join(lacking)}; copy it again")
    joined = []
    for part in parts:
        sources = {name: f"{path}, {name}" for name in version.archived(part)}
        batches = [version.parse(contents[name], source) for name, source in sources.items()]
        joined.append(_joined(batches, list(sources.values()), batch))
    return joined


def _from_jpegs(path: Path, part: str, batch: int) -> LabelledImages:
    pixels, labels = compact.read(path, part, CLASSES)
    _check_counts(labels, batch * len(BATCHES[part]), f"{path}, {part}")
    return _images([(pixels, labels)], compact.NOTE)


def _joined(batches: Sequence[Batch], sources: Sequence[str], batch: int) -> LabelledImages:
    for (_, labels), source in zip(batches, sources, strict=True):
        if len(labels) != batch:
            raise InputError(f"{source} has {len(labels)} images, not {batch}; copy it again")
    labels = np.concatenate([labels for _, labels in batches])
    _check_counts(labels, len(labels), sources[0] if len(sources) == 1 else f"{sources[0]} to {sources[-1]}")
    return _images(batches)


def _check_counts(labels: np.ndarray, count: int, source: str) -> None:
    """Both parts of CIFAR-10 have equally many images of each class; the single batches do not."""
    counts = np.bincount(labels, minlength=len(CLASSES))
    wrong = np.flatnonzero(counts * len(CLASSES) != count)
    if len(wrong):
        raise InputError(
            f"{source} has {counts[wrong[0]]} images of the class {CLASSES[wrong[0]]}, and CIFAR-10 has "
            f"{count // len(CLASSES)}; copy it again"
        )


def _images(batches: Sequence[Batch], note: str = "") -> LabelledImages:
    # Concatenated, hence copied: the bytes of a file cannot be written to, and tensors can.
    pixels = np.concatenate([pixels.reshape(-1, 3, 32, 32) for pixels, _ in batches])
    labels = np.concatenate([labels for _, labels in batches])
    return LabelledImages(torch.from_numpy(pixels), torch.from_numpy(labels), CLASSES, note)
