"""Large memories read from files: the simulator releases what it did, and small ones stay in the Verilog."""

from pathlib import Path

import numpy as np
import pytest

from spikeveil.hdl.engine.plan import Plan
from spikeveil.host.cosim.memory_files import MIN_WORDS, split_memories
from spikeveil.pysim import FlipSpec, LayerSpec, NetworkSpec


def verilog(words: int) -> str:
    lines = "".join(f"    mem[{index}] = 8'h{index % 251:02x};\n" for index in range(words))
    return f"module top;\n  reg [7:0] mem [{words - 1}:0];\n  initial begin\n{lines}  end\nendmodule\n"


def test_a_large_memory_becomes_a_file() -> None:
    text, files = split_memories(verilog(MIN_WORDS), Path("/cache/of me"))
    assert text.count("mem[") == 0 and '  initial $readmemh("/cache/of me/memory_0.mem", mem);\n' in text
    lines = files["memory_0.mem"].splitlines()
    assert len(lines) == MIN_WORDS and lines[255] == f"@ff {255 % 251:02x}"


@pytest.mark.parametrize(("words", "folder"), [(MIN_WORDS - 1, "/cache"), (MIN_WORDS, '/a"b'), (MIN_WORDS, "/é")])
def test_a_small_memory_and_one_of_an_odd_folder_stay(words: int, folder: str) -> None:
    assert split_memories(verilog(words), Path(folder)) == (verilog(words), {})


@pytest.mark.verilator
def test_the_simulator_computes_with_the_weights_of_the_files(tmp_path: Path) -> None:
    from spikeveil.host import cosim
    from spikeveil.pysim import Network, TriviumSource
    from spikeveil.pysim.model.trivium import port_value

    rng = np.random.default_rng(2)
    spec = NetworkSpec([LayerSpec(rng.integers(-60, 60, (8, MIN_WORDS)), 400, flip=FlipSpec(1, 2))])
    spikes, key = rng.random((2, 3, MIN_WORDS)) < 0.1, bytes(range(3, 13))
    ports = cosim.LeasePorts(number=1 << 39, key=port_value(key, "key"))
    result = cosim.run_in_verilator(Plan(spec, lanes=2), spikes, ports, folder=tmp_path)
    assert list(tmp_path.glob("*/memory_*.mem"))
    expected = Network(spec, TriviumSource(key)).run(spikes, lease=1 << 39).released
    np.testing.assert_array_equal(result.released, expected)


@pytest.mark.verilator
def test_a_cache_of_a_name_with_spaces_and_unicode_is_built_in(tmp_path: Path) -> None:
    """make does not build in a folder whose path has a space."""
    from spikeveil.host import cosim

    spec = NetworkSpec([LayerSpec(np.eye(3, dtype=int), 1)])
    spikes = np.ones((1, 2, 3), bool)
    folder = tmp_path / "mon dossier é"
    folder.mkdir()
    plan = Plan(spec, lanes=1, unsafe=True)
    result = cosim.run_in_verilator(plan, spikes, cosim.LeasePorts(), folder=folder)
    np.testing.assert_array_equal(result.released, spikes)
