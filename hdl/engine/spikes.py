"""Payload layouts of the streams between layers: spike rows, potential rows and spike events."""

from amaranth.hdl import unsigned
from amaranth.lib import data


def index_bits(count: int) -> int:
    """Width of an index into `count` elements: ceil(log2(count)), at least 1.

    A width of 0 is never returned: as a Verilog vector it would have two bits.
    """
    return max(1, (count - 1).bit_length())


def memory_depth(count: int) -> int:
    """Depth of a memory that holds `count` words: at least 2, so that its address has at least one bit."""
    return max(2, count)


class SpikeRow(data.StructLayout):
    """Spikes of `lanes` consecutive neurons in one time step. Rows of a step are sent in ascending order.

    | field | width | meaning |
    |---|---|---|
    | `bits` | lanes | bit i of row r is the spike of neuron r * lanes + i |
    | `step_end` | 1 | last row of the step |
    | `record_end` | 1 | last row of the record; only set together with `step_end` |
    """

    def __init__(self, lanes: int) -> None:
        super().__init__({"bits": unsigned(lanes), "step_end": unsigned(1), "record_end": unsigned(1)})


class PotentialRow(data.StructLayout):
    """Potentials of `lanes` consecutive readout neurons in one time step. Rows are sent in ascending order.

    | field | width | meaning |
    |---|---|---|
    | `bits` | lanes * state_bits | signed potentials, lowest neuron in the least significant bits |
    | `step_end`, `record_end` | 1 | as in `SpikeRow` |
    """

    def __init__(self, lanes: int, state_bits: int) -> None:
        super().__init__({"bits": unsigned(lanes * state_bits), "step_end": unsigned(1), "record_end": unsigned(1)})


class SpikeEvent(data.StructLayout):
    """One input spike of a step (address-event representation), or the marker that ends the step.

    | field | width | meaning |
    |---|---|---|
    | `index` | index_bits(inputs) | index of the input that spiked; undefined when `step_end` is set |
    | `step_end` | 1 | no spike: the step is complete |
    | `record_end` | 1 | the record is complete too; only set together with `step_end` |
    """

    def __init__(self, inputs: int) -> None:
        super().__init__({"index": unsigned(index_bits(inputs)), "step_end": unsigned(1), "record_end": unsigned(1)})
