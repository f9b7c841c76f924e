"""What an iCE40 UltraPlus has beside its logic cells: single-port RAMs, and multipliers whose accumulators are used.

Sources: the simulation models of SB_SPRAM256KA and SB_MAC16 that Yosys ships. Elsewhere, and in simulation, block RAM
and logic stand for both; `spikeveil check --board icebreaker` holds a netlist with them to the golden model.
"""

from typing import Any

from amaranth.hdl import Cat, ClockSignal, Const, Instance, Signal, Value

SPRAM_ADDRESS, SPRAM_WIDTH = 14, 16  # bits
SPRAM_DEPTH = 1 << SPRAM_ADDRESS
MULTIPLIERS, ACCUMULATOR_BITS = 8, 16  # each has two accumulators of so many bits


def is_chip(platform: object, name: str) -> bool:
    """Whether the design is for a chip whose name begins so; a simulation's is for none."""
    return str(getattr(platform, "device", "")).startswith(name)


def is_ultraplus(platform: object) -> bool:
    """Whether the design is for an iCE40 UltraPlus."""
    return is_chip(platform, "iCE40UP")


def single_port_ram(address: Value, data: Value, writes: Value, word: Signal) -> Instance:
    """One RAM: `word` is that at `address` a cycle later, unless it was written. It holds nothing at power-on."""
    return Instance(
        "SB_SPRAM256KA",
        i_ADDRESS=address,
        i_DATAIN=data,
        i_MASKWREN=Const(0b1111),
        i_WREN=writes,
        i_CHIPSELECT=Const(1),
        i_CLOCK=ClockSignal(),
        i_STANDBY=Const(0),
        i_SLEEP=Const(0),
        i_POWEROFF=Const(1),  # low is off
        o_DATAOUT=word,
    )


def dual_accumulator(terms: tuple[Value, Value], sums: Signal, *, load: Value, hold: Value, clear: Value) -> Instance:
    """One multiplier as two accumulators of 16 bits: `sums` is the first, low, and the second.

    Each adds its term, or becomes it where `load` is high, or stays where `hold` is. `clear` makes both 0 at once, for
    as long as it is high: it must come out of a register.
    """
    inputs: dict[str, Any] = {}
    for half, (adds, loads), term in (("BOT", "BD", terms[0]), ("TOP", "AC", terms[1])):
        inputs |= {f"i_{pin}": _extended(term) for pin in (adds, loads)}
        inputs |= {f"i_OLOAD{half}": load, f"i_OHOLD{half}": hold, f"i_ORST{half}": clear}
        inputs |= {f"i_{pin}{half}": Const(0) for pin in ("IRST", "ADDSUB")}
        inputs |= {f"p_{half}OUTPUT_SELECT": Const(1, 2), f"p_{half}ADDSUB_LOWERINPUT": Const(0, 2)}
        inputs |= {f"p_{half}ADDSUB_UPPERINPUT": Const(0, 1), f"p_{half}ADDSUB_CARRYSELECT": Const(0, 2)}
    inputs |= {f"i_{pin}HOLD": Const(0) for pin in "ABCD"}
    inputs |= {f"i_{pin}": Const(0) for pin in ("CI", "ACCUMCI", "SIGNEXTIN")}
    return Instance("SB_MAC16", i_CLK=ClockSignal(), i_CE=Const(1), o_O=sums, **inputs)


def _extended(term: Value) -> Value:
    """A signed term in the bits of an accumulator."""
    return Cat(term, term[-1].replicate(ACCUMULATOR_BITS - len(term)))
