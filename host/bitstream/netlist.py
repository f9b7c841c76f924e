"""Routed netlists made fit for a simulator: pads as ports, the PLL a wire, open pins as the chip has them.

nextpnr writes what it placed and routed, cell by cell. Every cell keeps the model that Yosys ships, or the one in
`cells.v`; changed here is only what a model cannot know: the pull-ups of pins that nextpnr left open.
"""

from collections.abc import Callable
from typing import Any

from spikeveil.boards.chips import Family
from spikeveil.host.bitstream.errors import BuildError

Cell = dict[str, Any]
#: parameters of a cell that its model has; the others say where a tool put something
KNOWN = {
    "TRELLIS_COMB": {"MODE", "INITVAL", "CCU2_INJECT1", "WREMUX", "IS_Z1"},
    "TRELLIS_FF": {"GSR", "CEMUX", "CLKMUX", "LSRMUX", "SRMODE", "REGSET", "LSRMODE"},
    "TRELLIS_RAMW": set[str](),
}
COMB_INPUTS = frozenset({*"ABCDM", "FCI", "F1", "FXA", "FXB", "WD", "WAD0", "WAD1", "WAD2", "WAD3", "WRE", "WCK"})
PULLED_UP = {"CEN", "RCLKE", "WCLKE"}  # of an iCE40 cell, when open; the other pins are pulled down


class Netlist:
    """A routed module while it is being changed: `cells` by name, `ports` by name, and bits that are other bits."""

    def __init__(self, module: dict[str, Any], clock: str) -> None:
        self.cells: dict[str, Cell] = module["cells"]
        self.ports: dict[str, Any] = module["ports"]
        self.module, self.same = module, dict[Any, Any]()
        self._next: int | None = None
        self.clock = self.ports[clock]["bits"][0]

    def fresh(self) -> int:
        """A bit that nothing else has."""
        self._next = (
            max(
                (
                    bit
                    for cell in self.cells.values()
                    for bits in cell["connections"].values()
                    for bit in bits
                    if isinstance(bit, int)
                ),
                default=1,
            )
            + 1
            if self._next is None
            else self._next + 1
        )
        return self._next

    def bit(self, cell: Cell, pin: str) -> Any:
        """The one bit at a pin; None where it is open."""
        bits = cell["connections"].get(pin)
        return bits[0] if bits else None

    def join(self, bit: Any, other: Any) -> None:
        """From now on `bit` is `other`."""
        if bit is not None:
            self.same[bit] = other

    def pad(self, cell: Cell, pad: str, inward: str, outward: str) -> None:
        """Make a pad's port a plain input or output."""
        outside = self.bit(cell, pad)
        port = next(port for port in self.ports.values() if port["bits"] == [outside])
        driven = self.bit(cell, outward)
        port["direction"] = "input" if driven is None else "output"
        if driven is not None:
            self.join(outside, driven)
        else:
            self.join(self.bit(cell, inward), outside)

    def finish(self) -> None:
        """Carry out every `join`."""
        for cell in self.cells.values():
            cell["connections"] = {pin: [self._last(bit) for bit in bits] for pin, bits in cell["connections"].items()}
            cell["attributes"] = {}
            known = KNOWN.get(cell["type"], cell["parameters"].keys())
            cell["parameters"] = {name: value for name, value in cell["parameters"].items() if name in known}
        for port in self.ports.values():
            port["bits"] = [self._last(bit) for bit in port["bits"]]
        self.module["netnames"] = {}

    def _last(self, bit: Any) -> Any:
        while bit in self.same:
            bit = self.same[bit]
        return bit


def prepare(module: dict[str, Any], family: Family, clock: str) -> None:
    """Change a routed module in place; `clock` names the port that the board's clock comes in by."""
    netlist = Netlist(module, clock)
    handlers = {"ice40": ICE40, "ecp5": ECP5}
    if family not in handlers:
        raise BuildError(f"a routed netlist of {family} cannot be simulated: only of {' and '.join(handlers)}")
    for name in list(netlist.cells):
        handler = handlers[family].get(netlist.cells[name]["type"])
        if handler is not None:
            handler(netlist, name)
    netlist.finish()


def _drop_ice40_pad(netlist: Netlist, name: str) -> None:
    netlist.pad(netlist.cells.pop(name), "PACKAGE_PIN", "D_IN_0", "D_OUT_0")


def _feed_buffer(netlist: Netlist, name: str) -> None:
    """A global buffer that the clock's pad or the PLL feeds by wires of its own, which nextpnr does not write."""
    connections = netlist.cells[name]["connections"]
    if not connections["USER_SIGNAL_TO_GLOBAL_BUFFER"]:
        connections["USER_SIGNAL_TO_GLOBAL_BUFFER"] = [netlist.clock]


def _lock_ice40_pll(netlist: Netlist, name: str) -> None:
    netlist.join(netlist.bit(netlist.cells.pop(name), "LOCK"), "1")


def _tie(netlist: Netlist, name: str) -> None:
    """Open inputs as the chip pulls them, open outputs left out."""
    cell = netlist.cells[name]
    for pin, bits in list(cell["connections"].items()):
        if not bits and cell["port_directions"][pin] == "input":
            cell["connections"][pin] = ["1" if pin in PULLED_UP else "0"]
        elif not bits:
            del cell["connections"][pin]


def _split_logic_cell(netlist: Netlist, name: str) -> None:
    """A logic cell as two, its carry and the rest: some feed their LUT's output back into an input that only the carry
    looks at, which a simulator would take for a loop."""
    _tie(netlist, name)
    cell = netlist.cells[name]
    if int(cell["parameters"]["CARRY_ENABLE"], 2):
        pins = {pin: bits for pin, bits in cell["connections"].items() if pin not in ("O", "LO")}
        parameters = {**cell["parameters"], "LUT_INIT": "0" * 16, "DFF_ENABLE": "0"}
        netlist.cells[f"{name}$carry"] = {**cell, "parameters": parameters, "connections": {**pins, "CLK": ["0"]}}
        cell["parameters"]["CARRY_ENABLE"] = "0"
        cell["connections"].pop("COUT", None)
        cell["connections"]["CIN"] = ["0"]
    table = cell["parameters"]["LUT_INIT"].zfill(16)
    for index in range(4):
        if all(table[15 - at] == table[15 - (at ^ 1 << index)] for at in range(16)):
            cell["connections"][f"I{index}"] = ["0"]


def _drop_ecp5_pad(netlist: Netlist, name: str) -> None:
    netlist.pad(netlist.cells.pop(name), "B", "O", "I")


def _lock_ecp5_pll(netlist: Netlist, name: str) -> None:
    cell = netlist.cells.pop(name)
    netlist.join(netlist.bit(cell, "CLKOP"), netlist.bit(cell, "CLKI"))
    netlist.join(netlist.bit(cell, "LOCK"), "1")


def _clock_buffer(netlist: Netlist, name: str) -> None:
    cell = netlist.cells.pop(name)
    netlist.join(netlist.bit(cell, "CLKO"), netlist.bit(cell, "CLKI"))


def _comb(netlist: Netlist, name: str) -> None:
    """Open inputs of an ECP5 LUT are high; inputs that the table does not look at are tied, lest a loop be seen."""
    cell = netlist.cells[name]
    connections, parameters = cell["connections"], cell["parameters"]
    if parameters.get("MODE", "LOGIC") == "RAMW_BLOCK":  # the place that a RAM's write side takes, no function
        del netlist.cells[name]
        return
    for pin, normal in (("WCKMUX", "WCK"), ("WREMUX", "WRE")):
        if parameters.get(pin, normal).strip() not in (normal, "1"):
            raise BuildError(f"cell {name} of the routed netlist has {pin} {parameters[pin]!r}: no model of that")
    for pin, bits in list(connections.items()):
        if not bits and pin in COMB_INPUTS:
            connections[pin] = ["1" if pin in "ABCD" else "0"]
        elif not bits:
            del connections[pin]
    if parameters.get("WREMUX", "WRE").strip() == "1":
        connections["WRE"] = ["1"]


def _flip_flop(netlist: Netlist, name: str) -> None:
    """An ECP5 flip-flop's data come by DI, or past the LUT by M: the model knows DI."""
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


def _block_ram(netlist: Netlist, name: str) -> None:
    """DP16KD as the model in `cells.v`: buses, plain numbers, one bit of chip select."""
    cell = netlist.cells[name]
    parameters = cell["parameters"]
    connections: dict[str, list[Any]] = {}
    for side in "AB":
        for pin in ("CLK", "CE", "OCE", "WE", "RST"):
            connections[pin + side] = [_steady(netlist, name, pin + side)]
        selects = [_steady(netlist, name, f"CS{side}{index}") for index in range(3)]
        wanted = parameters.get(f"CSDECODE_{side}", "0b000").removeprefix("0b")[::-1]
        if any(select != value for select, value in zip(selects, wanted, strict=True)):
            raise BuildError(f"block RAM {name} of the routed netlist has a chip select that is not tied")
        connections["CS" + side] = ["1"]
        for bus, width in (("AD", 14), ("DI", 18), ("DO", 18)):
            found = [netlist.bit(cell, f"{bus}{side}{index}") for index in range(width)]
            if bus == "DO":
                found = [netlist.fresh() if bit is None else bit for bit in found]
            else:
                found = [_steady(netlist, name, f"{bus}{side}{index}") for index in range(width)]
            connections[bus + side] = found
    modes = {"NORMAL": 0, "WRITETHROUGH": 1, "READBEFOREWRITE": 2}
    numbers: dict[str, Any] = {}
    for side in "AB":
        numbers[f"WIDTH_{side}"] = int(parameters[f"DATA_WIDTH_{side}"], 2)
        numbers[f"OUTREG_{side}"] = int(parameters.get(f"REGMODE_{side}", "NOREG") == "OUTREG")
        numbers[f"MODE_{side}"] = modes[parameters.get(f"WRITEMODE_{side}", "NORMAL")]
        if numbers[f"MODE_{side}"] == modes["WRITETHROUGH"]:
            raise BuildError(f"block RAM {name} of the routed netlist writes through: no model of that")
    directions = {pin: "output" if pin.startswith("DO") else "input" for pin in connections}
    netlist.cells[name] = {
        **cell,
        "type": "SIM_DP16KD",
        "parameters": {key: format(value, "032b") for key, value in numbers.items()} | {"INIT": _content(parameters)},
        "port_directions": directions,
        "connections": connections,
    }


def _steady(netlist: Netlist, name: str, pin: str) -> Any:
    """The bit at a pin of a block RAM, or the constant that its multiplexer makes of an open one."""
    cell = netlist.cells[name]
    bit, choice = netlist.bit(cell, pin), cell["parameters"].get(f"{pin}MUX", pin).strip()
    if bit is not None and choice == pin:
        return bit
    if bit is not None:
        raise BuildError(f"pin {pin} of block RAM {name} of the routed netlist has {choice!r}: no model of that")
    return {"0": "0", "1": "1", "INV": "0"}.get(choice, "0" if pin[:2] in ("AD", "DI", "RS") else "1")


def _content(parameters: dict[str, str]) -> str:
    """The bytes of a block RAM, of 9 bits, highest first: nextpnr keeps 16 words of 18 in 20 bits each."""
    words = []
    for index in range(64):
        row = parameters.get(f"INITVAL_{index:02X}", "0").zfill(320)[-320:]
        words += [row[300 - 20 * place : 320 - 20 * place][-18:] for place in range(16)]
    return "".join(reversed(words))


Handler = Callable[[Netlist, str], None]
ICE40: dict[str, Handler] = {
    "SB_IO": _drop_ice40_pad,
    "SB_GB": _feed_buffer,
    "ICESTORM_PLL": _lock_ice40_pll,
    "ICESTORM_LC": _split_logic_cell,
    "ICESTORM_RAM": _tie,
}
ECP5: dict[str, Handler] = {
    "TRELLIS_IO": _drop_ecp5_pad,
    "EHXPLLL": _lock_ecp5_pll,
    "DCCA": _clock_buffer,
    "TRELLIS_COMB": _comb,
    "TRELLIS_FF": _flip_flop,
    "TRELLIS_RAMW": _tie,
    "DP16KD": _block_ram,
}
