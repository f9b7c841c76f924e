"""What stands between the byte port of the top level and the program that simulates it."""

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


class ByteBench(wiring.Component):  # type: ignore[type-arg]  # the stubs make it generic; at run time it is not
    """Registers around `top`'s streams, so that no logic hangs on a pin: the program then changes pins at the falling
    edge of the clock without the simulator working through the design once more.

    `give` with `given`: a byte for the device, taken at every rising edge before which `room` was high. `come` with
    `came`: a byte of the device's, shown for one cycle. `take`: it may send.
    """

    give: Signal
    given: Signal
    room: Signal
    take: Signal
    come: Signal
    came: Signal
    leds: Signal

    def __init__(self, top: Any) -> None:
        self.top = top
        ports = {"give": In(8), "given": In(1), "room": Out(1), "take": In(1), "come": Out(8), "came": Out(1)}
        super().__init__({**ports, "leds": Out(3)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.top = top = self.top
        m.d.comb += [self.room.eq(top.i.ready | ~top.i.valid), self.leds.eq(top.leds)]
        with m.If(self.room):
            m.d.sync += [top.i.valid.eq(self.given), top.i.payload.eq(self.give)]
        m.d.sync += [
            top.o.ready.eq(self.take),
            self.came.eq(top.o.valid & top.o.ready),
            self.come.eq(top.o.payload),
        ]
        return m
