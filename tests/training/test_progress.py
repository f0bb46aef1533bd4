"""On a terminal a bar with the time left over all steps; elsewhere one line for each validation."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from latentsde.training.progress import duration

from . import tiny

ROOT = Path(__file__).resolve().parents[2]


def test_a_line_for_each_validation(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    tiny.run(tmp_path / "run", progress=True, tensorboard=True)
    captured = capfd.readouterr()
    lines = captured.err.splitlines()
    assert captured.out == ""
    assert [line.split(",")[0] for line in lines] == [f"step {k} of 14" for k in (4, 8, 12, 14)]
    for word in ("left", "ELBO", "log-likelihood", "KL", "validation", "best at step"):
        assert all(word in line for line in lines)


def test_nothing_at_all_without_progress(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    tiny.run(tmp_path / "run", tensorboard=True)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0:00"), (59.6, "1:00"), (3723, "1:02:03")])
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.slow
@pytest.mark.parametrize("columns", [0, 140])
def test_a_bar_over_all_steps_on_a_terminal(tmp_path: Path, columns: int) -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", columns // 4, columns, 0, 0))
    command = [sys.executable, "-m", "tests.training.tiny", str(tmp_path / "run"), '{"progress": true}']
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    shown = b""
    while True:
        try:
            chunk = os.read(ours, 4096)
        except OSError:
            break
        if not chunk:
            break
        shown += chunk
    assert process.wait() == 0
    text = shown.decode()
    print(text)
    assert (
        "14/14" in text
        and "ELBO" in text
        and "validation" in text
        and "00:00 left" in text
        and "step 4 of" not in text
    )
