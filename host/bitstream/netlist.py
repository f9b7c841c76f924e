"""Prepares a netlist for simulation: pads become ports, the PLL a wire, and open pins get the chip's default level.

Every cell of the netlist is simulated by the model that Yosys ships, or by the one in `cells.v`. The changes here are
those that a model cannot make by itself; `cells_ice40`, `cells_ecp5` and `cells_gowin` have them for each cell type.
"""

from collections.abc import Callable, Mapping
from typing import Any

Cell = dict[str, Any]


class Netlist:
    """A module of Yosys' JSON netlist that is being changed.

    | attribute | meaning |
    |---|---|
    | `module` | the module itself |
    | `cells`, `ports` | its cells and ports, by name |
    | `aliases` | bit -> the bit or constant that replaces it in `finish` |
    | `clock` | the bit of the port named `clock`, the board's clock |
    """

    def __init__(self, module: dict[str, Any], clock: str) -> None:
        self.cells: dict[str, Cell] = module["cells"]
        self.ports: dict[str, Any] = module["ports"]
        self.module = module
        self.aliases: dict[Any, Any] = {}
        self._next = 1 + max((bit for bit in self._bits() if isinstance(bit, int)), default=1)
        self.clock = self.ports[clock]["bits"][0]

    def new_bit(self) -> int:
        """A new bit."""
        self._next += 1
        return self._next - 1

    def value(self, bit: Any) -> Any:
        """The bit or constant that replaces `bit`."""
        return self._resolve(bit)

    def bit(self, cell: Cell, pin: str) -> Any:
        """The bit at a pin of one bit; None where it is open."""
        bits = cell["connections"].get(pin)
        return bits[0] if bits else None

    def join(self, bit: Any, replacement: Any) -> None:
        """Replace `bit` by `replacement`."""
        if bit is not None:
            self.aliases[bit] = replacement

    def pad(self, cell: Cell, pad: str, inward: str, outward: str) -> None:
        """Replace a pad by a port. `pad`: the pin to the board; `inward`, `outward`: those to and from the design."""
        pad_bit = self.bit(cell, pad)
        port = next(port for port in self.ports.values() if port["bits"] == [pad_bit])
        output_bit = self.bit(cell, outward)
        port["direction"] = "input" if output_bit is None else "output"
        if output_bit is not None:
            self.join(pad_bit, output_bit)
        else:
            self.join(self.bit(cell, inward), pad_bit)

    def tie(self, name: str, high: frozenset[str] = frozenset()) -> None:
        """Tie open inputs of a cell as the chip does: those in `high` to 1, the others to 0. Remove open outputs."""
        cell = self.cells[name]
        for pin, bits in list(cell["connections"].items()):
            if not bits and cell["port_directions"][pin] == "input":
                cell["connections"][pin] = ["1" if pin in high else "0"]
            elif not bits:
                del cell["connections"][pin]

    def finish(self) -> None:
        """Apply all replacements; undefined bits become 0."""
        for cell in self.cells.values():
            cell["connections"] = {
                pin: [self._resolve(bit) for bit in bits] for pin, bits in cell["connections"].items()
            }
            cell["attributes"] = {}
        for port in self.ports.values():
            port["bits"] = [self._resolve(bit) for bit in port["bits"]]
        self.module["netnames"] = {}

    def _bits(self) -> list[Any]:
        return [bit for cell in self.cells.values() for bits in cell["connections"].values() for bit in bits]

    def _resolve(self, bit: Any) -> Any:
        while bit in self.aliases:
            bit = self.aliases[bit]
        return "0" if bit == "x" else bit


#: changes the cell of that name
Handler = Callable[[Netlist, str], None]


def prepare_for_simulation(module: dict[str, Any], handlers: Mapping[str, Handler], clock: str) -> None:
    """Change a module in place.

    handlers: cell type -> handler, applied in this order. clock: name of the clock's port. Yosys' own cells, which hold
    scopes and assertions, are removed.
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


def keep_parameters(cell: Cell, names: set[str]) -> None:
    """Remove the parameters that the cell's model does not have."""
    cell["parameters"] = {name: value for name, value in cell["parameters"].items() if name in names}
