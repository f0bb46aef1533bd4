"""Every figure of the toolkit: plain arrays and frames in, a matplotlib `Figure` out, `save` to a file."""

from latentsde.plotting.diagnostics import calibration, metric_bars, training_curves
from latentsde.plotting.series import Panel, bands, forecasts, latent_paths, prior_samples
from latentsde.plotting.style import save

__all__ = [
    "Panel",
    "bands",
    "calibration",
    "forecasts",
    "latent_paths",
    "metric_bars",
    "prior_samples",
    "save",
    "training_curves",
]
