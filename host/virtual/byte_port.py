"""Registers between a top level with a byte port and the C++ program that simulates it."""

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


class BytePort(wiring.Component):  # type: ignore[type-arg]  # the stubs make it generic; at run time it is not
    """Registers around the byte streams of `top`, so that no combinational logic depends on a pin.

    The program can then change pins at the falling clock edge without a second evaluation of the design.

    | port | width | direction | meaning |
    |---|---|---|---|
    | `rx_data`, `rx_valid` | 8, 1 | in | a byte for the device |
    | `rx_ready` | 1 | out | the byte is taken at the next rising edge |
    | `tx_data`, `tx_valid` | 8, 1 | out | a byte from the device, for one cycle |
    | `tx_ready` | 1 | in | the device may send |
    | `leds` | 3 | out | as those of `top` |
    """

    rx_data: Signal
    rx_valid: Signal
    rx_ready: Signal
    tx_data: Signal
    tx_valid: Signal
    tx_ready: Signal
    leds: Signal

    def __init__(self, top: Any) -> None:
        self.top = top
        rx = {"rx_data": In(8), "rx_valid": In(1), "rx_ready": Out(1)}
        tx = {"tx_data": Out(8), "tx_valid": Out(1), "tx_ready": In(1)}
        super().__init__({**rx, **tx, "leds": Out(3)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.top = top = self.top
        m.d.comb += [self.rx_ready.eq(top.i.ready | ~top.i.valid), self.leds.eq(top.leds)]
        with m.If(self.rx_ready):
            m.d.sync += [top.i.valid.eq(self.rx_valid), top.i.payload.eq(self.rx_data)]
        m.d.sync += [
            top.o.ready.eq(self.tx_ready),
            self.tx_valid.eq(top.o.valid & top.o.ready),
            self.tx_data.eq(top.o.payload),
        ]
        return m
