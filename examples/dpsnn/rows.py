"""The rows of the DPSNN study: what is trained, in the order in which it is trained."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from spikeveil.host.training.architecture import Architecture, Conv, Dense
from spikeveil.host.training.config import Config, DataChoice, load_config
from spikeveil.host.training.neurons import Neuron
from spikeveil.host.training.surrogates import Gate, Gaussian, Surrogate, TanhDerivative

SEEDS = (1, 2, 3)
TENTH = 8  # epochs: a tenth of the 80 of the paper's Fashion-MNIST rows
SURROGATES: dict[str, Surrogate] = {"gate": Gate(), "tanh": TanhDerivative(), "gaussian": Gaussian()}
LIF_DECAY = 0.2  # lambda of the paper's section 5.2


@dataclass(frozen=True)
class StudyRow:
    """One run of the study: its name, which is also its folder's, its table, and its configuration."""

    name: str
    table: str
    config: Config


def rows() -> Iterator[StudyRow]:
    """Every row, the most wanted first. The last step's weights are the result of each."""
    yield _full("net2", "snn", 1.0)
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


def _full(net: str, kind: str, sigma: float) -> StudyRow:
    """MNIST at the paper's settings and length."""
    config = _with_noise(load_config(f"dpsnn-mnist-{net}"), sigma)
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
