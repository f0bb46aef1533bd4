"""Pieces of an HTML page: tables, numbers, names, and a file that is written whole or not at all."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any


def table(
    heads: Sequence[str] | None,
    rows: Iterable[Sequence[str]],
    *,
    caption: str = "",
    model_row: int | None = None,
    words: bool = False,
) -> str:
    """A table of cells that are HTML already."""
    top = f"<caption>{escape(caption)}</caption>" if caption else ""
    if heads is not None:
        top += "<thead><tr>" + "".join(f'<th scope="col">{head}</th>' for head in heads) + "</tr></thead>"
    body = "".join(
        ('<tr class="model">' if i == model_row else "<tr>")
        + "".join(f"<td>{cell}</td>" for cell in row)
        + "</tr>"
        for i, row in enumerate(rows)
    )
    kind = ' class="words"' if words else ""
    return f'<div class="scroll"><table{kind}>{top}<tbody>{body}</tbody></table></div>'


def title(name: str) -> str:
    """A name from a file as words, escaped."""
    return escape(name.replace("_", " "))


_SPELLINGS = {
    "sde": "SDE",
    "ode": "ODE",
    "rnn": "RNN",
    "gru": "GRU",
    "vae": "VAE",
    "ode rnn": "ODE-RNN",
    "rnn vae": "RNN-VAE",
    "gru d": "GRU-D",
}


def model_title(name: object) -> str:
    """The name of a model from config.json as words, escaped: "latent SDE"; "model" where there is none."""
    if not isinstance(name, str):
        return "model"
    words = name.replace("_", " ")
    return escape(_SPELLINGS.get(words, " ".join(_SPELLINGS.get(word, word) for word in words.split())))


def is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def number(value: Any) -> str:
    """Three decimals, whole numbers with thousands separated; a dash for what is none."""
    if not is_number(value):
        return "\N{EN DASH}"
    if isinstance(value, int) or abs(value) >= 1000:
        shown = f"{value:,.0f}"
    else:
        shown = f"{value:.3f}" if abs(value) >= 0.01 or value == 0 else f"{value:.2g}"
    return shown.replace("-", "\N{MINUS SIGN}")


def percent(share: float, decimals: int = 1) -> str:
    return f"{100 * share:.{decimals}f}\N{NARROW NO-BREAK SPACE}%"


def duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"
