"""Files into tables that still know their lines, so that a complaint can name the place.

A CSV is checked as bytes before pandas parses it: pandas drops surplus fields, fills up missing ones and
takes a first column for an index, all in silence.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from latentsde.data.roles import Roles
from latentsde.errors import InputError, quote

MISSING = (
    "",
    "NA",
    "N/A",
    "n/a",
    "#N/A",
    "<NA>",
    "NaN",
    "nan",
    "-NaN",
    "-nan",
    "NULL",
    "null",
    "None",
    "NAN",
)
"""Texts that stand for "not observed" in every column but the id's."""

NAMELESS = "Unnamed: "
"""How pandas calls a column without a name, as written by `to_csv` for the index."""


@dataclass(frozen=True)
class Table:
    """A frame and where it came from. `content` is a CSV's text in UTF-8, kept to find the line of a row."""

    frame: pd.DataFrame
    source: str = "the frame"
    content: bytes | None = None

    def place(self, row: int) -> str:
        """Source and line of a CSV (the header is line 1), or row counted from 0; `row` is the position."""
        if self.content is None:
            return f"{self.source}, row {row}"
        return f"{self.source}, {self.line(row)}"

    def line(self, row: int) -> str:
        """Such as "line 7" of a CSV or "row 5" (from 0) of a frame."""
        if self.content is None:
            return f"row {row}"
        for position, (number, _) in enumerate(_records(self.content)):
            if position == row + 1:
                return f"line {number}"
        raise IndexError(row)


def read_table(path: str | Path, roles: Roles) -> Table:
    """Read a CSV (also gzipped, `.csv.gz`) or Parquet file.

    Of a CSV only the columns of `roles` are parsed when the values are named. The ids stay the text of the
    file. Raises `InputError` for a file that is missing, a directory, empty, binary, damaged, of another
    format, ragged, or without the columns.
    """
    path = Path(path)
    source = str(path)
    if path.is_dir():
        raise InputError(f"{source} is a directory; name a CSV or Parquet file in it")
    if not path.exists():
        raise InputError(f"{source} does not exist; check the path")
    name = path.name.lower()
    if name.endswith((".csv", ".csv.gz")):
        return _read_csv(_content(path), source, roles)
    if name.endswith((".parquet", ".pq")):
        return _read_parquet(path, source, roles)
    raise InputError(f"{source} has an extension that is not known; give a .csv, .csv.gz or .parquet file")


def _read_parquet(path: Path, source: str, roles: Roles) -> Table:
    if path.stat().st_size == 0:
        raise InputError(f"{source} is empty; give a file with data")
    try:
        frame = pd.read_parquet(path)
    except Exception as error:  # pyarrow has no common base for what a damaged file raises
        raise InputError(
            f"{source} is not a readable Parquet file; write it again or save it as CSV"
        ) from error
    if frame.index.names != [None]:
        frame = frame.reset_index()
    frame.columns = frame.columns.map(str)
    roles.check(list(frame.columns), source)
    return Table(frame, source)


def _content(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); check its permissions") from error
    if content[:2] == b"\x1f\x8b":
        try:
            return gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(f"{path} is a damaged gzip file; copy or compress it again") from error
    return content


def _read_csv(content: bytes, source: str, roles: Roles) -> Table:
    content = _checked_text(content, source)
    try:
        header = next(_records(content), None)
    except csv.Error as error:
        raise InputError(f"{source} cannot be parsed as CSV ({error}); check its quotation marks") from error
    if header is None:
        raise InputError(f"{source} is empty; give a CSV with a header line and rows")
    names = [name.strip() or f"{NAMELESS}{column}" for column, name in enumerate(header[1])]
    roles.check(names, source)
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise InputError(
            f"{source} has several columns called {quote(repeated[0])}; "
            "rename them so that each name is unique"
        )
    _check_rectangular(content, len(names), source)
    options: dict[str, Any] = (
        {"float_precision": "round_trip"} if int(pd.__version__.split(".")[0]) < 3 else {}
    )
    try:
        frame = pd.read_csv(
            io.BytesIO(content),
            header=0,
            names=names,
            index_col=False,
            usecols=None if roles.values is None else list(roles.named),
            dtype={roles.id: str},
            keep_default_na=False,
            # An id may be "NA": only an empty id is missing.
            na_values={name: list(MISSING) if name != roles.id else [""] for name in names},
            low_memory=False,
            **options,
        )
    except pd.errors.ParserError as error:
        if "EOF inside string" in str(error):
            number = list(_records(content))[-1][0]
            raise InputError(
                f"{source}, line {number} opens a quotation mark that is never closed; close it"
            ) from error
        reason = " ".join(str(error).split())
        raise InputError(f"{source} cannot be parsed as CSV ({reason}); check its quotation marks") from error
    return Table(frame, source, content)


def _checked_text(content: bytes, source: str) -> bytes:
    """The content without a byte order mark, made sure to be text in UTF-8."""
    zero = content.find(b"\0")
    if zero >= 0:
        raise InputError(f"{source} is a binary file (zero at byte {zero}); give a CSV as UTF-8 text")
    try:
        if not content.isascii():
            content.decode()
    except UnicodeDecodeError as error:
        number = content.count(b"\n", 0, error.start) + 1
        raise InputError(f"{source}, line {number} is not UTF-8 text; save the file as UTF-8") from error
    return content.removeprefix(codecs.BOM_UTF8)


def _records(content: bytes) -> Iterator[tuple[int, list[str]]]:
    """Line number and fields of every record, header included, blank lines skipped as pandas skips them."""
    reader = csv.reader(io.TextIOWrapper(io.BytesIO(content), encoding="utf-8", newline=""))
    number = 1
    for fields in reader:
        if fields and (len(fields) > 1 or fields[0].strip()):
            yield number, fields
        number = reader.line_num + 1


def _check_rectangular(content: bytes, width: int, source: str) -> None:
    """Raise `InputError` at the first line that has not `width` fields."""
    if b'"' not in content and _commas_agree(content, width):
        return
    try:
        for number, fields in _records(content):
            if len(fields) != width:
                raise InputError(
                    f"{source}, line {number} has {len(fields)} field{'s' * (len(fields) != 1)} "
                    f"where the header has {width}; correct the line"
                )
    except csv.Error as error:
        raise InputError(f"{source} cannot be parsed as CSV ({error}); check its quotation marks") from error


def _commas_agree(content: bytes, width: int) -> bool:
    """Whether every line has width - 1 commas: a quick sufficient check of a file without quotation marks."""
    characters = np.frombuffer(content.rstrip(b"\r\n") + b"\n", np.uint8)
    ends = np.flatnonzero(characters == ord("\n"))
    commas = np.searchsorted(np.flatnonzero(characters == ord(",")), ends)
    return bool(np.all(np.diff(commas, prepend=0) == width - 1))
