"""Specifications: what they hold, what they refuse and with which sentence, and their files."""

import io
import json
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikeveil.pysim import FlipSpec, LayerSpec, Leak, NetworkSpec
from spikeveil.pysim.model.decision import Decision


def layer(**changes: Any) -> LayerSpec:
    """Two neurons, three inputs."""
    fields: dict[str, Any] = {"weights": [[1, -2, 3], [4, 5, -6]], "threshold": 7}
    return LayerSpec(**(fields | changes))


def sentence(make: Callable[[], object]) -> str:
    with pytest.raises(ValueError) as caught:
        make()
    return str(caught.value)


def test_leaks_say_what_they_are() -> None:
    assert (Leak.none().kind, Leak.shift(3).shift_by, Leak.scale(51, 8).factor) == ("none", 3, 51)
    assert [str(leak) for leak in (Leak.none(), Leak.shift(3), Leak.scale(51, 8))] == [
        "none",
        "v - (v >> 3)",
        "(v * 51) >> 8",
    ]
    nearest = [Leak.shift(3, "nearest"), Leak.scale(51, 8, "nearest")]
    assert [str(leak) for leak in nearest] == ["v - ((v + 4) >> 3)", "(v * 51 + 128) >> 8"]
    assert [leak.decay for leak in (Leak.none(), *nearest)] == [1.0, 0.875, 51 / 256]
    assert Leak.scale(256, 8).factor == 256 and Leak.scale(0, 1).factor == 0


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: Leak("decay"), "leak kind must be one of 'none', 'shift', 'scale', not 'decay'"),
        (lambda: Leak.shift(0), "leak shift must be 1 to 31, not 0"),
        (lambda: Leak.shift(32), "leak shift must be 1 to 31, not 32"),
        (lambda: Leak.scale(1, 17), "leak shift must be 1 to 16, not 17"),
        (lambda: Leak.scale(257, 8), "leak factor must be 0 to 256, not 257"),
        (lambda: Leak.scale(-1, 8), "leak factor must be 0 to 256, not -1"),
        (lambda: Leak.shift(1.0), "leak shift must be an integer, not 1.0"),
        (lambda: Leak("none", 1), "leak shift must be 0 to 0, not 1"),
        (lambda: Leak.shift(1, "up"), "leak rounding must be one of 'floor', 'nearest', not 'up'"),  # type: ignore[arg-type]
        (
            lambda: Leak("none", rounding="nearest"),
            "leak rounding must be 'floor' where nothing leaks, not 'nearest'",
        ),
    ],
)
def test_refused_leaks(make: Callable[[], object], expected: str) -> None:
    assert sentence(make) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"weights": [1, 2]}, "layer weights must have shape (neurons, inputs), not (2,)"),
        ({"weights": np.zeros((0, 3), int)}, "layer weights must have shape (neurons, inputs), not (0, 3)"),
        ({"weights": [[0.5]]}, "layer weights must have an integer dtype, not float64"),
        ({"weights": [[True]]}, "layer weights must have an integer dtype, not bool"),
        ({"weights": [[128]]}, "layer weights must be -128 to 127, not 128"),
        ({"weights": [[-129]]}, "layer weights must be -128 to 127, not -129"),
        ({"weights": [[2]], "weight_bits": 2}, "layer weights must be -2 to 1, not 2"),
        ({"weight_bits": 1}, "layer weight_bits must be 2 to 8, not 1"),
        ({"weight_bits": 9}, "layer weight_bits must be 2 to 8, not 9"),
        ({"weight_bits": True}, "layer weight_bits must be an integer, not True"),
        ({"threshold": 0}, "layer threshold must be 1 to 2147483647, not 0"),
        ({"threshold": -5}, "layer threshold must be 1 to 2147483647, not -5"),
        ({"threshold": 2**31}, "layer threshold must be 1 to 2147483647, not 2147483648"),
        ({"threshold": 1.5}, "layer threshold must be an integer, not 1.5"),
        ({"threshold": None}, "layer threshold must be an integer, not None"),
        ({"threshold": [7, 0]}, "layer threshold must be 1 to 2147483647, not 0"),
        ({"threshold": [7, 7, 7]}, "layer threshold must have shape (2,), not (3,)"),
        ({"leak": "shift"}, "layer leak must be a Leak, not 'shift'"),
        ({"reset": "none"}, "layer reset must be one of 'zero', 'subtract', 'value', not 'none'"),
        ({"bias": [1]}, "layer bias must have shape (2,), not (1,)"),
        ({"bias": [1, 2.0]}, "layer bias must have an integer dtype, not float64"),
        ({"bias": [1, 2**31]}, "layer bias must be -2147483647 to 2147483647, not 2147483648"),
        ({"state_bits": 1}, "layer state_bits must be 2 to 32, not 1"),
        ({"state_bits": 33}, "layer state_bits must be 2 to 32, not 33"),
        ({"flip": 0.5}, "layer flip must be a FlipSpec, not 0.5"),
        ({"spike_limit": 0}, "layer spike_limit must be 1 to 2147483647, not 0"),
        ({"step_spike_limit": 0}, "layer step_spike_limit must be 1 to 2, not 0"),
        ({"step_spike_limit": 3}, "layer step_spike_limit must be 1 to 2, not 3"),
        ({"input_cap": 0}, "layer input_cap must be 1 to 3, not 0"),
        ({"input_cap": 4}, "layer input_cap must be 1 to 3, not 4"),
        ({"readout": 1}, "layer readout must be True or False, not 1"),
        ({"readout": True}, "layer threshold must be None for a readout, which does not fire, not 7"),
        (
            {"readout": True, "threshold": None, "spike_limit": 4},
            "layer spike_limit must be None for a readout, which does not fire, not 4",
        ),
        (
            {"readout": True, "threshold": None, "flip": FlipSpec(1, 8)},
            "layer flip must be None for a readout, which does not fire, not FlipSpec(threshold=1, bits=8)",
        ),
        (
            {"state_bits": 32},
            "layer potentials must fit 32 bits, and leak(v) + W x + bias needs 33",
        ),
        ({"fraction_bits": 17}, "layer fraction_bits must be 0 to 16, not 17"),
        ({"initial": [0, 32768]}, "layer initial must be -32768 to 32767, not 32768"),
        ({"initial": -32769}, "layer initial must be -32768 to 32767, not -32769"),
        ({"initial": [0, 0, 0]}, "layer initial must have shape (2,), not (3,)"),
        ({"reset": "value"}, "layer reset_potential must be given with reset 'value', and only then, not without one"),
        (
            {"reset_potential": 0},
            "layer reset_potential must be given with reset 'value', and only then, not with 'zero'",
        ),
        (
            {"reset": "value", "reset_potential": [1, 1 << 15]},
            "layer reset_potential must be -32768 to 32767, not 32768",
        ),
        (
            {"readout": True, "threshold": None, "reset": "value", "reset_potential": 1},
            "layer reset must be 'zero' or 'subtract' for a readout, which never resets, not 'value'",
        ),
        (
            {"leak_factors": [1, 2]},
            "layer leak_factors must be None for a leak that is no 'scale', not given with 'none'",
        ),
        ({"leak": Leak.scale(1, 4), "leak_factors": [1, 17]}, "layer leak_factors must be 0 to 16, not 17"),
        (
            {"state_bits": 28, "fraction_bits": 16, "weights": [[127] * 300]},
            "layer potentials must fit 32 bits, and leak(v) + W x + bias needs 33",
        ),
        (
            {"bias": [2**31 - 1, 0]},
            "layer potentials must fit 32 bits, and leak(v) + W x + bias needs 33",
        ),
    ],
)
def test_refused_layers(changes: dict[str, Any], expected: str) -> None:
    assert sentence(lambda: layer(**changes)) == expected


def test_a_layer_copies_and_freezes_what_it_is_given() -> None:
    weights = np.array([[1, 2], [3, 4]], np.int64)
    spec = LayerSpec(weights, 5, bias=[1, 2])
    weights[0, 0] = 100
    assert spec.weights.tolist() == [[1, 2], [3, 4]] and spec.weights.dtype == np.int32
    with pytest.raises(ValueError, match="read-only"):
        spec.weights[0, 0] = 9
    with pytest.raises(FrozenInstanceError):
        spec.threshold = 6  # type: ignore[misc]


def test_derived_widths_by_hand() -> None:
    """Sums of [1, -2, 3] lie in -2..4, of [4, 5, -6] in -6..9: five bits; with 4-bit potentials -14..16: six bits."""
    spec = layer(state_bits=4)
    assert (spec.neurons, spec.inputs) == (2, 3)
    assert (spec.current_range, spec.state_range) == ((-6, 9), (-8, 7))
    assert (spec.accumulator_bits, spec.potential_bits) == (5, 6)
    assert layer(state_bits=4, bias=[15, -1]).potential_bits == 6  # -15..31
    assert layer(state_bits=4, bias=[16, 0]).potential_bits == 7  # up to 32


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: NetworkSpec([]), "network layers must number 1 to 256, not 0"),
        (lambda: NetworkSpec([layer()] * 257), "network layers must number 1 to 256, not 257"),
        (lambda: NetworkSpec(["layer"]), "network layer must be a LayerSpec, not 'layer'"),
        (
            lambda: NetworkSpec([layer(), layer()]),
            "network layer 1 must have 2 inputs, the neurons of layer 0, not 3",
        ),
        (
            lambda: NetworkSpec([layer(readout=True, threshold=None), layer(weights=[[1, 1]])]),
            "network layer 0 must not be a readout: only the last of 2 may be",
        ),
        (lambda: NetworkSpec([layer()], cadence=0), "network cadence must be 1 to 2147483647, not 0"),
        (
            lambda: NetworkSpec([layer()]).require_private(),
            "network must release a decision or flip at least one of its 1 layers: the input would reach the output "
            "unflipped (epsilon infinite); `spikeveil privatise` makes it private",
        ),
    ],
)
def test_refused_networks(make: Callable[[], object], expected: str) -> None:
    assert sentence(make) == expected


def test_one_flipper_anywhere_in_the_chain_makes_it_private() -> None:
    bare, flipped = layer(), layer(flip=FlipSpec(3, 8))
    last = layer(weights=[[1, 1]], readout=True, threshold=None)
    assert not NetworkSpec([bare, last]).private
    assert NetworkSpec([flipped, last]).private and NetworkSpec([flipped, last]).flipped == (0,)
    NetworkSpec([flipped, last]).require_private()
    NetworkSpec([bare]).require_private(unsafe=True)
    assert (NetworkSpec([bare, last]).inputs, NetworkSpec([bare, last]).outputs) == (3, 1)


FIELDS: list[dict[str, Any]] = [
    {},
    {"weights": [[1, -2, 3], [4, 5, -7]]},
    {"weights": [[1, -2], [3, 4], [5, -6]]},
    {"threshold": 8},
    {"threshold": [7, 7]},
    {"leak": Leak.shift(1)},
    {"leak": Leak.shift(2)},
    {"leak": Leak.scale(2, 2)},
    {"leak": Leak.scale(1, 2)},
    {"reset": "subtract"},
    {"bias": [0, 0]},
    {"bias": [0, 1]},
    {"state_bits": 15},
    {"weight_bits": 7},
    {"flip": FlipSpec(3, 8)},
    {"flip": FlipSpec(4, 8)},
    {"flip": FlipSpec(3, 9)},
    {"spike_limit": 1},
    {"step_spike_limit": 1},
    {"input_cap": 1},
    {"readout": True, "threshold": None},
    {"leak": Leak.shift(3, "nearest")},
    {"leak": Leak.scale(51, 8, "nearest")},
    {"fraction_bits": 4},
    {"initial": [0, 0]},
    {"initial": [1, -1]},
    {"reset": "value", "reset_potential": [0, 0]},
    {"reset": "value", "reset_potential": [3, -3]},
    {"leak": Leak.scale(51, 8), "leak_factors": [51, 51]},
    {"leak": Leak.scale(51, 8), "leak_factors": [0, 51]},
]


def test_every_field_changes_the_fingerprint() -> None:
    prints = [NetworkSpec([layer(**changes)]).fingerprint for changes in FIELDS]
    prints += [NetworkSpec([layer()], cadence=9).fingerprint]
    prints += [NetworkSpec([layer(), layer(weights=[[1, 1]])]).fingerprint]
    assert len(set(prints)) == len(FIELDS) + 2
    assert all(len(one) == 64 and set(one) <= set("0123456789abcdef") for one in prints)


def test_the_fingerprint_does_not_depend_on_how_arrays_were_stored() -> None:
    weights = np.array([[1, -2, 3], [4, 5, -6]])
    stored = (weights, weights.astype(np.int8), np.asfortranarray(weights), weights.astype(">i4"))
    assert len({NetworkSpec([layer(weights=one)]) for one in stored}) == 1
    assert NetworkSpec([layer()]) != NetworkSpec([layer(threshold=8)])
    assert NetworkSpec([layer()]) != "network"


def test_the_fingerprint_is_that_of_version_1_files() -> None:
    """Pinned: files, ledgers and bitstreams carry it."""
    assert NetworkSpec([layer()]).fingerprint == "26d3366a6d09db4d1306714304f0179affb02c0008de429934d2543360ad8984"


def test_one_number_stands_for_all_neurons() -> None:
    one = layer(initial=5, reset="value", reset_potential=-3)
    assert (one.initial.tolist(), one.reset_potential.tolist()) == ([5, 5], [-3, -3])  # type: ignore[union-attr]
    factors = layer(leak=Leak.scale(1, 4), leak_factors=[3, 9])
    assert factors.leak == Leak.scale(9, 4)  # the largest, whatever was given
    assert (factors.leak_text, layer().leak_text) == ("(v * 3..9) >> 4", "none")
    assert NetworkSpec([factors]) == NetworkSpec([layer(leak=Leak.scale(2, 4), leak_factors=[3, 9])])


def test_fraction_bits_widen_the_potential() -> None:
    """Inputs reach 9 and -6, 16 times of which is 144 and -96, beside 16-bit states."""
    assert layer(fraction_bits=4).potential_bits == layer().potential_bits == 17
    assert layer(fraction_bits=14).potential_bits == 19


@pytest.mark.parametrize(
    ("changes", "version"),
    [({}, 1), ({"reset": "subtract"}, 1), ({"fraction_bits": 1}, 3), ({"leak": Leak.shift(1, "nearest")}, 3)],
)
def test_files_are_of_the_lowest_version_that_holds_the_network(changes: dict[str, Any], version: int) -> None:
    header, _ = NetworkSpec([layer(), layer(**(changes | {"weights": [[1, 2], [3, 4]]}))]).describe()
    assert header["version"] == version
    assert set(header) == {"format", "version", "cadence", "layers"} | (
        {"decision", "steps"} if version == 3 else set()
    )
    assert "fraction_bits" not in header["layers"][0]
    decided = NetworkSpec([layer(**changes)], decision=Decision(2, 1), steps=3).describe()[0]
    assert (decided["version"], decided["steps"]) == (max(version, 2), 3)


def test_a_decision_of_a_version_3_network_is_read_back(tmp_path: Path) -> None:
    spec = NetworkSpec([layer(initial=3)], decision=Decision(2, 1), steps=3)
    spec.save(tmp_path / "net.snn")
    assert NetworkSpec.load(tmp_path / "net.snn") == spec


@pytest.mark.parametrize("changes", FIELDS, ids=str)
def test_file_round_trip(changes: dict[str, Any], tmp_path: Path) -> None:
    spec = NetworkSpec([layer(**changes)], cadence=77)
    spec.save(tmp_path / "a.snn")
    spec.save(str(tmp_path / "b.snn"))
    loaded = NetworkSpec.load(tmp_path / "a.snn")
    assert loaded == spec and loaded.cadence == 77
    for name in LayerSpec.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(loaded.layers[0], name), getattr(spec.layers[0], name))
    assert (tmp_path / "a.snn").read_bytes() == (tmp_path / "b.snn").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.snn", "b.snn"]


def repacked(path: Path, change: Callable[[dict[str, Any], dict[str, bytes]], None]) -> None:
    """Write the archive again with its header and its other members changed."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    header = json.loads(members.pop("header.json"))
    change(header, members)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("header.json", json.dumps(header))
        for name, content in members.items():
            archive.writestr(name, content)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "net.snn"
    NetworkSpec([layer()]).save(path)
    return path


def test_a_newer_file_is_refused(saved: Path) -> None:
    repacked(saved, lambda header, _: header.update(version=4))
    assert sentence(lambda: NetworkSpec.load(saved)) == (
        f"network file {saved} must be of version 1 to 3, which this spikeveil reads, not 4"
    )


def test_a_file_of_another_format_is_refused(saved: Path) -> None:
    repacked(saved, lambda header, _: header.update(format="other"))
    assert sentence(lambda: NetworkSpec.load(saved)) == (
        f"network file {saved} must be of format 'spikeveil-network', not 'other'"
    )


def test_an_altered_number_is_refused(saved: Path) -> None:
    before = NetworkSpec.load(saved).fingerprint
    repacked(saved, lambda header, _: header["layers"][0].update(threshold=8))
    assert sentence(lambda: NetworkSpec.load(saved)) == (
        f"network file {saved} must match its own fingerprint '{before}', and its content has "
        f"'{NetworkSpec([layer(threshold=8)]).fingerprint}'"
    )


def test_an_altered_array_is_refused(saved: Path) -> None:
    encoded = io.BytesIO()
    np.save(encoded, np.array([[1, -2, 3], [4, 5, -7]], "<i4"))
    repacked(saved, lambda _, members: members.update({"0.weights.npy": encoded.getvalue()}))
    assert sentence(lambda: NetworkSpec.load(saved)).startswith(f"network file {saved} must match its own fingerprint")


def test_a_number_out_of_bounds_is_refused_in_its_own_words(saved: Path) -> None:
    repacked(saved, lambda header, _: header["layers"][0].update(threshold=0))
    assert sentence(lambda: NetworkSpec.load(saved)) == "layer threshold must be 1 to 2147483647, not 0"


@pytest.mark.parametrize("length", [0, 1, 30, 200, -1, -30])
def test_a_truncated_file_is_refused(saved: Path, length: int) -> None:
    saved.write_bytes(saved.read_bytes()[:length])
    assert sentence(lambda: NetworkSpec.load(saved)) == WHOLE.format(saved, "File is not a zip file")


def test_a_foreign_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.snn"
    path.write_text("weights: none\n")
    assert sentence(lambda: NetworkSpec.load(path)) == WHOLE.format(path, "File is not a zip file")


def test_a_foreign_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "arrays.npz"
    np.savez(path, a=np.zeros(3))
    assert sentence(lambda: NetworkSpec.load(path)) == WHOLE.format(
        path, "\"There is no item named 'header.json' in the archive\""
    )


WHOLE = "network file {} must be a whole spikeveil network, and it is cut or foreign: {}"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda header, _: header.pop("layers"), "'layers'"),
        (lambda header, _: header["layers"][0].pop("reset"), "'reset'"),
        (lambda _, members: members.clear(), "\"There is no item named '0.weights.npy' in the archive\""),
        (lambda header, _: header["layers"][0].update(leak=None), None),
        (lambda header, _: header["layers"][0].update(leak={"k": 1}), None),
        (lambda header, _: header.update(layers=5), None),
        (lambda header, _: header.update(layers=[5]), None),
        (lambda _, members: members.update({"0.weights.npy": b"\x93NUMPY"}), None),
        (lambda _, members: members.update({"0.weights.npy": b"none"}), None),
    ],
)
def test_an_archive_that_lacks_something_is_refused(
    saved: Path, change: Callable[[dict[str, Any], dict[str, bytes]], None], reason: str | None
) -> None:
    repacked(saved, change)
    said = sentence(lambda: NetworkSpec.load(saved))
    assert said.startswith(WHOLE.format(saved, "")) if reason is None else said == WHOLE.format(saved, reason)


def test_a_pickle_in_place_of_an_array_is_never_loaded(saved: Path) -> None:
    encoded = io.BytesIO()
    np.save(encoded, np.array([[{}]], object), allow_pickle=True)
    repacked(saved, lambda _, members: members.update({"0.weights.npy": encoded.getvalue()}))
    assert sentence(lambda: NetworkSpec.load(saved)).startswith(WHOLE.format(saved, ""))


def test_a_corrupted_byte_is_refused_or_changes_nothing(saved: Path) -> None:
    """Every byte of a small file, one at a time: never another network, and never anything but ValueError."""
    content, spec = saved.read_bytes(), NetworkSpec.load(saved)
    for place in range(len(content)):
        saved.write_bytes(content[:place] + bytes([content[place] ^ 0x41]) + content[place + 1 :])
        with suppress(ValueError):
            assert NetworkSpec.load(saved) == spec


def test_a_missing_file_is_the_systems_own_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        NetworkSpec.load(tmp_path / "none.snn")
