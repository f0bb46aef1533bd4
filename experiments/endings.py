"""How an experiment ends where it cannot go on: in one sentence, as `latentsde` does."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from latentsde.errors import InputError, TrainingDiverged

DIVERGED, BAD_INPUT = 1, 2


@contextmanager
def one_sentence() -> Iterator[None]:
    """Exit code 2 for bad input and 1 for training that diverged, with what was wrong on standard error."""
    try:
        yield
    except (InputError, TrainingDiverged) as error:
        print("error:", error, file=sys.stderr)
        raise SystemExit(BAD_INPUT if isinstance(error, InputError) else DIVERGED) from None
