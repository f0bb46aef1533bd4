"""The two errors a user of this package may meet."""

from __future__ import annotations


class InputError(ValueError):
    """Bad user input: one sentence, on one line, with what is wrong, where, and the remedy.

    The command line prints the sentence on standard error and exits with code 2.
    """

    def __init__(self, message: str) -> None:
        # What is quoted from a damaged file may hold line breaks.
        super().__init__(" ".join(message.splitlines()))


class TrainingDiverged(RuntimeError):
    """Training met a loss or a gradient that is not finite, and stopped."""


def quote(text: object, limit: int = 60) -> str:
    """The text in quotation marks for a message, cut after `limit` characters."""
    text = str(text)
    return f"'{text}'" if len(text) <= limit else f"'{text[:limit]}...'"
