"""Files of weights: NumPy archives, safetensors, state dicts, the TOML beside them; and what is refused."""

import json
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.commands import invoke

import spikeveil
from spikeveil.host.networks.float_files import load_weights, read_tensors
from spikeveil.host.networks.float_model import FloatLayer, FloatNetwork
from spikeveil.pysim import NetworkSpec

RNG = np.random.default_rng(9)
WEIGHTS = {
    "0.weight": RNG.normal(size=(6, 4)).astype(np.float32),
    "0.bias": RNG.normal(size=6).astype(np.float32),
    "1.beta": np.float32(0.875),
    "1.threshold": np.float32(1.5),
    "2.weight": RNG.normal(size=(3, 6)).astype(np.float32),
}
LAYERS = """
[[layer]]
weights = "0.weight"
bias = "0.bias"
decay = "1.beta"
threshold = "1.threshold"
reset = "zero"
compare = "gt"

[[layer]]
weights = "2.weight"
readout = true
"""
EXPECTED = FloatNetwork(
    (
        FloatLayer(WEIGHTS["0.weight"], WEIGHTS["0.bias"], 0.875, "zero", np.float32(1.5), compare="gt"),
        FloatLayer(WEIGHTS["2.weight"], np.zeros(3, np.float32), 1.0, "subtract", readout=True),
    )
)
DATA = RNG.random((20, 7, 4)) < 0.5


def safetensors(tensors: dict[str, Any]) -> bytes:
    """A safetensors file, by its specification."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    values = b""
    for name, value in tensors.items():
        content = np.asarray(value, "<f4").tobytes()
        offsets = [len(values), len(values) + len(content)]
        header[name] = {"dtype": "F32", "shape": list(np.shape(value)), "data_offsets": offsets}
        values += content
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + values


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("layers.toml").write_text(LAYERS)
    np.savez("w.npz", **WEIGHTS)
    Path("w.safetensors").write_bytes(safetensors(WEIGHTS))
    return tmp_path


def write_state_dict() -> None:
    torch = pytest.importorskip("torch")
    torch.save({name: torch.as_tensor(value) for name, value in WEIGHTS.items()}, "w.pt")


@pytest.mark.parametrize("name", ["w.npz", "w.safetensors", "w.pt"])
def test_every_kind_of_file_gives_the_same_network(folder: Path, name: str) -> None:
    if name == "w.pt":
        write_state_dict()
    found = load_weights(Path(name), Path("layers.toml"))
    for ours, theirs in zip(found.run(DATA), EXPECTED.run(DATA), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for mine, expected in zip(found.layers, EXPECTED.layers, strict=True):
        np.testing.assert_array_equal(mine.weights, expected.weights)
        assert (mine.decay, mine.reset, mine.compare, mine.readout) == (
            expected.decay, expected.reset, expected.compare, expected.readout,
        )  # fmt: skip


def test_bfloat16_is_read_exactly(folder: Path) -> None:
    text = json.dumps({"w": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}).encode()
    values = (np.array([1.5, -0.09375], np.float32).view(np.uint32) >> 16).astype("<u2").tobytes()
    Path("b.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + values)
    np.testing.assert_array_equal(read_tensors(Path("b.safetensors"))["w"], [1.5, -0.09375])


def test_a_float_network_that_was_saved_needs_no_toml(folder: Path) -> None:
    EXPECTED.save(Path("f.npz"))
    for ours, theirs in zip(load_weights(Path("f.npz")).run(DATA), EXPECTED.run(DATA), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_plain_arrays_in_an_npz_need_no_toml_either(folder: Path) -> None:
    arrays = {"0.weights": WEIGHTS["0.weight"], "0.reset": "zero", "0.decay": 0.5, "0.threshold": np.full(6, 2.0)}
    np.savez("plain.npz", **arrays)
    (layer,) = load_weights(Path("plain.npz")).layers
    assert (layer.reset, layer.decay, layer.compare) == ("zero", 0.5, "ge") and np.all(layer.threshold == 2)


class Code:
    def __reduce__(self) -> Any:
        return Path.touch, (Path("made"),)


def test_no_code_of_a_file_is_run(folder: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.save(Code(), "code.pt")
    torch.save(torch.nn.Linear(2, 2), "module.pt")
    Path("code.pkl").write_bytes(pickle.dumps(Code()))
    for name, sentence in (
        ("code.pt", "it holds pickled objects, which are never loaded"),
        ("module.pt", "it holds pickled objects, which are never loaded"),
        ("code.pkl", "it is a pickle, which can run code"),
    ):
        with pytest.raises(ValueError) as refusal:
            load_weights(Path(name), Path("layers.toml"))
        assert sentence in str(refusal.value)
    assert not Path("made").exists()


@pytest.mark.parametrize(
    ("toml", "sentence"),
    [
        ("x = [", "must be TOML"),
        ("", "must hold a table [[layer]] for each layer"),
        ("[[layer]]\nweights = '0.weight'", "layer 0 must have reset; the file has 0.weight, 0.bias"),
        ("[[layer]]\nreset = 'zero'", "layer 0 must have weights"),
        ("[[layer]]\nweights = 'w'\nreset = 'zero'", "layer 0 weights must name an array of the file (0.weight, "),
        ("[[layer]]\nweights = '0.weight'\nreset = 'half'", "float layer reset must be one of"),
        ("[[layer]]\nweights = '0.weight'\nreset = 'zero'\nbeta = 1", "layer 0 must have fields of weights, bias, "),
        ("[[layer]]\nweights = '0.weight'\nreset = 'zero'\ndecay = 2", "float layer decay must be 0 to 1"),
        ("[[layer]]\nweights = '0.weight'\nreset = 'zero'\ndecay = '0.bias'", "decay must be one number, not 6 "),
        ("[[layer]]\nweights = '2.weight'\nreset = 'zero'\n" + LAYERS, "weights of layer 1 must have 3 inputs"),
        ("name = 1\n" + LAYERS, "must hold tables [[layer]] alone, not 'name'"),
    ],
)
def test_a_wrong_toml_is_refused_in_one_sentence(folder: Path, toml: str, sentence: str) -> None:
    Path("wrong.toml").write_text(toml)
    done = invoke("import", "w.npz", "--layers", "wrong.toml", "-o", "n.snn", code=1)
    assert sentence in done.stderr and done.stderr.count("\n") == 1
    assert not Path("n.snn").exists()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (safetensors(WEIGHTS)[:-4], "must be a whole safetensors file: tensor '2.weight' lies outside it"),
        (struct.pack("<Q", 1 << 40) + b"{}", "must be a whole safetensors file: its header declares"),
        (b"version https://git-lfs.github.com/spec/v1\n", "it is a Git LFS pointer"),
        (b"\x93NUMPY", "must be an .npz, .safetensors or .pt file of tensors"),
    ],
)
def test_a_damaged_file_is_refused_in_one_sentence(folder: Path, content: bytes, sentence: str) -> None:
    Path("w.bin").write_bytes(content)
    done = invoke("import", "w.bin", "--layers", "layers.toml", code=1)
    assert sentence in done.stderr and done.stderr.count("\n") == 1


def test_weights_without_neurons_name_the_way_in(folder: Path) -> None:
    refused = invoke("import", "w.npz", code=1).stderr
    assert "weights w.npz hold no neurons (0.weight, 0.bias, " in refused
    assert "--layers FILE.toml says which arrays are layers" in refused


def test_import_of_weights_to_a_private_network(folder: Path) -> None:
    np.savez("d.npz", x=DATA, labels=np.arange(20) % 3)
    words = ["import", "w.safetensors", "--layers", "layers.toml", "--data", "d.npz", "-o", "n.snn"]
    done = invoke(*words, "--release", "decision", "--epsilon", 2, "--json")
    spec, record = NetworkSpec.load("n.snn"), json.loads(done.stdout)
    assert spec.decision is not None and spec.steps == 7 and record["weights"][0]["match"]["f1"] > 0.9
    origin = NetworkSpec.origin("n.snn")
    assert origin is not None and origin["layers"] == LAYERS and origin["source"] == "w.safetensors"
    assert "layer 1: 6-3, readout, leak" in invoke(*words).stdout


def test_from_arrays_is_the_same_network() -> None:
    ours = spikeveil.from_arrays(
        [WEIGHTS["0.weight"], WEIGHTS["2.weight"]],
        [WEIGHTS["0.bias"], None],
        decay=[0.875, 1.0], threshold=[1.5, 1.0], reset="zero", compare="gt", readout=True, data=DATA,
    )  # fmt: skip
    raw = spikeveil.Network(ours).run(DATA).raw
    assert np.mean(raw[0] == EXPECTED.run(DATA)[0]) > 0.95 and ours.layers[1].readout
    unmeasured = spikeveil.from_arrays([WEIGHTS["0.weight"]], state_bits=9)
    assert int(np.max(unmeasured.layers[0].threshold)) < 256


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"weights": []}, "weights must be one matrix a layer, at least one, and biases as many: 0 and 0"),
        ({"weights": [np.ones(3)]}, "weights of layer 0 must have shape (neurons, inputs), not (3,)"),
        ({"weights": [np.ones((2, 3)), np.ones((2, 3))]}, "weights of layer 1 must have 2 inputs, not 3"),
        ({"weights": [np.ones((2, 3))], "decay": [1, 1]}, "decay must be one number, or 1, one a layer, not 2"),
        ({"weights": [np.full((2, 3), np.nan)]}, "float layer weights must be finite numbers, not nan"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError) as refusal:
        spikeveil.from_arrays(**arguments)
    assert str(refusal.value) == sentence
