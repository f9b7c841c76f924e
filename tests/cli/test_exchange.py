"""`spikeveil import`, `export` and `compare` as a user calls them."""

import json
from pathlib import Path

import numpy as np
import pytest
from support.commands import invoke
from support.paths import DATA

from spikeveil.pysim import FlipSpec, LayerSpec, NetworkSpec

pytest.importorskip("nir")

NIR = DATA / "nir"
SAID = ["--dt", "1e-4", "--decay", "euler", "--reset", "zero", "--reset-timing", "delayed", "--compare", "gt"]
CONV = [str(NIR / "snntorch_conv.nir"), *SAID]


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("imported") / "conv.snn"
    invoke("import", *CONV, "--data", NIR / "snntorch_conv.npz", "-o", path)
    return path


def test_import_says_what_it_read_what_it_costs_and_how_well_it_agrees() -> None:
    done = invoke("import", *CONV, "--data", NIR / "snntorch_conv.npz", "--json")
    record = json.loads(done.output)
    assert record["choices"] == {
        "dt": 1e-4, "decay": "euler", "reset": "zero", "reset_timing": "delayed", "compare": "gt", "gain": "dt-over-tau"
    }  # fmt: skip
    assert record["recorded"] == {"compared": 240, "different": 0, "choices_that_match": []}
    assert [layer["weights_dense"] for layer in record["layers"]] == [72 * 108, 108 * 4]
    assert all(layer["match"]["f1"] > 0.97 for layer in record["layers"])
    words = invoke("import", *CONV, "--data", NIR / "snntorch_conv.npz").output
    assert "all 240 recorded output spikes reproduced" in words and "7,776" in words and "not written" in words


def test_the_choices_are_written_into_the_network_file(imported: Path) -> None:
    note = NetworkSpec.origin(imported)
    assert note is not None and note["choices"]["reset_timing"] == "delayed" and note["source"] == "snntorch_conv.nir"
    assert len(note["source_sha256"]) == 64 and note["formats"]["weight_bits"] == 8
    assert NetworkSpec.load(imported).layers[0].inputs == 72


def test_info_shows_where_an_import_is_from(imported: Path, tmp_path: Path) -> None:
    note = NetworkSpec.origin(imported)
    assert note is not None and json.loads(invoke("info", imported, "--json").output)["origin"] == note
    shown = invoke("info", imported).output.splitlines()
    assert "  source: snntorch_conv.nir" in shown and f"  source_sha256: {note['source_sha256']}" in shown
    assert any(line.startswith("  choices: ") and '"reset_timing": "delayed"' in line for line in shown)
    spec = NetworkSpec.load(imported)
    spec.save(tmp_path / "odd.snn", {"[red]\x1b[2J": "\x1b[31m" * 9, "long": "x" * 999})
    shown = invoke("info", tmp_path / "odd.snn").output
    assert "\x1b" not in shown and "[red]" in shown and "... (999 characters)" in shown
    spec.save(tmp_path / "bare.snn")
    assert json.loads(invoke("info", tmp_path / "bare.snn", "--json").output)["origin"] is None
    assert "origin" not in invoke("info", tmp_path / "bare.snn").output


def test_a_missing_choice_is_wrong_usage_that_names_it() -> None:
    done = invoke("import", *CONV[:-2], code=2)
    assert "the file does not say --compare, and it is not guessed" in done.stderr


def test_choices_that_do_not_reproduce_a_recording_are_told_those_that_do() -> None:
    path = NIR / "snntorch_immediate"
    words = ["--dt", "1e-4", "--decay", "euler", "--reset", "subtract", "--reset-timing", "immediate", "--compare"]
    done = invoke("import", f"{path}.nir", *words, "gt", "--data", f"{path}.npz")
    assert "of 240 recorded output spikes differ" in done.output
    assert "all are reproduced with --reset subtract --reset-timing snntorch --compare gt" in done.output


def test_what_is_no_nir_file_fails_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "n.nir").write_text("hello")
    done = invoke("import", tmp_path / "n.nir", *SAID, code=1)
    assert done.output.startswith("Error: NIR file ") and done.output.count("\n") == 1


def test_compare_takes_the_choices_from_the_network_that_was_imported(imported: Path) -> None:
    recorded = NIR / "snntorch_conv.npz"
    assert invoke("compare", CONV[0], recorded, *SAID).output == "equal: all 240 spikes\n"
    done = invoke("compare", CONV[0], imported, "--data", recorded, "--json", code=1)
    record = json.loads(done.output)
    assert not record["equal"] and record["first"]["compared"] == 3 * 20 * (108 + 4)
    assert "the file does not say --dt" in invoke("compare", CONV[0], recorded, code=2).stderr


def test_compare_shows_the_first_difference(tmp_path: Path) -> None:
    for name, last in (("a", 3), ("b", 2)):
        NetworkSpec([LayerSpec([[2, 0], [0, last]], 3)]).save(tmp_path / f"{name}.snn")
    np.save(tmp_path / "x.npy", np.ones((1, 4, 2), np.uint8))
    a, b = tmp_path / "a.snn", tmp_path / "b.snn"
    done = invoke("compare", a, b, "--data", tmp_path / "x.npy", code=1)
    assert done.output == (
        f"first difference at step 0, layer 0, neuron 1 (record 0): {a} spikes (u = 3, threshold 3); "
        f"{b} is silent (u = 2, threshold 3); 2 of 8 differ in all\n"
        "layer 0: F1 0.800, in the same step 0.800; precision 1.000, recall 0.667; 6 spikes and 4\n"
    )
    numbers = invoke("compare", a, b, code=1)
    assert numbers.output == "first difference: layer 0 weights[1, 1]: 3 against 2\n"
    assert invoke("compare", a, a).output.startswith("equal: fingerprint ")
    assert invoke("compare", a, a, "--data", tmp_path / "x.npy").output == "equal: all 8 spikes\n"


def test_compare_matches_layers_and_draws_a_raster(tmp_path: Path) -> None:
    """One neuron that fires at every second spike, against one that fires at every third."""
    a, b = tmp_path / "a.snn", tmp_path / "b.snn"
    for path, threshold in ((a, 2), (b, 3)):
        NetworkSpec([LayerSpec([[1]], threshold)]).save(path)
    np.save(tmp_path / "x.npy", np.ones((2, 6, 1), np.uint8))
    words = ["--data", tmp_path / "x.npy"]
    shown = invoke("compare", a, b, *words, "--raster", 1, code=1).output.splitlines()
    assert shown[1:] == [  # spikes in steps 1, 3, 5 and 2, 5: both records alike
        "layer 0: F1 0.800, in the same step 0.400; precision 1.000, recall 0.667; 6 spikes and 4",
        "layer 0, a line a neuron: | both spike, a and b only that one",
        "   0 .aba.|",
    ]
    record = json.loads(invoke("compare", a, b, *words, "--json", code=1).output)
    assert (record["layers"][0]["f1"], record["raster"]) == (0.8, None)
    assert "raster record must be 0 to 1, not 2" in invoke("compare", a, b, *words, "--raster", 2, code=2).stderr


def test_the_reset_of_one_node_is_an_option() -> None:
    """Node `1` fires first; its reset alone differs, and with it the spikes."""
    words = ("--data", NIR / "snntorch_conv.npz", "--json")
    plain, mixed = (
        json.loads(invoke("import", *CONV, *extra, *words).output) for extra in ((), ("--node-reset", "1=subtract"))
    )
    assert mixed["choices"] == plain["choices"] | {"resets": {"1": "subtract"}}
    assert (plain["recorded"]["different"], mixed["recorded"]["different"] > 0) == (0, True)
    assert (
        "--node-reset must be NODE=RESET, not 'zero'" in invoke("import", *CONV, "--node-reset", "zero", code=2).stderr
    )
    refused = invoke("import", *CONV, "--node-reset", "9=zero", code=2).stderr
    assert "reset must be of a node of the graph, and '9' is none" in " ".join(refused.split())


def test_accepted_losses_are_shown_with_the_network(tmp_path: Path) -> None:
    out = tmp_path / "net.snn"
    note = {"made_by": "spikeveil import", "formats": {"allow_loss": True}, "losses": ["layer 0: 0 of 9 spikes remain"]}
    spec = NetworkSpec([LayerSpec([[1]], 2)])
    spec.save(out, note)
    shown = invoke("info", out, "--unsafe").output
    assert "made with --allow-loss: layer 0: 0 of 9 spikes remain" in shown
    spec.save(out, note | {"formats": {"allow_loss": False}})
    assert "--allow-loss" not in invoke("info", out, "--unsafe").output.replace('"allow_loss"', "")


def test_what_cannot_be_compared_is_wrong_usage(tmp_path: Path, imported: Path) -> None:
    other = tmp_path / "other.snn"
    NetworkSpec([LayerSpec([[1] * 72], 3)]).save(other)
    for words in (
        [imported, tmp_path / "none.snn"],
        [imported, other, "--data", NIR / "snntorch_conv.npz"],
        [CONV[0], imported],
        [imported, imported, "--data", tmp_path / "none.npy"],
    ):
        assert "Error: " in invoke("compare", *words, code=2).stderr


def test_export_refuses_a_network_with_flippers_until_it_is_said_what_becomes_of_them(tmp_path: Path) -> None:
    spec = NetworkSpec([LayerSpec([[1, 2]], 3, flip=FlipSpec(69, 8))])
    spec.save(tmp_path / "private.snn")
    out = tmp_path / "n.nir"
    refused = invoke("export", tmp_path / "private.snn", "-o", out, code=2)
    assert not out.exists()
    assert "NIR has no flippers, and 1 of the layers have one: --drop-flippers leaves them out" in refused.output
    kept = invoke("export", tmp_path / "private.snn", "-o", out, "--keep-flippers")
    assert "not private in any other tool: its spikes are the raw ones" in kept.output
    back = invoke("import", out, "-o", tmp_path / "back.snn")
    assert "the network is restored exactly" in back.output
    assert NetworkSpec.load(tmp_path / "back.snn") == spec
    invoke("export", tmp_path / "private.snn", "-o", out, "--drop-flippers")
    invoke("import", out, "-o", tmp_path / "back.snn")
    assert NetworkSpec.load(tmp_path / "back.snn").flipped == ()


def test_a_note_can_be_ignored(tmp_path: Path) -> None:
    NetworkSpec([LayerSpec([[1, 2]], 3)]).save(tmp_path / "n.snn")
    invoke("export", tmp_path / "n.snn", "-o", tmp_path / "n.nir")
    done = invoke("import", tmp_path / "n.nir", "--ignore-note", "--dt", 1, code=2)
    assert "--reset, --reset-timing, --compare" in done.output
