"""Loads an image (pysim/model/image.py): weights, biases and thresholds of a network built as loadable."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from spikeveil.hdl.device.frames import Checksum
from spikeveil.hdl.engine.plan import Plan
from spikeveil.hdl.engine.spikes import index_bits


class Loader(wiring.Component):
    """Takes the bytes of an image in order, writes the memories' words through `load`, and says whether all is there.

    - `i`: takes a byte in every cycle. Bytes that come while `locked` is high, or beyond the image's end, are dropped.
    - `clear` (one cycle, not while `locked`, dominant): begin anew; `loaded` falls.
    - `seal` (one cycle, not while `locked`): `loaded` is, from the next cycle on, whether all bytes came, as many as
      `length` says, with the CRC-32 `crc` (that of `zlib`). The last byte must have come before.
    - `position`: bytes taken.
    - `load`: a word is written in the cycle after its last byte.

    Once all bytes came, nothing is written until `clear`. Reset begins anew. Nothing reads the memories back.
    """

    i: stream.Interface
    locked: Signal
    clear: Signal
    seal: Signal
    length: Signal
    crc: Signal
    position: Signal
    loaded: Signal
    load: Any

    def __init__(self, plan: Plan) -> None:
        self.sections, self.image_bytes = plan.sections, plan.image_bytes
        super().__init__(
            {
                "i": In(stream.Signature(8)),
                "locked": In(1),
                "clear": In(1),
                "seal": In(1),
                "length": In(32),
                "crc": In(32),
                "position": Out(32),
                "loaded": Out(1),
                "load": Out(plan.image_write),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.checksum = checksum = Checksum(pace=8)
        taken, word_ends, clear = Signal(), Signal(), Signal()
        position, whole = Signal(range(self.image_bytes + 1)), Signal()
        m.d.comb += [self.position.eq(position), whole.eq(position == self.image_bytes)]
        m.d.comb += [
            self.i.ready.eq(1),
            taken.eq(self.i.valid & ~self.locked & ~whole),
            clear.eq(self.clear & ~self.locked),
            checksum.start.eq(clear),
            checksum.take.eq(taken & ~clear),
            checksum.data.eq(self.i.payload),
        ]
        section, place = self._follow(m, taken, clear, word_ends)
        m.d.sync += self.load.to.eq(0)
        with m.If(taken):
            m.d.sync += [
                position.eq(position + 1),
                self.load.data.eq(Cat(self.load.data, self.i.payload)[8:]),
            ]
            m.d.sync += [self.load.address.eq(place), self.load.to.eq(Mux(word_ends, 1 << section, 0))]
        with m.If(self.seal & ~self.locked):
            m.d.sync += self.loaded.eq(whole & (self.length == self.image_bytes) & (checksum.crc == self.crc))
        with m.If(clear):
            m.d.sync += [position.eq(0), self.loaded.eq(0), self.load.to.eq(0)]
        return m

    def _follow(self, m: Module, taken: Signal, clear: Signal, word_ends: Signal) -> tuple[Signal, Signal]:
        """Where the next byte belongs: its section, and its word's place in that section."""
        section = Signal(range(len(self.sections) + 1))
        word = Signal(index_bits(max(each.words for each in self.sections)))
        byte = Signal(index_bits(max(each.word_bytes for each in self.sections)))
        last_byte, last_word = Signal.like(byte), Signal.like(word)
        with m.Switch(section):
            for index, each in enumerate(self.sections):
                with m.Case(index):
                    m.d.comb += [last_byte.eq(each.word_bytes - 1), last_word.eq(each.words - 1)]
        m.d.comb += word_ends.eq(byte == last_byte)
        with m.If(taken):
            m.d.sync += byte.eq(Mux(word_ends, 0, byte + 1))
            with m.If(word_ends):
                m.d.sync += word.eq(Mux(word == last_word, 0, word + 1))
                m.d.sync += section.eq(section + (word == last_word))
        with m.If(clear):
            m.d.sync += [section.eq(0), word.eq(0), byte.eq(0)]
        return section, word
