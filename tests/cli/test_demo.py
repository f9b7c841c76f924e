"""`spikeveil demo`: the main job on a few images, and what it says when the gateware is not the model."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from support.commands import invoke

from spikeveil.hdl.engine.plan import Plan
from spikeveil.host.cli import demo_comparison
from spikeveil.host.cli.demo_decisions import DecisionFigures, SmallEpsilon
from spikeveil.host.cli.options import keys
from spikeveil.host.cosim import first_difference
from spikeveil.host.networks.digits_example import load_network
from spikeveil.pysim import Decision, LayerSpec, Network, NetworkSpec

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
    assert f"Decisions {IMAGES} 0 " in text
    spikes = f"{3 * IMAGES * STEPS * NEURONS:,}"
    assert f"All {spikes} released spikes and {IMAGES} decisions equal the golden model's" in text
    assert "LFSR: epsilon infinite" in text
    for part in ("unit record:", "epsilon, delta", "randomness trivium:", "randomness lfsr:", "spent nothing"):
        assert part in text


@pytest.mark.verilator
def test_it_writes_a_picture_and_a_waveform(shown: tuple[Result, Path]) -> None:
    _, folder = shown
    for name in ("raster.png", "shares.png"):
        assert (folder / name).read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    with (folder / "digits.vcd").open() as file:
        head = file.read(20_000)
    assert "$enddefinitions" in head or "$scope module" in head


@pytest.mark.verilator
def test_json_alone_and_its_figures_are_measured(tmp_path: Path) -> None:
    found = json.loads(invoke("demo", "--images", 2, "-o", tmp_path, "--json").stdout)
    assert [core["compared"] for core in found["cores"]] == [2 * STEPS * NEURONS] * 3 + [2]
    assert [core["different"] for core in found["cores"]] == [0] * 4
    private, _, fast, _ = found["cores"]
    assert private["cycles_per_image"] % STEPS == 0
    assert fast["cycles_per_image"] < private["cycles_per_image"]
    assert found["cores"][1]["claim"]["epsilon_delta"]["record_epsilon"] == "inf"
    claimed = found["cores"][3]["claim"]["epsilon_delta"]
    assert claimed["record_epsilon"] == found["decisions"]["record_epsilon"] == Decision.for_epsilon(4.0, 10).epsilon
    assert claimed["delta"] == 0
    assert found["small_epsilon"]["records_needed_whatever_the_share"] == 79_577


def test_the_figures_of_decisions() -> None:
    """4 records of classes 0, 1, 1 and 3: the network says 0, 1, 2, 3 and the chip releases 0, 1, 9, 5."""
    decision = Decision.for_epsilon(4.0, 10)
    layer = LayerSpec(np.ones((10, 2), int), 1)
    core = demo_comparison.DemoCore(
        "decisions", Plan(NetworkSpec([layer], decision=decision, steps=1)), keys.demonstration("trivium", 1)
    )
    model = SimpleNamespace(winners=np.array([0, 1, 2, 3]))
    result = SimpleNamespace(released=np.array([0, 1, 9, 5]))
    comparison = demo_comparison.Comparison(core, model, result, None)  # type: ignore[arg-type]
    figures = DecisionFigures.of(comparison, np.array([0, 1, 1, 3]))
    assert (figures.raw_accuracy, figures.accuracy) == (0.75, 0.5)
    assert figures.true.tolist() == [0.25] * 4 + [0] * 6
    assert figures.ceiling == pytest.approx(np.exp(4) / (np.exp(4) + 9), rel=1e-6)
    assert figures.expected_accuracy < figures.ceiling * 0.76
    small = SmallEpsilon(360)
    assert small.half_width == pytest.approx(0.209, abs=5e-4)
    assert (small.records_needed(), small.records_needed(None)) == (39_335, 79_577)


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
    assert str(first_difference(np.array([3, 4]), np.array([3, 9]), first_record=10)) == (
        "record 11: the model has 4, the gateware 9 (1 different in all)"
    )
    assert str(first_difference(model[:, 0], gateware[:, 0])) == (
        "record 2, neuron 0: the model has 0, the gateware 1 (1 different in all)"
    )
    with pytest.raises(ValueError, match=r"^gateware must have released the shape \(3, 4, 5\) of the model"):
        first_difference(model, gateware[:2])


def test_a_waveform_never_holds_a_secret_key(tmp_path: Path) -> None:
    (core, *_) = demo_comparison.cores(load_network(), 16, demonstration=False)
    with pytest.raises(ValueError, match=r"^a waveform shows the key: it is written with the demonstration key alone$"):
        demo_comparison.write_wave(
            core.plan, np.zeros((1, 16, 64), np.bool_), tmp_path / "w.vcd", keys.fresh("trivium", 1)
        )
