"""ECP5: moves registers behind a block RAM into its output registers, which Yosys leaves unused.

Reading a block RAM without them takes most of a clock cycle. A port is changed where every used output drives exactly
one flip-flop and nothing else, and that flip-flop does what the output register does: it loads in every cycle of the
port's clock, starts at zero and is never reset.
"""

from typing import Any

Cell = dict[str, Any]
Port = tuple[tuple[str, ...], str, tuple[str, ...]]
#: block RAM type -> its read ports: (outputs' prefixes, suffix of the port's pins, parameters of the output register)
PORTS: dict[str, tuple[Port, ...]] = {
    "DP16KD": ((("DOA",), "A", ("REGMODE_A",)), (("DOB",), "B", ("REGMODE_B",))),
    "PDPW16KD": ((("DO",), "R", ("REGMODE",)),),
}
#: a DP16KD whose port B reads 36 bits shows them on the pins of both, by port B's clock, through both registers
WIDE: tuple[Port, ...] = ((("DOA", "DOB"), "B", ("REGMODE_A", "REGMODE_B")),)
PLAIN = {"CLKMUX": "CLK", "CEMUX": "1", "REGSET": "RESET"}


def absorb_registers(module: dict[str, Any]) -> int:
    """Change a synthesised module in place; the number of flip-flops removed."""
    cells: dict[str, Cell] = module["cells"]
    sinks = _sinks(module)
    count_before = len(cells)
    for name in [name for name, cell in cells.items() if cell["type"] in PORTS]:
        ram = cells[name]
        for prefixes, suffix, parameters in _ports(ram):
            outputs = {pin: bits[0] for pin, bits in ram["connections"].items() if _is_output(pin, prefixes)}
            driven_pins = {pin: sinks[bit] for pin, bit in outputs.items() if bit in sinks}
            registers = {pin: users[0][0] for pin, users in driven_pins.items() if len(users) == 1}
            in_use = any(ram["parameters"].get(parameter, "NOREG") != "NOREG" for parameter in parameters)
            if not driven_pins or len(registers) != len(driven_pins) or in_use:
                continue
            if all(_fits(cells, ram, suffix, driven_pins[pin][0]) for pin in registers):
                for pin, register in registers.items():
                    ram["connections"][pin] = cells.pop(register)["connections"]["Q"]
                ram["parameters"].update(dict.fromkeys(parameters, "OUTREG"))
    return count_before - len(cells)


def _ports(ram: Cell) -> tuple[Port, ...]:
    width = str(ram["parameters"].get("DATA_WIDTH_B", ""))
    return WIDE if ram["type"] == "DP16KD" and width and int(width, 2) == 36 else PORTS[ram["type"]]


def _is_output(pin: str, prefixes: tuple[str, ...]) -> bool:
    return pin.rstrip("0123456789") in prefixes


def _sinks(module: dict[str, Any]) -> dict[Any, list[tuple[str, str]]]:
    """Bit -> the inputs (cell, pin) that it drives; a port of the module is an input without a cell."""
    sinks: dict[Any, list[tuple[str, str]]] = {}
    for name, cell in module["cells"].items():
        for pin, bits in cell["connections"].items():
            if cell["port_directions"][pin] != "output":
                for bit in bits:
                    sinks.setdefault(bit, []).append((name, pin))
    for port in module["ports"].values():
        for bit in port["bits"]:
            sinks.setdefault(bit, []).append(("", ""))
    return sinks


def _fits(cells: dict[str, Cell], ram: Cell, suffix: str, sink: tuple[str, str]) -> bool:
    """Whether `sink` is a flip-flop that the output register of the RAM's port can replace."""
    name, pin = sink
    register = cells.get(name)
    if register is None or register["type"] != "TRELLIS_FF" or pin != "DI":
        return False
    pins, ram_pins, parameters = register["connections"], ram["connections"], register["parameters"]
    return (
        all(str(parameters.get(key, value)).strip() == value for key, value in PLAIN.items())
        and pins.get("LSR", ["0"]) == ["0"]
        and pins["CLK"] == ram_pins["CLK" + suffix]
        and ram_pins.get("OCE" + suffix, ["1"]) == ["1"]
        and ram_pins.get("RST" + suffix, ram_pins.get("RST", ["0"])) == ["0"]
        and str(ram["parameters"].get(f"CLK{suffix}MUX", "CLK" + suffix)).strip() == "CLK" + suffix
    )
