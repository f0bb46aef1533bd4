"""Which directory a run may be written to, and what of it `--overwrite` may remove."""

from __future__ import annotations

import os
import re
from pathlib import Path

from ..errors import InputError, quote

CONFIG, WEIGHTS, HISTORY, LOGS = "config.json", "model.safetensors", "history.csv", "logs"

# Every file of a run, with its path in the run directory; each alternative may also be a temporary name of
# its file.
_FILES = (
    r"config\.json",
    r"model\.safetensors",
    r"metrics\.json",
    r"history\.csv",
    r"report\.html",
    r"figures/[^/]+\.png",
    r"checkpoints/(last|best)\.ckpt",
    r"logs/(events\.out\.tfevents\.[^/]+|hparams\.yaml)",
)
_RUN_FILE = re.compile("|".join(_FILES))
_TEMPORARY = re.compile(
    r"((figures|checkpoints|logs)/)?\.[^/]+-[^/]{8}\.(json|safetensors|csv|html|png|ckpt)"
)


def check_directory(out: str | Path, *, resume: bool = False, overwrite: bool = False) -> None:
    """Raise `InputError` unless a run may be written to `out`; changes nothing.

    A new or empty directory will do; one with a run in it needs `resume` or `overwrite`, one with other files
    `overwrite`, which leaves those alone.
    """
    out = Path(out)
    if resume and overwrite:
        raise InputError("--resume and --overwrite exclude each other; give one of them")
    try:
        _check(out, resume, overwrite)
    except OSError as error:
        raise InputError(f"{out} cannot be used ({error.strerror}); choose another directory") from None


def _check(out: Path, resume: bool, overwrite: bool) -> None:
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file, not a directory; choose another name for the run")
    existing = next(path for path in (out, *out.absolute().parents) if path.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise InputError(
            f"{out} cannot be made: {existing} is no directory that can be written to; choose another"
        )
    ours, foreign = _contents(out)
    if overwrite or not (ours or foreign):
        return
    if not resume and ours:
        raise InputError(
            f"{out} holds a run; continue it with --resume, replace it with --overwrite, or choose another"
        )
    if resume and ours:
        if CONFIG not in ours:
            raise InputError(
                f"{out / CONFIG} is missing, so the run cannot be continued; start again with --overwrite"
            )
        return
    first = quote(sorted(foreign)[0])
    raise InputError(
        f"{out} holds files that are not of a run, such as {first}; choose another directory or --overwrite"
    )


def prepare_directory(out: str | Path, *, resume: bool = False, overwrite: bool = False) -> Path:
    """`check_directory`, then make the directory; `overwrite` removes a run's files in it, and no others."""
    check_directory(out, resume=resume, overwrite=overwrite)
    out = Path(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name in _files(out):
            if _TEMPORARY.fullmatch(name) or (overwrite and _RUN_FILE.fullmatch(name)):
                (out / name).unlink()
    except OSError as error:
        raise InputError(f"{out} cannot be written to ({error.strerror}); choose another directory") from None
    return out


def _contents(out: Path) -> tuple[set[str], set[str]]:
    """The files of a run and the foreign files below `out`; left-over temporary files are neither."""
    names = {name for name in _files(out) if not _TEMPORARY.fullmatch(name)}
    ours = {name for name in names if _RUN_FILE.fullmatch(name)}
    return ours, names - ours


def _files(out: Path) -> list[str]:
    """Paths below `out` of all that is no directory. Links are not followed: what is behind is not ours."""
    found = []
    for folder, folders, files in os.walk(out):
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        found += [Path(folder, name).relative_to(out).as_posix() for name in [*files, *links]]
    return found
