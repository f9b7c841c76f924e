"""Numbers of 32 bits that are told, heard and added to a byte at a time, as the line has them."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

BYTES = 4


class Turning(wiring.Component):
    """Shows one byte of a number, the lowest first, and turns to the next with `turn`; after four it stands as before.

    `byte` is that of the number plus one that `add` shows in the same way, modulo 2^32; the sum stays where `keep` is
    high in all four turns. `own` is that of the number itself, and `place`, 0 to 3, which one it is. `clear` (one
    cycle) makes the number 0 and shows its lowest byte; reset does too, but the number is `init`.
    """

    add: Signal
    keep: Signal
    turn: Signal
    clear: Signal
    byte: Signal
    own: Signal
    place: Signal

    def __init__(self, init: int = 0) -> None:
        self.init = init
        super().__init__(
            {
                "add": In(8),
                **dict.fromkeys(("keep", "turn", "clear"), In(1)),
                "byte": Out(8),
                "own": Out(8),
                "place": Out(range(BYTES)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        number, carry, over = Signal(8 * BYTES, init=self.init), Signal(), Signal()
        m.d.comb += [self.own.eq(number), Cat(self.byte, over).eq(self.own + self.add + carry)]
        with m.If(self.turn):
            m.d.sync += number.eq(Cat(number[8:], Mux(self.keep, self.byte, self.own)))
            m.d.sync += [self.place.eq(self.place + 1), carry.eq(over & (self.place != BYTES - 1))]
        with m.If(self.clear):
            m.d.sync += [number.eq(0), self.place.eq(0), carry.eq(0)]
        return m
