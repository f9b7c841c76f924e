"""Loads the image of a network that is built as loadable. Twin of pysim/device/loader.py."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from spikeveil.hdl.device.checksum import Checksum
from spikeveil.hdl.engine.plan import Plan
from spikeveil.hdl.engine.spikes import index_bits
from spikeveil.pysim.device.wire import CRC_BITS, POSITION_BITS


class LoadControl(wiring.Signature):
    """Loads an image; directions as the user of the loader sees them.

    | port | width | direction | meaning |
    |---|---|---|---|
    | `image` | stream, 8 | out | bytes of the image, in order; always ready |
    | `clear` | 1 | out | one cycle, dominant: a new image, `loaded` falls |
    | `seal` | 1 | out | one cycle: check the image against `length` and `crc` |
    | `length` | 32 | out | stated bytes of the image |
    | `crc` | 32 | out | stated CRC-32 of the image |
    | `loaded` | 1 | in | a complete image was sealed |
    | `position` | 32 | in | image bytes accepted |
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "image": Out(stream.Signature(8)),
                "clear": Out(1),
                "seal": Out(1),
                "length": Out(POSITION_BITS),
                "crc": Out(CRC_BITS),
                "loaded": In(1),
                "position": In(POSITION_BITS),
            }
        )


class Loader(wiring.Component):
    """Writes the bytes of an image (pysim/model/image.py) to the memories of a network.

    | port | width | direction | meaning |
    |---|---|---|---|
    | `control` | `LoadControl` | in | image, commands and state |
    | `locked` | 1 | in | a lease is open: `clear`, `seal` and image bytes are ignored |
    | `load` | `plan.image_write` | out | writes one word |

    Timing: a byte a cycle. A word is written in the cycle after its last byte. `loaded` is valid in the cycle after
    `seal`, which must come after the last byte. Bytes beyond the end of the image are ignored. When the image is
    complete nothing is written until `clear`, and nothing reads the memories back. Reset is `clear`.
    """

    control: Any
    locked: Signal
    load: Any

    def __init__(self, plan: Plan) -> None:
        self.sections = plan.sections
        self.image_bytes = plan.image_bytes
        super().__init__(
            {
                "control": In(LoadControl()),
                "locked": In(1),
                "load": Out(plan.image_write),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        control = self.control
        m.submodules.checksum = checksum = Checksum(pace=8)
        accept = Signal()
        word_end = Signal()
        clear = Signal()
        position = Signal(range(self.image_bytes + 1))
        complete = Signal()
        m.d.comb += [
            control.position.eq(position),
            complete.eq(position == self.image_bytes),
            control.image.ready.eq(1),
            accept.eq(control.image.valid & ~self.locked & ~complete),
            clear.eq(control.clear & ~self.locked),
            checksum.start.eq(clear),
            checksum.take.eq(accept & ~clear),
            checksum.data.eq(control.image.payload),
        ]
        section, word_index = self._follow(m, accept, clear, word_end)
        m.d.sync += self.load.to.eq(0)
        with m.If(accept):
            m.d.sync += [
                position.eq(position + 1),
                self.load.data.eq(Cat(self.load.data, control.image.payload)[8:]),
                self.load.address.eq(word_index),
                self.load.to.eq(Mux(word_end, 1 << section, 0)),
            ]
        stated = (control.length == self.image_bytes) & (checksum.crc == control.crc)
        with m.If(control.seal & ~self.locked):
            m.d.sync += control.loaded.eq(complete & stated)
        with m.If(clear):
            m.d.sync += [position.eq(0), control.loaded.eq(0), self.load.to.eq(0)]
        return m

    def _follow(self, m: Module, accept: Signal, clear: Signal, word_end: Signal) -> tuple[Signal, Signal]:
        """Section of the next byte, and index of its word in that section."""
        section_index = Signal(range(len(self.sections) + 1))
        word_index = Signal(index_bits(max(section.words for section in self.sections)))
        byte_index = Signal(index_bits(max(section.word_bytes for section in self.sections)))
        last_byte = Signal.like(byte_index)
        last_word = Signal.like(word_index)
        with m.Switch(section_index):
            for index, section in enumerate(self.sections):
                with m.Case(index):
                    m.d.comb += [last_byte.eq(section.word_bytes - 1), last_word.eq(section.words - 1)]
        m.d.comb += word_end.eq(byte_index == last_byte)
        with m.If(accept):
            m.d.sync += byte_index.eq(Mux(word_end, 0, byte_index + 1))
            with m.If(word_end):
                m.d.sync += [
                    word_index.eq(Mux(word_index == last_word, 0, word_index + 1)),
                    section_index.eq(section_index + (word_index == last_word)),
                ]
        with m.If(clear):
            m.d.sync += [section_index.eq(0), word_index.eq(0), byte_index.eq(0)]
        return section_index, word_index
