"""Every step's batch, noise, rate and weight follow from the configuration and the step alone."""

from __future__ import annotations

import numpy as np
import pytest

from latentsde.training import TrainingConfig
from latentsde.training.schedule import Schedule


def test_a_batch_does_not_depend_on_the_batches_before_it() -> None:
    first, second = (Schedule(TrainingConfig(batch_size=4, seed=3), 11) for _ in range(2))
    forwards = [first.batch(step).tolist() for step in range(9)]
    backwards = [second.batch(step).tolist() for step in reversed(range(9))]
    assert forwards == backwards[::-1]


def test_an_epoch_is_a_permutation_cut_into_full_batches() -> None:
    schedule = Schedule(TrainingConfig(batch_size=4), 12)
    epochs = [np.concatenate([schedule.batch(3 * epoch + i) for i in range(3)]) for epoch in range(5)]
    assert all(sorted(epoch) == list(range(12)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 5


def test_what_is_left_of_an_epoch_changes_with_the_epoch() -> None:
    schedule = Schedule(TrainingConfig(batch_size=4), 11)
    seen = {int(index) for step in range(10) for index in schedule.batch(step)}
    assert seen == set(range(11))
    assert all(len(set(schedule.batch(step))) == 4 for step in range(10))


def test_few_series_make_one_batch() -> None:
    assert sorted(Schedule(TrainingConfig(batch_size=64), 5).batch(7)) == [0, 1, 2, 3, 4]


def test_seeds_differ_between_steps_runs_and_validation() -> None:
    schedules = [Schedule(TrainingConfig(seed=seed), 100) for seed in range(3)]
    seeds = [schedule.noise_seed(step) for schedule in schedules for step in range(20)]
    seeds += [schedule.validation_seed for schedule in schedules]
    assert len(set(seeds)) == len(seeds)
    assert len({tuple(schedule.batch(0)) for schedule in schedules}) == 3


def test_learning_rate_warms_up_and_ends_at_its_share() -> None:
    schedule = Schedule(
        TrainingConfig(steps=100, warmup_steps=10, learning_rate=0.5, final_learning_rate=0.1), 9
    )
    rates = [schedule.learning_rate(step) for step in range(100)]
    assert rates[0] == pytest.approx(0.05)
    assert rates[:10] == sorted(rates[:10]) and rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[99] == pytest.approx(0.05, rel=0.01)


def test_kl_weight_rises_to_one() -> None:
    schedule = Schedule(TrainingConfig(anneal_steps=4), 9)
    assert [schedule.kl_weight(step) for step in range(6)] == [0.0, 0.25, 0.5, 0.75, 1.0, 1.0]
    assert Schedule(TrainingConfig(anneal_steps=0), 9).kl_weight(0) == 1.0


def test_rounds_end_at_validations_and_at_the_last_step() -> None:
    schedule = Schedule(TrainingConfig(steps=25, validate_every=10), 9)
    assert [schedule.round_end(step) for step in (0, 9, 10, 20)] == [10, 10, 20, 25]
