"""The training of a classifier of images: its loss, and what is reported of it."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, pad

from ..brownian import derive_seed, standard_normal
from ..data.images import LabelledImages
from ..errors import TrainingDiverged
from ..models.classifiers import Averaged
from ..models.sde_bnn import Predicted, negative_elbo
from ..solvers import NotFinite
from .base import Training
from .classifier_config import ClassifierTrainingConfig
from .history import TRAIN
from .state import TrainingState

# Labels of the streams drawn from the seed of a step.
_WEIGHTS, _CROPS = 0, 1


class ClassifierTraining(Training):
    """Trains `model` from `state` on; the sums are log-likelihood, right answers, KL and examples.

    In training log-likelihoods are means over samples of the weights, as the bound has them; in validation
    the log-likelihood is that of the samples' mean probabilities, of the averaged network.
    """

    columns: ClassVar[tuple[str, ...]] = ("loss", "nll", "accuracy", "kl", "learning_rate")
    parts = 4
    model: Averaged
    config: ClassifierTrainingConfig

    def __init__(
        self,
        model: Averaged,
        images: LabelledImages,
        validation_images: LabelledImages | None,
        config: ClassifierTrainingConfig,
        state: TrainingState,
        optimizer_state: dict[str, Any] | None,
        last_checkpoint: str,
    ) -> None:
        order = np.arange(0 if validation_images is None else len(validation_images))
        super().__init__(model, len(images), order, config, state, optimizer_state, last_checkpoint)
        self.images, self.validation_images = images, validation_images

    def loss(self, step: int, own: np.ndarray, count: int) -> tuple[Tensor, Tensor]:
        seed = self.schedule.noise_seed(step)
        labels = self.images.labels[torch.tensor(own)].to(self.device)
        shown = self._shown(own, derive_seed(seed, _CROPS))
        predicted = self._predict(shown, derive_seed(seed, _WEIGHTS), self.config.samples, own)
        log_likelihood = _log_likelihood(predicted.output, labels)
        objective = negative_elbo(
            log_likelihood,
            predicted.kl,
            training_size=len(self.images),
            tempering=self.config.tempering * self.schedule.kl_weight(step),
        )
        right = (predicted.output.detach().softmax(-1).mean(0).argmax(-1) == labels).sum()
        sums = [log_likelihood.mean(0).sum(), right, predicted.kl.mean() * len(own), torch.tensor(len(own))]
        return objective.loss * (len(own) / count), _stacked(sums, self.device)

    @torch.no_grad()
    def judged(self, own: np.ndarray) -> Tensor:
        assert self.validation_images is not None
        chosen = torch.tensor(own)
        labels = self.validation_images.labels[chosen].to(self.device)
        images = self.validation_images.images[chosen].to(self.device)
        samples = self.config.validation_samples
        predicted = self._predict(images, self.schedule.validation_seed, samples, own)
        log_likely = predicted.output.float().log_softmax(-1).logsumexp(0) - math.log(len(predicted.output))
        log_likelihood = log_likely.gather(-1, labels.unsqueeze(-1)).squeeze(-1)
        if not log_likelihood.isfinite().all():
            raise self._error(self.state.step, "validation", own)
        right = (log_likely.argmax(-1) == labels).sum()
        sums = [log_likelihood.sum(), right, predicted.kl.mean() * len(own), torch.tensor(len(own))]
        return _stacked(sums, self.device)

    def updated(self) -> None:
        self.model.update(self.config.average, self.state.step + 1)

    def score(self, sums: Tensor) -> float:
        return float(sums[0] / sums[3])

    def row(self, split: str, sums: Tensor, steps: int) -> dict[str, float]:
        log_likelihood, right, kl, examples = sums.tolist()
        row = {
            "nll": -log_likelihood / examples,
            "accuracy": right / examples,
            "kl": kl / examples,
        }
        if split == TRAIN:
            row["learning_rate"] = self.schedule.learning_rate(self.state.step - 1)
        return row

    def summary(self, train: dict[str, float] | None, validation: dict[str, float] | None) -> str:
        if train is None:
            return ""
        text = f"loss {train['loss']:.4f}, accuracy {100 * train['accuracy']:.2f} %"
        if validation is not None:
            text += f", validation {100 * validation['accuracy']:.2f} %, NLL {validation['nll']:.4f}"
        return f"{text}, KL {train['kl']:.1f}"

    def diverged(self, step: int, what: str, indices: np.ndarray) -> TrainingDiverged:
        return self._error(step, what, indices)

    def _error(self, step: int, what: str, indices: np.ndarray) -> TrainingDiverged:
        shown = ", ".join(map(str, indices[:5]))
        remedy = "fit again with a lower learning rate"
        if step == 0:
            remedy = (
                "the model has not been trained yet: give it a smaller sigma or unit, or more steps of depth"
            )
        return TrainingDiverged(
            f"training diverged at step {step}: the {what} is not finite in a batch of {len(indices)} images "
            f"({shown}, ...); the last good state is kept in {self.last_checkpoint}; {remedy}"
        )

    def _predict(self, images: Tensor, seed: int, samples: int, own: np.ndarray) -> Predicted:
        try:
            with self._arithmetic():
                predicted: Predicted = self.model(images, seed=seed, samples=samples)
        except NotFinite:
            raise self._error(self.state.step, "state", own) from None
        return predicted

    def _arithmetic(self) -> AbstractContextManager[Any]:
        enabled = self.config.precision == "bfloat16" and self.model.training
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=enabled)

    def _shown(self, own: np.ndarray, seed: int) -> Tensor:
        """Training images, cropped and mirrored: a function of (seed, image)."""
        chosen = torch.tensor(own)
        images = self.images.images[chosen].to(self.device)
        crop = self.config.crop
        if not (crop or self.config.flip):
            return images
        draws = standard_normal((len(own), 3), seed=seed, ids=chosen)
        uniform = torch.special.ndtr(draws)
        if crop:
            down, across = (uniform[:, :2] * (2 * crop + 1)).long().clamp_max(2 * crop).unbind(1)
            height, width = images.shape[-2:]
            framed = pad(images, (crop, crop, crop, crop))
            rows = down[:, None] + torch.arange(height)
            columns = across[:, None] + torch.arange(width)
            each = torch.arange(len(own))
            images = framed[each[:, None, None], :, rows[:, :, None], columns[:, None, :]]
            images = images.permute(0, 3, 1, 2)
        if self.config.flip:
            mirrored = (uniform[:, 2] < 0.5).to(images.device).view(-1, 1, 1, 1)
            images = torch.where(mirrored, images.flip(-1), images)
        return images


def _log_likelihood(logits: Tensor, labels: Tensor) -> Tensor:
    """(samples, batch)."""
    samples = len(logits)
    return -cross_entropy(logits.float().flatten(0, 1), labels.repeat(samples), reduction="none").unflatten(
        0, (samples, -1)
    )


def _stacked(sums: list[Tensor], device: torch.device) -> Tensor:
    return torch.stack([value.detach().to(device, torch.float64) for value in sums])
