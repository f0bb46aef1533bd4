"""Files as bytes, and the sentences for those that are damaged or not there."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Sequence
from pathlib import Path

from latentsde.errors import InputError


class NotFound(InputError):
    """A folder has nothing of a data set, where what is there and damaged is another `InputError`."""


def content(path: Path) -> bytes:
    """The bytes of a file, uncompressed if it is gzipped, whatever its name."""
    try:
        found = path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from error
    if found[:2] == b"\x1f\x8b":
        try:
            return gzip.decompress(found)
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(f"{path} is a damaged gzip file; copy or compress it again") from error
    return found


def unreadable(path: Path, error: OSError) -> InputError:
    return InputError(f"{path} cannot be read ({error.strerror}); check the path and its permissions")


def folder(root: str | Path, what: str, looked_for: str) -> Path:
    """`root`, made sure to be a folder; `what` is sought in it and consists of the files `looked_for`."""
    root = Path(root)
    if not root.is_dir():
        problem = "is not a folder" if root.exists() else "does not exist"
        raise InputError(
            f"{root} {problem}; {what} is never downloaded, name the folder that holds {looked_for}"
        )
    return root


def not_found(root: Path, what: str, looked_for: str) -> NotFound:
    return NotFound(f"{root} holds no {what}; it is never downloaded, put there {looked_for}")


def members(base: Path, names: Sequence[str], what: str) -> dict[str, Path] | None:
    """The path of each file in `names` (or with `.gz` behind it), or None where the folder has none of them.

    Raises `InputError` for some without the others: no other copy of the data is taken in their place.
    """
    found = {
        name: path
        for name in names
        for path in (base / f"{name}.gz", base / name)  # the later one counts: the file as it is
        if path.is_file()
    }
    lacking = [name for name in names if name not in found]
    if found and lacking:
        raise InputError(
            f"{base} lacks {', '.join(lacking)} (also .gz) of {what}; copy it there or move the others away"
        )
    return found or None


def md5(data: bytes) -> str:
    # Against damage, not against an attacker: the published checksums are MD5.
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def md5_of_file(path: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise unreadable(path, error) from error
    return digest.hexdigest()
