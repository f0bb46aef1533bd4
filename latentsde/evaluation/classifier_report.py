"""Scores, figures and page of a classifier's run."""

from __future__ import annotations

from html import escape
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

import pandas as pd
import torch

from latentsde.data.images import LabelledImages, out_of_distribution, read_images
from latentsde.errors import InputError
from latentsde.evaluation.classification import out_of_distribution_auc
from latentsde.evaluation.classifiers import ClassifierPrediction, dial_row, predict_images
from latentsde.evaluation.page import number, table
from latentsde.evaluation.report import (
    configuration_section,
    figures_section,
    footer,
    read_json,
    training_section,
)
from latentsde.files import write_json, write_whole
from latentsde.models.classifiers import load_classifier
from latentsde.models.sde_bnn import Depth
from latentsde.plotting import save
from latentsde.plotting.classification import learning_curves, reliability_diagram, uncertain_images

OUTSIDE = 2000
"""Images of the other world that are looked at."""


def report_classifier(
    run: str | Path, root: str | Path, *, samples: int = 8, seed: int = 0, depth: Depth | None = None
) -> dict[str, Any]:
    """Score a finished run on its data set's test images; metrics.json, figures and report.html.

    Returns:
        What metrics.json holds: `test`, the scores; `dial`, their cost; `ood_auc`, how well the predictive
        entropy tells test images from those of another data set, None where that is not in `root`.

    Raises:
        InputError: the run is not finished or damaged, or the images are not there.
    """
    run = Path(run)
    network, config, content = load_classifier(run)
    data = content.get("data")
    if not isinstance(data, str):
        raise InputError(f"{run / 'config.json'} does not name its images; train with 'latentsde bnn train'")
    _, test = read_images(data, root)
    if test.classes != config.classes:
        raise InputError(f"{run} was trained on other classes than those of {data} in {root}")
    prediction = predict_images(network, test, samples=samples, seed=seed, depth=depth)
    metrics: dict[str, Any] = {
        "test": prediction.scores(test.labels).to_json(),
        "dial": dial_row(prediction, test.labels),
        "ood_auc": None,
        "note": test.note,
    }
    try:
        outside = out_of_distribution(data, root, test)
    except InputError as error:
        metrics["ood_note"] = str(error)
    else:
        some = outside.select(torch.arange(min(OUTSIDE, len(outside))))
        other = predict_images(network, some, samples=samples, seed=seed, depth=depth)
        metrics["ood_auc"] = out_of_distribution_auc(prediction.entropy, other.entropy)
    write_json(run / "metrics.json", metrics)
    _draw(run, prediction, test)
    write_classifier_report(run)
    return metrics


def _draw(run: Path, prediction: ClassifierPrediction, test: LabelledImages) -> None:
    figures = run / "figures"
    scores = prediction.scores(test.labels)
    confidence, likeliest = prediction.probabilities.max(1)
    save(
        reliability_diagram(scores.bins, scores.ece, test.note or "test images"), figures / "reliability.png"
    )
    shown = uncertain_images(
        test.images.numpy(), test.labels.numpy(), likeliest.numpy(), confidence.numpy(), test.classes
    )
    save(shown, figures / "uncertain.png")
    history = pd.read_csv(run / "history.csv")
    validated = history[history["split"] == "validation"]
    if len(validated) > 1:
        curve = {"held-out images": (validated["step"], 100.0 * validated["accuracy"])}
        save(learning_curves(curve, "step", "accuracy, %"), figures / "learning.png")


def write_classifier_report(run: Path) -> Path:
    """report.html from config.json, metrics.json, history.csv and figures/*.png."""
    config, metrics = read_json(run / "config.json"), read_json(run / "metrics.json")
    scores, name = metrics["test"], str(config["classifier"]["model"])
    cards = [
        ("accuracy", f"{100 * scores['accuracy']:.2f} %", f"of {scores['count']:,} test images"),
        ("calibration error", f"{100 * scores['ece']:.2f} %", "mean distance of confidence and accuracy"),
        ("negative log-likelihood", number(scores["nll"]), "nats an image; less is better"),
    ]
    rows = [["Brier score", number(scores["brier"])], ["samples", str(metrics["dial"]["samples"])]]
    rows.append(["evaluations of the blocks", str(metrics["dial"]["evaluations"])])
    if metrics["ood_auc"] is not None:
        rows.append(["AUC of entropy against another data set", number(metrics["ood_auc"])])
    template = resources.files("latentsde.evaluation").joinpath("report_template.html").read_text("utf-8")
    page = Template(template).substitute(
        title=escape(f"{config.get('data', 'images')}"),
        model=escape(name),
        summary=f"<p>{escape(metrics['note'])}</p>" if metrics.get("note") else "",
        cards='<div class="cards">'
        + "".join(
            f'<div class="card"><h2>{head}</h2><b>{value}</b><p>{text}</p></div>'
            for head, value, text in cards
        )
        + "</div>",
        metrics="<h2>Scores</h2>" + table(None, rows, words=True),
        figures=figures_section(run / "figures"),
        training=training_section(config["training"], run / "history.csv"),
        usage="",
        configuration=configuration_section(config),
        footer=footer(config),
    )
    return write_whole(run / "report.html", lambda temporary: temporary.write_text(page, encoding="utf-8"))
