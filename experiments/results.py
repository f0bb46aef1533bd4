"""Where tables, figures and numbers of an experiment are written."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from latentsde.benchmarks.machine import describe, versions
from latentsde.files import write_json, write_whole
from latentsde.plotting import save


def write_table(lines: Sequence[str], figure: Figure, out: Path, name: str) -> None:
    """NAME.md and NAME.png in a directory."""
    text = "\n".join(lines) + "\n"
    write_whole(out / f"{name}.md", lambda file: file.write_text(text, encoding="utf-8"))
    save(figure, out / f"{name}.png")


def publish(lines: Sequence[str], figure: Figure, content: Any, page: Path, name: str) -> None:
    """The table between the marks of `name` in a page, the figure in ../figures, NAME.json beside it."""
    insert("\n".join(lines), page, name)
    save(figure, page.parent.parent / "figures" / f"{name}.png")
    text = lines_of_json(content)
    write_whole(page.with_name(f"{name}.json"), lambda file: file.write_text(text, encoding="utf-8"))


def deliver(
    lines: Sequence[str], figure: Figure, results: dict[str, Any], name: str, out: Path, page: Path | None
) -> None:
    """An experiment of one piece: printed; in `out` as NAME.json, .md and .png; in a page if there is one.

    The JSON has date, machine and versions besides; figures are made by one thread.
    """
    print("\n".join(lines))
    content = {"experiment": name, **circumstances(), **results}
    write_json(out / f"{name}.json", content)
    write_table(lines, figure, out, name)
    if page is not None:
        publish(lines, figure, content, page, name)


def circumstances() -> dict[str, Any]:
    """When, where and with what something is measured, by one thread."""
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "commit": commit(),
        "threads": 1,
        "machine": describe(),
        "versions": versions(),
    }


def commit() -> str | None:
    """Of the code at hand, "-dirty" where that was changed since; None outside of a git repository."""
    asked = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--exclude=*"]
    try:
        return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def lines_of_json(content: Any) -> str:
    """Indented JSON, but a list of plain values stands on one line."""
    text = json.dumps(content, indent=1, allow_nan=False)
    # A string has no line break of its own, so what is joined stands between values.
    return re.sub(r"\[\n([^\[\]{}]*?)\n *\]", lambda found: f"[{_one_line(found[1])}]", text) + "\n"


def _one_line(text: str) -> str:
    return " ".join(line.strip() for line in text.splitlines())


def insert(text: str, page: Path, name: str) -> None:
    """The text between the marks of `name` in a page, at its end where there are none.

    Raises `ValueError` where the page has the first mark and not the second: where to end is not known.
    """
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    before, mark, rest = (page.read_text(encoding="utf-8") if page.exists() else "").partition(begin)
    if mark and end not in rest:
        raise ValueError(f"{page} has {begin} without {end}; put that where the table ends")
    after = rest.partition(end)[2] if mark else "\n"
    whole = f"{before}{begin}\n{text}\n{end}{after}"
    write_whole(page, lambda file: file.write_text(whole, encoding="utf-8"))
