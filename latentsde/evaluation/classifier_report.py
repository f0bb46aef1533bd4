"""Scores, figures and page of a classifier's run."""

from __future__ import annotations

from html import escape
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

import pandas as pd
from torch import nn

from latentsde.data.images import LabelledImages, NotFound, out_of_distribution, read_test_images
from latentsde.devices import check_device
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
    run: str | Path,
    root: str | Path,
    *,
    samples: int | None = None,
    seed: int = 0,
    depth: Depth | None = None,
    device: str = "cpu",
) -> dict[str, Any]:
    """Score a finished run on its data set's test images; metrics.json, figures and report.html.

    Args:
        samples: of the weights; None for 8, or for 1 where they are not random.

    Returns:
        What metrics.json holds: `test`, the scores; `dial`, their cost; `ood_auc`, how well the predictive
        entropy tells test images from those of another data set, None where that is not in `root`;
        `ood_auc_information`, how well what samples of the weights disagree by does, None if they agree too;
        `ood_note`, which images those are, or why there are none.

    Raises:
        InputError: the run is not finished or damaged, the images are not there, either data set is damaged,
            or depth or samples are given for a network that has none.
    """
    run = Path(run)
    check_device(device)
    network, config, content = load_classifier(run)
    network.to(device)
    data = content.get("data")
    if not isinstance(data, str):
        raise InputError(f"{run / 'config.json'} does not name its images; train with 'latentsde bnn train'")
    test = read_test_images(data, root)
    if test.classes != config.classes:
        raise InputError(f"{run} was trained on other classes than those of {data} in {root}")
    if depth is not None and not config.has_depth:
        raise InputError(f"{run} is of {config.model}, which has no depth to solve; leave the tolerance out")
    if samples is not None and not config.is_random:
        raise InputError(f"{run} is of {config.model}, whose weights are not random; leave the samples out")
    if samples is not None and config.uses("members"):
        raise InputError(
            f"all {config.members} members of the ensemble in {run} predict; leave the samples out"
        )
    tempering = content.get("training", {}).get("tempering") if config.has_kl else None
    if samples is None:
        samples = 8 if config.is_random else 1
    curve = _curve(run / "history.csv")
    prediction = predict_images(network, test, samples=samples, seed=seed, depth=depth)
    solved = depth or config.depth
    metrics: dict[str, Any] = {
        "how": {
            "samples": len(prediction.logits),
            "seed": seed,
            "method": solved.method if config.has_depth else None,
            "steps": solved.steps if config.has_depth and solved.tolerance is None else None,
            "tolerance": solved.tolerance,
            "tempering": tempering,
            "ece_bins": "10 of equal width, of the likeliest class",
        },
        "test": prediction.scores(test.labels).to_json(),
        "dial": dial_row(prediction, test.labels),
        "note": test.note,
    }
    metrics |= outside_auc(network, data, root, test, prediction, seed=seed, depth=depth)
    write_json(run / "metrics.json", metrics)
    _draw(run, prediction, test, curve)
    write_classifier_report(run)
    return metrics


def outside_auc(
    network: nn.Module,
    data: str,
    root: str | Path,
    test: LabelledImages,
    prediction: ClassifierPrediction,
    *,
    seed: int,
    depth: Depth | None = None,
) -> dict[str, Any]:
    """`ood_auc`, how well the entropy of a prediction tells test images from those of another data set,
    `ood_auc_information`, how well the mutual information of label and weights does (None where all
    samples are one), and `ood_note`, which those are; None, and why, where they are not in `root`. What is
    there and damaged is an `InputError`.
    """
    try:
        outside = out_of_distribution(data, root, test, OUTSIDE)
    except NotFound as error:
        return {"ood_auc": None, "ood_auc_information": None, "ood_note": str(error)}
    other = predict_images(network, outside, samples=len(prediction.logits), seed=seed, depth=depth)
    inside, beyond = prediction.information, other.information
    return {
        "ood_auc": out_of_distribution_auc(prediction.entropy, other.entropy),
        "ood_auc_information": (
            None if inside is None or beyond is None else out_of_distribution_auc(inside, beyond)
        ),
        "ood_note": f"{len(outside):,} {outside.note}",
    }


def _curve(history: Path) -> pd.DataFrame:
    """Step and accuracy of every validation."""
    try:
        frame = pd.read_csv(history)
        return frame.loc[frame["split"] == "validation", ["step", "accuracy"]]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{history} is missing or damaged ({error}); train again with --overwrite") from None


def _draw(run: Path, prediction: ClassifierPrediction, test: LabelledImages, curve: pd.DataFrame) -> None:
    figures = run / "figures"
    scores = prediction.scores(test.labels)
    confidence, likeliest = prediction.probabilities.max(1)
    save(
        reliability_diagram(scores.bins, scores.ece, test.note or "test images"), figures / "reliability.png"
    )
    shown = uncertain_images(
        test.images.numpy(),
        test.labels.numpy(),
        likeliest.numpy(),
        confidence.numpy(),
        test.classes,
        note=test.note,
    )
    save(shown, figures / "uncertain.png")
    if len(curve) > 1:
        named = {test.note or "held-out images": (curve["step"], 100.0 * curve["accuracy"])}
        save(learning_curves(named, "step", "accuracy, %"), figures / "learning.png")


def write_classifier_report(run: Path) -> Path:
    """report.html from config.json, metrics.json, history.csv and figures/*.png."""
    config, metrics = read_json(run / "config.json"), read_json(run / "metrics.json")
    scores, name = metrics["test"], str(config["classifier"]["model"])
    how = metrics["how"]
    cards = [
        ("accuracy", f"{100 * scores['accuracy']:.2f} %", f"of {scores['count']:,} test images"),
        (
            "calibration error",
            f"{100 * scores['ece']:.2f} %",
            "ten bins of confidence, mean distance from accuracy",
        ),
        ("negative log-likelihood", _number(scores["nll"]), "nats an image; less is better"),
    ]
    rows = [
        ["Brier score", number(scores["brier"])],
        ["samples of the weights", str(how["samples"])],
    ]
    if how["method"] is not None:
        steps = f"tolerance {how['tolerance']:g}" if how["steps"] is None else f"{how['steps']} steps"
        rows.append(["solved by", f"{escape(how['method'])}, {steps}"])
        rows.append(["evaluations of the blocks for a sample", str(metrics["dial"]["evaluations"])])
    if how["tempering"] is not None:
        rows.append(["tempering of the KL in training", f"{how['tempering']:g}"])
    auc = "none" if metrics["ood_auc"] is None else number(metrics["ood_auc"])
    rows.append(["AUC of entropy against another data set", f"{auc} ({escape(metrics['ood_note'])})"])
    if metrics.get("ood_auc_information") is not None:
        information = number(metrics["ood_auc_information"])
        rows.append(["the same of the mutual information of label and weights", information])
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


def _number(value: float | None) -> str:
    """JSON has no infinity: what was infinite is None there."""
    return "∞" if value is None else number(value)
