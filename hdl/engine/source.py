"""Word source of one flipper: LFSR or Trivium behind the same stream interface. Twin of pysim/model/source.py."""

from typing import Literal

from amaranth.hdl import Cat, Const, Module, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from spikeveil.hdl.engine.lfsr import Lfsr
from spikeveil.hdl.engine.trivium import Trivium
from spikeveil.pysim.model.lfsr import SEED_BITS
from spikeveil.pysim.model.source import LAYER_BITS, LEASE_BITS, RECORD_BITS
from spikeveil.pysim.model.trivium import KEY_BITS

SourceKind = Literal["lfsr", "trivium"]
SOURCES: tuple[SourceKind, ...] = ("trivium", "lfsr")
MAX_SOURCE_WIDTH = 64  # bits a cycle, of either source


class LfsrStream(wiring.Component):
    """Word source made of one LFSR; its sequence continues from record to record.

    | port | width | direction | meaning |
    |---|---|---|---|
    | `open` | 1 | in | one cycle: a lease begins, the LFSR starts from `seed` |
    | `seed` | 127 | in | stable while the lease is open |
    | `next_record` | 1 | in | ignored |
    | `o` | stream, width | out | bits of the sequence, the first in the low bit |

    Timing and reset as for `Lfsr`. `o` stays not valid if the seed is 0.
    """

    open: Signal
    seed: Signal
    next_record: Signal
    o: stream.Interface

    def __init__(self, width: int) -> None:
        self.width = width
        super().__init__(
            {"open": In(1), "seed": In(SEED_BITS), "next_record": In(1), "o": Out(stream.Signature(width))}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.lfsr = lfsr = Lfsr(self.width)
        m.d.comb += [lfsr.start.eq(self.open), lfsr.seed.eq(self.seed)]
        wiring.connect(m, lfsr.o, wiring.flipped(self.o))
        return m


class TriviumStream(wiring.Component):
    """Word source made of one Trivium cipher with an IV of its own for each record.

    | port | width | direction | meaning |
    |---|---|---|---|
    | `open` | 1 | in | one cycle: a lease begins with record `record` |
    | `key` | 80 | in | stable while the lease is open |
    | `lease` | 40 | in | stable while the lease is open |
    | `record` | 32 | in | first record of the lease, sampled with `open` |
    | `next_record` | 1 | in | one cycle: discards the rest of the stream and starts that of the next record |
    | `o` | stream, width | out | keystream of the record, the first bit in the low bit |

    | parameter | type | meaning |
    |---|---|---|
    | `width` | int, 1 to 64 | bits a cycle |
    | `layer` | int, 0 to 255 | layer of the flipper |
    | `parallel_load` | bool | as in `Trivium` |

    The IV is layer (8 bits) | lease (40) | record (32), most significant first.

    Timing: `o.valid` falls in the cycle of `next_record` and in the one after `open`; it rises again after the key
    setup of `Trivium`. After record 2^32 - 1, the last that an IV can name, it stays low until the next `open`.

    `o` is not valid after reset until a lease begins.
    """

    open: Signal
    key: Signal
    lease: Signal
    record: Signal
    next_record: Signal
    o: stream.Interface

    def __init__(self, width: int, *, layer: int, parallel_load: bool = False) -> None:
        self.width, self.layer, self.parallel_load = width, layer, parallel_load
        super().__init__(
            {
                "open": In(1),
                "key": In(KEY_BITS),
                "lease": In(LEASE_BITS),
                "record": In(RECORD_BITS),
                "next_record": In(1),
                "o": Out(stream.Signature(width)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.trivium = trivium = Trivium(self.width, parallel_load=self.parallel_load)
        record = Signal(RECORD_BITS)
        start = Signal()
        exhausted = Signal()  # the last record number was used
        with m.If(self.open):
            m.d.sync += [record.eq(self.record), exhausted.eq(0)]
        with m.Elif(self.next_record):
            m.d.sync += [record.eq(record + 1), exhausted.eq(exhausted | record.all())]
        m.d.sync += start.eq(self.open | self.next_record)
        m.d.comb += [
            trivium.key.eq(self.key),
            trivium.iv.eq(Cat(record, self.lease, Const(self.layer, unsigned(LAYER_BITS)))),
            trivium.start.eq(start),
            trivium.o.ready.eq(self.o.ready),
            self.o.payload.eq(trivium.o.payload),
            # no word of the old record is offered from `next_record` on
            self.o.valid.eq(trivium.o.valid & ~start & ~self.next_record & ~exhausted),
        ]
        return m
