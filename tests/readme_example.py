"""Run the first Python example of README.md as a new user would: copied into a file, in an empty folder."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

README = Path(__file__).resolve().parent.parent / "README.md"


def first_python_block(markdown: str) -> str:
    """The text between the first ```python fence and the next fence."""
    block = re.search(r"^```python\n(.*?)^```", markdown, flags=re.MULTILINE | re.DOTALL)
    if block is None:
        raise SystemExit(f"{README} has no ```python block to run")
    return block.group(1)


if __name__ == "__main__":
    code = first_python_block(README.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "example.py"
        script.write_text(code, encoding="utf-8")
        done = subprocess.run([sys.executable, script.name], cwd=folder)
    sys.exit(done.returncode)
