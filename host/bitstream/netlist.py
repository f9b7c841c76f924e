"""A netlist of the tools made fit for a simulator: pads as ports, the PLL a wire, open pins as the chip has them.

Yosys and nextpnr write their netlists cell by cell. Every cell keeps the model that Yosys ships, or the one in
`cells.v`; changed here is only what a model cannot know. What that is for each type of cell, `cells_ice40`,
`cells_ecp5` and `cells_gowin` say.
"""

from collections.abc import Callable, Mapping
from typing import Any

Cell = dict[str, Any]


class Netlist:
    """A module while it is being changed: `cells` by name, `ports` by name, and bits that are other bits.

    `clock` is the bit at the port of that name, by which the board's clock comes in.
    """

    def __init__(self, module: dict[str, Any], clock: str) -> None:
        self.cells: dict[str, Cell] = module["cells"]
        self.ports: dict[str, Any] = module["ports"]
        self.module, self.same = module, dict[Any, Any]()
        self._next = 1 + max((bit for bit in self._bits() if isinstance(bit, int)), default=1)
        self.clock = self.ports[clock]["bits"][0]

    def fresh(self) -> int:
        """A bit that nothing else has."""
        self._next += 1
        return self._next - 1

    def value(self, bit: Any) -> Any:
        """What a bit has been joined to so far, a constant where it is one."""
        return self._last(bit)

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

    def tie(self, name: str, high: frozenset[str] = frozenset()) -> None:
        """Open inputs of a cell as the chip pulls them, those in `high` up and the others down; open outputs go."""
        cell = self.cells[name]
        for pin, bits in list(cell["connections"].items()):
            if not bits and cell["port_directions"][pin] == "input":
                cell["connections"][pin] = ["1" if pin in high else "0"]
            elif not bits:
                del cell["connections"][pin]

    def finish(self) -> None:
        """Carry out every `join`; a bit that is left to chance is 0."""
        for cell in self.cells.values():
            cell["connections"] = {pin: [self._last(bit) for bit in bits] for pin, bits in cell["connections"].items()}
            cell["attributes"] = {}
        for port in self.ports.values():
            port["bits"] = [self._last(bit) for bit in port["bits"]]
        self.module["netnames"] = {}

    def _bits(self) -> list[Any]:
        return [bit for cell in self.cells.values() for bits in cell["connections"].values() for bit in bits]

    def _last(self, bit: Any) -> Any:
        while bit in self.same:
            bit = self.same[bit]
        return "0" if bit == "x" else bit


#: what to do about a cell of that name
Handler = Callable[[Netlist, str], None]


def prepare(module: dict[str, Any], handlers: Mapping[str, Handler], clock: str) -> None:
    """Change a module in place; `handlers` by type of cell, in their order, `clock` as in `Netlist`.

    Cells that only inform (Yosys' scopes and assertions) go.
    """
    netlist = Netlist(module, clock)
    names: dict[str, list[str]] = {}
    for name, cell in netlist.cells.items():
        names.setdefault(cell["type"], []).append(name)
    for kind in names:
        for name in names[kind] if kind.startswith("$") else ():
            del netlist.cells[name]
    for kind, handler in handlers.items():
        for name in names.get(kind, ()):
            handler(netlist, name)
    netlist.finish()


def known(cell: Cell, names: set[str]) -> None:
    """Keep the parameters that the cell's model has; the others say where a tool put something."""
    cell["parameters"] = {name: value for name, value in cell["parameters"].items() if name in names}
