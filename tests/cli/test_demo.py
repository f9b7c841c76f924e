"""`spikeveil demo`: the main job on a few images, and what it says when the gateware is not the model."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from support.commands import invoke

from spikeveil.host.cli import demo_comparison
from spikeveil.host.cosim import first_difference
from spikeveil.pysim import Network, NetworkSpec

IMAGES, STEPS, NEURONS = 3, 16, 40

pytestmark = pytest.mark.xdist_group("demo")  # its simulators are built once


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Result, Path]]:
    """The screen of one run, and its folder."""
    folder = tmp_path_factory.mktemp("demo")
    yield invoke("demo", "--images", IMAGES, "-o", folder, "--demonstration-key"), folder


@pytest.mark.verilator
def test_every_spike_of_every_core_is_compared(shown: tuple[Result, Path]) -> None:
    result, _ = shown
    text = " ".join(result.stdout.split())
    each = f"{IMAGES * STEPS * NEURONS:,}"
    for core in ("Trivium", "LFSR", "Trivium, fast"):
        assert f"{core} {each} 0 " in text
    assert f"All {3 * IMAGES * STEPS * NEURONS:,} released spikes equal the golden model's" in text
    assert "LFSR: epsilon infinite" in text
    for part in ("unit record:", "epsilon, delta", "randomness trivium:", "randomness lfsr:", "spent nothing"):
        assert part in text


@pytest.mark.verilator
def test_it_writes_a_picture_and_a_waveform(shown: tuple[Result, Path]) -> None:
    _, folder = shown
    assert (folder / "raster.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    with (folder / "digits.vcd").open() as file:
        head = file.read(20_000)
    assert "$enddefinitions" in head or "$scope module" in head


@pytest.mark.verilator
def test_json_alone_and_its_figures_are_measured(tmp_path: Path) -> None:
    found = json.loads(invoke("demo", "--images", 2, "-o", tmp_path, "--json").stdout)
    assert [core["spikes_compared"] for core in found["cores"]] == [2 * STEPS * NEURONS] * 3
    assert [core["different"] for core in found["cores"]] == [0] * 3
    private, _, fast = found["cores"]
    assert private["cycles_per_image"] % STEPS == 0
    assert fast["cycles_per_image"] < private["cycles_per_image"]
    assert found["cores"][1]["claim"]["epsilon_delta"]["record_epsilon"] == "inf"


@pytest.mark.verilator
def test_a_tampered_network_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One output weight differs between the gateware and the model of the LFSR core."""
    honest = demo_comparison.run_model

    def tampered(core: demo_comparison.DemoCore, spikes: Any) -> Any:
        if core.title != "LFSR":
            return honest(core, spikes)
        hidden, output = core.plan.spec.layers
        weights = output.weights.copy()
        weights[7] = 127
        spec = NetworkSpec([hidden, replace(output, weights=weights)])
        return Network(spec, core.opening.words()).run(spikes, lease=core.opening.number)

    monkeypatch.setattr(demo_comparison, "run_model", tampered)
    result = invoke("demo", "--images", 2, "-o", tmp_path, code=1)
    words = " ".join(result.stderr.split())
    assert "Error: the gateware does not release what the model does; LFSR, record 0, step " in words
    assert "neuron 7: the model has" in words
    assert "equal the golden model's" not in result.stdout


def test_the_first_difference_is_the_first_in_order_of_release() -> None:
    model = np.zeros((3, 4, 5), np.bool_)
    gateware = model.copy()
    assert first_difference(model, gateware) is None
    gateware[2, 0, 0] = gateware[1, 3, 4] = True
    assert str(first_difference(model, gateware, first_record=10)) == (
        "record 11, step 3, neuron 4: the model has 0, the gateware 1 (2 different in all)"
    )
    with pytest.raises(ValueError, match=r"^gateware must have released the shape \(3, 4, 5\) of the model"):
        first_difference(model, gateware[:2])


def test_a_waveform_never_holds_a_secret_key(tmp_path: Path) -> None:
    from spikeveil.host.cli.options import keys
    from spikeveil.host.networks.digits_example import load_network

    (core, *_) = demo_comparison.cores(load_network(), 16, demonstration=False)
    with pytest.raises(ValueError, match=r"^a waveform shows the key: it is written with the demonstration key alone$"):
        demo_comparison.write_wave(
            core.plan, np.zeros((1, 16, 64), np.bool_), tmp_path / "w.vcd", keys.fresh("trivium", 1)
        )
