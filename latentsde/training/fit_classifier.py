"""`fit_classifier`: train a classifier of images and leave a run directory behind."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from torch import nn

from ..brownian import STREAM_VERSION
from ..data.images import LabelledImages
from ..errors import InputError
from ..files import write_json
from ..models.classifiers import Averaged, ClassifierConfig, build, check_training, load_classifier
from ..models.saving import save_weights
from ..version import __version__
from .classifier import ClassifierTraining
from .classifier_config import ClassifierTrainingConfig
from .directory import CONFIG, WEIGHTS
from .launch import is_main_process
from .session import open_run, take_best, train


@dataclass(frozen=True)
class ClassifierFit:
    """What a run came to.

    Attributes:
        network: the averaged one, of `best_step`, ready to predict.
        best_step: of the best validation, or the last without one.
        steps: optimisation steps done.
        seconds: spent in training, over all sessions.
    """

    network: nn.Module
    best_step: int
    steps: int
    seconds: float


def fit_classifier(
    model: ClassifierConfig,
    images: LabelledImages,
    *,
    out: str | Path,
    validation: LabelledImages | None = None,
    config: ClassifierTrainingConfig | None = None,
    resume: bool = False,
    overwrite: bool = False,
    metadata: dict[str, Any] | None = None,
    progress: bool = True,
    tensorboard: bool = False,
    callbacks: Sequence[pl.Callback] = (),
) -> ClassifierFit:
    """Train the network of a configuration on images, from weights that are a function of `config.seed`.

    With the same data, configurations and number of threads the result on a CPU is the same to the bit,
    however often the run is killed and resumed. Arguments as `latentsde.fit`'s.

    Raises:
        InputError: `out` cannot be used or holds a run, images and model do not match, weights that do not
            fit into memory, the run to be resumed is another one, or its files are damaged.
        TrainingDiverged: loss, gradient or validation is not finite; the last checkpoint is kept.
    """
    out, config = Path(out), config or ClassifierTrainingConfig()
    for what, part in (("training", images), ("validation", validation)):
        if part is not None:
            _check(what, part, model)
    if config.precision == "bfloat16" and model.has_depth and model.depth.adjoint != "direct":
        raise InputError(
            f"precision 'bfloat16' with adjoint {model.depth.adjoint!r} would undo other steps than were "
            "taken; take 'float32', or adjoint 'direct'"
        )
    if model.has_depth and model.depth.tolerance is not None:
        raise InputError(
            "a network is trained with equal steps, its KL is not estimated under a tolerance; leave the "
            "tolerance for evaluation"
        )
    if len(images) < config.processes:
        raise InputError(
            f"{config.processes} processes cannot share {len(images)} images; use fewer processes"
        )
    check_training(model, samples=config.samples, device=config.device)
    averaged = Averaged(build(model, seed=config.seed))
    described = {**(metadata or {}), **_description(model, images, validation, config)}
    resumed = open_run(out, described, resume=resume, overwrite=overwrite)
    if resumed and (out / WEIGHTS).exists():
        network, _, content = load_classifier(out)
        done = content["training"]
        if done.get("finished"):
            try:
                return ClassifierFit(network, done["best_step"], done["steps_done"], done["seconds"])
            except KeyError as error:
                raise InputError(
                    f"{out / CONFIG} does not say {error}; train again with --overwrite"
                ) from None
    train(
        averaged,
        functools.partial(ClassifierTraining, averaged, images, validation, config),
        ClassifierTraining.columns,
        described,
        config,
        out,
        resumed=resumed,
        validate=validation is not None,
        progress=progress,
        tensorboard=tensorboard,
        callbacks=callbacks,
    )
    state = take_best(averaged, out)
    best_step = state.step if state.best_step is None else state.best_step
    if is_main_process():
        save_weights(averaged.average, out)
        outcome = {
            "finished": True,
            "steps_done": state.step,
            "best_step": best_step,
            "seconds": round(state.seconds, 3),
        }
        write_json(out / CONFIG, {**described, "training": {**described["training"], **outcome}})
    return ClassifierFit(averaged.average.eval(), best_step, state.step, state.seconds)


def _check(what: str, images: LabelledImages, model: ClassifierConfig) -> None:
    shape = tuple(images.images.shape[1:])
    if shape != model.image:
        raise InputError(f"the {what} images are {shape}, the model takes {model.image}; build it for these")
    if images.classes != model.classes:
        raise InputError(
            f"the {what} images have classes {', '.join(images.classes)}, the model "
            f"{', '.join(model.classes)}; build it for these"
        )
    if not len(images):
        raise InputError(f"there are no {what} images; give some")


def _description(
    model: ClassifierConfig,
    images: LabelledImages,
    validation: LabelledImages | None,
    config: ClassifierTrainingConfig,
) -> dict[str, Any]:
    """config.json at the start."""
    return {
        "latentsde_version": __version__,
        "stream_version": STREAM_VERSION,
        "classifier": model.to_json(),
        "note": images.note,
        "training": {
            **config.to_json(),
            "images": len(images),
            "images_sha256": _fingerprint(images),
            "validation_images": 0 if validation is None else len(validation),
            "validation_sha256": None if validation is None else _fingerprint(validation),
            "finished": False,
            "steps_done": 0,
        },
    }


def _fingerprint(images: LabelledImages) -> str:
    """SHA-256 of pixels and labels."""
    digest = hashlib.sha256(str(tuple(images.images.shape)).encode())
    digest.update(images.images.contiguous().numpy().tobytes())
    digest.update(images.labels.contiguous().numpy().tobytes())
    return digest.hexdigest()
