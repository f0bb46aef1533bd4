"""The dials of a trained SDE-BNN at test time: the solver's tolerance or steps, and the samples of weights.

    python -m experiments.sde_bnn_dial --run runs/mnist/runs/sde-bnn --root DATA --out runs/sde_bnn_dial

None needs training again. For adaptive steps of several tolerances (Heun), for several numbers of steps by
the method of training, and for several numbers of samples at the steps of training: error, NLL and
calibration error of the test images against evaluations of the blocks and seconds (the talk's figures; Xu,
Chen, Li & Duvenaud 2022, section 5.3). The weights of a sample are the same path at every setting.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure

from experiments.endings import one_sentence
from experiments.results import deliver
from latentsde.benchmarks.machine import describe
from latentsde.benchmarks.timing import torch_threads
from latentsde.data.images import read_test_images
from latentsde.errors import InputError
from latentsde.evaluation.classifiers import dial_row, predict_images
from latentsde.models.classifiers import load_classifier
from latentsde.models.sde_bnn import Depth
from latentsde.plotting.style import MODEL, REFERENCE, caption, grid, legend, plain_logarithmic, style

TOLERANCES = (100.0, 10.0, 1.0, 0.1, 0.01)
STEPS = (1, 2, 3, 6, 12, 24)
SAMPLES = (1, 2, 4, 8, 16)
NAME = "sde_bnn_dial"


def measured(run: Path, root: Path, images: int, samples: int) -> dict[str, Any]:
    """The rows of both dials, on the first `images` of the test set."""
    network, config, content = load_classifier(run)
    if "data" not in content:
        raise InputError(f"{run / 'config.json'} does not name its images")
    if not config.has_depth:
        raise InputError(f"{run} is of {config.model}, which has no depth to solve")
    test = read_test_images(content["data"], root)
    shown = test.select(torch.arange(min(images, len(test))))
    trained = config.depth

    def found(count: int, depth: Depth | None = None) -> dict[str, Any]:
        return dial_row(predict_images(network, shown, samples=count, depth=depth), shown.labels)

    rows: dict[str, Any] = {
        "data": content["data"],
        "note": test.note,
        "model": config.model,
        "training_seed": content["training"]["seed"],
        "images": len(shown),
        "steps_of_training": trained.steps,
    }
    rows["tolerance"] = [
        {"tolerance": tolerance, **found(samples, Depth(method="heun", tolerance=tolerance))}
        for tolerance in TOLERANCES
    ]
    rows["steps"] = [
        {"steps": steps, **found(samples, replace(trained, steps=steps, tolerance=None))} for steps in STEPS
    ]
    rows["samples"] = [found(count) for count in SAMPLES]
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
    lines += [f"| steps: {row['steps']} | {cells(row)} |" for row in rows["steps"]]
    lines += [f"| samples | {cells(row)} |" for row in rows["samples"]]
    note = f" {rows['note']}." if rows["note"] else ""
    return [
        *lines,
        "",
        f"The first {rows['images']:,} test images of {rows['data']}; {rows['model']} of seed "
        f"{rows['training_seed']}, trained with {rows['steps_of_training']} steps.{note} "
        f"{describe()['cpu']}, one thread.",
    ]


def draw(rows: dict[str, Any]) -> Figure:
    """Error and calibration error: by tolerance and by steps against evaluations and against inference time,
    and against samples.
    """
    per_image = 1000.0 / (rows["images"] * rows["tolerance"][0]["samples"])
    panels = (
        ("evaluations", 1.0, "evaluations of the blocks", {"tolerance": "o-", "steps": "s:"}),
        ("seconds", per_image, "ms for an image and a sample", {"tolerance": "o-", "steps": "s:"}),
        ("samples", 1.0, "samples of the weights", {"samples": "o-"}),
    )
    with style():
        figure, axes = grid(1, len(panels), width=2.5, height=2.4)
        lines: dict[str, Any] = {}
        dials = [(k, dial, look) for k, (*_, shown) in enumerate(panels) for dial, look in shown.items()]
        for column, dial, look in dials:
            ax, (key, scale, label, _) = axes[0, column], panels[column]
            x = np.array([scale * row[key] for row in rows[dial]])
            error = np.array([100.0 * (1.0 - row["accuracy"]) for row in rows[dial]])
            calibration = np.array([100.0 * row["ece"] for row in rows[dial]])
            by = {"tolerance": ", by tolerance", "steps": ", by equal steps", "samples": ""}[dial]
            for what, y, color in (("error", error, MODEL), ("calibration error", calibration, REFERENCE)):
                (line,) = ax.plot(x, y, look, color=color, ms=3, lw=1.0)
                if by:
                    lines[what + by] = line
            ax.set_xscale("log")
            plain_logarithmic(ax.xaxis)
            ax.set_xlabel(label)
        # One step of the solver is many times as wrong as two.
        for ax in axes[0, :2]:
            ax.set_yscale("log")
            plain_logarithmic(ax.yaxis)
        axes[0, 2].set_ylim(bottom=0.0)
        axes[0, 0].set_ylabel("%")
        legend(figure, lines)
        caption(figure, rows["note"])
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--samples", type=int, default=4, help="for tolerances and steps")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--page", type=Path)
    asked = parser.parse_args()
    with torch_threads(1):
        rows = measured(asked.run, asked.root, asked.images, asked.samples)
    deliver(table(rows), draw(rows), rows, NAME, asked.out, asked.page)


if __name__ == "__main__":
    with one_sentence():
        main()
