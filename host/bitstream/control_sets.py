"""iCE40: buffers nets that are a clock enable of some flip-flops and a reset of others.

A global network of the chip carries resets or enables, not both. nextpnr 0.11.1 nevertheless promotes such a net by its
fan-out, finds no global buffer that may drive it, and reports that the chip is full. The buffer drives the smaller of
the two groups, so that each net has one role.
"""

from collections import Counter
from typing import Any

Cell = dict[str, Any]
ENABLE, RESETS = ("E",), ("R", "S")
MIN_FAN_OUT = 8  # flip-flops in one role from which on nextpnr may promote a net


def split_mixed_nets(module: dict[str, Any]) -> int:
    """Insert the buffers into a synthesised module, in place; how many."""
    cells: dict[str, Cell] = module["cells"]
    flip_flops = [cell for cell in cells.values() if cell["type"].startswith("SB_DFF")]
    enables, resets = _uses(flip_flops, ENABLE), _uses(flip_flops, RESETS)
    mixed = [bit for bit in enables if bit in resets and max(enables[bit], resets[bit]) >= MIN_FAN_OUT]
    first_new = 1 + max((bit for cell in cells.values() for bit in _bits(cell)), default=1)
    for fresh, bit in enumerate(mixed, first_new):
        pins = ENABLE if enables[bit] < resets[bit] else RESETS
        for cell in flip_flops:
            for pin in pins:
                if cell["connections"].get(pin) == [bit]:
                    cell["connections"][pin] = [fresh]
        cells[f"role_buffer_{bit}"] = _buffer(bit, fresh)
    return len(mixed)


def _uses(flip_flops: list[Cell], pins: tuple[str, ...]) -> Counter[int]:
    bits = (bit for cell in flip_flops for pin in pins for bit in cell["connections"].get(pin, ()))
    return Counter(bit for bit in bits if isinstance(bit, int))


def _bits(cell: Cell) -> list[int]:
    return [bit for bits in cell["connections"].values() for bit in bits if isinstance(bit, int)]


def _buffer(source: int, sink: int) -> Cell:
    pins = {"I0": [source], "I1": ["0"], "I2": ["0"], "I3": ["0"], "O": [sink]}
    return {
        "hide_name": 0,
        "type": "SB_LUT4",
        "parameters": {"LUT_INIT": "10" * 8},
        "attributes": {},
        "port_directions": {pin: "output" if pin == "O" else "input" for pin in pins},
        "connections": pins,
    }
