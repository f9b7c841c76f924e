"""Simulation handlers for Gowin cells, after synthesis."""

from typing import Any

from spikeveil.host.bitstream.errors import BuildError
from spikeveil.host.bitstream.netlist import Cell, Handler, Netlist

#: block RAM types -> bits of a byte
SINGLE_PORT = {"SP": 8, "SPX9": 9}
SEMI_DUAL_PORT = {"SDPB": 8, "SDPX9B": 9}  # port A writes, port B reads
DUAL_PORT = {"DPB": 8, "DPX9B": 9}
ROWS, ROW_BYTES = 64, 32


def _low(netlist: Netlist, name: str) -> None:
    netlist.join(netlist.bit(netlist.cells.pop(name), "G"), "0")


def _high(netlist: Netlist, name: str) -> None:
    netlist.join(netlist.bit(netlist.cells.pop(name), "V"), "1")


def _drop_input(netlist: Netlist, name: str) -> None:
    netlist.pad(netlist.cells.pop(name), "I", "O", "")


def _drop_output(netlist: Netlist, name: str) -> None:
    netlist.pad(netlist.cells.pop(name), "O", "", "I")


def _block_ram(netlist: Netlist, name: str) -> None:
    """Convert any block RAM to the one in `cells.v`: two read and write ports, each up to 36 bits wide."""
    cell = netlist.cells[name]
    kind, parameters = cell["type"], cell["parameters"]
    if kind in SINGLE_PORT:
        sides = {"A": _side(netlist, cell, "", "WRE"), "B": _unused(netlist)}
        numbers = _port_parameters(parameters, "A", "")
    elif kind in SEMI_DUAL_PORT:
        sides = {"A": _side(netlist, cell, "A", "", writes="1"), "B": _side(netlist, cell, "B", "", writes="0")}
        numbers = _port_parameters(parameters, "A", "_0") | _port_parameters(parameters, "B", "_1")
    else:
        sides = {side: _side(netlist, cell, side, "WRE" + side) for side in "AB"}
        numbers = _port_parameters(parameters, "A", "_0", "0") | _port_parameters(parameters, "B", "_1", "1")
    _require_supported(netlist, name, cell)
    byte = (SINGLE_PORT | SEMI_DUAL_PORT | DUAL_PORT)[kind]
    pins = {pin + side: bits for side, port in sides.items() for pin, bits in port.items()}
    netlist.cells[name] = {
        **cell,
        "type": "SIM_BSRAM",
        "parameters": {key: format(value, "032b") for key, value in (numbers | {"BYTE": byte}).items()}
        | {"INIT": _content(parameters, byte)},
        "port_directions": {pin: "output" if pin.startswith("DO") else "input" for pin in pins},
        "connections": pins,
    }


def _side(netlist: Netlist, cell: Cell, side: str, write: str, *, writes: str = "") -> dict[str, list[Any]]:
    """Connections of one port; `write`: its write-enable pin, or '' where `writes` is the level instead."""
    bits = cell["connections"]

    def bus(name: str, width: int, unconnected: Any) -> list[Any]:
        connected = bits.get(name + side) or bits.get(name) or []
        return [*connected, *(unconnected() for _ in range(width - len(connected)))]

    return {
        "CLK": bits["CLK" + side],
        "CE": bits["CE" + side],
        "RST": bits["RESET" + side],
        "OCE": bits.get("OCE" + side) or bits.get("OCE") or ["1"],
        "WE": bits[write] if write else [writes],
        "AD": bus("AD", 14, lambda: "0"),
        "DI": bus("DI", 36, lambda: "0"),
        "DO": bus("DO", 36, netlist.new_bit) if writes != "1" else [netlist.new_bit() for _ in range(36)],
    }


def _unused(netlist: Netlist) -> dict[str, list[Any]]:
    """Connections of a port that the block RAM does not have."""
    pins: dict[str, list[Any]] = {pin: ["0"] for pin in ("CLK", "CE", "RST", "OCE", "WE")}
    return pins | {"AD": ["0"] * 14, "DI": ["0"] * 36, "DO": [netlist.new_bit() for _ in range(36)]}


def _port_parameters(parameters: dict[str, Any], side: str, suffix: str, mode_suffix: str = "") -> dict[str, int]:
    """Width, write mode and output register of a port, from the parameters with these suffixes."""
    return {
        f"WIDTH_{side}": int(parameters[f"BIT_WIDTH{suffix}"], 2),
        f"MODE_{side}": int(parameters.get(f"WRITE_MODE{mode_suffix}", "0"), 2),
        f"OUTREG_{side}": int(parameters.get(f"READ_MODE{mode_suffix}", "0"), 2),
    }


def _require_supported(netlist: Netlist, name: str, cell: Cell) -> None:
    """BuildError where a block RAM has a block select that is used, or an asynchronous reset."""
    for pin, bits in cell["connections"].items():
        tied = all(netlist.value(bit) == "0" for bit in bits)
        if pin.startswith("BLKSEL") and not tied:
            raise BuildError(f"block RAM {name} has a block select that is not tied: it has no model")
        if pin.startswith("RESET") and cell["parameters"]["RESET_MODE"].strip() == "ASYNC" and not tied:
            raise BuildError(f"block RAM {name} is reset without a clock: it has no model")


def _content(parameters: dict[str, Any], byte: int) -> str:
    """The initial content as bytes of 9 bits, highest first."""
    content = []
    for index in range(ROWS):
        row = parameters.get(f"INIT_RAM_{index:02X}", "0").replace("x", "0").zfill(ROW_BYTES * byte)
        content += [row[start : start + byte].zfill(9) for start in reversed(range(0, ROW_BYTES * byte, byte))]
    return "".join(reversed(content))


HANDLERS: dict[str, Handler] = {
    "GND": _low,  # the constants first: block RAM handlers read them
    "VCC": _high,
    "IBUF": _drop_input,
    "OBUF": _drop_output,
    "TBUF": _drop_output,
    **dict.fromkeys((*SINGLE_PORT, *SEMI_DUAL_PORT, *DUAL_PORT), _block_ram),
}
