"""The cache of builds: its folder, and the digest that names a build."""

import hashlib
from importlib import metadata
from pathlib import Path

import spikeveil.boards
import spikeveil.hdl
import spikeveil.pysim
from spikeveil.boards.board import Board
from spikeveil.hdl.engine.plan import Plan
from spikeveil.host import caches
from spikeveil.host.bitstream import tools

MAX_BUILDS = 64
#: files of this package that a bitstream depends on
FLOW_FILES = ("build.py", "control_sets.py", "design_files.py", "output_registers.py", "tool_flows.py")


def build_folder() -> Path:
    """`spikeveil/build` in the user's cache folder."""
    return caches.folder("build")


def digest(plan: Plan, board: Board) -> str:
    """Digest of everything but the seed that a bitstream depends on: plan, board, generator sources, tool versions."""
    chip = board.chip
    fields = [plan.spec.fingerprint, plan.source, plan.schedule, str(plan.lanes), str(plan.unsafe)]
    fields += [str(plan.loadable), str(plan.spram), str(plan.tagged), str(plan.fold)]
    fields += [
        board.name,
        board.pll,
        str((board.clock_hz, board.baud, board.leds, board.buffer)),
        chip.name,
        *chip.options,
    ]
    fields += [f"{name} {metadata.version(name)}" for name in ("amaranth", "amaranth-boards")]
    fields += [*(tools.version(tool) for tool in tools.of_family(chip.family))]
    sources = caches.package_sources(spikeveil.hdl, spikeveil.pysim, spikeveil.boards)
    sources += [Path(__file__).parent / name for name in FLOW_FILES]
    code = getattr(board.platform, "__code__", None)
    if code is not None and Path(code.co_filename) not in sources and Path(code.co_filename).is_file():
        sources.append(Path(code.co_filename))  # a board from a user's file
    return hashlib.sha256("\0".join([*fields, *(path.read_text() for path in sources)]).encode()).hexdigest()[:24]
