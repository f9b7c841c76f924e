"""From float graphs to integers: what is exact, what it costs, what is said where it is not the same."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support.paths import DATA

from spikeveil.host.data import load_data
from spikeveil.host.exchange import compare, importing, lowering, reference
from spikeveil.host.exchange.choices import Choices
from spikeveil.host.exchange.nodes import NirFile, Node
from spikeveil.host.networks.float_model import FloatLayer, FloatNetwork
from spikeveil.host.networks.spike_match import SpikeMatch
from spikeveil.pysim import FlipSpec, LayerSpec, Leak, Network, NetworkSpec

NIR = DATA / "nir"
GE = Choices(1.0, "euler", "zero", "immediate", "ge", initial="reset")


def graph(shape: tuple[int, ...], *middle: Node, choices: Choices = GE) -> reference.FloatGraph:
    """A chain of nodes on inputs of `shape`; the output's shape is found by trying."""
    out = np.zeros((1, *shape))
    for node in middle:
        if node.kind not in ("IF", "LIF", "I", "LI"):
            out = reference.operations.apply(node, out)
    ends = [Node("in", "Input", {"shape": np.array(shape)}), Node("out", "Output", {"shape": np.array(out.shape[1:])})]
    nodes = [ends[0], *middle, ends[1]]
    edges = tuple((a.name, b.name) for a, b in pairwise(nodes))
    return reference.build_graph(NirFile({node.name: node for node in nodes}, edges, "0" * 64, "1"), choices)


def dense(weights: Any, bias: Any = None) -> Node:
    fields = {"weight": np.asarray(weights, np.float32)}
    return Node("w", "Linear", fields) if bias is None else Node("w", "Affine", fields | {"bias": np.asarray(bias)})


def spiking(**fields: Any) -> Node:
    plain = {"r": 1.0, "v_threshold": 1.0, "v_reset": 0.0}
    if "tau" in fields:
        plain["v_leak"] = 0.0
    values = {name: np.asarray(value, np.float64) for name, value in (plain | fields).items()}
    return Node("n", "LIF" if "tau" in fields else "IF", values)


def coins(*shape: int, seed: int = 1) -> NDArray[np.bool_]:
    return np.random.default_rng(seed).random(shape) < 0.4


def grid(shape: tuple[int, ...], seed: int, unit: float = 0.125) -> NDArray[np.float32]:
    """Multiples of a power of two that 8 bits hold: what becomes integers without rounding."""
    return (np.random.default_rng(seed).integers(-60, 100, shape) * unit).astype(np.float32)


TAPS = np.random.default_rng(2).integers(-14, 17, (3, 2, 3, 3)) * np.float32(0.125)  # four of them still fit 8 bits
CONVOLUTION = {"weight": TAPS, "bias": grid((3,), 3), "stride": 1, "padding": 1, "dilation": 1}
POOL = {"kernel_size": 2, "stride": 2, "padding": 0}


@pytest.mark.parametrize(
    ("choices", "neurons"),
    [
        (GE, spiking(v_threshold=20.0)),
        (Choices.of(GE.to_dict() | {"compare": "gt"}), spiking(v_threshold=20.0)),
        (Choices.of(GE.to_dict() | {"reset_timing": "delayed"}), spiking(v_threshold=np.linspace(8, 20, 12))),
        (Choices.of(GE.to_dict() | {"reset": "subtract"}), spiking(v_threshold=20.0)),
        (Choices.of(GE.to_dict() | {"reset": "subtract", "reset_timing": "delayed"}), spiking(v_threshold=20.0)),
        (GE, spiking(v_threshold=16.0, v_reset=-4.0)),
        (GE, spiking(v_threshold=20.0, r=0.5)),
        (GE, spiking(v_threshold=20.0, tau=np.inf, r=np.inf)),
    ],
)
def test_a_network_on_a_grid_becomes_integers_that_spike_exactly_alike(choices: Choices, neurons: Node) -> None:
    made = graph((9,), dense(grid((12, 9), 1), grid((12,), 4)), neurons, choices=choices)
    x = coins(8, 30, 9)
    imported = importing.import_graph(made, importing.Formats(), x)
    expected = made.run(x)[0].spikes
    assert 0.02 < expected.mean() < 0.98
    np.testing.assert_array_equal(Network(imported.spec).run(x).raw[0], expected)
    assert [match.exact_f1 for match in imported.matches or () if match] == [1.0] and imported.lowered.deviations == ()


def test_convolution_pooling_flattening_and_scale_become_one_dense_layer_exactly() -> None:
    nodes = (
        Node("c", "Conv2d", CONVOLUTION | {"groups": 1}),
        Node("p", "AvgPool2d", POOL),
        Node("f", "Flatten", {"start_dim": 0, "end_dim": -1}),
        Node("s", "Scale", {"scale": np.float32(2.0)}),
        spiking(v_threshold=8.0),
    )
    made = graph((2, 6, 6), *nodes)
    x = coins(6, 20, 2, 6, 6)
    imported = importing.import_graph(made, importing.Formats(), x)
    expected = made.run(x)[0].spikes
    assert 0.02 < expected.mean() < 0.98
    np.testing.assert_array_equal(Network(imported.spec).run(x.reshape(6, 20, -1)).raw[0], expected)


def test_the_cost_of_a_convolution_is_counted_by_hand() -> None:
    node = Node("c", "Conv2d", {**CONVOLUTION, "weight": np.ones((3, 2, 3, 3)), "groups": 1, "padding": 0})
    (size,) = lowering.lower_graph(graph((2, 5, 4), node, spiking())).sizes
    # 3 x 2 places of 3 channels, each from 3 x 3 taps of 2 channels; dense: 18 neurons of 40 inputs
    assert size == lowering.LoweringSize(written=54, dense=18 * 40, nonzero=18 * 18, multiplies=18 * 18)
    assert size.factor == 40 / 18 and size.memory_bits(4) == 2880


def test_a_leak_and_a_pull_towards_v_leak_go_into_decay_and_bias() -> None:
    node = spiking(tau=4.0, r=4.0, v_leak=2.0, v_reset=1.0, v_threshold=9.0)
    (layer,) = lowering.lower_graph(graph((2,), dense([[8, -8]], [1.0]), node)).network.layers
    # potentials count from v_reset = 1: w' = .75 w + x + .25 (2 - 1), threshold 9 - 1
    assert (layer.decay, layer.threshold, layer.bias.tolist()) == (0.75, 8.0, [1.25])
    np.testing.assert_array_equal(layer.weights, [[8, -8]])


def said(*sentences: str) -> tuple[str, ...]:
    return sentences


GT = {"compare": "gt"}
STRICT = (
    "n: the core compares with >=, so its threshold is the next integer up, and a spike subtracts that instead: at "
    "most one unit of the potential too much a spike"
)
TWICE = (
    "n: a neuron still over its threshold after the reset is compared with twice the threshold in snnTorch's next "
    "step; the core compares with the threshold"
)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, said()),
        (GT, said()),
        ({"reset_timing": "delayed"}, said()),
        ({"reset": "subtract"}, said()),
        ({"reset": "subtract", **GT}, said(STRICT)),
        ({"reset": "subtract", "reset_timing": "delayed"}, said()),
        ({"reset": "subtract", "reset_timing": "delayed", **GT}, said(STRICT)),
        ({"reset": "subtract", "reset_timing": "snntorch"}, said(TWICE)),
    ],
)
def test_what_the_core_does_otherwise_is_said(changes: dict[str, str], expected: tuple[str, ...]) -> None:
    made = graph((2,), dense([[8, 8]]), spiking(tau=4.0, r=4.0), choices=Choices.of(GE.to_dict() | changes))
    assert lowering.lower_graph(made).deviations == expected


def test_a_late_reset_is_the_cores_with_raised_potentials() -> None:
    late = Choices.of(GE.to_dict() | {"reset": "subtract", "reset_timing": "delayed"})
    weights = np.hstack([grid((5, 6), 1), np.zeros((5, 1), np.float32)])  # the last input does nothing
    made = graph((7,), dense(weights), spiking(tau=2.0, r=2.0, v_threshold=8.0), choices=late)
    (layer,) = lowering.lower_graph(made).network.layers
    assert (layer.decay, layer.threshold, set(layer.bias.tolist())) == (0.5, 16.0, {4.0})
    x = coins(20, 12, 7)  # of 12 steps, so that halves of halves still fit float32
    x[:, :, 6] = np.arange(12) == 0
    expected = made.run(x)[0].spikes
    assert 0.1 < expected.mean() < 0.9
    assert layer.initial == 8.0  # what potentials are raised by
    np.testing.assert_array_equal(layer.run(x), expected)
    started_at_0 = FloatLayer(layer.weights, layer.bias, layer.decay, layer.reset, layer.threshold)
    assert (started_at_0.run(x) != expected).any()


def test_leaks_thresholds_and_late_resets_of_each_neuron_are_the_graphs() -> None:
    late = Choices.of(GE.to_dict() | {"reset": "subtract", "reset_timing": "delayed"})
    tau = np.array([1.0, 2.0, 4.0, 8.0, 16.0])
    node = spiking(tau=tau, r=tau, v_threshold=np.array([4.0, 8.0, 6.0, 12.0, 9.0]))
    made = graph((6,), dense(grid((5, 6), 1)), node, choices=late)
    x = coins(20, 30, 6)
    (layer,) = lowering.lower_graph(made).network.layers
    np.testing.assert_array_equal(layer.decay, 1 - 1 / tau)
    expected = made.run(x)[0].spikes
    np.testing.assert_array_equal(layer.run(x)[:, :, 1:], expected[:, :, 1:])  # beta = 0 deviates, and says so
    assert any("with beta = 0" in sentence for sentence in lowering.lower_graph(made).deviations)
    imported = importing.import_graph(made, importing.Formats(), x)
    assert imported.spec.layers[0].leak_factors is not None and imported.spec.layers[0].initial is not None
    raw = Network(imported.spec).run(x).raw[0]
    assert SpikeMatch.of(expected[:, :, 1:], raw[:, :, 1:]).exact_f1 > 0.99


def test_a_start_elsewhere_and_a_reset_to_the_threshold_are_imported() -> None:
    zero = Choices.of(GE.to_dict() | {"initial": "zero"})
    elsewhere = graph(
        (2,), dense([[3, 1], [2, 2]]), spiking(tau=4.0, r=4.0, v_reset=0.5, v_threshold=4.0), choices=zero
    )
    at_threshold = graph((2,), dense([[3, 1], [2, -2]]), spiking(tau=4.0, r=4.0, v_reset=4.0, v_threshold=4.0))
    x = coins(20, 30, 2)
    for made, reset in ((elsewhere, "zero"), (at_threshold, "value")):
        (layer,) = lowering.lower_graph(made).network.layers
        assert layer.reset == reset
        np.testing.assert_array_equal(layer.run(x), made.run(x)[0].spikes)
        (match,) = importing.import_graph(made, importing.Formats(), x).matches or ()
        assert match is not None and match.exact_f1 > 0.99 and match.reference > 100


def test_each_node_may_have_its_own_reset() -> None:
    mixed = Choices.of(GE.to_dict() | {"resets": {"n": "subtract"}})
    made = graph((2,), dense([[3, 1]]), spiking(v_threshold=2.0), choices=mixed)
    assert lowering.lower_graph(made).network.layers[0].reset == "subtract"
    with pytest.raises(ValueError, match=r"^reset must be of a node of the graph, and 'm' is none$"):
        graph((2,), dense([[3, 1]]), spiking(), choices=Choices.of(GE.to_dict() | {"resets": {"m": "zero"}}))


def test_linear_nodes_at_the_end_become_a_readout_that_adds_up() -> None:
    made = graph((3,), dense(grid((2, 3), 5)))
    imported = importing.import_graph(made, importing.Formats(), coins(4, 10, 3))
    assert imported.spec.layers[-1].readout and len(imported.lowered.deviations) == 1
    potentials = Network(imported.spec).run(coins(4, 10, 3)).readout
    unit = 1 / float(imported.formats[0].potential_scale)
    np.testing.assert_array_equal(
        potentials * unit, np.cumsum(made.run(coins(4, 10, 3))[0].potentials, axis=1, dtype=np.float64)
    )


@pytest.mark.parametrize(
    ("node", "choices", "sentence"),
    [
        (spiking(v_threshold=-1.0), GE, "node 'n' (IF) v_threshold must be above 0, not -1"),
        (spiking(v_threshold=0.0, v_reset=0.5), GE, "node 'n' (IF) v_threshold must be above 0, not 0"),
    ],
)
def test_what_no_layer_of_the_core_can_be_is_refused(node: Node, choices: Choices, sentence: str) -> None:
    with pytest.raises(ValueError) as refusal:
        lowering.lower_graph(graph((2,), dense(np.ones((2, 2))), node, choices=choices))
    assert str(refusal.value) == sentence


def test_a_dense_layer_past_any_chip_is_refused_before_it_is_made() -> None:
    node = Node("p", "SumPool2d", {"kernel_size": 1, "stride": 1, "padding": 0})
    with pytest.raises(ValueError) as refusal:
        lowering.lower_graph(graph((1, 128, 128), node, spiking()))
    assert str(refusal.value) == "node 'n' must have at most 67108864 weights as a dense layer, not 16384 x 16384"


def test_without_data_scales_come_from_the_weights_and_nothing_is_measured() -> None:
    made = graph((9,), dense(grid((12, 9), 1)), spiking(v_threshold=20.0))
    imported = importing.import_graph(made, importing.Formats())
    assert imported.reports is None and [one.scale for one in imported.formats] == [8.0]
    assert "match" not in importing.import_report(imported, made)[0]


def test_a_decay_gets_the_bits_that_are_asked_for() -> None:
    made = graph((2,), dense([[8, -8]]), spiking(tau=10.0, r=10.0, v_threshold=9.0))
    for data in (None, coins(2, 5, 2)):
        formats = [importing.Formats(leak_bits=bits, rounding="floor") for bits in (4, 12)]
        leaks = [importing.import_graph(made, one, data).spec for one in formats]
        assert [spec.layers[0].leak for spec in leaks] == [Leak.scale(14, 4), Leak.scale(3686, 12)]


def test_a_file_from_snntorch_becomes_integers_close_to_it() -> None:
    recorded = load_data(NIR / "snntorch_conv.npz")
    made = reference.load_graph(NIR / "snntorch_conv.nir", Choices(1e-4, "euler", "zero", "delayed", "gt"))
    imported = importing.import_graph(made, importing.Formats(8, 16), recorded.inputs)
    rows = importing.import_report(imported, made)
    assert [row["node"] for row in rows] == ["1", "5"] and [row["decay"] for row in rows] == [0.75] * 2
    assert all(row["match"]["f1"] > 0.97 and row["saturated"] == 0 for row in rows)
    assert rows[0]["weights_in_file"] == 54 and rows[0]["weights_dense"] == 72 * 108


def test_the_note_of_origin_is_kept_beside_the_fingerprint_and_not_under_it(tmp_path: Path) -> None:
    made = graph((9,), dense(grid((12, 9), 1)), spiking(v_threshold=20.0))
    imported = importing.import_graph(made, importing.Formats(4))
    note = imported.origin(made, "net.nir", importing.Formats(4))
    imported.spec.save(tmp_path / "plain.snn")
    imported.spec.save(tmp_path / "noted.snn", note)
    assert NetworkSpec.origin(tmp_path / "plain.snn") is None
    assert NetworkSpec.origin(tmp_path / "noted.snn") == note
    assert Choices.of(note["choices"]) == GE
    assert NetworkSpec.load(tmp_path / "noted.snn") == NetworkSpec.load(tmp_path / "plain.snn")
    with pytest.raises(ValueError, match=r"^network origin must be plain JSON values: "):
        imported.spec.save(tmp_path / "bad.snn", {"a": np.ones(2)})
    assert not (tmp_path / "bad.snn").exists()


def two_layers(change: int = 0, flip: FlipSpec | None = None) -> NetworkSpec:
    second = np.array([[3, 0], [0, 3]]) + np.array([[0, 0], [0, change]])
    return NetworkSpec(
        [LayerSpec(np.eye(2, dtype=int) * 2, 4, flip=flip), LayerSpec(second, 3, Leak.shift(1), "subtract")]
    )


def test_the_first_difference_is_by_step_then_layer_then_neuron() -> None:
    x = np.ones((2, 6, 2), bool)  # layer 0 spikes in every second step, so layer 1's first chance is step 1
    runs = [compare.run_integers(name, spec, x) for name, spec in (("A", two_layers()), ("B", two_layers(-1)))]
    found = compare.first_difference(*runs)
    assert found is not None and (found.step, found.layer, found.neuron, found.record) == (1, 1, 1, 0)
    assert (found.a, found.b) == ("A spikes (u = 3, threshold 3)", "B is silent (u = 2, threshold 3)")
    assert str(found).startswith("first difference at step 1, layer 1, neuron 1 (record 0): A spikes")
    assert found.compared == 2 * 6 * 4


def test_flippers_are_taken_out_and_equal_runs_have_no_difference() -> None:
    x = coins(3, 9, 2)
    flipped = two_layers(flip=FlipSpec(1, 2))
    assert (
        compare.first_difference(compare.run_integers("A", two_layers(), x), compare.run_integers("B", flipped, x))
        is None
    )


def test_floats_and_integers_are_compared_with_both_potentials() -> None:
    x = np.ones((1, 4, 2), bool)
    floats = FloatNetwork(
        (
            FloatLayer(2 * np.eye(2), np.zeros(2), 1.0, "zero", 4.0),
            FloatLayer(3 * np.eye(2), np.zeros(2), 0.5, "subtract", 3.5),
        )
    )
    found = compare.first_difference(compare.run_floats("F", floats, x), compare.run_integers("I", two_layers(), x))
    assert found is not None and (found.step, found.layer, found.neuron) == (1, 1, 0)
    assert (found.a, found.b) == ("F is silent (v = 3 after the step, threshold 3.5)", "I spikes (u = 3, threshold 3)")


def test_a_recording_is_compared_with_the_last_layer() -> None:
    x = np.ones((1, 4, 2), bool)
    own = compare.run_integers("A", two_layers(), x)
    wrong = own.spikes[-1].copy()
    assert compare.first_difference(own, compare.recording("R", wrong)) is None
    wrong[0, 3, 1] ^= True
    found = compare.first_difference(own, compare.recording("R", wrong))
    assert found is not None and (found.step, found.layer, found.neuron, found.different) == (3, 1, 1, 1)


def test_networks_of_other_sizes_cannot_be_compared() -> None:
    x = np.ones((1, 4, 2), bool)
    one = NetworkSpec(two_layers().layers[:1])
    with pytest.raises(ValueError) as refusal:
        compare.first_difference(compare.run_integers("A", two_layers(), x), compare.run_integers("B", one, x))
    assert str(refusal.value) == "B must have 2 layers that fire, as A has, not 1"


def test_specifications_are_compared_number_by_number() -> None:
    assert compare.first_unequal_number(two_layers(), two_layers()) is None
    assert compare.first_unequal_number(two_layers(), two_layers(-1)) == "layer 1 weights[1, 1]: 3 against 2"
    shorter = NetworkSpec(two_layers().layers[:1])
    assert compare.first_unequal_number(two_layers(), shorter) == "2 layers against 1"
    paced = NetworkSpec(two_layers().layers, cadence=99)
    assert compare.first_unequal_number(two_layers(), paced) == "cadence: None against 99"
