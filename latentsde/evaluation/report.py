"""`report.html`: a finished run as one page that a person reads from top to bottom.

It is self-contained (styles inside, figures as data URLs, no scripts), so it can be mailed or archived alone.
It is made from the files of the run directory only; a section whose data are missing does not appear.
"""

from __future__ import annotations

import base64
import json
import math
import shlex
import struct
from collections.abc import Mapping, Sequence
from html import escape
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

import pandas as pd

from latentsde.errors import InputError
from latentsde.evaluation.page import duration, is_number, model_title, number, percent, table, title
from latentsde.files import write_whole

# Score: its heading, and what it should be: the lowest, or nearest to a value.
SCORES: dict[str, tuple[str, float | None]] = {
    "mse": ("MSE", None),
    "crps": ("CRPS", None),
    "nll": ("NLL", None),
    "coverage90": ("in 90 % interval", 0.9),
}
# Of features of classes alone.
CLASS_SCORES: dict[str, tuple[str, float | None]] = {
    "accuracy": ("accuracy", 1.0),
    "ece": ("expected calibration error", 0.0),
}
MODEL_NAMES = ("latent_sde", "LatentSDE", "model")
REMEDY = "restore it from a copy, or fit again with --overwrite"
BANDS = (
    "Dark points were given to the model, hollow orange ones were withheld from it. They should lie in the "
    "light band nine times out of ten, in the darker one every second time. Bands widen where observations "
    "are far. Of classes, and of what is 0 or 1, the band is that of the probability, and no point need lie "
    "in it."
)
# Figures in reading order, by the beginning of their file name: title, and how to read them.
FIGURES = {
    "forecast": ("Forecasts", "To the right of the dotted line the model sees nothing. " + BANDS),
    "imputation": ("Imputation", BANDS),
    "metric": (
        "Scores beside the baselines",
        "One dot per method, lower is better; the dotted line continues the model's score downwards.",
    ),
    "calibration": (
        "Calibration",
        "A central interval of level p should hold a share p of the withheld values: on the diagonal the "
        "stated uncertainty is right, below it the model is too sure, above it too cautious. The grey range "
        "is where exact intervals would fall by chance if values were independent, which neighbouring ones "
        "are not. A histogram beside it should be flat: a hill means too cautious, a valley too sure, a "
        "slope biased.",
    ),
    "prior": (
        "Prior samples beside data",
        "Series invented by the trained prior should look like the data: the same level, range, roughness "
        "and rhythm. Three of each are drawn strongly for the eye to follow.",
    ),
    "latent": (
        "Latent paths",
        "Posterior samples of the hidden state given a series' observations, whose times are marked below. "
        "They draw together where there are observations and fan out where there are none.",
    ),
    "training": (
        "Training curves",
        "The ELBO is the log likelihood less both KL terms. Training has converged when the curves are "
        "level; validation falling while training rises is overfitting. The dashed line marks the weights "
        "kept.",
    ),
    "reliability": (
        "Is it as often right as it says?",
        "Test images by the confidence of their prediction. Bars below the diagonal are of a network that is "
        "surer than it is right. The calibration error is the mean distance.",
    ),
    "uncertain": (
        "What it is least sure of",
        "The test images of lowest confidence, with the true class and the likeliest one.",
    ),
    "learning": (
        "Learning curve",
        "Accuracy on the images held out from training, by the running average of the weights.",
    ),
}


def write_report(run: str | Path) -> Path:
    """Write `report.html` into the run directory `run`, whole or not at all, and return its path.

    Reads config.json, metrics.json and, where they exist, history.csv and figures/*.png. Raises InputError
    when one of the first two is missing or any of them is damaged.
    """
    run = Path(run)
    config, metrics = read_json(run / "config.json"), read_json(run / "metrics.json")
    tasks = _tasks(metrics, run / "metrics.json")
    data, training = _section(config, "data"), _section(config, "training")
    name = Path(str(data["path"])).name if data.get("path") else str(data.get("name") or run.resolve().name)
    model = _section(config, "model").get("name")
    template = resources.files("latentsde.evaluation").joinpath("report_template.html").read_text("utf-8")
    page = Template(template).substitute(
        title=escape(name),
        model=model_title(model),
        summary=_summary(data),
        cards=_cards(tasks, model),
        metrics=_metrics(tasks, model, metrics.get("scale")),
        figures=figures_section(run / "figures"),
        training=training_section(training, run / "history.csv"),
        usage=_usage(run),
        configuration=configuration_section(config),
        footer=footer(config),
    )
    return write_whole(run / "report.html", lambda temporary: temporary.write_text(page, encoding="utf-8"))


def read_json(path: Path) -> dict[str, Any]:
    """InputError for a file that is missing or damaged."""
    try:
        content = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} is missing, so there is nothing to report: {REMEDY}") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as JSON ({_one_line(error)}): {REMEDY}") from None
    if not isinstance(content, dict):
        raise InputError(f"{path} does not hold a JSON object: {REMEDY}")
    return content


def _tasks(metrics: Mapping[str, Any], path: Path) -> dict[str, dict[str, dict[str, Any]]]:
    tasks = {task: rows for task, rows in metrics.items() if not isinstance(rows, str | None)}
    for task, rows in tasks.items():
        if not isinstance(rows, dict) or not all(isinstance(row, dict) for row in rows.values()):
            raise InputError(f"{path} holds no {{model or baseline: scores}} under {task!r}: {REMEDY}")
    return {task: rows for task, rows in tasks.items() if rows}


def _section(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    section = config.get(name)
    return section if isinstance(section, dict) else {}


def _summary(data: Mapping[str, Any]) -> str:
    counts = [f"{number(data[key])} {key}" for key in ("series", "rows") if is_number(data.get(key))]
    features = data.get("values")
    sentences = [" with ".join(counts)]
    if isinstance(features, list) and features:
        plural = "feature" if len(features) == 1 else "features"
        sentences.append(f"{len(features)} {plural}: {escape(', '.join(map(str, features)))}")
    values = [f"{number(data['observed'])} values observed"] if is_number(data.get("observed")) else []
    if is_number(data.get("missing_share")):
        values.append(f"{percent(data['missing_share'])} of the values missing")
    sentences.append(", ".join(values))
    if data.get("time_unit"):
        sentences.append(f"Time in {escape(str(data['time_unit']))}")
    sizes = [
        f"{number(count)} for {escape(name)}"
        for name, split in _section(data, "splits").items()
        if (count := _size(split)) is not None
    ]
    if sizes:
        sentences.append("Series: " + ", ".join(sizes))
    return "<p>" + " ".join(f"{sentence}." for sentence in sentences if sentence) + "</p>"


def _cards(tasks: Mapping[str, Mapping[str, Any]], model: object) -> str:
    cards = []
    for task, rows in tasks.items():
        first = _model_of(rows, model)
        own, lines = rows[first], []
        rivals = {
            name: row["crps"] for name, row in rows.items() if name != first and is_number(row.get("crps"))
        }
        if not is_number(own.get("crps")):
            continue
        if rivals:
            best = min(rivals, key=lambda name: rivals[name])
            change = own["crps"] / rivals[best] - 1 if rivals[best] else 0.0
            share = percent(abs(change), 0)
            against = (
                "level with" if share == percent(0, 0) else f"{share} {'below' if change < 0 else 'above'}"
            )
            lines.append(f"{against} the best baseline, {title(best)} ({number(rivals[best])})")
        if is_number(own.get("coverage90")):
            lines.append(f"{percent(own['coverage90'])} of the values lie in the 90 % interval")
        body = "".join(f"<p>{line}</p>" for line in lines)
        cards.append(f'<div class="card"><h2>{title(task)}</h2><b>{number(own["crps"])}</b> CRPS{body}</div>')
    return f'<div class="cards">{"".join(cards)}</div>' if cards else ""


def _metrics(tasks: Mapping[str, Mapping[str, Any]], model: object, scale: object) -> str:
    if not tasks:
        return ""
    parts = ["<h2>Scores on withheld values</h2>"]
    parts.append(
        "<p>Lower is better; for the 90 % interval, nearer to 90 % is, and higher for accuracy. The best "
        "of a column is bold, in the tables by feature the best of a row.</p>"
    )
    for task, rows in tasks.items():
        first = _model_of(rows, model)
        names = [
            first,
            *sorted((n for n in rows if n != first), key=lambda n: _for_sorting(rows[n].get("crps"))),
        ]
        columns = [_score_column([rows[n].get(score) for n in names], score) for score in SCORES]
        counts = [number(rows[n].get("n")) for n in names]
        heads = ["", *(head for head, _ in SCORES.values()), "values"]
        cells = zip(map(title, names), *columns, counts, strict=True)
        parts.append(f"<h3>{title(task)}</h3>" + table(heads, cells, model_row=0))
        parts.append(_per_feature(task, rows, names))
    if isinstance(scale, str):
        parts.append(f'<p class="note">{escape(scale)}</p>')
    return "\n".join(parts)


def _per_feature(task: str, rows: Mapping[str, Any], names: Sequence[str]) -> str:
    scores = {name: _section(rows[name], "per_feature") for name in names}
    shown = [name for name in names if scores[name]]
    features = list(dict.fromkeys(feature for name in shown for feature in scores[name]))
    if not features:
        return ""
    tables = []
    for score, (head, _) in (SCORES | CLASS_SCORES).items():
        body = []
        for feature in features:
            values = [_section(scores[name], feature).get(score) for name in shown]
            if score in CLASS_SCORES and not any(map(is_number, values)):
                continue
            body.append([escape(feature), *_score_column(values, score)])
        if body:
            tables.append(table(["", *map(title, shown)], body, caption=head))
    summary = f"<summary>{title(task)} by feature, in each feature's own unit</summary>"
    return f"<details>{summary}{''.join(tables)}</details>"


def _score_column(values: Sequence[Any], score: str) -> list[str]:
    """The cells of one score, the best in bold."""
    target = (SCORES | CLASS_SCORES)[score][1]
    distance = [math.inf if not is_number(v) else v if target is None else abs(v - target) for v in values]
    cells = [percent(v) if is_number(v) and target is not None else number(v) for v in values]
    best = min(distance, default=math.inf)
    return [f"<b>{c}</b>" if d == best < math.inf else c for c, d in zip(cells, distance, strict=True)]


def figures_section(folder: Path) -> str:
    """The PNG images of a folder, each with what it shows."""
    order = list(FIGURES)

    def rank(path: Path) -> tuple[int, str]:
        return next((i for i, key in enumerate(order) if path.stem.startswith(key)), len(order)), path.stem

    parts = []
    for path in sorted(folder.glob("*.png"), key=rank):
        content = path.read_bytes()
        if content[:8] != b"\x89PNG\r\n\x1a\n" or len(content) < 24:
            raise InputError(f"{path} is not a PNG image: delete it or draw it again")
        (pixels,) = struct.unpack(">I", content[16:20])
        place = rank(path)[0]
        heading, caption = FIGURES[order[place]] if place < len(order) else (path.stem.replace("_", " "), "")
        data = base64.b64encode(content).decode()
        width = round(pixels * 96 / 150)  # drawn at 150 dpi; a phone scrolls it at this size
        image = f'<img width="{width}" alt="{escape(heading)}" src="data:image/png;base64,{data}">'
        caption = f"<figcaption><b>{escape(heading)}</b>{escape(caption)}</figcaption>"
        parts.append(f'<figure>{caption}<div class="scroll">{image}</div></figure>')
    return "\n".join(["<h2>Figures</h2>", *parts]) if parts else ""


def training_section(training: Mapping[str, Any], history: Path) -> str:
    """How long and how well it was trained."""
    rows = []
    for key, label in (("steps", "steps"), ("best_step", "best validation step"), ("seed", "seed")):
        if is_number(training.get(key)):
            rows.append([label, number(training[key]) if key != "seed" else str(training[key])])
    if (best := _best_elbo(history)) is not None:
        rows.append(["best validation ELBO", f"{number(best)} nats per observation"])
    if is_number(training.get("seconds")):
        rows.append(["time", duration(training["seconds"])])
    if training.get("device"):
        rows.append(["device", escape(str(training["device"]))])
    return "<h2>Training</h2>" + table(None, rows, words=True) if rows else ""


def _best_elbo(history: Path) -> float | None:
    if not history.exists():
        return None
    try:
        frame = pd.read_csv(history)
    except (OSError, ValueError) as error:  # pandas' parser and encoding errors are ValueErrors
        raise InputError(
            f"{history} is no readable CSV ({_one_line(error)}): delete it or fit again"
        ) from None
    if "split" in frame and "elbo" in frame:
        values = frame.loc[frame["split"] == "validation", "elbo"]
    elif "validation_elbo" in frame:
        values = frame["validation_elbo"]
    else:
        return None
    best = pd.to_numeric(values, errors="coerce").max()
    return float(best) if math.isfinite(best) else None


def _usage(run: Path) -> str:
    shell = f"latentsde predict {shlex.quote(str(run))} --out predictions.csv --times START:STOP:STEP"
    python = f"latentsde.load({json.dumps(str(run))}).predict(series, times)"
    return (
        "<h2>Predict with this run</h2><p>Times are in the data's unit and may lie before, between and "
        "after the observations; add <code>--data NEW.csv</code> for series the model has not seen.</p>"
        f"<pre><code>{escape(shell)}</code></pre><p>In Python:</p><pre><code>{escape(python)}</code></pre>"
    )


def configuration_section(config: Mapping[str, Any]) -> str:
    """config.json, folded."""
    parts = []
    for name, section in config.items():
        if isinstance(section, dict) and section:
            rows = [[escape(key), escape(_plain(value))] for key, value in section.items()]
            parts.append(
                f"<details><summary>{title(name)}</summary>{table(None, rows, words=True)}</details>"
            )
    single = [
        [escape(key), escape(_plain(value))] for key, value in config.items() if not isinstance(value, dict)
    ]
    parts.append(table(None, single, words=True) if single else "")
    return "<h2>Configuration</h2>" + "".join(parts) if config else ""


def footer(config: Mapping[str, Any]) -> str:
    """By what the run was made."""
    version = config.get("latentsde_version")
    made = f"Made by latentsde {escape(str(version))}" if version else "Made by latentsde"
    stream = config.get("stream_version")
    return f"{made}, noise stream version {escape(str(stream))}." if stream is not None else f"{made}."


def _model_of(rows: Mapping[str, Any], model: object) -> str:
    """The name of the model among the rows of a task: as configured, as usual, or else the first."""
    usual = (name for name in (model, *MODEL_NAMES) if isinstance(name, str) and name in rows)
    return next(usual, next(iter(rows)))


def _size(split: object) -> int | None:
    if isinstance(split, dict):
        return _size(split.get("series"))
    return len(split) if isinstance(split, list) else split if isinstance(split, int) else None


def _for_sorting(value: Any) -> float:
    return value if is_number(value) else math.inf


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
