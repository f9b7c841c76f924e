"""Simulation handlers for iCE40 cells, after synthesis (SB_...) and after routing (ICESTORM_...)."""

from spikeveil.host.bitstream.netlist import Handler, Netlist

PULLED_UP = frozenset({"CEN", "RCLKE", "WCLKE"})  # open pins of a routed cell; the other pins are pulled down


def _drop_pad(netlist: Netlist, name: str) -> None:
    netlist.pad(netlist.cells.pop(name), "PACKAGE_PIN", "D_IN_0", "D_OUT_0")


def _feed_buffer(netlist: Netlist, name: str) -> None:
    """Connect a global buffer that the clock's pad or the PLL drives over dedicated wires, which nextpnr omits."""
    connections = netlist.cells[name]["connections"]
    if not connections["USER_SIGNAL_TO_GLOBAL_BUFFER"]:
        connections["USER_SIGNAL_TO_GLOBAL_BUFFER"] = [netlist.clock]


def _drop_clock_pad(netlist: Netlist, name: str) -> None:
    """Replace a pad with a built-in global buffer, as Yosys writes it."""
    netlist.pad(netlist.cells.pop(name), "PACKAGE_PIN", "GLOBAL_BUFFER_OUTPUT", "D_OUT_0")


def _lock_pll(netlist: Netlist, name: str) -> None:
    """Replace the PLL by wires: the simulator generates the clock. `_feed_buffer` handles routed global outputs."""
    cell = netlist.cells.pop(name)
    for port in netlist.ports.values():
        if port["bits"] == [netlist.bit(cell, "PACKAGEPIN")]:
            port["direction"] = "input"
    for output in ("PLLOUTGLOBAL", "PLLOUTCORE", "PLLOUT_A"):
        netlist.join(netlist.bit(cell, output), netlist.clock)
    netlist.join(netlist.bit(cell, "LOCK"), "1")


def _tie(netlist: Netlist, name: str) -> None:
    netlist.tie(name, PULLED_UP)


def _split_logic_cell(netlist: Netlist, name: str) -> None:
    """Split a logic cell into its carry and the rest.

    nextpnr feeds some LUT outputs back to an input that only the carry uses, which is a false loop for a simulator.
    """
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
        if all(table[15 - row] == table[15 - (row ^ 1 << index)] for row in range(16)):
            cell["connections"][f"I{index}"] = ["0"]


def _name_spram(netlist: Netlist, name: str) -> None:
    _name_buses(netlist, name, "SB_SPRAM256KA", {"ADDRESS": 14, "DATAIN": 16, "MASKWREN": 4, "DATAOUT": 16}, "DATAOUT")
    netlist.cells[name]["parameters"] = {}


def _name_multiplier(netlist: Netlist, name: str) -> None:
    _name_buses(netlist, name, "SB_MAC16", {**dict.fromkeys("ABCD", 16), "O": 32}, "O")


def _name_buses(netlist: Netlist, name: str, model: str, buses: dict[str, int], output: str) -> None:
    """Replace a routed block, which has a pin for every bit, by its model, which has buses."""
    _tie(netlist, name)
    cell = netlist.cells[name]
    pins = {pin: bits for pin, bits in cell["connections"].items() if pin.rpartition("_")[0] not in buses}
    directions = {pin: cell["port_directions"][pin] for pin in pins}
    for bus, width in buses.items():
        bits = [netlist.bit(cell, f"{bus}_{index}") for index in range(width)]
        unconnected = netlist.new_bit if bus == output else lambda: "0"
        pins[bus] = [unconnected() if bit is None else bit for bit in bits]
        directions[bus] = "output" if bus == output else "input"
    netlist.cells[name] = {**cell, "type": model, "connections": pins, "port_directions": directions}


HANDLERS: dict[str, Handler] = {
    "SB_IO": _drop_pad,
    "SB_GB_IO": _drop_clock_pad,
    "SB_PLL40_CORE": _lock_pll,
    "SB_PLL40_PAD": _lock_pll,
    "SB_GB": _feed_buffer,
    "ICESTORM_PLL": _lock_pll,
    "ICESTORM_LC": _split_logic_cell,
    "ICESTORM_RAM": _tie,
    "ICESTORM_SPRAM": _name_spram,
    "ICESTORM_DSP": _name_multiplier,
}
