"""Simulation handlers for ECP5 cells, after synthesis and after routing."""

from typing import Any

from spikeveil.host.bitstream.errors import BuildError
from spikeveil.host.bitstream.netlist import Handler, Netlist, keep_parameters

COMB_INPUTS = frozenset({*"ABCDM", "FCI", "F1", "FXA", "FXB", "WD", "WAD0", "WAD1", "WAD2", "WAD3", "WRE", "WCK"})
COMB_PARAMETERS = {"MODE", "INITVAL", "CCU2_INJECT1", "WREMUX", "IS_Z1"}
FLIP_FLOP_PARAMETERS = {"GSR", "CEMUX", "CLKMUX", "LSRMUX", "SRMODE", "REGSET", "LSRMODE"}


def _drop_pad(netlist: Netlist, name: str) -> None:
    netlist.pad(netlist.cells.pop(name), "B", "O", "I")


def _lock_pll(netlist: Netlist, name: str) -> None:
    cell = netlist.cells.pop(name)
    netlist.join(netlist.bit(cell, "CLKOP"), netlist.bit(cell, "CLKI"))
    netlist.join(netlist.bit(cell, "LOCK"), "1")


def _clock_buffer(netlist: Netlist, name: str) -> None:
    cell = netlist.cells.pop(name)
    netlist.join(netlist.bit(cell, "CLKO"), netlist.bit(cell, "CLKI"))


def _comb(netlist: Netlist, name: str) -> None:
    """Tie open inputs of a LUT, to 1, and open inputs of the rest of the cell, to 0.

    A cell at an odd position joins two pairs of LUTs (L6MUX21), one at an even position a single pair (PFUMX). The
    model needs IS_Z1 for the former. nextpnr does not write it; it is set where the inputs FXA or FXB are used.
    """
    cell = netlist.cells[name]
    connections, parameters = cell["connections"], dict(cell["parameters"])
    keep_parameters(cell, COMB_PARAMETERS)
    if parameters.get("MODE", "LOGIC") == "RAMW_BLOCK":  # occupied by the write side of a RAM, no function
        del netlist.cells[name]
        return
    for pin, normal in (("WCKMUX", "WCK"), ("WREMUX", "WRE")):
        if parameters.get(pin, normal).strip() not in (normal, "1"):
            raise BuildError(f"cell {name} has {pin} {parameters[pin]!r}: it has no model")
    if connections.get("FXA") or connections.get("FXB"):
        cell["parameters"]["IS_Z1"] = "1"
    for pin, bits in list(connections.items()):
        if not bits and pin in COMB_INPUTS:
            connections[pin] = ["1" if pin in "ABCD" else "0"]
        elif not bits:
            del connections[pin]
    if parameters.get("WREMUX", "WRE").strip() == "1":
        connections["WRE"] = ["1"]


def _flip_flop(netlist: Netlist, name: str) -> None:
    """Move the data input to DI, the only one of the model; a flip-flop without a LUT has it at M."""
    cell = netlist.cells[name]
    connections = cell["connections"]
    if cell["parameters"].get("SD", "1").strip() == "0":
        connections["DI"] = connections["M"]
    connections["M"] = ["0"]
    for pin, value in (("LSR", "0"), ("CE", "1")):
        if not connections.get(pin):
            connections[pin] = [value]
    if cell["parameters"].get("LSRMUX", "LSR").strip() == "INV" and connections["LSR"] == ["0"]:
        connections["LSR"] = ["1"]
    keep_parameters(cell, FLIP_FLOP_PARAMETERS)


def _write_side(netlist: Netlist, name: str) -> None:
    netlist.tie(name)
    keep_parameters(netlist.cells[name], set())


def _block_ram(netlist: Netlist, name: str) -> None:
    """Convert DP16KD to the model in `cells.v`: buses, integer parameters, one bit of chip select."""
    cell = netlist.cells[name]
    parameters = cell["parameters"]
    connections: dict[str, list[Any]] = {}
    for side in "AB":
        for pin in ("CLK", "CE", "OCE", "WE", "RST"):
            connections[pin + side] = [_input_bit(netlist, name, pin + side)]
        selects = [_input_bit(netlist, name, f"CS{side}{index}") for index in range(3)]
        required = parameters.get(f"CSDECODE_{side}", "0b000").removeprefix("0b")[::-1]
        if any(select != value for select, value in zip(selects, required, strict=True)):
            raise BuildError(f"block RAM {name} has a chip select that is not tied")
        connections["CS" + side] = ["1"]
        for bus, width in (("AD", 14), ("DI", 18), ("DO", 18)):
            pins = [f"{bus}{side}{index}" for index in range(width)]
            if bus == "DO":
                bits = [netlist.bit(cell, pin) for pin in pins]
                connections[bus + side] = [netlist.new_bit() if bit is None else bit for bit in bits]
            else:
                connections[bus + side] = [_input_bit(netlist, name, pin) for pin in pins]
    modes = {"NORMAL": 0, "WRITETHROUGH": 1, "READBEFOREWRITE": 2}
    numbers: dict[str, Any] = {}
    for side in "AB":
        numbers[f"WIDTH_{side}"] = int(parameters[f"DATA_WIDTH_{side}"], 2)
        numbers[f"OUTREG_{side}"] = int(parameters.get(f"REGMODE_{side}", "NOREG") == "OUTREG")
        numbers[f"MODE_{side}"] = modes[parameters.get(f"WRITEMODE_{side}", "NORMAL")]
        if numbers[f"MODE_{side}"] == modes["WRITETHROUGH"]:
            raise BuildError(f"block RAM {name} writes through: it has no model")
    directions = {pin: "output" if pin.startswith("DO") else "input" for pin in connections}
    netlist.cells[name] = {
        **cell,
        "type": "SIM_DP16KD",
        "parameters": {key: format(value, "032b") for key, value in numbers.items()} | {"INIT": _content(parameters)},
        "port_directions": directions,
        "connections": connections,
    }


def _input_bit(netlist: Netlist, name: str, pin: str) -> Any:
    """The bit at an input of a block RAM, or the constant that its multiplexer selects for an open one."""
    cell = netlist.cells[name]
    bit, choice = netlist.bit(cell, pin), cell["parameters"].get(f"{pin}MUX", pin).strip()
    if bit is not None and choice == pin:
        return bit
    if bit is not None:
        raise BuildError(f"pin {pin} of block RAM {name} has {choice!r}: it has no model")
    return {"0": "0", "1": "1", "INV": "0"}.get(choice, "0" if pin[:2] in ("AD", "DI", "RS") else "1")


def _content(parameters: dict[str, str]) -> str:
    """The initial content, highest bit first. A parameter holds 16 words of 18 bits, each in 20 bits."""
    words = []
    for index in range(64):
        row = parameters.get(f"INITVAL_{index:02X}", "0").replace("x", "0").zfill(320)[-320:]
        words += [row[300 - 20 * word : 320 - 20 * word][-18:] for word in range(16)]
    return "".join(reversed(words))


HANDLERS: dict[str, Handler] = {
    "TRELLIS_IO": _drop_pad,
    "EHXPLLL": _lock_pll,
    "DCCA": _clock_buffer,
    "TRELLIS_COMB": _comb,
    "TRELLIS_FF": _flip_flop,
    "TRELLIS_RAMW": _write_side,
    "DP16KD": _block_ram,
}
