"""The recurrent networks of Rubanova, Chen & Duvenaud (2019) beside the ODE models."""

from __future__ import annotations

from ..nn import Between, Decay, Flow
from .autoregressive import Autoregressive


class RNNDeltaT(Autoregressive):
    """RNN Δt: a GRU that is told the time since the row before. Between observations its state, and with it
    the prediction, stays as it is.
    """

    name = "rnn_delta_t"
    told_the_gap = True


class RNNDecay(Autoregressive):
    """RNN-Decay: the state decays exponentially to 0 (Mozer, Kazakov & Lindsey 2017)."""

    name = "rnn_decay"

    def make_between(self) -> Between:
        return Decay(self.config.hidden)


class ODERNN(Autoregressive):
    """ODE-RNN: the state follows an ODE, solved in steps of at most `config.dt`."""

    name = "ode_rnn"

    def make_between(self) -> Between:
        return Flow(self.config.hidden, self.config.hidden, self.config.dt / self.config.time_scale)
