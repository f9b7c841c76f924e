"""Builds a bitstream stage by stage. A stage's folder appears by a rename once it is complete, so builds can resume.

Its files have digests, which are checked before the folder is used again: a damaged one is made anew.
"""

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from spikeveil.boards.board import Board
from spikeveil.hdl.engine.plan import Plan
from spikeveil.host import caches, sealed_folders
from spikeveil.host.bitstream import tools
from spikeveil.host.bitstream.cache import MAX_BUILDS, build_folder, digest
from spikeveil.host.bitstream.control_sets import split_mixed_nets
from spikeveil.host.bitstream.design_files import design_files
from spikeveil.host.bitstream.errors import BuildError, FitError
from spikeveil.host.bitstream.output_registers import absorb_registers
from spikeveil.host.bitstream.stages import SILENT, Listener, Stage
from spikeveil.host.bitstream.tool_flows import TOOL_FLOWS, ToolFlow, count_flip_flops, used_resources
from spikeveil.host.scratch import scratch_folder

CHIP_FULL = ("no BELs remaining", "nable to place", "failed to place")  # in nextpnr's errors when the chip is full
STAGING = ".staging-"  # prefix of the folders in which stages are made
RESOURCE_NAMES = {"lut": "LUTs", "ff": "flip-flops", "bram": "block RAMs", "spram": "SPRAMs", "dsp": "multipliers"}


@dataclass(frozen=True)
class Build:
    """One plan on one board. Make it with `Build.of`, then call `synthesise` and `place`.

    Stages: `design` (Amaranth), `synth` (Yosys), `count` (nextpnr, packing only), `place-SEED`, `pack-SEED`. The name
    of `folder` is a digest of everything that the bitstream depends on (`cache.digest`).
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
    def tool_flow(self) -> ToolFlow:
        """Options and file names of the board's chip family."""
        return TOOL_FLOWS[self.board.chip.family]

    def synthesise(self, listener: Listener = SILENT, *, total: int = 3, first: int = 1) -> dict[str, int]:
        """Stages design, synth and count: the resources that the netlist uses. FitError where the chip has fewer.

        first: number of the first of these stages; total: number of all stages. Both are for `listener`.
        """
        self.run_stage("design", (first, total, "elaborate the design"), listener, self._design)
        self.run_stage("synth", (first + 1, total, self._describe(0, "synthesise")), listener, self._synth)
        self.run_stage("count", (first + 2, total, self._describe(1, "count the resources")), listener, self._count)
        counts = self.counts()
        require_fit(counts, self.board)
        return counts

    def counts(self) -> dict[str, int]:
        """The resources that the netlist uses. Stage `count` must be complete."""
        utilization = json.loads((self.folder / "count" / "report.json").read_text())["utilization"]
        stat = json.loads((self.folder / "synth" / "stat.json").read_text())
        return used_resources(self.board.chip, utilization, count_flip_flops(self.tool_flow, stat))

    def place(self, seed: int, listener: Listener = SILENT, *, total: int = 5, first: int = 4) -> Path:
        """Stages place and pack for one seed: the bitstream's path. Call `synthesise` before."""
        text = self._describe(1, f"place and route, seed {seed}")
        self.run_stage(f"place-{seed}", (first, total, text), listener, lambda folder: self._place(folder, seed))
        text = self._describe(2, f"pack the bitstream, seed {seed}")
        packed = self.run_stage(
            f"pack-{seed}", (first + 1, total, text), listener, lambda folder: self._pack(folder, seed)
        )
        return packed.folder / f"top.{self.tool_flow.packed}"

    def run_stage(
        self, name: str, numbering: tuple[int, int, str], listener: Listener, work: Callable[[Path], None]
    ) -> Stage:
        """Do `work` in the stage's folder, unless that is complete already, every file as it was made.

        numbering: number of the stage, number of all stages, description. work: called with the folder for its files.
        """
        target = self.folder / name
        caches.touch(self.folder)
        number, total, text = numbering
        facts = sealed_folders.read_facts(target, **self._identity(name))
        listener.begin(number, total, text if facts is None else name)
        seconds = self._make(name, target, work) if facts is None else facts["seconds"]
        stage = Stage(name, target, seconds, cached=facts is not None)
        listener.end(stage)
        return stage

    def _describe(self, tool_index: int, text: str) -> str:
        """`text`, with a warning where the tool is about to compile itself."""
        tool = tools.of_family(self.board.chip.family)[tool_index]
        if tools.is_cold(tool):
            seconds = tools.WARM_UP_SECONDS.get(tool.name, 10)
            text += f" (first run of {tool.name} on this machine: it compiles itself, about {seconds} s more)"
        return text

    def _make(self, name: str, target: Path, work: Callable[[Path], None]) -> float:
        """Do the work in a temporary folder beside `target`, then rename it; the seconds that the work took."""
        with scratch_folder(self.folder, STAGING) as staging:
            start = time.monotonic()
            try:
                work(staging)
            except BuildError as error:
                raise type(error)(str(error).replace(str(staging), str(self._keep_failed(name, staging)))) from error
            seconds = round(time.monotonic() - start, 2)
            sealed_folders.publish(staging, target, **self._identity(name), seconds=seconds)
        if self.folder.parent == build_folder():
            caches.evict(build_folder(), MAX_BUILDS)
        return seconds

    def _identity(self, name: str) -> dict[str, str]:
        """What the seal of a stage says beside its files: a whole folder of another stage or build is no result."""
        return {"stage": name, "build": self.folder.name}

    def _keep_failed(self, name: str, staging: Path) -> Path:
        """Keep the files of a failed stage for inspection; their new folder."""
        failed = self.folder / f"failed-{name}"
        shutil.rmtree(failed, ignore_errors=True)
        staging.rename(failed)
        return failed

    def _design(self, folder: Path) -> None:
        for name, text in design_files(self.plan, self.board).items():
            if name in ("top.il", f"top.{self.tool_flow.constraints}"):
                (folder / name).write_text(text)

    def _synth(self, folder: Path) -> None:
        lines = [
            "read_rtlil ../design/top.il",
            self.tool_flow.synthesis,
            "tee -q -o stat.json stat -json",
            "write_json top.json",
        ]
        (folder / "synth.ys").write_text("\n".join([*lines, ""]))
        tools.run(tools.YOSYS, ["-q", "-l", "yosys.log", "synth.ys"], folder, "synth.log")
        change = {"ecp5": absorb_registers, "ice40": split_mixed_nets}.get(self.board.chip.family)
        if change is not None:
            netlist = json.loads((folder / "top.json").read_text())
            change(netlist["modules"]["top"])
            (folder / "top.json").write_text(json.dumps(netlist))

    def _count(self, folder: Path) -> None:
        tools.run(tools.NEXTPNR[self.board.chip.family], self.tool_flow.count(self.board.chip), folder, "count.log")

    def _place(self, folder: Path, seed: int) -> None:
        options = self.tool_flow.place(self.board.chip, self.board.clock_hz, seed)
        try:
            tools.run(tools.NEXTPNR[self.board.chip.family], options, folder, "place.log")
        except BuildError as error:
            if any(words in str(error) for words in CHIP_FULL):
                raise FitError(f"the design does not fit board {self.board.name}: {error}") from error
            raise

    def _pack(self, folder: Path, seed: int) -> None:
        tool = tools.PACK[self.board.chip.family]
        tools.run(tool, self.tool_flow.pack(self.board.chip, f"../place-{seed}"), folder, "pack.log")


def require_fit(counts: dict[str, int], board: Board) -> None:
    """FitError where a netlist needs more of a resource than the board's chip has, with the numbers."""
    excess = [
        f"{count} {RESOURCE_NAMES[resource]}, {count - board.chip.available(resource)} more than the "
        f"{board.chip.available(resource)} of its {board.chip.name}"
        for resource, count in counts.items()
        if count > board.chip.available(resource)
    ]
    if excess:
        raise FitError(f"the design does not fit board {board.name}: it needs {'; '.join(excess)}")
