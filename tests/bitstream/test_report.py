"""The report of a build: every figure, and an error where one is missing. The tools are stand-ins."""

from pathlib import Path
from typing import Any

import pytest
from support.fake_tools import PATHS, PLAN, outputs, write

from spikeveil.boards.catalogue import find
from spikeveil.host.bitstream import report
from spikeveil.host.bitstream.build import Build
from spikeveil.host.bitstream.errors import BuildError
from spikeveil.host.bitstream.workload import Workload
from spikeveil.host.cli.screens.build_report import signal_of

pytest.importorskip("amaranth_boards")


def placed_report(stand_ins: Path) -> dict[str, Any]:
    build = Build.of(PLAN, find("hx8k"))
    build.synthesise()
    build.place(1)
    return report.make_report(build, 1, Workload())


def test_report_has_every_figure(stand_ins: Path) -> None:
    figures = placed_report(stand_ins)
    assert figures["resources"]["lut"] == {"used": 1234, "available": 7680}
    assert figures["resources"]["ff"] == {"used": 5, "available": 7680}
    assert figures["clocks"] == [{"net": "clk", "fmax_mhz": 64.25, "asked_mhz": 60.0, "met": True}]
    assert figures["synthesised"] == {"SB_LUT4": 1000, "SB_DFFE": 70, "SB_DFF": 7}
    path = figures["critical_path"]
    assert path["nanoseconds"] == 2.75
    assert [part["sources"] for part in path["elements"]] == [[], ["hdl/device/guard.py:80"], []]
    assert figures["parts"] == {
        "core": {"lut": 1, "ff": 1, "bram": 0},
        "source": {"lut": 2, "ff": 1, "bram": 0},
        "flippers": {"lut": 1, "ff": 0, "bram": 0},
        "guard": {"lut": 1, "ff": 1, "bram": 0},
        "link": {"lut": 1, "ff": 1, "bram": 1},
        "board": {"lut": 1, "ff": 1, "bram": 0},
    }


def test_parts_are_known_before_placing(stand_ins: Path) -> None:
    build = Build.of(PLAN, find("hx8k"))
    build.synthesise()
    assert report.packed_parts(build) == placed_report(stand_ins)["parts"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"fmax": {}}, "nextpnr's report names no clock: fmax is missing"),
        ({"critical_paths": PATHS[:1]}, "nextpnr's report has no critical path"),
        ({"utilization": {"ICESTORM_LC": {"used": 1}}}, "nextpnr's report lacks 'ICESTORM_RAM'"),
    ],
)
def test_a_missing_figure_is_an_error(stand_ins: Path, change: dict[str, Any], sentence: str) -> None:
    build = Build.of(PLAN, find("hx8k"))
    build.synthesise()
    write(stand_ins, outputs(**change))
    build.place(1)
    with pytest.raises(BuildError, match=f"^{sentence}$"):
        report.make_report(build, 1, Workload())


def test_carry_cells_count_for_the_chain_they_are_in() -> None:
    def cell(**pins: int) -> dict[str, Any]:
        return {"type": "TRELLIS_COMB", "parameters": {}, "connections": {pin: [bit] for pin, bit in pins.items()}}

    cells = {
        "$nextpnr_CCU2C_1$CCU2_COMB0": cell(FCO=10),
        "$nextpnr_CCU2C_1$CCU2_COMB1": cell(FCI=10, FCO=11),
        "device.core.guard.quota_CCU2C$CCU2_COMB0": cell(FCI=11, FCO=12),
        "$nextpnr_CCU2C_2$CCU2_COMB0": cell(FCI=12),
        "$nextpnr_CCU2C_9$CCU2_COMB0": cell(FCO=90),
    }
    figures = report.parts(cells)
    assert (figures["guard"]["lut"], figures["board"]["lut"]) == (4, 1)


def test_signals_of_cells() -> None:
    assert signal_of("device.core.guard.quota_SB_DFFSR_Q_3_D_SB_LUT4_O_LC") == "device.core.guard.quota"
    assert signal_of("device.core.guard.quota_TRELLIS_FF_Q_1") == "device.core.guard.quota"
    assert signal_of("weights.0.3_RAM") == "weights.0.3"
