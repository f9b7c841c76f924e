"""CRC-32 of bytes, some bits a cycle."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.crc.catalog import CRC32_ISO_HDLC
from amaranth.lib.wiring import In, Out

from spikeveil.pysim.device.wire import CRC_BITS


class Checksum(wiring.Component):
    """Computes the CRC-32 (ISO-HDLC) of bytes, `pace` bits a cycle (1, 2, 4 or 8): a lower pace is smaller.

    | port | width | direction | meaning |
    |---|---|---|---|
    | `start` | 1 | in | one cycle, between bytes: a new message |
    | `data` | 8 | in | next byte of the message |
    | `take` | 1 | in | `data` is valid; accepted in a cycle in which `ready` is high |
    | `ready` | 1 | out | a byte is accepted; `crc` and `right` are valid |
    | `crc` | 32 | out | CRC of the message so far |
    | `right` | 1 | out | the message ends with its own CRC, least significant byte first |

    Timing: a byte takes 8 / `pace` cycles, and one more where `pace` is below 8. Reset is `start`.
    """

    start: Signal
    take: Signal
    data: Signal
    ready: Signal
    crc: Signal
    right: Signal

    def __init__(self, pace: int) -> None:
        self.pace = pace
        super().__init__(
            {
                "start": In(1),
                "take": In(1),
                "data": In(8),
                "ready": Out(1),
                "crc": Out(CRC_BITS),
                "right": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.crc = crc = CRC32_ISO_HDLC(data_width=self.pace).create()
        m.d.comb += [crc.start.eq(self.start), self.crc.eq(crc.crc), self.right.eq(crc.match_detected)]
        if self.pace == 8:
            m.d.comb += [crc.valid.eq(self.take), crc.data.eq(self.data), self.ready.eq(1)]
            return m
        shift_register = Signal(8)
        remaining = Signal(range(8 // self.pace))
        busy = Signal()
        m.d.comb += [crc.valid.eq(busy), crc.data.eq(shift_register), self.ready.eq(~busy)]
        with m.If(self.take & self.ready):
            m.d.sync += [shift_register.eq(self.data), remaining.eq(8 // self.pace - 1), busy.eq(1)]
        with m.Elif(busy):
            m.d.sync += [
                shift_register.eq(shift_register >> self.pace),
                remaining.eq(remaining - 1),
                busy.eq(remaining != 0),
            ]
        return m
