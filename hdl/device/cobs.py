"""COBS (Cheshire and Baker, 1999): frames of bytes without a zero byte in them, so that a zero byte can end each.

A code byte says how far the next zero of the message is; the message's bytes up to it follow as they are, and the
next code stands in the zero's place. The end counts as a zero. Code 255 is followed by 254 bytes and no zero.
"""

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from spikeveil.hdl.device.block_ram import Store

MOST = 254  # bytes of a message that one code byte more encodes, whatever they are


class Decoded(data.StructLayout):
    """A byte of a message (`end` = 0), or the end of a frame: then `data` says nothing, `good` whether it decodes."""

    def __init__(self) -> None:
        super().__init__({"data": unsigned(8), "end": unsigned(1), "good": unsigned(1)})


class Tail(data.StructLayout):
    """A byte of a message; `last` marks its last one."""

    def __init__(self) -> None:
        super().__init__({"data": unsigned(8), "last": unsigned(1)})


class CobsDecoder(wiring.Component):
    """Encoded bytes, a zero after each frame, to the bytes of the messages and an end after each.

    One byte a cycle, `o` in the cycle of its byte of `i`. Empty frames show nothing. A frame whose zero comes before
    the place that its codes promise is not good; what went before its end then means nothing. Reset begins a new
    frame.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self) -> None:
        super().__init__({"i": In(stream.Signature(8)), "o": Out(stream.Signature(Decoded()))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        left = Signal(8)  # bytes before the next code
        begun, implied = Signal(), Signal()  # a code was seen; a zero stands in the next one's place
        shown, code = Signal(), Signal(init=1)  # code: left is 0
        payload = self.o.payload
        m.d.comb += [
            payload.end.eq(self.i.payload == 0),
            payload.good.eq(code),
            payload.data.eq(Mux(code, 0, self.i.payload)),
            shown.eq(Mux(payload.end, begun, ~code | implied)),
            self.o.valid.eq(self.i.valid & shown),
            self.i.ready.eq(self.o.ready | ~shown),
        ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [left.eq(left - 1), code.eq(left == 1)]
            with m.If(payload.end):
                m.d.sync += [left.eq(0), code.eq(1), begun.eq(0), implied.eq(0)]
            with m.Elif(code):
                m.d.sync += [left.eq(self.i.payload - 1), code.eq(self.i.payload == 1)]
                m.d.sync += [begun.eq(1), implied.eq(self.i.payload != 255)]
        return m


class CobsEncoder(wiring.Component):
    """Messages of 1 to 254 bytes to frames, each with its zero.

    A message is written into a buffer of 256 bytes, one byte a cycle, the code of each zero when the next one is
    known; then its frame goes out, a byte in three cycles at most, and `i` waits meanwhile. A longer message is not
    encoded right. Reset drops the message in hand.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self) -> None:
        super().__init__({"i": In(stream.Signature(Tail())), "o": Out(stream.Signature(8))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.buffer = buffer = Store(width=8, depth=256)
        place, link = Signal(8, init=1), Signal(8)  # of the next byte, of the last zero
        sent, fetched = Signal(8), Signal(2)  # fetched: 2 when the buffer shows the byte at `sent`
        zero, closing = Signal(), Signal()  # a code is written now; the last one, for the end of the message
        m.d.comb += [
            zero.eq((self.i.payload.data == 0) | closing),
            buffer.write_address.eq(Mux(zero, link, place)),
            buffer.write_data.eq(Mux(zero, place - link, self.i.payload.data)),
            buffer.read_address.eq(sent),
        ]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.FSM():
            with m.State("fill"):
                m.d.comb += [self.i.ready.eq(~closing), buffer.write.eq(self.i.valid | closing)]
                with m.If(closing):
                    m.d.sync += [closing.eq(0), link.eq(0)]
                    m.next = "send"
                with m.Elif(self.i.valid):
                    m.d.sync += [place.eq(place + 1), closing.eq(self.i.payload.last)]
                    with m.If(zero):
                        m.d.sync += link.eq(place)
            with m.State("send"), m.If(self.o.ready | ~self.o.valid):
                m.d.sync += [self.o.valid.eq(fetched == 2), fetched.eq(Mux(fetched == 2, 0, fetched + 1))]
                with m.If(fetched == 2):
                    m.d.sync += [self.o.payload.eq(Mux(sent == place, 0, buffer.read_data)), sent.eq(sent + 1)]
                    with m.If(sent == place):
                        m.d.sync += [sent.eq(0), place.eq(1)]
                        m.next = "fill"
        return m
