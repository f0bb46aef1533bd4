"""What every benchmark writes down: where it was measured and with what, and the place for its files."""

from __future__ import annotations

import csv
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from latentsde.benchmarks.machine import describe
from latentsde.benchmarks.machine import versions as installed_versions
from latentsde.errors import InputError
from latentsde.files import write_whole


def say(line: str) -> None:
    """Print a line of the table at once."""
    print(line, flush=True)


@dataclass(frozen=True)
class Circumstances:
    """What a measurement was made on and with; it begins when this is made."""

    threads: int
    begin: float = field(default_factory=time.perf_counter)
    machine: dict[str, Any] = field(default_factory=describe)
    versions: dict[str, str | None] = field(default_factory=installed_versions)

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return round(time.perf_counter() - self.begin, 1)

    def introduction(self, subject: str) -> list[str]:
        """The first two lines of a benchmark's text."""
        names = ", ".join(f"{name} {number}" for name, number in self.versions.items() if number)
        return [
            f"{subject}; {names}",
            f"{self.machine['cpu']}, {self.machine['cores']} cores; {self.threads} threads for torch, jax "
            "uses what there is",
        ]

    def as_json(self, name: str, plan: Any) -> dict[str, Any]:
        """The head of a result, with the time it took until now."""
        return {
            "benchmark": name,
            "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "duration_seconds": self.seconds,
            "threads": self.threads,
            "machine": self.machine,
            "versions": self.versions,
            "plan": asdict(plan),
        }


def check_directory(out: Path) -> None:
    """Make `out`, or raise `InputError`: before anything is measured, minutes later is too late to find
    out.
    """
    blocking = next(place for place in (out, *out.absolute().parents) if place.exists())
    if not blocking.is_dir():
        raise InputError(f"--out {out} cannot be made: {blocking} is not a directory; choose another name")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out {out} cannot be made ({error.strerror}); choose another name") from None


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """The rows as CSV, whole or not at all; their keys are the columns, None an empty cell."""

    def write(temporary: Path) -> None:
        with temporary.open("w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, list(rows[0]) if rows else [], lineterminator="\n")
            table.writeheader()
            table.writerows(rows)

    return write_whole(path, write)
