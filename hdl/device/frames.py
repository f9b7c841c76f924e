"""Frames of docs/protocol.md: COBS and CRC-32 around a body. Twin of host/device/frames.py."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from spikeveil.hdl.device.block_ram import BlockRam
from spikeveil.hdl.device.checksum import Checksum
from spikeveil.hdl.device.cobs import CobsDecoder, CobsEncoder, MessageByte
from spikeveil.pysim.device.wire import CRC_BYTES, DAMAGED_BITS, MAX_BODY, MIN_BODY

RING_BITS = 9  # 512 bytes: one block RAM of an iCE40


class FrameReceiver(wiring.Component):
    """Decodes frames, drops damaged ones and buffers the bodies of the others.

    | port | width | direction | meaning |
    |---|---|---|---|
    | `i` | stream, 8 | in | bytes from the line |
    | `o` | stream, 8 | out | of each body its length, then its bytes |
    | `mark` | 1 | in | high in the cycle in which a length is accepted: everything before it is dropped |
    | `rewind` | 1 | in | one cycle in which `o` is not accepted: back to the first byte of the body |
    | `damaged` | 16 | out | frames that did not decode, or whose length or CRC was wrong; saturates |

    Timing: `o` gives a byte in at most three cycles. A length is valid six cycles after the frame's zero was accepted,
    and no byte is accepted in the cycle after it. A byte of `i` takes 8 / `pace` cycles (`Checksum`). Bodies wait in a
    ring of 512 bytes; when it is full, `i` is not ready. A line that cannot wait then loses a byte, so its frame is
    damaged and no other. Reset clears the ring and the count.
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
        m.submodules.ring = ring = BlockRam(width=8, depth=1 << RING_BITS)
        committed = Signal(RING_BITS)  # index behind the last complete body
        body_start = self._read(m, ring, committed)
        self._write(m, ring, committed, body_start)
        return m

    def _write(self, m: Module, ring: BlockRam, committed: Signal, body_start: Signal) -> None:
        """Write a frame's bytes behind a byte for its length, which is written when the frame has ended well."""
        m.submodules.decoder = decoder = CobsDecoder()
        m.submodules.checksum = checksum = Checksum(self.pace)
        wiring.connect(m, wiring.flipped(self.i), decoder.i)
        size = Signal(8)
        oversize = Signal()
        decoded = Signal()
        write_index = Signal(RING_BITS, init=1)
        writable = Signal(init=1)  # there is space for this byte and the next
        accepted = Signal()
        frame_end = Signal()
        commit = Signal()  # the cycle after `frame_end`
        valid = Signal()  # the frame that ended is whole
        payload = decoder.o.payload
        m.d.comb += [
            decoder.o.ready.eq(~frame_end & ~commit & checksum.ready & (payload.end | oversize | writable)),
            accepted.eq(decoder.o.valid & decoder.o.ready & ~payload.end),
            checksum.data.eq(payload.data),
            checksum.take.eq(accepted),
            checksum.start.eq(frame_end),
            ring.write_address.eq(Mux(commit, committed, write_index)),
            ring.write_data.eq(Mux(commit, size - CRC_BYTES, payload.data)),
            ring.write.eq(writable | commit),  # a write without a byte is harmless: nothing reads at `write_index`
        ]
        m.d.sync += [
            frame_end.eq(decoder.o.valid & decoder.o.ready & payload.end),
            decoded.eq(payload.good),
            valid.eq(decoded & checksum.right & ~oversize & (size >= MIN_BODY + CRC_BYTES)),
            commit.eq(frame_end),
            writable.eq((body_start - write_index)[1:RING_BITS].any()),  # two bytes, as this one is not counted yet
        ]
        with m.If(commit):
            m.d.sync += [size.eq(0), oversize.eq(0), write_index.eq(committed + 1)]
            with m.If(valid):
                m.d.sync += [
                    committed.eq(write_index - CRC_BYTES),
                    write_index.eq(write_index - (CRC_BYTES - 1)),
                ]
            with m.Elif(~self.damaged.all()):
                m.d.sync += self.damaged.eq(self.damaged + 1)
        with m.Elif(accepted & (size == MAX_BODY + CRC_BYTES)):
            m.d.sync += oversize.eq(1)
        with m.Elif(accepted):
            m.d.sync += [size.eq(size + 1), write_index.eq(write_index + 1)]

    def _read(self, m: Module, ring: BlockRam, committed: Signal) -> Signal:
        """Send the committed bytes to `o`; the index from which on the ring must keep them."""
        read_index = Signal(RING_BITS)
        body_start = Signal(RING_BITS)
        fetching = Signal()
        fetched = Signal()  # the ring shows the byte at `read_index`
        load = Signal()
        m.d.comb += [ring.read_address.eq(read_index), load.eq(fetched & ~self.o.valid)]
        m.d.sync += [
            fetching.eq((read_index != committed) & ~load & ~self.rewind),
            fetched.eq(fetching & ~load & ~self.rewind),
        ]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(load):
            m.d.sync += [self.o.payload.eq(ring.read_data), self.o.valid.eq(1), read_index.eq(read_index + 1)]
        with m.If(self.mark):
            m.d.sync += body_start.eq(read_index)
        with m.If(self.rewind):
            m.d.sync += [self.o.valid.eq(0), read_index.eq(body_start)]
        return body_start


class FrameSender(wiring.Component):
    """Encodes bodies of 1 to 250 bytes as frames.

    | port | payload | direction | meaning |
    |---|---|---|---|
    | `i` | `MessageByte` | in | bodies; not ready until the frame of the body before has left |
    | `o` | 8 bits | out | frames |

    Timing: a byte of `i` takes one cycle, or 8 / `pace` cycles where that is more (`Checksum`). The first byte of a
    frame leaves within 48 cycles of the last byte of its body. Reset drops the current frame.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, *, pace: int = 8) -> None:
        self.pace = pace
        super().__init__({"i": In(stream.Signature(MessageByte())), "o": Out(stream.Signature(8))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.checksum = checksum = Checksum(self.pace)
        m.submodules.encoder = encoder = CobsEncoder()
        wiring.connect(m, encoder.o, wiring.flipped(self.o))
        append_crc = Signal()  # the body is complete: its CRC is sent
        crc_byte = Signal(range(CRC_BYTES))
        last_crc_byte = crc_byte == CRC_BYTES - 1
        send = Signal()
        body_end = Signal()
        sink = encoder.i
        m.d.comb += [
            body_end.eq(sink.valid & sink.payload.last),
            self.i.ready.eq(checksum.ready & sink.ready & ~append_crc & ~body_end),
            send.eq(Mux(append_crc, checksum.ready, self.i.valid & self.i.ready)),
            checksum.data.eq(self.i.payload.data),
            checksum.take.eq(self.i.valid & self.i.ready),
        ]
        with m.If(sink.ready):
            m.d.sync += [
                sink.valid.eq(send),
                sink.payload.data.eq(Mux(append_crc, checksum.crc.word_select(crc_byte, 8), self.i.payload.data)),
                sink.payload.last.eq(append_crc & last_crc_byte),
            ]
        with m.If(checksum.take & self.i.payload.last):
            m.d.sync += append_crc.eq(1)
        with m.If(append_crc & send & sink.ready):
            m.d.sync += crc_byte.eq(crc_byte + 1)
            with m.If(last_crc_byte):
                m.d.sync += append_crc.eq(0)
                m.d.comb += checksum.start.eq(1)
        return m
