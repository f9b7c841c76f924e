"""What travels between layers: rows of spikes with their end-of-step marker, and events."""

from amaranth.hdl import unsigned
from amaranth.lib import data


def index_bits(count: int) -> int:
    """Bits of a register that counts 0..count-1; at least one, as a Verilog vector of none is read as one of two."""
    return max(1, (count - 1).bit_length())


def memory_depth(count: int) -> int:
    """Words of a memory for `count` of them; at least two, so that its address has a bit."""
    return max(2, count)


class SpikeRow(data.StructLayout):
    """Part of one step's spikes, `lanes` neurons wide; bit i of row r is neuron r * lanes + i, lowest row first.

    `step_end` marks the last row of a step; `record_end`, together with it, the last row of a record.
    """

    def __init__(self, lanes: int) -> None:
        super().__init__({"bits": unsigned(lanes), "step_end": unsigned(1), "record_end": unsigned(1)})


class PotentialRow(data.StructLayout):
    """Part of one step's readout, `lanes` potentials of `state_bits` signed bits each; markers as in `SpikeRow`."""

    def __init__(self, lanes: int, state_bits: int) -> None:
        super().__init__({"bits": unsigned(lanes * state_bits), "step_end": unsigned(1), "record_end": unsigned(1)})


class SpikeEvent(data.StructLayout):
    """One input spike of a step, or the end of the step.

    `step_end` = 0: input `index` spiked. `step_end` = 1: the step is complete, `index` says nothing, and
    `record_end` tells whether the record is complete too.
    """

    def __init__(self, inputs: int) -> None:
        super().__init__({"index": unsigned(index_bits(inputs)), "step_end": unsigned(1), "record_end": unsigned(1)})
