"""The models by name. Each is imported when it is first asked for."""

from __future__ import annotations

from importlib import import_module

from ..errors import InputError, quote
from .series_model import SeriesModel

MODELS: dict[str, tuple[str, str]] = {
    "latent_sde": ("latent_sde", "LatentSDE"),
    "latent_ode": ("latent_ode", "LatentODE"),
    "latent_ode_rnn_encoder": ("latent_ode", "LatentODEWithRNNEncoder"),
    "ode_rnn": ("recurrent", "ODERNN"),
    "rnn_delta_t": ("recurrent", "RNNDeltaT"),
    "rnn_decay": ("recurrent", "RNNDecay"),
    "gru_d": ("gru_d", "GRUD"),
    "rnn_vae": ("rnn_vae", "RNNVAE"),
    "deep_markov": ("deep_markov", "DeepMarkov"),
}
"""{name: (module, class)}"""


def model_class(name: str) -> type[SeriesModel]:
    """The class of a name in `MODELS`, dashes allowed for underscores; `InputError` for another."""
    found = MODELS.get(name.replace("-", "_"))
    if found is None:
        choices = ", ".join(known.replace("_", "-") for known in MODELS)
        raise InputError(f"the model {quote(name)} is not known; choose from {choices}")
    kind: type[SeriesModel] = getattr(import_module(f".{found[0]}", __package__), found[1])
    return kind
