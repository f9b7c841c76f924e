"""Frames: COBS and CRC-32 around the bodies of the protocol (docs/protocol.md). Twin of host/device/frames.py."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.crc.catalog import CRC32_ISO_HDLC
from amaranth.lib.wiring import In, Out

from spikeveil.hdl.device.block_ram import Store
from spikeveil.hdl.device.cobs import CobsDecoder, CobsEncoder, Tail
from spikeveil.pysim.device.wire import MAX_BODY

CRC_BYTES = 4
LEAST_BODY = 2
RING_BITS = 9  # 512 bytes: one block RAM of an iCE40
DAMAGED_BITS = 16


class Checksum(wiring.Component):
    """The CRC-32 of bytes, `pace` bits a cycle (1, 2, 4 or 8): fewer are smaller.

    A byte is taken in a cycle in which `take` and `ready` are high. `start` (one cycle, between bytes) begins anew.
    While `ready`, `crc` is that of the bytes taken since, and `right` tells whether they end with their own CRC, low
    byte first.
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
                "crc": Out(8 * CRC_BYTES),
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
        rest, left, busy = Signal(8), Signal(range(8 // self.pace)), Signal()
        m.d.comb += [crc.valid.eq(busy), crc.data.eq(rest), self.ready.eq(~busy)]
        with m.If(self.take & self.ready):
            m.d.sync += [rest.eq(self.data), left.eq(8 // self.pace - 1), busy.eq(1)]
        with m.Elif(busy):
            m.d.sync += [rest.eq(rest >> self.pace), left.eq(left - 1), busy.eq(left != 0)]
        return m


class FrameReceiver(wiring.Component):
    """Bytes off the line to bodies that are whole and right.

    `o`: of each body its length, then its bytes, one every third cycle at most; the length is valid six cycles after
    the frame's zero was taken, and no byte is taken in the cycle after it. Hold `mark` high in the cycle in which a
    length is taken: what was before is dropped, and `rewind` (one cycle, `o` not taken in it) goes back to the body's
    first byte. Bodies wait in a ring of 512 bytes. What waits there is never pushed out: `i` waits, and a line that
    cannot wait loses a byte, so that its frame is damaged. `damaged` counts frames that did not decode, or had another
    length or CRC; it stays at 65535. `pace` as in `Checksum`: a byte of `i` takes 8 / `pace` cycles. Reset forgets
    every frame and the count.
    """

    i: stream.Interface
    o: stream.Interface
    mark: Signal
    rewind: Signal
    damaged: Signal

    def __init__(self, *, pace: int = 8) -> None:
        self.pace = pace
        super().__init__(
            {
                "i": In(stream.Signature(8)),
                "o": Out(stream.Signature(8)),
                "mark": In(1),
                "rewind": In(1),
                "damaged": Out(DAMAGED_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.ring = ring = Store(width=8, depth=1 << RING_BITS)
        committed = Signal(RING_BITS)
        self._write(m, ring, committed, self._read(m, ring, committed))
        return m

    def _write(self, m: Module, ring: Store, committed: Signal, kept: Signal) -> None:
        """A frame's bytes go behind a place for its length; that is written when it ends well, and the frame is
        there."""
        m.submodules.decoder = decoder = CobsDecoder()
        m.submodules.checksum = checksum = Checksum(self.pace)
        wiring.connect(m, wiring.flipped(self.i), decoder.i)
        size, long, good = Signal(8), Signal(), Signal()
        place, room = Signal(RING_BITS, init=1), Signal(init=1)  # of the next byte, and whether it may be written
        came, judged, settled, right = (Signal() for _ in range(4))  # judged, then settled: a frame has ended
        payload = decoder.o.payload
        most = MAX_BODY + CRC_BYTES
        m.d.comb += [
            decoder.o.ready.eq(~judged & ~settled & checksum.ready & (payload.end | long | room)),
            came.eq(decoder.o.valid & decoder.o.ready & ~payload.end),
            checksum.data.eq(payload.data),
            checksum.take.eq(came),
            checksum.start.eq(judged),
            ring.write_address.eq(Mux(settled, committed, place)),
            ring.write_data.eq(Mux(settled, size - CRC_BYTES, payload.data)),
            ring.write.eq(room | settled),  # also before a byte is there: nobody looks at `place`
        ]
        m.d.sync += [
            judged.eq(decoder.o.valid & decoder.o.ready & payload.end),
            good.eq(payload.good),
            right.eq(good & checksum.right & ~long & (size >= LEAST_BODY + CRC_BYTES)),
            settled.eq(judged),
            room.eq((kept - place)[1:RING_BITS].any()),  # for two bytes, as this one is not counted yet
        ]
        with m.If(settled):
            m.d.sync += [size.eq(0), long.eq(0), place.eq(committed + 1)]
            with m.If(right):
                m.d.sync += [committed.eq(place - CRC_BYTES), place.eq(place - (CRC_BYTES - 1))]
            with m.Elif(~self.damaged.all()):
                m.d.sync += self.damaged.eq(self.damaged + 1)
        with m.Elif(came & (size == most)):
            m.d.sync += long.eq(1)
        with m.Elif(came):
            m.d.sync += [size.eq(size + 1), place.eq(place + 1)]

    def _read(self, m: Module, ring: Store, committed: Signal) -> Signal:
        """What was committed comes out at `o`; all from the mark on is kept."""
        at, begin = Signal(RING_BITS), Signal(RING_BITS)
        fetched, held, load = Signal(), Signal(), Signal()
        m.d.comb += [ring.read_address.eq(at), load.eq(held & ~self.o.valid)]
        m.d.sync += [fetched.eq((at != committed) & ~load & ~self.rewind), held.eq(fetched & ~load & ~self.rewind)]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(load):
            m.d.sync += [self.o.payload.eq(ring.read_data), self.o.valid.eq(1), at.eq(at + 1)]
        with m.If(self.mark):
            m.d.sync += begin.eq(at)
        with m.If(self.rewind):
            m.d.sync += [self.o.valid.eq(0), at.eq(begin)]
        return begin


class FrameSender(wiring.Component):
    """Bodies of 1 to 250 bytes to frames.

    A body is taken at up to a byte a cycle, 8 / `pace` cycles a byte where that is more, and encoded; its first byte
    leaves within 48 cycles of its last one's coming. `i` waits until the frame has left. Reset drops the frame in
    hand.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, *, pace: int = 8) -> None:
        self.pace = pace
        super().__init__({"i": In(stream.Signature(Tail())), "o": Out(stream.Signature(8))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.checksum = checksum = Checksum(self.pace)
        m.submodules.encoder = encoder = CobsEncoder()
        wiring.connect(m, encoder.o, wiring.flipped(self.o))
        ending, byte = Signal(), Signal(range(CRC_BYTES))
        last, offers, closes = byte == CRC_BYTES - 1, Signal(), Signal()
        into = encoder.i
        m.d.comb += [
            closes.eq(into.valid & into.payload.last),
            self.i.ready.eq(checksum.ready & into.ready & ~ending & ~closes),
            offers.eq(Mux(ending, checksum.ready, self.i.valid & self.i.ready)),
            checksum.data.eq(self.i.payload.data),
            checksum.take.eq(self.i.valid & self.i.ready),
        ]
        with m.If(into.ready):
            m.d.sync += [
                into.valid.eq(offers),
                into.payload.data.eq(Mux(ending, checksum.crc.word_select(byte, 8), self.i.payload.data)),
                into.payload.last.eq(ending & last),
            ]
        with m.If(checksum.take & self.i.payload.last):
            m.d.sync += ending.eq(1)
        with m.If(ending & offers & into.ready):
            m.d.sync += byte.eq(byte + 1)
            with m.If(last):
                m.d.sync += ending.eq(0)
                m.d.comb += checksum.start.eq(1)
        return m
