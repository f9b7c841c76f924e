"""`spikeveil.Chip`: model and gateware agree under a key drawn for each input, claims, estimates, refusals."""

import dataclasses
import doctest
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import spikeveil
from spikeveil.host.chip import chip as chip_module
from spikeveil.host.networks import arrays
from spikeveil.host.networks.digits_example import held_out

RNG = np.random.default_rng(6)
NET = spikeveil.from_arrays([RNG.normal(0, 0.5, (6, 4)), RNG.normal(0, 0.5, (4, 6))])
X = RNG.random((3, 5, 4)) < 0.5
DECISION = spikeveil.Decision.for_epsilon(1.0, classes=4)


@pytest.mark.parametrize("module", [chip_module, arrays])
def test_the_examples_of_the_docstrings_run(module: Any) -> None:
    result = doctest.testmod(module)
    assert result.attempted >= 3 and result.failed == 0


@pytest.mark.parametrize(
    "release",
    [DECISION, spikeveil.OneHotDecision.symmetric(2.0, classes=4), spikeveil.FlipSpec.for_epsilon(1.0)],
    ids=["kary", "one-hot", "spikes"],
)
def test_the_gateware_releases_what_the_model_does(release: Any) -> None:
    chip = spikeveil.Chip(NET, release=release, steps=5)
    for first, second in ((chip.predict, chip.simulate), (chip.simulate, chip.predict)):
        engine = {first: {}, second: {}}
        engine[chip.simulate] = {"engine": "amaranth"}
        released = first(X, **engine[first])
        np.testing.assert_array_equal(released, second(X, **engine[second]))


def test_another_input_draws_another_key_and_the_same_one_does_not() -> None:
    """Two inputs under one mask would show, by their XOR, where their raw spikes differ."""
    chip = spikeveil.Chip(NET, release=spikeveil.FlipSpec(1 << 15), steps=5)  # p = 1/2: what is released is the mask
    first = chip.predict(X)
    np.testing.assert_array_equal(first, chip.predict(X.astype(np.float32)))
    other = chip.predict(~X)
    assert (other != first).any() and (chip.predict(X) != first).any()


def test_claim_accuracy_and_a_file_for_the_commands(tmp_path: Path) -> None:
    x, labels = held_out()
    chip = spikeveil.Chip(
        spikeveil.load("digits"), release=spikeveil.Decision.for_epsilon(8.0, classes=10), steps=16, board="ulx3s-12f"
    )
    assert chip.claim.epsilon() <= 8 and chip.accuracy(x, labels) > 0.9
    chip.save(tmp_path / "c.snn")
    assert spikeveil.load(tmp_path / "c.snn") == chip.network
    assert set(chip.estimate().resources) >= {"lut", "ff", "bram"}
    chip.predict(x[:2])
    shown = chip._repr_html_()
    for text in ("epsilon, delta", "randomness", "about", "<svg", "input spikes of the first record"):
        assert text in shown


def test_a_private_network_needs_no_release_and_a_chip_is_frozen() -> None:
    chip = spikeveil.Chip(spikeveil.load("digits"), steps=16)
    assert chip.network == spikeveil.load("digits") and chip.claim.private
    with pytest.raises(dataclasses.FrozenInstanceError):
        chip.lanes = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({}, "chip steps must be given, the time steps of a record, where the network has none"),
        ({"steps": 0}, "chip steps must be 1 to 65535, not 0"),
        ({"steps": 5}, "network must release a decision or flip at least one of its 2 layers"),
        ({"steps": 5, "release": 4}, "chip release must be a FlipSpec, not 4"),
        ({"steps": 5, "release": spikeveil.Decision.for_epsilon(1, classes=3)}, "network decision classes must divide"),
        ({"steps": 5, "release": DECISION, "lanes": 65}, "chip lanes must be 1 to 64, not 65"),
        ({"steps": 5, "release": DECISION, "board": "arty"}, "board must be one of"),
        ({"steps": 5, "release": DECISION, "delta": 2.0}, "claim delta must be at least 0 and under 1, not 2.0"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError) as refusal:
        spikeveil.Chip(NET, **arguments)
    assert str(refusal.value).startswith(sentence)


def test_calls_that_do_not_fit_are_refused() -> None:
    chip = spikeveil.Chip(NET, release=DECISION, steps=5)
    for call, sentence in (
        (lambda: chip.predict(X[:, :3]), "chip x must have the 5 steps of a record, not 3"),
        (lambda: chip.predict(X * 2), "spikes must be 0 or 1, not 2"),
        (lambda: chip.simulate(X, engine="icarus"), "chip engine must be one of 'verilator', 'amaranth', not 'icarus'"),
        (chip.estimate, "chip board must be given to estimate or build, such as board='icebreaker'"),
        (lambda: chip.report, "chip report is there after `build`, and nothing was built yet"),
    ):
        with pytest.raises(ValueError) as refusal:
            call()
        assert str(refusal.value) == sentence


def test_build_copies_the_bitstream_and_its_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from spikeveil.host.bitstream import output

    def build_to(plan: Any, board: Any, folder: Path, steps: int, **options: Any) -> Any:
        folder.mkdir()
        (folder / "report.json").write_text(json.dumps({"lanes": plan.lanes}))
        return folder / f"{board.name}.bin", {"lanes": plan.lanes, "steps": steps, **options}

    monkeypatch.setattr(output, "build_to", build_to)
    chip = spikeveil.Chip(NET, release=DECISION, steps=5, board="icebreaker", lanes=2)
    assert chip.build(tmp_path / "out").name == "icebreaker.bin"
    assert chip.report == {"lanes": 2, "steps": 5, "seed": 1}
