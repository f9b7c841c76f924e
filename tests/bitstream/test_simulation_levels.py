"""Simulated netlists and bitstreams, through the device's link, release the golden model's spikes."""

from typing import Any

import numpy as np
import pytest

from spikeveil.boards.catalogue import find
from spikeveil.hdl.engine.plan import Plan
from spikeveil.host.bitstream import simulation_levels as levels
from spikeveil.host.bitstream import tools
from spikeveil.host.bitstream.build import SILENT, Build
from spikeveil.host.bitstream.errors import BuildError
from spikeveil.host.bitstream.verification import Secret, verify
from spikeveil.pysim import Decision, FlipSpec, LayerSpec, NetworkSpec

pytest.importorskip("amaranth_boards")

KEY = Secret(bytes.fromhex("80000000000000000001"))
DICE = np.random.default_rng(5)
#: the smallest private device: link and cipher are most of it
SMALL_NETWORK = NetworkSpec(
    [LayerSpec(DICE.integers(-3, 4, (5, 6)), threshold=4, state_bits=6, weight_bits=3, flip=FlipSpec(40, 8))]
)
#: two flipped layers and several lanes: block RAM, distributed RAM and carries of every family
LARGER_NETWORK = NetworkSpec(
    [
        LayerSpec(DICE.integers(-6, 8, (8, 12)), threshold=9, state_bits=8, weight_bits=4, flip=FlipSpec(3, 4)),
        LayerSpec(DICE.integers(-6, 8, (5, 8)), threshold=7, state_bits=8, weight_bits=4, flip=FlipSpec(40, 8)),
    ]
)
#: four lanes of 8-bit weights: a block RAM of ECP5 with 36 bits a word
WIDE_NETWORK = NetworkSpec(
    [LayerSpec(DICE.integers(-90, 128, (8, 16)), threshold=120, weight_bits=8, state_bits=12, flip=FlipSpec(69, 8))]
)
#: the smallest device that decides: of three classes, about records of seven steps
DECIDING_NETWORK = NetworkSpec(
    [LayerSpec(DICE.integers(-3, 4, (6, 6)), threshold=4, state_bits=6, weight_bits=3)],
    decision=Decision(3, 40, 8),
    steps=7,
)
LEVELS_AND_BOARDS: tuple[tuple[levels.Level, str], ...] = (
    ("synthesised", "hx8k"),
    ("routed", "hx8k"),
    ("bitstream", "hx8k"),
    ("synthesised", "ulx3s-12f"),
    ("routed", "ulx3s-12f"),
    ("synthesised", "tang-nano-9k"),
)


def require_tools(board: str, level: levels.Level) -> None:
    required = [*tools.of_family(find(board).chip.family), *([tools.ICEBOX] if level == "bitstream" else [])]
    missing = [f"{tool.name} ({tool.fix})" for tool in required if tools.locate(tool) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")


def release_the_same(spec: NetworkSpec, lanes: int, level: levels.Level, board: str) -> None:
    """Run records under a lease through the design of a level and compare all released spikes, or decisions."""
    require_tools(board, level)
    spikes = np.random.default_rng(6).random((4, 7, spec.inputs)) < 0.4
    result = verify(Build.of(Plan(spec, lanes=lanes), find(board)), level, 1, spikes, KEY, SILENT)
    assert result.difference is None, str(result.difference)
    assert result.compared == (4 * 7 * spec.outputs if spec.decision is None else 4 * spec.decision.output_neurons)


@pytest.mark.slow
@pytest.mark.verilator
def test_a_small_routed_ice40_releases_the_golden_models_spikes() -> None:
    """From nothing, the first run of Yosys included, two to three minutes."""
    release_the_same(SMALL_NETWORK, 1, "routed", "hx8k")


@pytest.mark.slow
@pytest.mark.verilator
def test_a_small_routed_ice40_decides_as_the_golden_model() -> None:
    release_the_same(DECIDING_NETWORK, 1, "routed", "hx8k")


@pytest.mark.slow
@pytest.mark.verilator
def test_a_small_routed_ecp5_releases_the_golden_models_spikes() -> None:
    """Pairs of pairs of LUTs and a block RAM of 36 bits among its cells."""
    release_the_same(WIDE_NETWORK, 4, "routed", "ulx3s-12f")


@pytest.mark.slow
@pytest.mark.verilator
@pytest.mark.parametrize(
    ("level", "board"),
    [pytest.param(*case, marks=pytest.mark.xdist_group(case[1])) for case in LEVELS_AND_BOARDS],  # they share a build
)
def test_every_level_releases_the_golden_models_spikes(level: levels.Level, board: str, soak: bool) -> None:
    if not soak:
        pytest.skip("minutes: run with --soak")
    release_the_same(LARGER_NETWORK, 3, level, board)


@pytest.mark.parametrize(
    ("level", "family", "sentence"),
    [
        ("routed", "gowin", "a routed netlist of gowin cannot be simulated: only of ice40 and ecp5"),
        ("bitstream", "gowin", "a bitstream of gowin cannot be simulated: only of ice40"),
        ("bitstream", "ecp5", "a bitstream of ecp5 cannot be simulated: only of ice40"),
    ],
)
def test_what_cannot_be_simulated_is_refused(level: levels.Level, family: Any, sentence: str) -> None:
    with pytest.raises(BuildError, match=f"^{sentence}$"):
        levels.require_level(level, family)
    assert levels.default_level(family) != level


def test_refused_before_any_tool_runs(tmp_path: Any) -> None:
    build = Build(Plan(SMALL_NETWORK, lanes=1), find("tang-nano-9k"), tmp_path / "build")
    with pytest.raises(BuildError, match="only of ice40 and ecp5"):
        levels.simulated_board(build, "routed", 1, SILENT, total=6)
    assert not build.folder.exists()
