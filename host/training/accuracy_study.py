"""Accuracy against epsilon: where the flipper stands, whether it was in the loop, over several seeds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from spikeveil.host.data.dataset import Dataset
from spikeveil.host.data.decoder import accuracy, classify
from spikeveil.host.networks.scales import with_output
from spikeveil.host.privacy.claim import Claim
from spikeveil.host.privacy.units import Unit
from spikeveil.host.training.architecture import Architecture, Dense, Readout
from spikeveil.host.training.export import quantised, specification
from spikeveil.host.training.flip_layer import FlipLayer
from spikeveil.host.training.layer_chain import tap_flips
from spikeveil.host.training.network import SpikingNetwork
from spikeveil.host.training.neurons import Neuron
from spikeveil.host.training.recipe import Encoder, Recipe, fit, released_accuracies
from spikeveil.host.training.surrogates import FastSigmoid
from spikeveil.pysim import Network, NetworkSpec, TriviumSource
from spikeveil.pysim.model import checks
from spikeveil.pysim.model.flipper import FlipSpec, release

PLACES = {"input": -1, "hidden": 0, "output": 1}  # keys of the network's taps
Place = Literal["input", "hidden", "output"]
CALIBRATION = 500  # training records that set the scales


@dataclass(frozen=True)
class StudySetting:
    """One network of a study: `hidden` neurons, `group` output neurons a class, and where it releases its spikes.

    `place`: the flipper stands on the input spikes, the hidden layer's or the output layer's. `in_loop`: it flips while
    the network learns; without, the network is trained as if there were none and its next layer debiased afterwards.
    """

    place: Place
    hidden: int = 128
    group: int = 4
    in_loop: bool = True
    weight_bits: tuple[int, int] = (8, 8)
    spike_limit: int | None = None

    def __post_init__(self) -> None:
        checks.choice("setting place", self.place, tuple(PLACES))
        if self.spike_limit is not None and self.place != "output":
            raise ValueError(
                f"setting spike_limit must be None where the flipper is not at the output, not {self.spike_limit}"
            )

    def suited(self, recipe: Recipe) -> Recipe:
        """The recipe with the goal that suits noise at this place: counts where it comes before the output.

        Before the output, the flipper adds spikes to every neuron, so that a price on raw ones saves no work, and flips
        do what dropping inputs would: neither is used there.
        """
        if self.place == "output":
            return recipe
        return replace(recipe, goal="counts", sparsity=0.0, drop=0.0 if self.place == "input" else recipe.drop)


@dataclass(frozen=True)
class Point:
    """What one setting gave at one flip threshold: released accuracies, one a seed (each the mean over its leases)."""

    setting: StudySetting
    flip: FlipSpec
    accuracies: tuple[float, ...]
    claim: Claim

    def to_dict(self, classes: int) -> dict[str, Any]:
        """Ready for JSON; every epsilon with its unit, delta, bits and ceiling."""
        values, unit = np.array(self.accuracies), self.claim.nominal(Unit.RECORD)
        return {
            "place": self.setting.place,
            "hidden": self.setting.hidden,
            "neurons_a_class": self.setting.group,
            "spike_limit": self.setting.spike_limit,
            "flipper_in_the_loop": self.setting.in_loop,
            "weight_bits": list(self.setting.weight_bits),
            "flip": {"threshold": self.flip.threshold, "bits": self.flip.bits},
            "epsilon_of_one_spike": self.flip.epsilon,
            "released_accuracy": [round(value, 6) for value in self.accuracies],
            "mean": float(values.mean()),
            "deviation": float(values.std(ddof=1)) if len(values) > 1 else None,
            "record": {
                "bits_that_may_differ": unit.bits_one,
                "epsilon": self.claim.epsilon(Unit.RECORD),
                "delta": self.claim.delta,
                "released": self.claim.released,
                "accuracy_ceiling": self.claim.ceiling(classes),
            },
        }


def chip_architecture(inputs: int, hidden: int, classes: int, steps: int, group: int) -> Architecture:
    """inputs - hidden - classes*group, leak v - v/8; hidden neurons reset by subtraction, output neurons to zero."""
    surrogate = FastSigmoid(5.0)
    first = Dense(hidden, Neuron(0.875, 1.0, "subtract", surrogate))
    readout = Readout("counts", group, Neuron(0.875, 1.0, "zero", surrogate))
    return Architecture((inputs,), classes, steps, (first,), readout)


def trained(
    data: Dataset,
    encode: Encoder,
    steps: int,
    setting: StudySetting,
    flip: FlipSpec | None,
    recipe: Recipe,
    tuning: Recipe,
) -> NetworkSpec:
    """A network trained in float by `recipe`, then as integers by `tuning`, as a specification with its flipper.

    `flip` None leaves the flipper out: for a setting that is not in the loop, put it in afterwards with `with_flip`.
    """
    network = float_trained(data, encode, steps, setting, flip, recipe)
    return tuned(network, data, encode, setting, tuning)


def float_trained(
    data: Dataset, encode: Encoder, steps: int, setting: StudySetting, flip: FlipSpec | None, recipe: Recipe
) -> SpikingNetwork:
    """The network before it becomes integers."""
    index = PLACES[setting.place]
    inputs = encode(data.train_images[:1]).shape[2]
    network = SpikingNetwork(
        chip_architecture(inputs, setting.hidden, data.classes, steps, setting.group),
        taps={} if flip is None else {index: FlipLayer(flip)},
        seed=recipe.seed,
    )
    for _ in fit(network, data.train_images, data.train_labels, encode, recipe):
        pass
    return network


def tuned(
    network: SpikingNetwork, data: Dataset, encode: Encoder, setting: StudySetting, tuning: Recipe
) -> NetworkSpec:
    """The network as integers: scales from the first training records, then trained on with them by `tuning`."""
    twin = quantised(network, encode(data.train_images[:CALIBRATION]), weight_bits=setting.weight_bits)
    for _ in fit(twin, data.train_images, data.train_labels, encode, tuning):
        pass
    return _limited(specification(twin), setting)


def with_flip(network: SpikingNetwork, setting: StudySetting, flip: FlipSpec, x: NDArray[np.bool_]) -> NetworkSpec:
    """A float network that never met a flipper, given one at the setting's place, debiased and made integers.

    `x`: input spikes (records, steps, inputs) that set the scales.
    """
    if any(tap_flips(network)):
        raise ValueError("network must have no flipper yet")
    index = PLACES[setting.place]
    network.taps[str(index)] = FlipLayer(flip)
    try:
        return _limited(specification(quantised(network, x, weight_bits=setting.weight_bits)), setting)
    finally:
        del network.taps[str(index)]


def study(
    data: Dataset,
    encode: Encoder,
    steps: int,
    settings: Sequence[StudySetting],
    flips: Sequence[FlipSpec],
    recipe: Recipe,
    tuning: Recipe,
    *,
    seeds: int = 3,
    leases: int = 5,
    delta: float = 1e-5,
    report: Callable[[str], None] = lambda line: None,
) -> list[Point]:
    """Every setting at every flip threshold, `seeds` networks each, read from the golden model's released test spikes.

    Each seed's accuracy is the mean over `leases` leases of a fresh key of Trivium. A setting that is not in the loop
    trains one network a seed for all thresholds. `report` is called with one line a point.
    """
    x, labels = encode(data.test_images), data.test_labels
    scaling = encode(data.train_images[:CALIBRATION])
    plain: dict[tuple[StudySetting, int], SpikingNetwork] = {}
    points = []
    for setting in settings:
        for flip in flips:
            accuracies, spec = [], None
            for seed in range(seeds):
                here, then = replace(recipe, seed=seed), replace(tuning, seed=seed + seeds)
                if setting.in_loop:
                    here, then = (setting.suited(one) for one in (here, then))
                    spec = trained(data, encode, steps, setting, flip, here, then)
                else:
                    key = replace(setting, place="output", spike_limit=None), seed
                    if key not in plain:
                        plain[key] = float_trained(data, encode, steps, setting, None, here)
                    spec = with_flip(plain[key], setting, flip, scaling)
                found = released_accuracies(spec, x, labels, data.classes, TriviumSource.generate(), leases)
                accuracies.append(float(np.mean(found)))
            if spec is None:
                raise ValueError(f"study seeds must be 1 or more, not {seeds}")
            points.append(Point(setting, flip, tuple(accuracies), claim_of(spec, steps, delta)))
            where = (
                f"{setting.place}, {setting.hidden} hidden, flipper {'in' if setting.in_loop else 'not in'} the loop"
            )
            report(f"{where}: epsilon {flip.epsilon:.4g} of one spike, {np.mean(accuracies):.4f} released")
    return points


def _limited(spec: NetworkSpec, setting: StudySetting) -> NetworkSpec:
    return spec if setting.spike_limit is None else with_output(spec, spike_limit=setting.spike_limit)


def output_study(
    specs: Sequence[NetworkSpec],
    setting: StudySetting,
    flips: Sequence[FlipSpec],
    x: NDArray[np.bool_],
    labels: NDArray[np.int64],
    classes: int,
    *,
    leases: int = 5,
    delta: float = 1e-5,
) -> list[Point]:
    """Trained networks, one a seed, with another flipper on the output each time; nothing is trained.

    The raw spikes before that flipper are computed once, and only the flips anew: what `Network.run` would release.
    """
    columns: list[list[float]] = []
    for spec in specs:
        sent = Network(with_output(spec, flip=None, spike_limit=setting.spike_limit)).run(x).sent[-1]
        columns.append([_flipped_accuracy(sent, flip, len(spec.layers) - 1, labels, classes, leases) for flip in flips])
    points = []
    for flip, accuracies in zip(flips, zip(*columns, strict=True), strict=True):
        flipped = with_output(specs[0], flip=flip, spike_limit=setting.spike_limit)
        points.append(Point(setting, flip, accuracies, claim_of(flipped, x.shape[1], delta)))
    return points


def released(
    sent: NDArray[np.bool_], flip: FlipSpec, layer: int, source: TriviumSource, lease: int
) -> NDArray[np.bool_]:
    """Spikes (records, steps, neurons) of `layer` after its flipper, as records 0, 1, ... of the lease."""
    records, steps, neurons = sent.shape
    masks = source.masks(
        flip, flipper=0, layer=layer, lease=lease, first_record=0, records=records, count=steps * neurons
    )
    return release(sent, masks.reshape(sent.shape))


def _flipped_accuracy(
    sent: NDArray[np.bool_], flip: FlipSpec, layer: int, labels: NDArray[np.int64], classes: int, leases: int
) -> float:
    source = TriviumSource.generate()
    runs = (released(sent, flip, layer, source, lease) for lease in range(leases))
    return float(np.mean([accuracy(classify(spikes, classes), labels) for spikes in runs]))


def claim_of(spec: NetworkSpec, steps: int, delta: float) -> Claim:
    """The claim for one record under a fresh secret key, on the private schedule."""
    origin = "fresh from the operating system's generator"
    return Claim.of(spec, steps, source="trivium", schedule="private", delta=delta, key_origin=origin)
