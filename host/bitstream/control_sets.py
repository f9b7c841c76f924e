"""iCE40: a net that enables some flip-flops and resets others gets a buffer for the smaller of its two roles.

A global network of the chip carries resets or enables, not both. nextpnr 0.11.1 promotes such a net by its fan-out all
the same, finds no buffer that may drive it, and calls the chip full.
"""

from collections import Counter
from typing import Any

Cell = dict[str, Any]
ENABLE, RESETS = ("E",), ("R", "S")
LEAST = 8  # flip-flops in one role from which on a net may be promoted


def part(module: dict[str, Any]) -> int:
    """Change a synthesised module in place: how many buffers were put in."""
    cells: dict[str, Cell] = module["cells"]
    flip_flops = [cell for cell in cells.values() if cell["type"].startswith("SB_DFF")]
    enables, resets = _uses(flip_flops, ENABLE), _uses(flip_flops, RESETS)
    both = [bit for bit in enables if bit in resets and max(enables[bit], resets[bit]) >= LEAST]
    following = 1 + max((bit for cell in cells.values() for bit in _bits(cell)), default=1)
    for fresh, bit in enumerate(both, following):
        pins = ENABLE if enables[bit] < resets[bit] else RESETS
        for cell in flip_flops:
            for pin in pins:
                if cell["connections"].get(pin) == [bit]:
                    cell["connections"][pin] = [fresh]
        cells[f"role_buffer_{bit}"] = _buffer(bit, fresh)
    return len(both)


def _uses(flip_flops: list[Cell], pins: tuple[str, ...]) -> Counter[int]:
    found = (bit for cell in flip_flops for pin in pins for bit in cell["connections"].get(pin, ()))
    return Counter(bit for bit in found if isinstance(bit, int))


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
