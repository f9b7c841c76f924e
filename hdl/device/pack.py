"""Output rows to bytes. Twin of pysim/device/pack.py."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from spikeveil.hdl.engine.plan import Plan
from spikeveil.pysim.device.identity import release_fields


class Packer(wiring.Component):
    """Serialises output rows to bytes. Each release (an output step, or a decision) begins with a new byte; unused
    bits of its last byte are zero.

    | port | payload | direction | meaning |
    |---|---|---|---|
    | `i` | `plan.o_row` | in | rows of a release, in order |
    | `o` | 8 bits | out | its bytes |
    | `clear` | 1 bit, no stream | in | one cycle, dominant: drops the current release |

    A neuron has one bit, or `state_bits` in a readout; a decision has the bits of its row. The first neuron comes
    first, least significant bit first.
    Timing: one bit a cycle while `o` is ready. A row of b bits takes b + 1 cycles, the end of a release up to 7 more.
    Reset is `clear`.
    """

    i: stream.Interface
    o: stream.Interface
    clear: Signal

    def __init__(self, plan: Plan) -> None:
        sizes = release_fields(plan.spec)
        self.row_bits = plan.o_row["bits"].width
        self.last_row_bits = sizes["outputs"] * sizes["output_bits"] - (plan.o_rows - 1) * self.row_bits
        super().__init__(
            {"i": In(stream.Signature(plan.o_row)), "o": Out(stream.Signature(8)), "clear": In(1)},
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        row = Signal(self.row_bits)
        remaining = Signal(range(max(3, self.row_bits + 1)))  # bits of the row
        step_end = Signal()  # the row is its release's last
        bit_index = Signal(3)  # in the current byte
        writable = Signal()
        shifting = Signal()  # there are bits of a row to shift, or zeros to the end of the last byte
        payload: Any = self.i.payload
        m.d.comb += [
            writable.eq(self.o.ready | ~self.o.valid),
            self.i.ready.eq(~shifting),
        ]
        with m.If(writable):
            m.d.sync += self.o.valid.eq(shifting & (bit_index == 7))
            with m.If(shifting):
                m.d.sync += [
                    self.o.payload.eq(Cat(self.o.payload, row[0] & (remaining != 0))[1:]),
                    bit_index.eq(bit_index + 1),
                    row.eq(row >> 1),
                    remaining.eq(remaining - (remaining != 0)),
                    shifting.eq((remaining > 1) | (step_end & (bit_index != 7))),
                ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                row.eq(payload.bits),
                step_end.eq(payload.step_end),
                shifting.eq(1),
                remaining.eq(Mux(payload.step_end, self.last_row_bits, self.row_bits)),
            ]
        with m.If(self.clear):
            m.d.sync += [shifting.eq(0), bit_index.eq(0), self.o.valid.eq(0)]
        return m
