"""MNIST and CIFAR-10: the SDE-BNN beside what it is compared with, in accuracy, calibration and time.

    python -m experiments.sde_bnn_images --data mnist --root DATA --out runs/mnist --steps 4000
    python -m experiments.sde_bnn_images --data mnist --root DATA --out runs/mnist --models resnet32 odenet

DATA holds mnist/ or cifar10/ in any layout that `latentsde.data.images` reads. Each call trains what is not
finished in --out (a run that was killed is gone on with), scores it on the test set and prints the table of
all that is finished there, with the figure of learning curves. Steps are given for each model, so that its
training takes the time it is to have; what it took is in the table.

A tenth of the training images is held out; the running average of the weights predicts, at the one of some
twelve points of training (--validations) where the held-out NLL is best. Published figures are of Xu, Chen,
Li & Duvenaud 2022: other networks, on a GPU and for hundreds of epochs.
"""

from __future__ import annotations

import argparse
import csv
import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from experiments.endings import one_sentence
from experiments.results import circumstances, deliver
from latentsde.benchmarks.timing import torch_threads
from latentsde.data.images import LabelledImages, read_images
from latentsde.errors import InputError
from latentsde.evaluation.classifier_report import outside_auc
from latentsde.evaluation.classifiers import predict_images
from latentsde.files import write_json
from latentsde.models.classifiers import NAMES, ClassifierConfig
from latentsde.models.saving import CONFIG, read_config
from latentsde.models.sde_bnn import Depth
from latentsde.plotting.classification import learning_curves
from latentsde.plotting.style import plain_logarithmic
from latentsde.training import ClassifierTrainingConfig, fit_classifier
from latentsde.training.classifier_config import PRECISIONS

PUBLISHED = {
    "mnist": {
        "resnet32": "99.46 / 2.88",
        "odenet": "98.90 / 1.11",
        "hyper-odenet": "99.04 / 1.04",
        "mean-field-resnet32": "99.44 / 2.76",
        "mean-field-odenet": "98.81 / 2.63",
        "mean-field-hyper-odenet": "98.77 / 2.82",
        "sde-bnn": "99.30 / 0.63 (sticking the landing: 99.10 / 0.78)",
    },
    "cifar10": {
        "resnet32": "87.35 / 8.47",
        "odenet": "88.30 ± .29 / 8.71",
        "hyper-odenet": "87.92 ± .46 / 15.86",
        "mean-field-resnet32": "86.97 / 3.04",
        "mean-field-odenet": "81.59 / 3.62",
        "mean-field-hyper-odenet": "80.62 / 4.29",
        "sde-bnn": "88.98 ± .94 / 7.60 (sticking the landing: 89.10 ± .45 / 1.97, elsewhere 7.97)",
    },
}


@dataclass(frozen=True)
class Plan:
    """What all models of a table share."""

    data: str
    seed: int = 0
    batch: int = 128
    rate: float = 1e-3
    depth_steps: int = 6
    method: str = "euler"
    width: int = 32
    reduce: int = 1
    augment: int = 4
    blocks: tuple[int, ...] = (1, 1)
    sigma: float = ClassifierConfig.sigma
    prior: str = ClassifierConfig.prior
    hidden: tuple[int, ...] = (2, 64, 2)
    tempering: float = 1.0
    average: float = 0.995
    crop: int = 2
    flip: bool = False
    samples: int = 8
    """Of the weights, at test time."""


def model_of(plan: Plan, name: str, images: LabelledImages) -> ClassifierConfig:
    return ClassifierConfig.for_images(
        images,
        model=name,
        blocks=plan.blocks,
        reduce=plan.reduce,
        augment=plan.augment,
        width=plan.width,
        sigma=plan.sigma,
        prior=plan.prior,
        hidden=plan.hidden,
        depth=Depth(plan.depth_steps, plan.method),
    )


def one(
    plan: Plan, name: str, steps: int, validations: int, precision: str, root: Path, out: Path
) -> dict[str, Any]:
    """Train one model, going on from what `out` holds, and score it."""
    run = out / name
    # Before, as the code may be another one afterwards; a run that goes on was begun elsewhere, perhaps.
    sessions = [*sessions_of(run), circumstances()]
    everything, test = read_images(plan.data, root)
    train, validation = everything.split(len(everything) // 10, seed=plan.seed)
    training = ClassifierTrainingConfig(
        steps=steps,
        batch_size=plan.batch,
        learning_rate=plan.rate,
        average=plan.average,
        tempering=plan.tempering,
        crop=plan.crop,
        flip=plan.flip,
        precision=precision,
        # Each by a single sample of the weights.
        validate_every=max(1, steps // validations),
        validation_samples=1,
        seed=plan.seed,
    )
    fit = fit_classifier(
        model_of(plan, name, train),
        train,
        validation=validation,
        out=run,
        config=training,
        resume=True,
        metadata={"data": plan.data, "sessions": sessions},
    )
    predicted = predict_images(fit.network, test, samples=plan.samples, seed=plan.seed)
    scores = predicted.scores(test.labels)
    result = {
        "model": name,
        "sessions": sessions_of(run),
        "steps": steps,
        "precision": precision,
        "best_step": fit.best_step,
        "seconds": round(fit.seconds, 1),
        "parameters": sum(p.numel() for p in fit.network.parameters()),
        "scores": scores.to_json(),
        "samples": len(predicted.logits),
        "prediction_seconds": round(predicted.seconds, 1),
        "note": test.note,
        "curve": curve(run / "history.csv", min(plan.batch, len(train)) / len(train)),
    }
    result |= outside_auc(fit.network, plan.data, root, test, predicted, seed=plan.seed)
    return result


def sessions_of(run: Path) -> list[dict[str, Any]]:
    """When, where and by which code each session of a run's training was; scoring it again is none."""
    found: list[dict[str, Any]] = read_config(run).get("sessions", []) if (run / CONFIG).exists() else []
    return found


def curve(history: Path, share: float) -> list[list[float]]:
    """(passes over the images, seconds, accuracy, NLL) of every validation; a step takes a share of them."""
    with history.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "validation"]
    values = ("seconds", "accuracy", "nll")
    return [[int(row["step"]) * share, *(float(row[value]) for value in values)] for row in rows]


def table(plan: Plan, results: list[dict[str, Any]]) -> list[str]:
    note = next((row["note"] for row in results if row["note"]), "")
    others = sorted({row["ood_note"] for row in results})
    lines = [
        f"{'MNIST' if plan.data == 'mnist' else 'CIFAR-10'}{f' ({note})' if note else ''}",
        "",
        "| model | published: accuracy % / ECE ×1e-2 | accuracy % | ECE ×1e-2 | NLL | Brier | OOD AUC | "
        "parameters | steps | passes | training, minutes | on |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in results:
        scores, auc = row["scores"], row["ood_auc"]
        lines.append(
            f"| {row['model']} | {PUBLISHED[plan.data].get(row['model'], '-')} | "
            f"{100 * scores['accuracy']:.2f} | {100 * scores['ece']:.2f} | "
            f"{number(scores['nll'])} | {scores['brier']:.4f} | "
            f"{'-' if auc is None else f'{auc:.3f}'} | {row['parameters']:,} | {row['steps']} | "
            f"{row['curve'][-1][0]:.1f} | {row['seconds'] / 60:.0f} | "
            f"{' and '.join(processors(row)) or 'not recorded'}, {row['precision']} |"
        )
    numbers = ", ".join(f"{name} {value}" for name, value in asdict(plan).items())
    days = sorted({session["date"][:10] for row in results for session in row["sessions"]})
    when = " to ".join(sorted({days[0], days[-1]})) if days else "no date"
    return [
        *lines,
        "",
        f"OOD AUC: test images told from others by the entropy of their prediction, {'; '.join(others)}.",
        f"Plan: {numbers}; one thread each; {when}.",
    ]


def processors(row: dict[str, Any]) -> list[str]:
    return sorted({session["machine"]["cpu"] for session in row["sessions"]})


def number(nll: float | None) -> str:
    return "∞" if nll is None else f"{nll:.4f}"


def draw(results: list[dict[str, Any]]) -> Figure:
    curves = {}
    for row in results:
        passes, seconds, accuracy, _ = np.array(row["curve"]).T
        curves[row["model"]] = (np.stack([passes, seconds / 60]), 100 * (1 - accuracy))
    alike = len({name for row in results for name in processors(row)}) == 1
    minutes = "training, minutes" if alike else "training, minutes (of unlike processors)"
    note = next((row["note"] for row in results if row["note"]), "")
    labels = ("passes over the images", minutes)
    figure = learning_curves(curves, labels, "error on held-out images, %", note)
    # What is compared differs by tenths of a percent at the end and by tens at the beginning, and some had a
    # hundredth of the passes of others.
    for ax in figure.axes:
        ax.set_xscale("log")
        ax.set_yscale("log")
        for axis, (low, high) in ((ax.xaxis, ax.get_xlim()), (ax.yaxis, ax.get_ylim())):
            plain_logarithmic(axis, (1, 2, 3, 5) if high > 10 * low else range(1, 10))
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument(
        "--models", nargs="*", default=["sde-bnn"], choices=NAMES, help="none: only the table"
    )
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--validations", type=int, default=12, help="on the way; they take time as well")
    parser.add_argument("--precision", choices=PRECISIONS, default="float32", help="in which to train")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--page", type=Path)
    for entry in fields(Plan):
        if entry.name == "data":
            parser.add_argument("--data", choices=tuple(PUBLISHED), required=True)
        elif isinstance(entry.default, tuple):
            parser.add_argument(f"--{entry.name}", type=int, nargs="+", default=entry.default)
        elif isinstance(entry.default, bool):
            parser.add_argument(f"--{entry.name}", action="store_true")
        else:
            option = f"--{entry.name.replace('_', '-')}"
            parser.add_argument(option, type=type(entry.default), default=entry.default)
    asked = vars(parser.parse_args())
    if asked["validations"] < 1:
        parser.error("--validations must be at least 1")
    given = {entry.name: asked[entry.name] for entry in fields(Plan)}
    plan = Plan(**{name: tuple(v) if isinstance(v, list) else v for name, v in given.items()})
    out: Path = asked["out"]
    with torch_threads(1):
        for name in asked["models"]:
            try:
                how = (asked["steps"], asked["validations"], asked["precision"])
                result = one(plan, name, *how, asked["root"], out / "runs")
            except InputError as error:
                raise InputError(f"{error} (or choose another --out)") from None
            write_json(out / "results" / f"{name}.json", {"plan": asdict(plan), "result": result})
    contents = [json.loads(path.read_text()) for path in sorted((out / "results").glob("*.json"))]
    mine = json.loads(json.dumps(asdict(plan)))
    results = [content["result"] for content in contents if content["plan"] == mine]
    results.sort(key=lambda row: NAMES.index(row["model"]))
    if len(results) < len(contents):
        print(f"{len(contents) - len(results)} models in {out} have other plans and are left out.")
    if not results:
        raise InputError(f"{out} holds no results of this plan; name --models to train or score them again")
    name = f"sde_bnn_{plan.data}"
    content = {"plan": asdict(plan), "results": results}
    deliver(table(plan, results), draw(results), content, name, out, asked["page"])


if __name__ == "__main__":
    with one_sentence():
        main()
