"""Records through a simulated device: the protocol's side of it, and what `spikeveil check` says.

The device here is its twin (`pysim/device/top.py`); test_simulation_levels.py has the gateware's netlists.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.commands import invoke

from spikeveil.hdl.engine.plan import Plan
from spikeveil.host.bitstream import verification
from spikeveil.host.bitstream.errors import BuildError
from spikeveil.host.bitstream.verification import Secret, VerificationResult
from spikeveil.host.cosim import SpikeDifference
from spikeveil.host.device.twin_board import TwinEndpoint
from spikeveil.host.virtual.build import BoardSpec
from spikeveil.host.virtual.process import Counters
from spikeveil.pysim import Decision, FlipSpec, LayerSpec, NetworkSpec, OneHotDecision
from spikeveil.pysim.device.identity import ModelPlan, identity
from spikeveil.pysim.device.top import DeviceModel
from spikeveil.pysim.model.decision import RandomisedDecision

KEY = Secret(bytes(range(1, 11)))
SEEDS = Secret(seeds=(3 << 90 | 1, 5 << 77 | 1))


def network(seed: int = 1, outputs: int = 20) -> NetworkSpec:
    """Two flipped layers."""
    dice = np.random.default_rng(seed)
    return NetworkSpec(
        [
            LayerSpec(dice.integers(-6, 8, (8, 12)), threshold=9, state_bits=8, weight_bits=4, flip=FlipSpec(3, 4)),
            LayerSpec(
                dice.integers(-6, 8, (outputs, 8)), threshold=7, state_bits=8, weight_bits=4, flip=FlipSpec(40, 8)
            ),
        ]
    )


SPIKES = np.random.default_rng(2).random((40, 7, 12)) < 0.4  # 560 bytes in, 840 out
Play = Callable[[BoardSpec, Iterable[bytes]], tuple[list[bytes], Counters]]


def twin(outbox: int = 256, spec: NetworkSpec | None = None) -> Play:
    """A player of scripts for the twin of a board, or of a board with another network in it."""

    def play(board: BoardSpec, chunks: Iterable[bytes]) -> tuple[list[bytes], Counters]:
        plan, made = board.plan, spec or board.plan.spec
        built = ModelPlan(
            made, lanes=plan.lanes, source=plan.source, loadable=plan.loadable, layer_lanes=plan.layer_lanes
        )
        endpoint = TwinEndpoint(DeviceModel(made, identity(built, window=256, outbox=outbox)))
        return [endpoint.feed(chunk) for chunk in chunks], Counters(1000, 0.5, 0, 0, 0, 0, 0)

    return play


@pytest.mark.parametrize("outputs", [5, 20, 1000])
def test_more_is_released_than_the_outbox_holds(monkeypatch: pytest.MonkeyPatch, outputs: int) -> None:
    monkeypatch.setattr(verification, "play", twin())
    result = verification.compare(BoardSpec(Plan(network(outputs=outputs), lanes=4)), SPIKES, KEY, lease=9)
    assert result == VerificationResult(40 * 7 * outputs, None, 1000, 0.5)


@pytest.mark.parametrize("loadable", [False, True])
@pytest.mark.parametrize("secret", [KEY, SEEDS], ids=["trivium", "lfsr"])
def test_both_sources_and_loaded_weights(monkeypatch: pytest.MonkeyPatch, secret: Secret, loadable: bool) -> None:
    monkeypatch.setattr(verification, "play", twin())
    board = BoardSpec(Plan(network(), lanes=3, source=secret.source, loadable=loadable))
    assert verification.compare(board, SPIKES[:5], secret).difference is None


@pytest.mark.parametrize("decision", [Decision(5, 20, 8), OneHotDecision(10, 150, 60, 8)], ids=lambda one: one.kind)
@pytest.mark.parametrize("secret", [KEY, SEEDS], ids=["trivium", "lfsr"])
def test_decisions_are_compared(monkeypatch: pytest.MonkeyPatch, secret: Secret, decision: RandomisedDecision) -> None:
    monkeypatch.setattr(verification, "play", twin())
    layers = network().layers
    spec = NetworkSpec([layers[0], replace(layers[1], flip=None)], decision=decision, steps=7)
    board = BoardSpec(Plan(spec, lanes=4, source=secret.source))
    result = verification.compare(board, SPIKES, secret)
    assert result == VerificationResult(40 * decision.output_neurons, None, 1000, 0.5)
    other = NetworkSpec([layers[0], replace(network(7).layers[1], flip=None)], decision=decision, steps=7)
    monkeypatch.setattr(verification, "play", twin(spec=other))
    assert verification.compare(board, SPIKES, secret).different


def test_a_difference_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "play", twin(spec=network(seed=7)))
    result = verification.compare(BoardSpec(Plan(network())), SPIKES, KEY)
    assert result.difference is not None
    assert 0 < result.different < result.compared


def test_a_device_that_refuses_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "play", twin())
    with pytest.raises(BuildError, match=r"^the simulated device refused a message: STALE$"):
        verification.run_records(BoardSpec(Plan(network())), SPIKES, KEY, lease=0)


def test_potentials_are_not_compared() -> None:
    spec = NetworkSpec([LayerSpec(np.ones((3, 12), int), readout=True, weight_bits=3)])
    with pytest.raises(
        BuildError, match=r"^the network ends in potentials: only spikes and decisions can be compared here$"
    ):
        verification.compare(BoardSpec(Plan(spec, unsafe=True)), SPIKES, KEY)


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    network().save(tmp_path / "net.svn")
    np.save(tmp_path / "spikes.npy", SPIKES)
    return [
        "check",
        str(tmp_path / "net.svn"),
        "--board",
        "hx8k",
        "--lanes",
        "2",
        "--data",
        str(tmp_path / "spikes.npy"),
    ]


def test_command(monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    asked = []

    def verify(
        build: object, level: str, seed: int, spikes: object, secret: Secret, listener: object
    ) -> VerificationResult:
        asked.append((level, seed, np.shape(spikes)[0], secret.key))
        return VerificationResult(700, None, 90_000, 0.5)

    monkeypatch.setattr(verification, "verify", verify)
    monkeypatch.setattr("spikeveil.host.bitstream.tools.require", lambda tool: Path(tool.name))
    found = json.loads(invoke(*arguments, "--json", "--records", 5, "--seed", 3).stdout)
    assert (found["level"], found["bits_compared"], found["different"], found["records"]) == ("routed", 700, 0, 5)
    assert found["cycles_per_second"] == 180_000
    assert found["key"] == "fresh from the operating system's generator"
    shown = invoke(*arguments, "--level", "bitstream")
    assert "every released spike equals the golden model's; key: fresh from" in shown.output
    assert [call[:3] for call in asked] == [("routed", 3, 5), ("bitstream", 1, 40)]
    assert asked[0][3] != asked[1][3]  # a key of its own for each check


def test_command_fails_where_a_spike_differs(monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    monkeypatch.setattr(
        verification, "verify", lambda *_: VerificationResult(700, SpikeDifference(1, 2, 3, 0, 1, 17), 90_000, 0.5)
    )
    monkeypatch.setattr("spikeveil.host.bitstream.tools.require", lambda tool: Path(tool.name))
    done = invoke(*arguments, code=1)
    assert (
        "the routed design does not release what the model does; record 1, step 2, neuron 3: the model has 0, the "
        in (done.output)
    )


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (["--board", "tang-nano-9k", "--level", "routed"], "a routed netlist of gowin cannot be simulated"),
        (["--board", "ulx3s-12f", "--level", "bitstream"], "a bitstream of ecp5 cannot be simulated: only of ice40"),
        (["--skip", "40"], "skip must be under the 40 records of the data, not 40"),
    ],
)
def test_command_refuses(arguments: list[str], changes: list[str], sentence: str) -> None:
    assert sentence in invoke(*arguments, *changes, code=1).stderr
