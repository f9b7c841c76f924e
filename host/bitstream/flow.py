"""The build, step by step: each step's folder appears whole or not at all, so a build goes on where it stopped."""

import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from spikeveil.boards.board import Board
from spikeveil.hdl.engine.plan import Plan
from spikeveil.host import caches
from spikeveil.host.bitstream import tools
from spikeveil.host.bitstream.cache import KEEP, build_folder, digest
from spikeveil.host.bitstream.control_sets import part
from spikeveil.host.bitstream.errors import BuildError, FitError
from spikeveil.host.bitstream.output_registers import absorb
from spikeveil.host.bitstream.recipes import RECIPES, Recipe, flip_flops, used

FULL = ("no BELs remaining", "nable to place", "failed to place")  # what nextpnr says of a full chip
STEP_FILE = "step.json"
RESOURCE_NAMES = {"lut": "LUTs", "ff": "flip-flops", "bram": "block RAMs", "spram": "SPRAMs", "dsp": "multipliers"}


@dataclass(frozen=True)
class Step:
    """One finished step: its folder, the seconds it took, and whether it was found finished."""

    name: str
    folder: Path
    seconds: float
    kept: bool


class Listener(Protocol):
    """Who hears of the steps."""

    def begin(self, number: int, total: int, text: str) -> None:
        """Step `number` of `total` begins: what is being done."""

    def end(self, step: Step) -> None:
        """That step is done."""


class Nobody:
    """Hears nothing."""

    def begin(self, number: int, total: int, text: str) -> None: ...

    def end(self, step: Step) -> None: ...


NOBODY = Nobody()


@dataclass(frozen=True)
class Build:
    """One plan on one board, in its folder of the cache.

    Steps: design (Amaranth), synth (Yosys), count (nextpnr, packing only), place-SEED (nextpnr) and pack-SEED. The
    folder's name is a digest of everything that the result depends on (`cache.digest`).
    """

    plan: Plan
    board: Board
    folder: Path

    @classmethod
    def of(cls, plan: Plan, board: Board, *, base: Path | None = None) -> "Build":
        """The build of a plan on a board, under `base` or the cache folder. BuildError where a tool is missing."""
        for tool in tools.of_family(board.chip.family):
            tools.require(tool)
        plan = board.suited(plan)
        return cls(plan, board, (base or build_folder()) / digest(plan, board))

    @property
    def recipe(self) -> Recipe:
        """How the board's family is built."""
        return RECIPES[self.board.chip.family]

    def synthesise(self, listener: Listener = NOBODY, *, total: int = 3, first: int = 1) -> dict[str, int]:
        """Steps design, synth and count: the resources that the netlist takes. FitError where the chip has fewer."""
        self.step("design", (first, total, "elaborate the design"), listener, self._design)
        self.step("synth", (first + 1, total, self._doing(0, "synthesise")), listener, self._synth)
        doing = self._doing(1, "count what it takes")
        self.step("count", (first + 2, total, doing), listener, self._count)
        counts = self.counts()
        require_fit(counts, self.board)
        return counts

    def counts(self) -> dict[str, int]:
        """The resources that the netlist takes; step count goes before."""
        utilization = json.loads((self.folder / "count" / "report.json").read_text())["utilization"]
        stat = json.loads((self.folder / "synth" / "stat.json").read_text())
        return used(self.board.chip, utilization, flip_flops(self.recipe, stat))

    def place(self, seed: int, listener: Listener = NOBODY, *, total: int = 5, first: int = 4) -> Path:
        """Steps place and pack for one seed: the bitstream. `synthesise` goes before."""
        doing = self._doing(1, f"place and route, seed {seed}")
        self.step(f"place-{seed}", (first, total, doing), listener, lambda folder: self._place(folder, seed))
        doing = self._doing(2, f"pack the bitstream, seed {seed}")
        done = self.step(f"pack-{seed}", (first + 1, total, doing), listener, lambda folder: self._pack(folder, seed))
        return done.folder / f"top.{self.recipe.packed}"

    def _doing(self, index: int, text: str) -> str:
        tool = tools.of_family(self.board.chip.family)[index]
        if tools.is_cold(tool):
            seconds = tools.WARM_UP_SECONDS.get(tool.name, 10)
            text += f" (first run of {tool.name} on this machine: it compiles itself, about {seconds} s more)"
        return text

    def step(self, name: str, place: tuple[int, int, str], listener: Listener, work: Callable[[Path], None]) -> Step:
        target = self.folder / name
        caches.touch(self.folder)
        if not (target / STEP_FILE).exists():
            listener.begin(*place)
            seconds = self._make(name, target, work)
            done = Step(name, target, seconds, kept=False)
        else:
            number, total, _ = place
            listener.begin(number, total, name)
            done = Step(name, target, json.loads((target / STEP_FILE).read_text())["seconds"], kept=True)
        listener.end(done)
        return done

    def _make(self, name: str, target: Path, work: Callable[[Path], None]) -> float:
        """Do the step's work in a folder of its own beside `target`, then give it that name."""
        self.folder.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(dir=self.folder, prefix=f".{name}-"))
        start = time.monotonic()
        try:
            work(staging)
            seconds = round(time.monotonic() - start, 2)
            (staging / STEP_FILE).write_text(json.dumps({"step": name, "seconds": seconds}) + "\n")
            if not (target / STEP_FILE).exists():
                shutil.rmtree(target, ignore_errors=True)
                staging.rename(target)
        except BuildError as error:
            raise type(error)(str(error).replace(str(staging), str(self._keep_failed(name, staging)))) from error
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        if self.folder.parent == build_folder():
            caches.evict(build_folder(), KEEP)
        return seconds

    def _keep_failed(self, name: str, staging: Path) -> Path:
        """Keep a failed step's files for who wants to read them: where."""
        failed = self.folder / f"failed-{name}"
        shutil.rmtree(failed, ignore_errors=True)
        staging.rename(failed)
        return failed

    def _design(self, folder: Path) -> None:
        for name, text in design_files(self.plan, self.board).items():
            if name in ("top.il", f"top.{self.recipe.constraints}"):
                (folder / name).write_text(text)

    def _synth(self, folder: Path) -> None:
        lines = [
            "read_rtlil ../design/top.il",
            self.recipe.synthesis,
            "tee -q -o stat.json stat -json",
            "write_json top.json",
        ]
        (folder / "synth.ys").write_text("\n".join([*lines, ""]))
        tools.run(tools.YOSYS, ["-q", "-l", "yosys.log", "synth.ys"], folder, "synth.log")
        change = {"ecp5": absorb, "ice40": part}.get(self.board.chip.family)
        if change is not None:
            netlist = json.loads((folder / "top.json").read_text())
            change(netlist["modules"]["top"])
            (folder / "top.json").write_text(json.dumps(netlist))

    def _count(self, folder: Path) -> None:
        tools.run(tools.NEXTPNR[self.board.chip.family], self.recipe.count(self.board.chip), folder, "count.log")

    def _place(self, folder: Path, seed: int) -> None:
        options = self.recipe.place(self.board.chip, self.board.clock_hz, seed)
        try:
            tools.run(tools.NEXTPNR[self.board.chip.family], options, folder, "place.log")
        except BuildError as error:
            if any(words in str(error) for words in FULL):
                raise FitError(f"the design does not fit board {self.board.name}: {error}") from error
            raise

    def _pack(self, folder: Path, seed: int) -> None:
        tool = tools.PACK[self.board.chip.family]
        tools.run(tool, self.recipe.pack(self.board.chip, f"../place-{seed}"), folder, "pack.log")


def design_files(plan: Plan, board: Board) -> dict[str, str]:
    """What Amaranth writes for a plan on a board: file name to text, the same on every machine."""
    from spikeveil.boards.design import BoardDesign
    from spikeveil.hdl.device.top import Top

    device = Top(plan, clock_hz=board.clock_hz, baud=board.baud, window=board.buffer, outbox=board.buffer)
    files: dict[str, Any] = board.platform().prepare(BoardDesign(board, device), "top", debug_verilog=False).files
    texts = {name: text.decode() if isinstance(text, bytes) else text for name, text in files.items()}
    return {name: _without_places(text) for name, text in texts.items()}


def _without_places(text: str) -> str:
    """Source references without this machine's folders, so that the same design is the same text everywhere."""
    import amaranth

    import spikeveil.hdl

    ours = Path(spikeveil.hdl.__file__).parent.parent
    amaranths = Path(amaranth.__file__).parent.parent
    roots = sorted({str(ours), str(amaranths), *filter(os.path.isabs, sys.path)}, key=len, reverse=True)
    for root in roots:
        if root != os.sep:
            text = text.replace(f'src "{root}{os.sep}', 'src "').replace(f"|{root}{os.sep}", "|")
    return text


def require_fit(counts: dict[str, int], board: Board) -> None:
    """FitError where a netlist needs more of some resource than the board's chip has, by how much."""
    over = [
        f"{count} {RESOURCE_NAMES[resource]}, {count - board.chip.available(resource)} more than the "
        f"{board.chip.available(resource)} of its {board.chip.name}"
        for resource, count in counts.items()
        if count > board.chip.available(resource)
    ]
    if over:
        raise FitError(f"the design does not fit board {board.name}: it needs {'; '.join(over)}")
