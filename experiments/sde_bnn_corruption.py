"""Images unlike those of training: how sure classifiers still are of rotated and of noisy ones.

    python -m experiments.sde_bnn_corruption --runs runs/mnist/runs --root DATA --out runs/sde_bnn_corruption

Every finished run of the folder predicts the first test images, turned further and further and under more and
more noise: accuracy, NLL and calibration error. A classifier that knows what it does not know keeps its
calibration error small where its accuracy falls (Ovadia et al. 2019, "Can you trust your model's
uncertainty?").
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure

from experiments.endings import one_sentence
from experiments.results import deliver
from latentsde.benchmarks.timing import torch_threads
from latentsde.data.images import LabelledImages, noisy, read_test_images, rotated
from latentsde.errors import InputError
from latentsde.evaluation.classifiers import predict_images
from latentsde.models.classifiers import NAMES, load_classifier
from latentsde.plotting.classification import COLORS, DASHES
from latentsde.plotting.style import caption, grid, legend, style

Change = Callable[[LabelledImages, float], LabelledImages]
CHANGES: dict[str, tuple[Change, tuple[float, ...], str]] = {
    "rotated": (rotated, (0.0, 15.0, 30.0, 45.0, 60.0, 90.0), "degrees"),
    "noisy": (
        lambda images, std: noisy(images, std, seed=0),
        (0.0, 0.1, 0.2, 0.3, 0.4),
        "standard deviation, share of 255",
    ),
}
"""How images are changed, how much, and in what unit."""


def measured(runs: Path, root: Path, images: int, samples: int) -> dict[str, Any]:
    """Scores of each finished run, by model, change and severity."""
    found: dict[str, Any] = {}
    data, test = None, None
    for name in NAMES:
        if not (runs / name).is_dir():
            continue
        try:
            network, _, content = load_classifier(runs / name)
        except InputError as error:
            print(f"left out: {error}")
            continue
        own = content.get("data")
        if own is None or (test is not None and own != data):
            raise InputError(f"{runs / name} is of the images {own}, not of {data or 'mnist or cifar10'}")
        if test is None:
            data, every = own, read_test_images(own, root)
            test = every.select(torch.arange(min(images, len(every))))
        found[name] = {
            change: [
                row(network, by(test, severity) if severity else test, severity, samples)
                for severity in severities
            ]
            for change, (by, severities, _) in CHANGES.items()
        }
        print(f"{name}: done", flush=True)
    if test is None:
        raise InputError(f"{runs} holds no finished run of {', '.join(NAMES)}")
    return {"data": data, "note": test.note, "images": len(test), "samples": samples, "models": found}


def row(network: torch.nn.Module, images: LabelledImages, severity: float, samples: int) -> dict[str, Any]:
    scores = predict_images(network, images, samples=samples).scores(images.labels)
    nll = scores.nll if math.isfinite(scores.nll) else None
    return {"severity": severity, "accuracy": scores.accuracy, "nll": nll, "ece": scores.ece}


def table(found: dict[str, Any]) -> list[str]:
    """A table for each change: accuracy / ECE in %."""
    lines = []
    for change, (_, severities, unit) in CHANGES.items():
        lines += [
            f"| {change}, {unit}: accuracy % / ECE ×1e-2 | "
            + " | ".join(f"{s:g}" for s in severities)
            + " |",
            "|---" * (len(severities) + 1) + "|",
        ]
        for name, scores in found["models"].items():
            cells = (f"{100 * one['accuracy']:.1f} / {100 * one['ece']:.1f}" for one in scores[change])
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
        lines.append("")
    note = f" {found['note']}." if found["note"] else ""
    return [*lines, f"The first {found['images']:,} test images, {found['samples']} samples.{note}"]


def draw(found: dict[str, Any]) -> Figure:
    """Accuracy above and calibration error below, for each change."""
    with style():
        figure, axes = grid(2, len(CHANGES), width=3.0, height=1.9, sharex="col")
        entries: dict[str, Any] = {}
        for column, (change, (_, _, unit)) in enumerate(CHANGES.items()):
            for k, (name, scores) in enumerate(found["models"].items()):
                look = {
                    "color": COLORS[k % len(COLORS)],
                    "ls": DASHES[k // len(COLORS)],
                    "lw": 1.0,
                    "ms": 2.5,
                }
                severity = [one["severity"] for one in scores[change]]
                for ax, score in zip(axes[:, column], ("accuracy", "ece"), strict=True):
                    values = [100.0 * one[score] for one in scores[change]]
                    (entries[name],) = ax.plot(severity, values, marker="o", **look)
            axes[0, column].set_title(change)
            axes[1, column].set_xlabel(unit)
        axes[0, 0].set_ylabel("accuracy, %")
        axes[1, 0].set_ylabel("calibration error, %")
        for ax in axes.flat:
            ax.set_ylim(bottom=0.0)
        legend(figure, entries)
        caption(figure, found["note"])
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--page", type=Path)
    asked = parser.parse_args()
    with torch_threads(1):
        found = measured(asked.runs, asked.root, asked.images, asked.samples)
    name = f"sde_bnn_corruption_{found['data']}"
    deliver(table(found), draw(found), found, name, asked.out, asked.page)


if __name__ == "__main__":
    with one_sentence():
        main()
