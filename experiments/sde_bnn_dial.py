"""The dials of a trained SDE-BNN at test time: the solver's tolerance, and the number of weight samples.

    python -m experiments.sde_bnn_dial --run runs/mnist/runs/sde-bnn --root DATA --out runs/sde_bnn_dial

Neither needs training again. For adaptive steps of several tolerances (Heun), and for several numbers of
samples at the steps of training: error, NLL and calibration error of the test images against evaluations of
the blocks and seconds (the talk's figures; Xu, Chen, Li & Duvenaud 2022, section 5.3).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure

from experiments.results import deliver
from latentsde.benchmarks.timing import torch_threads
from latentsde.data.images import read_images
from latentsde.evaluation.classifiers import dial_row, predict_images
from latentsde.models.classifiers import load_classifier
from latentsde.models.sde_bnn import Depth
from latentsde.plotting.style import MODEL, REFERENCE, grid, legend, style

TOLERANCES = (1.0, 0.3, 0.1, 0.03, 0.01)
SAMPLES = (1, 2, 4, 8, 16)
NAME = "sde_bnn_dial"


def measured(run: Path, root: Path, images: int, samples: int) -> dict[str, Any]:
    """The rows of both dials, on the first `images` of the test set."""
    network, config, content = load_classifier(run)
    if not config.has_depth:
        raise SystemExit(f"{run} is of {config.model}, which has no depth to solve")
    _, test = read_images(content["data"], root)
    shown = test.select(torch.arange(min(images, len(test))))
    rows: dict[str, Any] = {"tolerance": [], "samples": [], "images": len(shown), "note": test.note}
    for tolerance in TOLERANCES:
        depth = Depth(method="heun", tolerance=tolerance)
        found = dial_row(predict_images(network, shown, samples=samples, depth=depth), shown.labels)
        rows["tolerance"].append({"tolerance": tolerance, **found})
    found = dial_row(predict_images(network, shown, samples=samples), shown.labels)
    rows["trained"] = {"steps": config.depth.steps, **found}
    for count in SAMPLES:
        found = dial_row(predict_images(network, shown, samples=count), shown.labels)
        rows["samples"].append(found)
    return rows


def table(rows: dict[str, Any]) -> list[str]:
    def cells(row: dict[str, Any]) -> str:
        nll = "∞" if row["nll"] is None else f"{row['nll']:.4f}"
        return (
            f"{row['samples']} | {row['evaluations']} | {row['seconds']:.1f} | {100 * row['accuracy']:.2f} | "
            f"{nll} | {100 * row['ece']:.2f}"
        )

    lines = [
        "| dial | samples | evaluations | seconds | accuracy % | NLL | ECE ×1e-2 |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [f"| tolerance {row['tolerance']:g} | {cells(row)} |" for row in rows["tolerance"]]
    lines.append(f"| {rows['trained']['steps']} steps, as in training | {cells(rows['trained'])} |")
    lines += [f"| samples | {cells(row)} |" for row in rows["samples"]]
    note = f" {rows['note']}." if rows["note"] else ""
    return [*lines, "", f"{rows['images']:,} test images.{note}"]


def draw(rows: dict[str, Any]) -> Figure:
    """Error against evaluations by tolerance, and against samples."""
    with style():
        figure, axes = grid(1, 2, width=3.2, height=2.4)
        panels = (
            ("tolerance", "evaluations", "evaluations of the blocks"),
            ("samples", "samples", "samples"),
        )
        for ax, (dial, key, label) in zip(axes[0], panels, strict=True):
            x = np.array([row[key] for row in rows[dial]])
            error = np.array([100.0 * (1.0 - row["accuracy"]) for row in rows[dial]])
            calibration = np.array([100.0 * row["ece"] for row in rows[dial]])
            (first,) = ax.plot(x, error, "o-", color=MODEL, ms=3, lw=1.0)
            (second,) = ax.plot(x, calibration, "o-", color=REFERENCE, ms=3, lw=1.0)
            ax.set_xscale("log")
            ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
            ax.xaxis.set_minor_formatter(lambda value, _: "")
            ax.set_xlabel(label)
            ax.set_ylim(bottom=0.0)
        axes[0, 0].set_ylabel("%")
        legend(figure, {"error": first, "calibration error": second})
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--samples", type=int, default=4, help="for the tolerances")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--page", type=Path)
    asked = parser.parse_args()
    with torch_threads(1):
        rows = measured(asked.run, asked.root, asked.images, asked.samples)
    deliver(table(rows), draw(rows), rows, NAME, asked.out, asked.page)


if __name__ == "__main__":
    main()
