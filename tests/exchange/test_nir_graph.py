"""What is read of a NIR file, and which graphs are a chain."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.paths import DATA

from spikeveil.host.exchange import chain, nodes, reference
from spikeveil.host.exchange.choices import Choices
from spikeveil.host.exchange.nodes import NirFile, Node

nir = pytest.importorskip("nir")
h5py = pytest.importorskip("h5py")

NIR = DATA / "nir"


def graph(kinds: dict[str, str], *edges: str) -> NirFile:
    """A graph of nodes without fields; edges are written `a>b`."""
    made = {name: Node(name, kind, {}) for name, kind in kinds.items()}
    return NirFile(made, tuple((a, b) for a, _, b in (edge.partition(">") for edge in edges)), "", "1")


PLAIN = {"i": "Input", "a": "Affine", "b": "LIF", "o": "Output"}


def test_edges_in_any_order_and_written_twice_give_one_chain() -> None:
    file = graph(PLAIN, "b>o", "a>b", "i>a", "a>b")
    assert [node.name for node in chain.ordered_nodes(file)] == ["i", "a", "b", "o"]


REFUSED = [
    (
        {**PLAIN, "b": "Delay"},
        ["i>a", "a>b", "b>o"],
        "node 'b' (Delay) must be one of {}: the core has no delays, other than of 0",
    ),
    (
        {**PLAIN, "b": "CubaLIF"},
        ["i>a", "a>b", "b>o"],
        "node 'b' (CubaLIF) must be one of {}: the core's neurons have one state, and a synaptic current is a second "
        "one",
    ),
    (
        {**PLAIN, "b": "NIRGraph"},
        ["i>a", "a>b", "b>o"],
        "graph 'b' must have exactly one Input, not 0",
    ),
    ({**PLAIN, "b": "Izhikevich"}, [], "node 'b' (Izhikevich) must be one of {}, not 'Izhikevich'"),
    ({**PLAIN, "j": "Input"}, ["i>a"], "graph must have exactly one Input, not 2 ('i', 'j')"),
    ({"i": "Input"}, [], "graph must have exactly one Output, not 0"),
    (PLAIN, ["i>a", "a>b", "b>x"], "edge ('b', 'x') must join nodes of the graph, and 'x' is not one"),
    (PLAIN, ["i>a", "a>b", "b>b"], "node 'b' (LIF) must not lie on a cycle: the core has no recurrent edges"),
    (
        {**PLAIN, "c": "Linear"},
        ["i>a", "a>b", "b>o", "c>b"],
        "node 'b' (LIF) must have one edge into it, not those of 'a' and 'c': a recurrent edge, or a sum of two, has "
        "no place in a chain",
    ),
    (
        {**PLAIN, "c": "Linear"},
        ["i>a", "a>b", "b>o", "b>c"],
        "node 'b' (LIF) must have one edge out of it, not those to 'c' and 'o': a recurrent edge, or a branch, has "
        "no place in a chain",
    ),
    (
        {**PLAIN, "c": "Linear", "d": "LIF"},
        ["i>a", "a>b", "b>o", "c>d", "d>c"],
        "node 'c' (Linear) must not lie on a cycle: the core has no recurrent edges",
    ),
    (
        {**PLAIN, "c": "Linear"},
        ["i>a", "a>b", "b>o"],
        "node 'c' (Linear) must lie between input and output, and no path from the input leads to it",
    ),
    (
        PLAIN,
        ["i>a", "b>o"],
        "node 'b' (LIF) must lie between input and output, and no path from the input leads to it",
    ),
    (
        {**PLAIN, "a": "LI"},
        ["i>a", "a>b", "b>o"],
        "node 'a' (LI) must be the last before the output: it never fires, and what follows takes spikes",
    ),
]


@pytest.mark.parametrize(("kinds", "edges", "sentence"), REFUSED)
def test_what_is_no_chain_is_refused_in_one_sentence(kinds: dict[str, str], edges: list[str], sentence: str) -> None:
    with pytest.raises(ValueError) as refusal:
        chain.ordered_nodes(graph(kinds, *edges))
    assert str(refusal.value) == sentence.format(", ".join(chain.SUPPORTED))


def test_nested_graphs_and_delays_of_0_are_inlined() -> None:
    inner = graph({"i": "Input", "l": "LIF", "o": "Output"}, "i>l", "l>o")
    middle = graph({"p": "Input", "x": "NIRGraph", "a": "Affine", "q": "Output"}, "p>x", "x>a", "a>q")
    middle.nodes["x"].fields.update(nodes=inner.nodes, edges=inner.edges)
    outer = graph({"i": "Input", "a": "Affine", "g": "NIRGraph", "d": "Delay", "l": "LIF", "o": "Output"},
                  "i>a", "a>g", "g>d", "d>l", "l>o")  # fmt: skip
    outer.nodes["g"].fields.update(nodes=middle.nodes, edges=middle.edges)
    outer.nodes["d"].fields["delay"] = np.zeros(3)
    assert [node.name for node in chain.ordered_nodes(outer)] == ["i", "a", "g.x.l", "g.a", "l", "o"]
    outer.nodes["d"].fields["delay"] = np.array([0, 1])
    with pytest.raises(ValueError, match=r"^node 'd' \(Delay\) must .*: the core has no delays, other than of 0$"):
        chain.ordered_nodes(outer)


def test_a_recurrent_graph_in_the_graph_is_refused_as_that() -> None:
    inner = graph({"i": "Input", "l": "LIF", "w": "Affine", "o": "Output"}, "i>l", "l>w", "w>l", "l>o")
    outer = graph({"i": "Input", "g": "NIRGraph", "o": "Output"}, "i>g", "g>o")
    outer.nodes["g"].fields.update(nodes=inner.nodes, edges=inner.edges)
    with pytest.raises(ValueError) as refusal:
        chain.ordered_nodes(outer)
    assert "'g.l' (LIF)" in str(refusal.value) and "a recurrent edge, or a " in str(refusal.value)


def test_a_graph_in_the_graph_is_read_with_its_nodes(tmp_path: Path) -> None:
    inner = nir.NIRGraph.from_list(nir.Affine(np.ones((2, 2)), np.zeros(2)), nir.IF(np.ones(2), np.ones(2)))
    outer = nir.NIRGraph.from_list(nir.Linear(np.ones((2, 3))), inner)
    nir.write(tmp_path / "n.nir", outer)
    order = chain.ordered_nodes(nodes.read_nir(tmp_path / "n.nir"))
    assert [node.kind for node in order] == ["Input", "Linear", "Affine", "IF", "Output"]
    np.testing.assert_array_equal(order[1].array("weight"), np.ones((2, 3)))


def test_the_fields_are_those_that_nir_reads() -> None:
    ours, theirs = nodes.read_nir(NIR / "snntorch_conv.nir"), nir.read(NIR / "snntorch_conv.nir")
    assert set(ours.nodes) == set(theirs.nodes) and set(ours.edges) == set(theirs.edges)
    for name, node in theirs.nodes.items():
        assert ours.nodes[name].kind == type(node).__name__
        for field, value in node.to_dict().items():
            if isinstance(value, np.ndarray) and field in ours.nodes[name].fields:
                np.testing.assert_array_equal(ours.nodes[name].fields[field], value)


def lif(size: int) -> Any:
    return nir.LIF(*(np.full(size, value) for value in (2.0, 2.0, 0.0, 1.0)))


def written(path: Path, *parts: tuple[str, Any]) -> Path:
    names = [name for name, _ in parts]
    nir.write(path, nir.NIRGraph(dict(parts), list(pairwise(names))[::-1], type_check=False))
    return path


CHOICES = Choices(1.0, "euler", "zero", "immediate", "gt")


def test_odd_names_one_neuron_and_a_scale(tmp_path: Path) -> None:
    path = written(
        tmp_path / "odd.nir",
        ("in put", nir.Input(np.array([2]))),
        ("ä.0/βeta", nir.Linear(np.array([[1.0, 2.0]]))),
        ("-", nir.Scale(np.array([0.5]))),
        ("output ", lif(1)),
        ("../x", nir.Output(np.array([1]))),
    )
    found = reference.load_graph(path, CHOICES).run(np.array([[[1, 0], [1, 1], [0, 1]]]))
    np.testing.assert_array_equal(found[-1].potentials.ravel(), np.array([0.5, 1.75, 1.0], np.float32))
    np.testing.assert_array_equal(found[-1].spikes.ravel(), [False, True, False])


def test_an_input_of_another_shape_is_refused() -> None:
    loaded = reference.load_graph(NIR / "snntorch_if.nir", Choices(1e-4, "euler", "subtract", "delayed", "gt"))
    with pytest.raises(ValueError) as refusal:
        loaded.run(np.zeros((2, 3, 5)))
    assert str(refusal.value) == "inputs must have shape (records, steps, *(6,)), not (2, 3, 5)"


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    parts = (("i", nir.Input(np.array([1]))), ("w", nir.Linear(np.array([[np.nan]]))), ("o", nir.Output(np.array([1]))))
    with pytest.raises(ValueError) as refusal:
        reference.load_graph(written(tmp_path / "n.nir", *parts), CHOICES)
    assert str(refusal.value) == "node 'w' (Linear) weight must be finite numbers, and some are not"


def test_an_output_of_another_shape_is_refused(tmp_path: Path) -> None:
    parts = (("i", nir.Input(np.array([2]))), ("n", lif(2)), ("o", nir.Output(np.array([3]))))
    with pytest.raises(ValueError) as refusal:
        reference.load_graph(written(tmp_path / "n.nir", *parts), CHOICES)
    assert str(refusal.value) == "node 'o' (Output) must have the shape (2,) of what leads to it, not (3,)"


def test_what_the_file_does_not_say_is_asked_for_by_name() -> None:
    with pytest.raises(ValueError) as refusal:
        reference.load_graph(NIR / "snntorch_if.nir", Choices(1e-4, "euler", "subtract"))
    said = str(refusal.value)
    assert said.startswith("the file does not say --reset-timing, --compare, and it is not guessed; what exporters use")
    assert "snnTorch's default is delayed" in said and "--dt" not in said and "--initial" not in said
    with pytest.raises(ValueError, match="the file does not say --initial, and it is not guessed"):
        reference.load_graph(NIR / "spikingjelly_lif.nir", CHOICES)


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ({"dt": -1.0}, "dt must be a number above 0, not -1.0"),
        ({"decay": "rk4"}, "decay must be one of 'euler', 'exp', not 'rk4'"),
    ],
)
def test_a_choice_out_of_range_is_refused(value: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError) as refusal:
        Choices(**value)
    assert str(refusal.value) == sentence


def test_choices_come_back_from_their_record() -> None:
    assert Choices.of(CHOICES.to_dict()) == CHOICES
    with pytest.raises(ValueError, match=r"^choices must be of compare, "):
        Choices.of({"tau": 1})


def test_a_file_that_is_no_graph_is_refused(tmp_path: Path) -> None:
    whole = (NIR / "snntorch_if.nir").read_bytes()
    for name, content in (("cut", whole[: len(whole) // 2]), ("text", b"hello"), ("empty", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=r"must be a (whole )?NIR graph in HDF5, and it is "):
            nodes.read_nir(tmp_path / name)
    with h5py.File(tmp_path / "other", "w") as file:
        file["weights"] = 1
    with pytest.raises(ValueError) as refusal:
        nodes.read_nir(tmp_path / "other")
    assert str(refusal.value) == f"NIR file {tmp_path / 'other'} must hold a graph with nodes and edges, not weights"


def test_a_file_that_claims_more_than_memory_holds_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "bomb", "w") as file:
        file["node/nodes/a/type"], file["node/edges"] = "Affine", np.empty((0, 2), "S1")
        file.create_dataset("node/nodes/a/weight", (1 << 20, 1 << 20), "f4", compression="gzip")
    with pytest.raises(ValueError, match=r"what it declares up to .*weight must be at most 67,108,864 bytes"):
        nodes.read_nir(tmp_path / "bomb")
