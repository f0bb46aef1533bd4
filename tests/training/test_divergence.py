"""What is not finite stops the run, which says where and keeps the last good state."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from latentsde.data import Batch
from latentsde.errors import TrainingDiverged
from latentsde.models import ELBO, LatentSDE
from latentsde.training import TrainingConfig
from latentsde.training.schedule import Schedule

from . import tiny

POISONED_STEP = 6


class Poisoned(LatentSDE):
    """One series' log-likelihood is NaN at step 6."""

    def elbo(self, batch: Batch, *, seed: int, samples: int = 1, seen: Batch | None = None) -> ELBO:
        bound = super().elbo(batch, seed=seed, samples=samples)
        if seed != Schedule(TrainingConfig(**tiny.SETTINGS), 9).noise_seed(POISONED_STEP):
            return bound
        poison = torch.where(torch.arange(len(batch)) == 1, torch.nan, 0.0)
        return replace(bound, log_likelihood=bound.log_likelihood + poison)


def batch_names(step: int) -> list[str]:
    series = tiny.make_series()
    return [str(name) for name in series.names[Schedule(TrainingConfig(**tiny.SETTINGS), 9).batch(step)]]


def assert_kept(out: Path, step: int) -> None:
    content = tiny.checkpoint(out)
    assert content["state"]["step"] == step
    assert all(torch.isfinite(tensor).all() for tensor in content["model"].values())
    assert not (out / "model.safetensors").exists()


def test_the_step_the_batch_and_the_checkpoint_are_named(tmp_path: Path) -> None:
    model = tiny.make_model(tiny.make_series(), Poisoned)
    with pytest.raises(TrainingDiverged) as error:
        tiny.run(tmp_path / "run", model=model)
    message, names = str(error.value), batch_names(POISONED_STEP)
    assert "diverged at step 6: the loss is not finite" in message and "\n" not in message
    assert ", ".join(f"'{name}'" for name in names) in message
    assert f"(not finite for '{names[1]}')" in message
    assert str(tmp_path / "run" / "checkpoints" / "last.ckpt") in message
    assert_kept(tmp_path / "run", 4)


def test_a_diverged_run_can_be_resumed(tmp_path: Path) -> None:
    tiny.run(tmp_path / "undisturbed")
    with pytest.raises(TrainingDiverged):
        tiny.run(tmp_path / "run", model=tiny.make_model(tiny.make_series(), Poisoned))
    tiny.run(tmp_path / "run", resume=True)
    assert tiny.same_run(tmp_path / "undisturbed", tmp_path / "run")


def test_a_gradient_that_is_not_finite_stops_before_the_update(tmp_path: Path) -> None:
    model = tiny.make_model(tiny.make_series())
    calls = []

    def poison(gradient: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        return gradient * torch.inf if len(calls) == 10 else gradient

    model.diffusion.bias.register_hook(poison)
    with pytest.raises(TrainingDiverged, match="at step 9: the gradient is not finite"):
        tiny.run(tmp_path / "run", model=model)
    assert_kept(tmp_path / "run", 8)
    assert all(torch.isfinite(parameter).all() for parameter in model.parameters())


def test_a_validation_that_is_not_finite_writes_no_checkpoint(tmp_path: Path) -> None:
    class Overflowing(LatentSDE):
        def elbo(self, batch: Batch, **arguments: Any) -> ELBO:
            bound = super().elbo(batch, **arguments)
            return bound if torch.is_grad_enabled() else replace(bound, kl_path=bound.kl_path * torch.inf)

    with pytest.raises(TrainingDiverged, match="at step 4: the validation ELBO is not finite"):
        tiny.run(tmp_path / "run", model=tiny.make_model(tiny.make_series(), Overflowing))
    assert_kept(tmp_path / "run", 0)
