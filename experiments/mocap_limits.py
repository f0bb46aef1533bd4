"""What three frames tell of the next 297: why motion capture's setup 1 is hard.

    python -m experiments.mocap_limits --root DATA [--runs runs/mocap/setup1]

First how well the pace is told, the angle per frame in the plane of the two leading principal components: by
kernel ridge regression from mean and velocity of three frames to its logarithm, on training sequences left
out, beside the deviation of that logarithm itself. An error e of it is one of 297 · e · pace in the phase of
the last frame, about 14 e radians.

Then for every test and validation sequence: its pace, the error of the training window that fits its future
best, chosen with hindsight, of the one whose first three frames are nearest, and of kernel ridge regression
from three frames to all that follows. Windows are all 250 frames of a training sequence, at their own pace or
also played at .85, .92 and 1.08 of it; the kernel's width and the ridge are chosen by leaving training
sequences out. With --runs also the error of the trained models' mean prediction, over all 297 frames, and
what it would be with the prediction played, in hindsight, at the pace that fits best, between .75 and 1.15.
"""

from __future__ import annotations

import argparse
from itertools import product
from pathlib import Path

import numpy as np
import torch

from experiments.mocap import read
from experiments.mocap_model import FEATURES, GIVEN
from experiments.mocap_training import trained

LENGTH, STEP, FOLDS = 250, 3, 4
WIDTHS, RIDGES, VELOCITY = (1e-5, 1e-4, 3e-4, 1e-3), (0.1, 1.0), 3.0


def angles_per_frame(sequences: np.ndarray, components: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """(N,) radians: how fast the state goes round in the plane of the two leading components."""
    plane = (sequences - mean) @ components.T
    plane = plane / plane.std((0, 1))
    turned = np.unwrap(np.arctan2(plane[..., 1], plane[..., 0]), axis=1)
    return np.abs(turned[:, -1] - turned[:, 0]) / (sequences.shape[1] - 1)


def between(frames: np.ndarray, at: np.ndarray) -> np.ndarray:
    """(..., K, F) linear interpolation of frames (..., T, F) at times (K,), in frames."""
    before = np.minimum(at.astype(int), frames.shape[-2] - 2)
    share = (at - before)[:, None]
    return frames[..., before, :] * (1.0 - share) + frames[..., before + 1, :] * share


def played(sequences: np.ndarray, pace: float) -> np.ndarray:
    """The sequences at another pace: (N, T / pace, 50)."""
    return between(sequences, np.arange(int((sequences.shape[1] - 1) / pace) + 1) * pace)


def windows(sequences: np.ndarray, paces: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """(M, LENGTH, 50) and (M,) which sequence each is of."""
    found, origin = [], []
    for pace in paces:
        whole = played(sequences, pace)
        for start in range(0, whole.shape[1] - LENGTH + 1, STEP):
            found.append(whole[:, start : start + LENGTH])
            origin.append(np.arange(len(sequences)))
    return np.concatenate(found), np.concatenate(origin)


def described(windows: np.ndarray, velocity: float = VELOCITY) -> np.ndarray:
    """(M, 100): mean and velocity of the first three frames, the latter that much more important."""
    first = windows[:, :GIVEN]
    return np.concatenate([first.mean(1), velocity * (first[:, 2] - first[:, 0])], axis=1)


def regress(
    known: np.ndarray, answers: np.ndarray, asked: np.ndarray, width: float, ridge: float
) -> np.ndarray:
    scale = np.sqrt(known.var(0).sum() / 2000.0)

    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        squares = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2.0 * a @ b.T
        return np.exp(-width * squares / scale**2)

    mean = answers.mean(0)
    weights = np.linalg.solve(kernel(known, known) + ridge * np.eye(len(known)), answers - mean)
    return mean + kernel(asked, known) @ weights


def chosen(known: np.ndarray, answers: np.ndarray, origin: np.ndarray) -> tuple[float, float]:
    """Width and ridge of the least error on training sequences left out."""

    def error(width: float, ridge: float) -> float:
        parts = []
        for fold in np.unique(origin % FOLDS):
            left = origin % FOLDS == fold
            told = regress(known[~left], answers[~left], known[left], width, ridge)
            parts.append(((told - answers[left]) ** 2).mean())
        return float(np.mean(parts))

    return min(product(WIDTHS, RIDGES), key=lambda pair: error(*pair))


def pace_told(sequences: np.ndarray, paces: np.ndarray, spread: float) -> tuple[float, float]:
    """Each sequence replayed at 60 paces exp(N(0, spread²)) from anywhere: the root mean squared error of the
    logarithm of the pace, told of sequences left out, and its deviation.
    """
    rng = np.random.default_rng(0)
    found, logs, origin = [], [], np.repeat(np.arange(len(sequences)), 60)
    for k in origin:
        factor = np.exp(spread * rng.normal())
        at = rng.uniform(0.0, sequences.shape[1] - 6) + factor * np.arange(GIVEN)
        found.append(between(sequences[k], at))
        logs.append(np.log(factor * paces[k]))
    known, answers = described(np.array(found), velocity=20.0), np.array(logs)[:, None]
    errors = []
    for fold in range(FOLDS):
        left = origin % FOLDS == fold
        width, ridge = chosen(known[~left], answers[~left], origin[~left])
        errors.append(regress(known[~left], answers[~left], known[left], width, ridge) - answers[left])
    return float(np.sqrt(np.square(np.concatenate(errors)).mean())), float(answers.std())


def of_the_models(runs: Path, sequences: torch.Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(N,) each, means over the seeds that are trained: error of the models' mean prediction, error at the
    best pace, and that pace.
    """
    factors = np.linspace(0.75, 1.15, 41)
    truth = sequences[:, GIVEN:].double().numpy()
    found = []
    for checkpoint in sorted((runs / "checkpoints").glob("*.ckpt")):
        model = trained(checkpoint)
        if model is None:
            continue
        drawn = model.predict(sequences[:, :GIVEN], 360, samples=10, seed=11).mean(0).double().numpy()
        told = [between(drawn, factor * np.arange(GIVEN, sequences.shape[1])) for factor in factors]
        errors = np.array([np.square(one - truth).mean((1, 2)) for one in told])
        found.append([errors[25], errors.min(0), factors[errors.argmin(0)]])
    own, best, pace = np.mean(found, 0)
    return own, best, pace


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=Path, required=True, help="directory that holds mocap35/")
    parser.add_argument("--runs", type=Path, help="directory of a setup that experiments.mocap has left")
    asked = parser.parse_args()
    data = {name: part.double().numpy() for name, part in read(asked.root).items()}
    train = data["train"]
    mean = train.reshape(-1, FEATURES).mean(0)
    components = np.linalg.svd(train.reshape(-1, FEATURES) - mean, full_matrices=False)[2][:2]
    paces = angles_per_frame(train, components, mean)
    print(f"training sequences: {1e3 * paces.min():.1f} to {1e3 * paces.max():.1f} mrad a frame")
    for spread in (0.0, 0.03, 0.1):
        error, deviation = pace_told(train, paces, spread)
        print(f"paces varied by {spread:g}: log pace {deviation:.3f} in deviation, told up to {error:.3f}")
    print(
        "| sequence | mrad a frame | best window, with hindsight | nearest window | regression | and slower |"
    )
    print("|---" * 6 + "|")
    own, origin = windows(train, (1.0,))
    slower, origin_slower = windows(train, (0.85, 0.92, 1.0, 1.08))
    predictions = {}
    for name, (found, of) in {"own": (own, origin), "slower": (slower, origin_slower)}.items():
        known, answers = described(found), found[:, GIVEN:].reshape(len(found), -1)
        predictions[name] = (known, answers, *chosen(known, answers, of))
    for part in ("test", "validation"):
        turned = angles_per_frame(data[part], components, mean)
        for k, sequence in enumerate(data[part]):
            truth = sequence[GIVEN:LENGTH].reshape(-1)
            errors = ((own[:, GIVEN:].reshape(len(own), -1) - truth) ** 2).mean(1)
            near = ((own[:, :GIVEN] - sequence[:GIVEN]) ** 2).sum((1, 2)).argmin()
            told = [regress(*p[:2], described(sequence[None]), *p[2:])[0] for p in predictions.values()]
            cells = [errors.min(), errors[near], *(((t - truth) ** 2).mean() for t in told)]
            numbers = " | ".join(f"{cell:.1f}" for cell in cells)
            print(f"| {part} {k + 1} | {1e3 * turned[k]:.1f} | {numbers} |")
    if asked.runs:
        print("| sequence | the models, means over seeds | at the best pace | which is, times their own |")
        print("|---" * 4 + "|")
        for part in ("test", "validation"):
            for k, row in enumerate(
                np.transpose(of_the_models(asked.runs, torch.from_numpy(data[part]).float()))
            ):
                print(f"| {part} {k + 1} | {row[0]:.1f} | {row[1]:.1f} | {row[2]:.3f} |")


if __name__ == "__main__":
    main()
