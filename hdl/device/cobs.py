"""Consistent overhead byte stuffing (Cheshire and Baker, 1999): encodes messages without a zero byte, which ends each.

A code byte gives the distance to the next zero of the message. The bytes up to that zero follow unchanged, and the
next code byte takes the zero's place. The end of the message counts as a zero. Code 255 is followed by 254 bytes and no
zero.
"""

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from spikeveil.hdl.device.block_ram import BlockRam

MAX_RUN = 254  # bytes without a zero behind one code byte


class DecodedByte(data.StructLayout):
    """A byte of a message, or the end of a frame.

    | field | width | meaning |
    |---|---|---|
    | `data` | 8 | the byte; undefined where `end` is set |
    | `end` | 1 | the frame has ended |
    | `good` | 1 | with `end`: the frame was encoded correctly |
    """

    def __init__(self) -> None:
        super().__init__({"data": unsigned(8), "end": unsigned(1), "good": unsigned(1)})


class MessageByte(data.StructLayout):
    """A byte of a message; `last` marks the last one."""

    def __init__(self) -> None:
        super().__init__({"data": unsigned(8), "last": unsigned(1)})


class CobsDecoder(wiring.Component):
    """Decodes frames that a zero byte ends.

    | port | payload | direction | meaning |
    |---|---|---|---|
    | `i` | 8 bits | in | encoded bytes |
    | `o` | `DecodedByte` | out | the bytes of each message and an end after them; nothing for an empty frame |

    Timing: one byte a cycle; `o` in the cycle of its byte of `i`. A frame that ends within the distance of its last
    code byte is not good; the bytes before its end are then meaningless. Reset begins a new frame.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self) -> None:
        super().__init__({"i": In(stream.Signature(8)), "o": Out(stream.Signature(DecodedByte()))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        remaining = Signal(8)  # bytes before the next code byte
        at_code = Signal(init=1)  # remaining is 0
        frame_open = Signal()  # a code byte was received
        zero_implied = Signal()  # the next code byte stands for a zero
        emit = Signal()
        payload = self.o.payload
        m.d.comb += [
            payload.end.eq(self.i.payload == 0),
            payload.good.eq(at_code),
            payload.data.eq(Mux(at_code, 0, self.i.payload)),
            emit.eq(Mux(payload.end, frame_open, ~at_code | zero_implied)),
            self.o.valid.eq(self.i.valid & emit),
            self.i.ready.eq(self.o.ready | ~emit),
        ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [remaining.eq(remaining - 1), at_code.eq(remaining == 1)]
            with m.If(payload.end):
                m.d.sync += [remaining.eq(0), at_code.eq(1), frame_open.eq(0), zero_implied.eq(0)]
            with m.Elif(at_code):
                m.d.sync += [
                    remaining.eq(self.i.payload - 1),
                    at_code.eq(self.i.payload == 1),
                    frame_open.eq(1),
                    zero_implied.eq(self.i.payload != MAX_RUN + 1),
                ]
        return m


class CobsEncoder(wiring.Component):
    """Encodes messages of 1 to 254 bytes, each with the zero byte that ends its frame.

    | port | payload | direction | meaning |
    |---|---|---|---|
    | `i` | `MessageByte` | in | a message; not ready until the frame of the message before has left |
    | `o` | 8 bits | out | its frame |

    A message is written into a buffer of 256 bytes, one byte a cycle; the code byte of each zero is written when the
    next zero is reached. Then the frame leaves, one byte in at most three cycles. Longer messages are encoded wrongly.
    Reset drops the current message.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self) -> None:
        super().__init__({"i": In(stream.Signature(MessageByte())), "o": Out(stream.Signature(8))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.buffer = buffer = BlockRam(width=8, depth=256)
        write_index = Signal(8, init=1)
        code_index = Signal(8)  # of the code byte that is not written yet
        read_index = Signal(8)
        read_stage = Signal(2)  # 2: the buffer shows the byte at `read_index`
        write_code = Signal()
        closing = Signal()  # the message has ended: its last code byte is written
        m.d.comb += [
            write_code.eq((self.i.payload.data == 0) | closing),
            buffer.write_address.eq(Mux(write_code, code_index, write_index)),
            buffer.write_data.eq(Mux(write_code, write_index - code_index, self.i.payload.data)),
            buffer.read_address.eq(read_index),
        ]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.FSM():
            with m.State("fill"):
                m.d.comb += [self.i.ready.eq(~closing), buffer.write.eq(self.i.valid | closing)]
                with m.If(closing):
                    m.d.sync += [closing.eq(0), code_index.eq(0)]
                    m.next = "send"
                with m.Elif(self.i.valid):
                    m.d.sync += [write_index.eq(write_index + 1), closing.eq(self.i.payload.last)]
                    with m.If(write_code):
                        m.d.sync += code_index.eq(write_index)
            with m.State("send"), m.If(self.o.ready | ~self.o.valid):
                at_end = read_index == write_index
                m.d.sync += [self.o.valid.eq(read_stage == 2), read_stage.eq(Mux(read_stage == 2, 0, read_stage + 1))]
                with m.If(read_stage == 2):
                    m.d.sync += [self.o.payload.eq(Mux(at_end, 0, buffer.read_data)), read_index.eq(read_index + 1)]
                    with m.If(at_end):
                        m.d.sync += [read_index.eq(0), write_index.eq(1)]
                        m.next = "fill"
        return m
