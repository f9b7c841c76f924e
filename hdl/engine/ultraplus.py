"""Hard blocks of the iCE40 UltraPlus: single-port RAM (SB_SPRAM256KA) and the accumulators of its DSP (SB_MAC16).

The instances follow the simulation models that Yosys ships for both cells. On other devices and in simulation, block
RAM and logic take their place. `spikeveil check --board icebreaker` compares a netlist that contains the cells with
the golden model.
"""

from typing import Any

from amaranth.hdl import Cat, ClockSignal, Const, Instance, Signal, Value

SPRAM_ADDRESS_BITS = 14
SPRAM_DEPTH = 1 << SPRAM_ADDRESS_BITS
SPRAM_WIDTH = 16
DSP_BLOCKS = 8  # of an UP5K
ACCUMULATORS_PER_DSP = 2
ACCUMULATOR_BITS = 16


def is_chip(platform: object, prefix: str) -> bool:
    """Whether `platform` targets a device whose name starts with `prefix`; False without a platform."""
    return str(getattr(platform, "device", "")).startswith(prefix)


def is_ultraplus(platform: object) -> bool:
    """Whether `platform` targets an iCE40 UltraPlus."""
    return is_chip(platform, "iCE40UP")


def single_port_ram(address: Value, write_data: Value, write_enable: Value, read_data: Signal) -> Instance:
    """One 16,384 x 16 single-port RAM.

    | argument | width | direction | meaning |
    |---|---|---|---|
    | `address` | 14 | in | word that is read or written |
    | `write_data` | 16 | in | written where `write_enable` is high |
    | `write_enable` | 1 | in | 1: write, 0: read |
    | `read_data` | 16 | out | word at `address`, one cycle later; undefined after a write |

    The contents are undefined after power-on.
    """
    return Instance(
        "SB_SPRAM256KA",
        i_ADDRESS=address,
        i_DATAIN=write_data,
        i_MASKWREN=Const(0b1111),
        i_WREN=write_enable,
        i_CHIPSELECT=Const(1),
        i_CLOCK=ClockSignal(),
        i_STANDBY=Const(0),
        i_SLEEP=Const(0),
        i_POWEROFF=Const(1),  # active low
        o_DATAOUT=read_data,
    )


def dual_accumulator(terms: tuple[Value, Value], sums: Signal, *, load: Value, hold: Value, clear: Value) -> Instance:
    """One DSP block as two independent 16-bit accumulators.

    | argument | width | direction | meaning |
    |---|---|---|---|
    | `terms` | up to 16 each | in | signed terms of the low and of the high accumulator |
    | `sums` | 32 | out | the low accumulator in bits 0 to 15, the high one in bits 16 to 31 |
    | `load` | 1 | in | replace the sum by its term instead of adding it |
    | `hold` | 1 | in | keep the sum; overrides `load` |
    | `clear` | 1 | in | asynchronous clear, so it must be driven by a register |

    `sums` changes one cycle after the terms.
    """
    inputs: dict[str, Any] = {}
    for half, (adder_pin, load_pin), term in (("BOT", "BD", terms[0]), ("TOP", "AC", terms[1])):
        inputs |= {f"i_{pin}": _sign_extended(term) for pin in (adder_pin, load_pin)}
        inputs |= {f"i_OLOAD{half}": load, f"i_OHOLD{half}": hold, f"i_ORST{half}": clear}
        inputs |= {f"i_{pin}{half}": Const(0) for pin in ("IRST", "ADDSUB")}
        inputs |= {f"p_{half}OUTPUT_SELECT": Const(1, 2), f"p_{half}ADDSUB_LOWERINPUT": Const(0, 2)}
        inputs |= {f"p_{half}ADDSUB_UPPERINPUT": Const(0, 1), f"p_{half}ADDSUB_CARRYSELECT": Const(0, 2)}
    inputs |= {f"i_{pin}HOLD": Const(0) for pin in "ABCD"}
    inputs |= {f"i_{pin}": Const(0) for pin in ("CI", "ACCUMCI", "SIGNEXTIN")}
    return Instance("SB_MAC16", i_CLK=ClockSignal(), i_CE=Const(1), o_O=sums, **inputs)


def _sign_extended(term: Value) -> Value:
    """A signed term in the width of an accumulator."""
    return Cat(term, term[-1].replicate(ACCUMULATOR_BITS - len(term)))
