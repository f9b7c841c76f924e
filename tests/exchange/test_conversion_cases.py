"""Graphs as other tools write them: each becomes integers that spike as it does, or is refused in one sentence."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exchange.test_importing import GE, coins, dense, graph, spiking
from numpy.typing import NDArray
from support.paths import DATA

from spikeveil.host.data import load_data
from spikeveil.host.exchange import conventions, importing, reference
from spikeveil.host.exchange.choices import Choices
from spikeveil.host.exchange.nodes import NirFile, Node, read_nir
from spikeveil.host.networks.spike_match import SpikeMatch
from spikeveil.pysim import Network

NIR = DATA / "nir"
PAPER = np.load(NIR / "paper_lif.npz")
TRACES = [name for name in PAPER.files if name != "x"]
#: platform of the paper's trace -> choices that differ from its convention's, and how many steps later it spikes
MEANT: dict[str, tuple[str, dict[str, Any], int]] = {
    "snntorch": ("snntorch", {}, 0),
    "norse": ("norse", {"dt": 1e-4}, 0),
    "nengo": ("nengo", {}, 0),
    "spinnaker2": ("norse", {"dt": 1e-4}, 0),
    "sinabs": ("sinabs", {"dt": 1e-4, "gain": "dt-over-tau"}, 0),
    "rockpool": ("rockpool", {"dt": 1e-4, "gain": "dt-over-tau"}, 0),
    "lava_cpu_float": ("lava", {}, 1),
    "lava_cpu_fixed": ("lava", {}, 1),
    "lava_loihi_fixed": ("lava", {}, 1),
}


def paper_graph(name: str) -> tuple[reference.FloatGraph, NDArray[np.bool_], NDArray[np.bool_]]:
    """The paper's neuron under the convention of a platform, its input and what it recorded, records first."""
    library, changes, delay = MEANT[name]
    made = reference.load_graph(NIR / "paper_lif.nir", conventions.convention(library).with_choices(**changes))
    return made, np.moveaxis(PAPER["x"], 1, 0), np.roll(np.moveaxis(PAPER[name], 1, 0), -delay, axis=1)


@pytest.mark.parametrize("name", TRACES)
def test_the_neuron_of_the_nir_paper_spikes_in_floats_as_recorded(name: str) -> None:
    made, x, recorded = paper_graph(name)
    np.testing.assert_array_equal(made.run(x)[0].spikes, recorded)


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("name", TRACES)
def test_the_neuron_of_the_nir_paper_spikes_in_integers_as_recorded(name: str, bits: int) -> None:
    """Four spikes, each within a step of the recording: with data, and from the weights alone."""
    made, x, recorded = paper_graph(name)
    for data in (x, None):
        spec = importing.import_graph(made, importing.Formats(bits), data).spec
        match = SpikeMatch.of(recorded, Network(spec).run(x).raw[0])
        assert (match.found, match.near) == (4, 4)


@pytest.mark.parametrize("power", [-10, -7, 3, 12])
def test_units_change_no_integer(power: int) -> None:
    """Weights and thresholds in float32, as a file holds them, times a power of ten."""
    rng = np.random.default_rng(4)
    weights = rng.normal(0, 0.4, (4, 6)).astype(np.float16).astype(np.float32)
    factor, x = np.float32(10.0**power), coins(8, 40, 6)
    specs = [
        importing.import_graph(
            graph((6,), dense(weights * by), spiking(tau=10.0, r=10.0, v_threshold=np.float32(1) * by)), FORMATS, x
        ).spec
        for by in (np.float32(1), factor)
    ]
    assert specs[0] == specs[1] and Network(specs[0]).run(x).raw[0].any()


FORMATS = importing.Formats()
TAPS = {"weight": np.ones((3, 2, 3, 3), np.float32), "stride": 1, "padding": 1, "dilation": 1, "groups": 1}
CONV = Node("c", "Conv2d", TAPS)


def flatten(start: int) -> Node:
    return Node("f", "Flatten", {"start_dim": np.array(start), "end_dim": np.array(-1)})


def file_of(shape: tuple[int, ...], flat: Node, neurons: tuple[int, ...]) -> Any:
    """Input, convolution, neurons, Flatten, weights, neurons, with shapes as given and not checked."""
    fields = {"r": np.ones(neurons), "v_threshold": np.full(neurons, 3.0), "v_reset": np.zeros(neurons)}
    middle = [CONV, Node("n", "IF", fields), flat, Node("w", "Linear", {"weight": np.ones((4, 108))}), spiking()]
    middle[-1] = Node("o", "IF", {"r": np.ones(4), "v_threshold": np.full(4, 9.0), "v_reset": np.zeros(4)})
    ends = [Node("in", "Input", {"shape": np.array(shape)}), Node("out", "Output", {"shape": np.array([1, 4])})]
    order = [ends[0], *middle, ends[1]]
    return NirFile({node.name: node for node in order}, tuple((a.name, b.name) for a, b in pairwise(order)), "", "1")


@pytest.mark.parametrize("shape", [(2, 6, 6), (1, 2, 6, 6)])
@pytest.mark.parametrize("start", [0, 1])
@pytest.mark.parametrize("neurons", [(3, 6, 6), (1, 3, 6, 6)])
def test_a_batch_of_1_is_dropped_wherever_it_is_counted(
    shape: tuple[int, ...], start: int, neurons: tuple[int, ...]
) -> None:
    made = reference.build_graph(file_of(shape, flatten(start), neurons), GE)
    plain = reference.build_graph(file_of((2, 6, 6), flatten(0), (3, 6, 6)), GE)
    x = coins(3, 8, 2, 6, 6)
    for ours, theirs in zip(made.run(x), plain.run(x), strict=True):
        np.testing.assert_array_equal(ours.spikes, theirs.spikes)
    assert made.input_shape == (2, 6, 6) and made.run(x)[-1].spikes.any()


def test_a_larger_batch_is_named() -> None:
    with pytest.raises(ValueError) as refusal:
        reference.build_graph(file_of((5, 2, 6, 6), flatten(0), (3, 6, 6)), GE)
    assert str(refusal.value) == (
        "node 'in' (Input) shape must be that of one sample, and (5, 2, 6, 6) has a batch dimension of 5 before what "
        "node 'c' (Conv2d) takes: export with a batch of 1, or without one"
    )


def test_a_git_lfs_pointer_is_named(tmp_path: Path) -> None:
    path = tmp_path / "net.nir"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n")
    with pytest.raises(ValueError) as refusal:
        read_nir(path)
    pointer = "a Git LFS pointer: fetch the file itself (`git lfs pull`)"
    assert str(refusal.value) == f"NIR file {path} must be a NIR graph in HDF5, and it is {pointer}"


def test_a_network_that_cannot_spike_is_said() -> None:
    made = graph((3,), dense(np.zeros((2, 3))), spiking())
    assert importing.import_graph(made, FORMATS, coins(2, 5, 3)).notes == (
        "layer 0: no input can reach its threshold, in the float network either",
    )
    quiet = graph((3,), dense(np.full((2, 3), 0.1)), spiking(v_threshold=9.0))
    assert importing.import_graph(quiet, FORMATS, coins(2, 5, 3)).notes == (
        "layer 0: silent on these data, in floats and integers: nothing was measured",
    )


#: library -> its recorded file, and choices that differ from the convention's
FILES: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "snntorch": [
        ("snntorch_delayed", {}),
        ("snntorch_if", {}),
        ("snntorch_immediate", {"reset_timing": "snntorch"}),
        ("snntorch_conv", {"reset": "zero"}),
    ],
    "norse": [("norse_lifbox", {"dt": 1e-6})],
    "spikingjelly": [("spikingjelly_lif", {})],
    "sinabs": [("sinabs_lif", {})],
    "rockpool": [("rockpool_lif", {})],
}


@pytest.mark.parametrize("library", FILES)
def test_conventions_reproduce_the_libraries_own_spikes(library: str) -> None:
    for name, changes in FILES[library]:
        recorded = load_data(NIR / f"{name}.npz")
        choices = conventions.convention(library).with_choices(**changes)
        spikes = reference.load_graph(NIR / f"{name}.nir", choices).run(recorded.inputs)[-1].spikes
        np.testing.assert_array_equal(spikes, recorded.output_spikes)


def test_every_convention_names_what_it_rests_on() -> None:
    assert list(conventions.CONVENTIONS) == [
        *("snntorch", "norse", "spikingjelly", "sinabs", "rockpool", "lava", "spyx", "nengo")
    ]  # fmt: skip
    for name, convention in conventions.CONVENTIONS.items():
        assert convention.name == name and convention.source
        assert all(getattr(convention.choices, field) is not None for field in ("dt", "decay", "reset", "compare"))
    with pytest.raises(ValueError, match=r"^convention must be one of 'snntorch', .*, not 'brian'$"):
        conventions.convention("brian")
    assert conventions.convention("norse").with_choices(dt=0.5, reset=None) == Choices(
        0.5, "euler", "zero", "immediate", "gt", initial="leak"
    )
