"""Simulation models: chosen with what they are made of, ours before those that Yosys ships."""

from pathlib import Path

import pytest

from spikeveil.host.bitstream import cell_models as models
from spikeveil.host.bitstream import tools
from spikeveil.host.bitstream.errors import BuildError

SHIPPED = """
`define SOMETHING
(* blackbox *)
module EMPTY (input A);
endmodule

(* lib_whitebox *)
module INNER (input A, output Z);
  assign Z = A;
  endmodule

module OUTER (input A, output Z);
  INNER inner (A, Z);
  assign Z = (A === 1'bz) ? 1'b1 : A;
  wire FCO = A;
endmodule

module UNUSED (input A);
endmodule

module TRELLIS_RAMW (input A);
endmodule
"""


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    (tmp_path / "cells.v").write_text(SHIPPED)
    monkeypatch.setattr(tools, "yosys_share", lambda: tmp_path)
    return ("cells.v",)


def test_a_model_comes_with_what_it_is_made_of(shipped: tuple[str, ...]) -> None:
    text = models.simulation_models(shipped, {"OUTER"})
    assert "module OUTER" in text
    assert "module INNER" in text
    assert "UNUSED" not in text
    assert "assign Z = A;" in text  # an open pin is known in the netlist
    assert "===" not in text
    assert "assign FCO = A;" in text


def test_ours_go_before(shipped: tuple[str, ...]) -> None:
    assert "output WADO0" in models.simulation_models(shipped, {"TRELLIS_RAMW"})


def test_a_black_box_is_no_model(shipped: tuple[str, ...]) -> None:
    with pytest.raises(BuildError, match=r"^there is no simulation model of ABSENT, EMPTY$"):
        models.simulation_models(shipped, {"EMPTY", "OUTER", "ABSENT"})
