"""How a command ends: its exit code, and one line on standard error where it did not do its job.

0 done; 1 training diverged; 2 bad input, the user's to mend; 130 interrupted. Anything else is a fault of
this package and shows its traceback.
"""

from __future__ import annotations

import errno
import sys
import warnings
from collections.abc import Sequence
from typing import Any

import typer

from latentsde.errors import InputError, TrainingDiverged

DONE, DIVERGED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130

# What click calls a UsageError. Newer versions of typer bring their own copy of click, so it has no one home.
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]
# Of the disk and its permissions, not of this package.
_OF_THE_SYSTEM = {
    getattr(errno, name)
    for name in ("EACCES", "EPERM", "EROFS", "ENOSPC", "EDQUOT", "EFBIG", "ENOTDIR", "EISDIR", "ENAMETOOLONG")
}


class Interrupted(Exception):
    """Ctrl-C at a moment from which the work can be continued: one sentence that says how."""


def run(command: Any, arguments: Sequence[str] | None) -> int:
    """Run a click command to its end and say how it ended. `arguments` by default are the process' own."""
    try:
        with warnings.catch_warnings():
            # Who types a command cannot mend what a library warns of; -W and PYTHONWARNINGS still show it.
            if not sys.warnoptions:
                warnings.simplefilter("ignore")
                # Of gradients that are wrong: the message says which options to take instead.
                warnings.filterwarnings("default", message="adjoint=", category=RuntimeWarning)
            code = command.main(args=arguments, prog_name="latentsde", standalone_mode=False)
    except InputError as error:
        return _complain(str(error), BAD_INPUT)
    except TrainingDiverged as error:
        return _complain(str(error), DIVERGED)
    except Interrupted as error:
        return _complain(str(error), INTERRUPTED)
    except typer.Abort:
        code = INTERRUPTED
    except _UsageError as error:
        return _complain(_usage(error), BAD_INPUT)
    except OSError as error:
        if error.errno not in _OF_THE_SYSTEM:
            raise
        place = f"{error.filename}: " if error.filename else ""
        return _complain(f"{place}{error.strerror}; check the path, its permissions and the disk", BAD_INPUT)
    if code == INTERRUPTED:
        return _complain("interrupted", INTERRUPTED)
    return code if isinstance(code, int) else DONE


def _complain(message: str, code: int) -> int:
    print("error:", " ".join(message.split()), file=sys.stderr)
    return code


def _usage(error: Any) -> str:
    message = error.format_message().rstrip(".")
    help_page = f"{error.ctx.command_path} --help" if getattr(error, "ctx", None) else "latentsde --help"
    return f"{message}; see {help_page}"
