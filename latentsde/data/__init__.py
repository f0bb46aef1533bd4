"""Irregular time series: from frames and files to batches."""

from latentsde.data.batch import Batch, collate
from latentsde.data.scaling import Scaler
from latentsde.data.series import IrregularSeries
from latentsde.data.weather import Weather, load_weather

__all__ = ["Batch", "IrregularSeries", "Scaler", "Weather", "collate", "load_weather"]
