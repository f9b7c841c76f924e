"""Real data for spiking networks: images in, spikes between, classes out; and the trained network of the example."""

from spikeveil.host.data.decoder import accuracy, class_counts, classify
from spikeveil.host.data.digits import DataMissing, Digits, load_digits
from spikeveil.host.data.encoders import latency, rate

__all__ = ["DataMissing", "Digits", "accuracy", "class_counts", "classify", "latency", "load_digits", "rate"]
