"""Every model beside the others: the promises of SeriesModelCase."""

from __future__ import annotations

import pytest

from latentsde.errors import InputError
from latentsde.models import MODELS, SeriesModel, model_class
from tests.models.autoregressive_case import AutoregressiveCase
from tests.models.series_model_case import SeriesModelCase


class TestLatentSDE(SeriesModelCase):
    model_name = "latent_sde"


class TestLatentODE(SeriesModelCase):
    model_name = "latent_ode"


class TestLatentODEWithRNNEncoder(SeriesModelCase):
    model_name = "latent_ode_rnn_encoder"


class TestODERNN(AutoregressiveCase):
    model_name = "ode_rnn"


class TestRNNDeltaT(AutoregressiveCase):
    model_name = "rnn_delta_t"


class TestRNNDecay(AutoregressiveCase):
    model_name = "rnn_decay"


class TestGRUD(AutoregressiveCase):
    model_name = "gru_d"


class TestRNNVAE(SeriesModelCase):
    model_name = "rnn_vae"


class TestDeepMarkov(SeriesModelCase):
    model_name = "deep_markov"


def test_every_model_is_tested_under_its_own_name() -> None:
    cases = [case for base in (SeriesModelCase, AutoregressiveCase) for case in base.__subclasses__()]
    assert {case.model_name for case in cases if hasattr(case, "model_name")} >= set(MODELS)
    for name in MODELS:
        kind = model_class(name.replace("_", "-"))
        assert issubclass(kind, SeriesModel) and kind.name == name


def test_an_unknown_model_is_one_sentence_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"'lstm' is not known; choose from latent-sde, .*, deep-markov$"):
        model_class("lstm")
