"""Data sets, data files, encoders from intensities to spikes, and the decoder from spikes to classes."""

from spikeveil.host.data.catalogue import ENCODERS, NAMES, encoder, load_dataset
from spikeveil.host.data.dataset import DataMissing, Dataset
from spikeveil.host.data.decoder import accuracy, class_counts, classify, decide
from spikeveil.host.data.encoders import direct, latency, levels, rate, spread
from spikeveil.host.data.images import load_images
from spikeveil.host.data.mnist import load_fashion_mnist, load_mnist
from spikeveil.host.data.scikit import between, load_breast_cancer, load_digits, load_iris
from spikeveil.host.data.spike_files import SpikeData, binary_spikes, load_data

__all__ = [
    "ENCODERS",
    "NAMES",
    "DataMissing",
    "Dataset",
    "SpikeData",
    "accuracy",
    "between",
    "binary_spikes",
    "class_counts",
    "classify",
    "decide",
    "direct",
    "encoder",
    "latency",
    "levels",
    "load_breast_cancer",
    "load_data",
    "load_dataset",
    "load_digits",
    "load_fashion_mnist",
    "load_images",
    "load_iris",
    "load_mnist",
    "rate",
    "spread",
]
