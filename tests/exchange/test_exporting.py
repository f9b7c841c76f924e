"""Networks out to NIR and back: the same integers, the same fingerprint, and no silent loss of what NIR cannot say."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from support.paths import DATA
from support.strategies import networks

from spikeveil.host.exchange import compare, exporting, importing, nodes, reference
from spikeveil.host.exchange.choices import Choices
from spikeveil.pysim import FlipSpec, LayerSpec, Leak, NetworkSpec

nir = pytest.importorskip("nir")
h5py = pytest.importorskip("h5py")

CHOICES = Choices(1.0, "euler", "zero", "immediate", "ge")


def small(**options: object) -> NetworkSpec:
    values: dict[str, object] = {"threshold": [3, 5], "leak": Leak.scale(200, 8), "bias": [1, -70000]}
    return NetworkSpec([LayerSpec([[1, -8, 7], [2, 3, -4]], weight_bits=4, **(values | options))])  # type: ignore[arg-type]


def test_every_network_comes_back_with_its_fingerprint(tmp_path: Path, soak: bool) -> None:
    path = tmp_path / "n.nir"

    @settings(max_examples=300 if soak else 25, deadline=None)
    @given(networks())
    def holds(spec: NetworkSpec) -> None:
        exporting.write_nir(spec, path)
        assert exporting.restore_network(nodes.read_nir(path)) == spec

    holds()


def test_nir_reads_the_graph_and_finds_the_integers_in_it(tmp_path: Path) -> None:
    exporting.write_nir(small(), tmp_path / "n.nir")
    graph = nir.read(tmp_path / "n.nir")  # with NIR's own check of all types
    assert list(graph.nodes) == ["affine_0", "input", "lif_0", "output"]
    np.testing.assert_array_equal(graph.nodes["affine_0"].weight, [[1, -8, 7], [2, 3, -4]])
    np.testing.assert_array_equal(graph.nodes["affine_0"].bias, [1, -70000])
    neurons = graph.nodes["lif_0"]
    np.testing.assert_array_equal(neurons.v_threshold, [3, 5])
    np.testing.assert_allclose(1 - 1 / neurons.tau, 200 / 256, rtol=1e-15)
    np.testing.assert_array_equal(neurons.r, neurons.tau)


def test_the_graph_without_the_note_is_the_same_network_where_leaks_round_nothing(tmp_path: Path) -> None:
    spec = NetworkSpec(
        [LayerSpec(np.arange(-12, 12).reshape(4, 6), 5), LayerSpec(np.arange(-3, 5).reshape(2, 4), 4, bias=[1, -1])]
    )
    exporting.write_nir(spec, tmp_path / "n.nir")
    x = np.random.default_rng(1).random((6, 30, 6)) < 0.5
    graph = reference.load_graph(tmp_path / "n.nir", CHOICES)
    assert compare.first_difference(compare.run_graph("N", graph, x), compare.run_integers("S", spec, x)) is None
    imported = importing.import_graph(graph, importing.Formats(), x)
    assert compare.first_difference(
        compare.run_integers("S", spec, x), compare.run_integers("I", imported.spec, x)
    ) is None  # fmt: skip


@pytest.mark.parametrize(
    ("node", "field", "change"), [("lif_0", "tau", 1.5), ("lif_0", "v_threshold", 1), ("affine_0", "weight", 1)]
)
def test_a_graph_that_was_changed_is_no_longer_restored(tmp_path: Path, node: str, field: str, change: float) -> None:
    exporting.write_nir(small(), tmp_path / "n.nir")
    with h5py.File(tmp_path / "n.nir", "a") as file:
        values = file[f"node/nodes/{node}/{field}"]
        values[()] = values[()] + change
    with pytest.raises(ValueError) as refusal:
        exporting.restore_network(nodes.read_nir(tmp_path / "n.nir"))
    assert str(refusal.value) == (
        "NIR graph must be as spikeveil exported it, and it was changed since: with its note ignored (--ignore-note) "
        "it is a graph like any other"
    )


def test_a_damaged_note_is_refused_and_a_foreign_graph_has_none(tmp_path: Path) -> None:
    exporting.write_nir(small(), tmp_path / "n.nir")
    with h5py.File(tmp_path / "n.nir", "a") as file:
        del file["node/metadata/spikeveil"]
        file["node/metadata/spikeveil"] = json.dumps({"network": {}})
    with pytest.raises(ValueError, match=r"^NIR graph must hold the note that spikeveil wrote, and it is damaged: "):
        exporting.restore_network(nodes.read_nir(tmp_path / "n.nir"))
    foreign = DATA / "nir/snntorch_if.nir"
    assert exporting.restore_network(nodes.read_nir(foreign)) is None


def test_what_other_tools_lose_is_listed() -> None:
    spec = small(flip=FlipSpec(69, 8), spike_limit=7, input_cap=2)
    assert exporting.export_losses(spec) == [
        "layer 0: its flipper (69/256) is none of NIR's",
        "layer 0: the core's leak (v * 200) >> 8 rounds to integers, NIR's does not",
        "layer 0: spike_limit 7 is none of NIR's",
        "layer 0: input_cap 2 is none of NIR's",
        "layer 0: the core saturates potentials at -32768 and 32767, NIR does not",
    ]


def test_without_flippers_all_else_stays() -> None:
    spec = small(flip=FlipSpec(69, 8), spike_limit=7, input_cap=2)
    assert exporting.without_flippers(spec) == small(spike_limit=7, input_cap=2)
