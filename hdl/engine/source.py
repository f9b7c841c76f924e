"""The word source of one flipper: an LFSR or Trivium behind one interface. Twin of pysim/model/source.py."""

from typing import Literal

from amaranth.hdl import Cat, Const, Module, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from spikeveil.hdl.engine.lfsr import Lfsr
from spikeveil.hdl.engine.trivium import Trivium

SourceKind = Literal["lfsr", "trivium"]
SOURCES: tuple[SourceKind, ...] = ("trivium", "lfsr")
MAX_SOURCE_WIDTH = 64  # a cycle, from either source
SEED_BITS, KEY_BITS, LEASE_BITS, RECORD_BITS, LAYER_BITS = 127, 80, 40, 32, 8


class LfsrStream(wiring.Component):
    """One LFSR: `open` (one cycle) starts it from `seed`; the stream runs on from record to record."""

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
    """One Trivium, keyed anew for every record under IV = layer (8 bits) | lease (40) | record (32).

    `open` (one cycle) starts record `record` of `lease`; `next_record` (one cycle) drops what is left of the
    stream and starts the next record's; after record 2^32 - 1, the last that an IV can name, no word comes until the
    next `open`. `key` and `lease` must stay as they are while the lease is open. `at_once` as in `Trivium`.
    """

    open: Signal
    key: Signal
    lease: Signal
    record: Signal
    next_record: Signal
    o: stream.Interface

    def __init__(self, width: int, *, layer: int, at_once: bool = False) -> None:
        self.width, self.layer, self.at_once = width, layer, at_once
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
        m.submodules.trivium = trivium = Trivium(self.width, at_once=self.at_once)
        record, start, ended = Signal(RECORD_BITS), Signal(), Signal()
        with m.If(self.open):
            m.d.sync += [record.eq(self.record), ended.eq(0)]
        with m.Elif(self.next_record):
            m.d.sync += [record.eq(record + 1), ended.eq(ended | record.all())]
        m.d.sync += start.eq(self.open | self.next_record)
        m.d.comb += [
            trivium.key.eq(self.key),
            trivium.iv.eq(Cat(record, self.lease, Const(self.layer, unsigned(LAYER_BITS)))),
            trivium.start.eq(start),
            trivium.o.ready.eq(self.o.ready),
            self.o.payload.eq(trivium.o.payload),
            self.o.valid.eq(
                trivium.o.valid & ~start & ~self.next_record & ~ended
            ),  # the old record's words end at once
        ]
        return m
