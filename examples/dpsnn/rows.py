"""The rows of the DPSNN study: what is trained, in the order in which it is trained.

Full length is DPSNN's own setting on MNIST. `tenth` rows have Net1, Fashion-MNIST and a tenth of the epochs. `digits`
rows are a small convolutional network at the paper's settings on the 8x8 digits, 1,000 steps: minutes for all of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

from spikeveil.host.training.architecture import Architecture, Conv, Dense, Flatten, Pool
from spikeveil.host.training.config import Config, DataChoice, load_config
from spikeveil.host.training.neurons import Neuron
from spikeveil.host.training.surrogates import Gate, Gaussian, Surrogate, TanhDerivative

SEEDS = (1, 2, 3)
SIGMAS = (0.5, 1.0, 1.6)
TENTH = 8  # epochs: a tenth of the 80 of the paper's Fashion-MNIST rows
SURROGATES: dict[str, Surrogate] = {"gate": Gate(), "tanh": TanhDerivative(), "gaussian": Gaussian()}
LIF_DECAY = 0.2  # lambda of the paper's section 5.2
THRESHOLD = 0.3  # beside the presets' 1: the paper prints none, and 1 trains slowly (docs/training.md)


@dataclass(frozen=True)
class StudyRow:
    """One run of the study: its name, which is also its folder's, its table, and its configuration."""

    name: str
    table: str
    config: Config


def rows() -> Iterator[StudyRow]:
    """Every row, the most wanted first. The last step's weights are the result of each."""
    yield from _digits_rows()
    yield _full("net2", "snn", 1.0)
    yield _full("net2", "snn", 1.0, THRESHOLD)
    yield _full("net1", "snn", 1.0, THRESHOLD)
    for sigma in (1.6, 0.5):
        for kind in ("snn", "ann"):
            yield _full("net1", kind, sigma)
    yield from _surrogates((0.5, 1.6))
    yield _full("net2", "ann", 1.0)
    for kind in ("snn", "ann"):
        yield _full("net1", kind, 1.0)
    for sigma in (0.5, 1.6, 1.0):
        for seed in SEEDS:
            yield _tenth(f"ann-{sigma}", "fashion", _fashion(sigma).as_ann(), seed)
    yield from _surrogates((1.0,))
    for seed in SEEDS:
        yield _tenth("lif-1.0", "neuron", _with_neuron(_fashion(1.0), Neuron(LIF_DECAY, 1.0, "zero", Gate())), seed)
    for steps in (10, 15):
        for seed in SEEDS:
            config = _fashion(1.0)
            yield _tenth(f"T{steps}-1.0", "window", replace(config, network=replace(config.network, steps=steps)), seed)


def _digits_rows() -> Iterator[StudyRow]:
    """Seeds, sigmas, surrogates, ANN, leak and window on the digits."""
    for seed, sigma in product(SEEDS, SIGMAS):
        config = _digits(sigma)
        neurons = {name: Neuron(1.0, THRESHOLD, "zero", one) for name, one in SURROGATES.items()}
        variants = {name: _with_neuron(config, neuron) for name, neuron in neurons.items()} | {"ann": config.as_ann()}
        if sigma == 1.0:
            variants["lif"] = _with_neuron(config, Neuron(LIF_DECAY, THRESHOLD, "zero", Gate()))
            for steps in (10, 15):
                variants[f"T{steps}"] = replace(config, network=replace(config.network, steps=steps))
        for name, changed in variants.items():
            yield StudyRow(f"digits-{name}-{sigma}-seed{seed}", "digits", replace(changed, seed=seed))
    for threshold in (0.5, 1.0):
        for seed in SEEDS:
            changed = _with_neuron(_digits(1.0), Neuron(1.0, threshold, "zero", Gate()))
            yield StudyRow(f"digits-V{threshold}-1.0-seed{seed}", "digits", replace(changed, seed=seed))


def _digits(sigma: float) -> Config:
    """8C3S1 (padding 1)-P2S2-16C3S1-32-10, batches of 144 of 1,437, 100 epochs, otherwise the paper's settings."""
    config = _with_noise(load_config("dpsnn-mnist-net1"), sigma)
    neuron = Neuron(1.0, THRESHOLD, "zero", Gate())
    layers = (Conv(8, 3, 1, 1, neuron), Pool(2, 2, "max"), Conv(16, 3, 1, 0, neuron), Flatten(), Dense(32, neuron))
    network = replace(config.network, shape=(1, 8, 8), layers=layers)
    config = replace(config, name="dpsnn-digits", data=DataChoice("digits"), network=network, batch_size=144)
    return replace(config, epochs=100, checkpoint_every=100, evaluate_every=50)


def _full(net: str, kind: str, sigma: float, threshold: float = 1.0) -> StudyRow:
    """MNIST at the paper's settings and length; another threshold than the preset's stands in the name."""
    config = _with_noise(load_config(f"dpsnn-mnist-{net}"), sigma)
    if threshold != 1.0:
        config = _with_neuron(config, Neuron(1.0, threshold, "zero", Gate()))
        return StudyRow(f"{net}-{kind}-V{threshold}-{sigma}", "mnist", config)
    return StudyRow(f"{net}-{kind}-{sigma}", "mnist", config.as_ann() if kind == "ann" else config)


def _fashion(sigma: float) -> Config:
    """Fashion-MNIST with Net1 and a tenth of the epochs."""
    config = replace(load_config("dpsnn-mnist-net1"), name="dpsnn-fashion-net1", data=DataChoice("fashion-mnist"))
    return replace(_with_noise(config, sigma), epochs=TENTH)


def _surrogates(sigmas: tuple[float, ...]) -> Iterator[StudyRow]:
    for sigma in sigmas:
        for seed in SEEDS:
            for name, surrogate in SURROGATES.items():
                neuron = Neuron(1.0, 1.0, "zero", surrogate)
                yield _tenth(f"{name}-{sigma}", "surrogate", _with_neuron(_fashion(sigma), neuron), seed)


def _tenth(name: str, table: str, config: Config, seed: int) -> StudyRow:
    return StudyRow(f"tenth-{name}-seed{seed}", table, replace(config, seed=seed))


def _with_noise(config: Config, sigma: float) -> Config:
    if config.privacy is None:
        raise ValueError("study configuration must have a table privacy")
    return replace(config, privacy=replace(config.privacy, noise_multiplier=sigma))


def _with_neuron(config: Config, neuron: Neuron) -> Config:
    """The configuration with `neuron` in every hidden layer; the readout accumulates without leak as before."""
    network: Architecture = config.network
    layers = tuple(replace(one, neuron=neuron) if isinstance(one, Dense | Conv) else one for one in network.layers)
    return replace(config, network=replace(network, layers=layers))
