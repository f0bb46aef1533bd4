"""The two errors a user of this package may meet."""

from __future__ import annotations


class InputError(ValueError):
    """Bad user input: one sentence with what is wrong, where, and the remedy.

    The command line prints the sentence on standard error and exits with code 2.
    """


class TrainingDiverged(RuntimeError):
    """Training met a loss or a gradient that is not finite, and stopped."""
