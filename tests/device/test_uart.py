"""The UART against a bench that draws and reads the line in time, and not in clock cycles."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import pytest
from amaranth.hdl import Module
from amaranth.sim import Simulator
from support.component import run

from spikeveil.hdl.device.uart import UartReceiver, UartTransmitter, rate

CLOCK = 12_000_000
BYTES = [0x00, 0xFF, 0x55, 0xAA, 0x01, 0x80, 0x7F, 0xFE, 0xC3]
RATIOS = [Fraction(4), Fraction(13, 3), Fraction(25, 3), Fraction(16), Fraction(625, 6)]  # clocks a bit
ERRORS = [Fraction(-2, 100), Fraction(0), Fraction(2, 100)]


def line_of(values: Sequence[int], *, stop: Fraction = Fraction(1)) -> list[tuple[Fraction, int]]:
    """The line's levels for these bytes, each with its length in bits."""
    levels = [(Fraction(3), 1)]
    for value in values:
        levels += [(Fraction(1), 0), *((Fraction(1), value >> bit & 1) for bit in range(8)), (stop, 1)]
    return [*levels, (Fraction(3), 1)]


def receive(levels: Sequence[tuple[Fraction, int]], baud: int, bit: Fraction, *, taken: bool = True) -> list[int]:
    """The bytes that a receiver for `baud` receives where a bit lasts `bit` clocks on the line."""
    dut = UartReceiver(clock_hz=CLOCK, baud=baud)
    received: list[int] = []

    async def bench(ctx: Any) -> None:
        ctx.set(dut.o.ready, taken)
        time, cycle = Fraction(0), 0
        for length, level in levels:
            time += length * bit
            while cycle < time:
                ctx.set(dut.rx, level)
                if ctx.get(dut.o.valid) and taken:
                    received.append(ctx.get(dut.o.payload))
                await ctx.tick()
                cycle += 1
        if not taken and ctx.get(dut.o.valid):
            received.append(ctx.get(dut.o.payload))

    run(dut, bench)
    return received


@pytest.mark.parametrize("ratio", RATIOS, ids=str)
@pytest.mark.parametrize("error", ERRORS, ids=str)
def test_receives_every_byte_back_to_back(ratio: Fraction, error: Fraction) -> None:
    baud = round(CLOCK / ratio)
    values = BYTES[:3] if ratio > 50 else BYTES
    for offset in (Fraction(0), Fraction(1, 3), Fraction(4, 5)):  # where edges fall between the clock's
        levels = [(offset / ratio, 1), *line_of(values)]
        assert receive(levels, baud, ratio * (1 + error)) == values


def test_drops_a_byte_without_its_stop_bit_and_goes_on() -> None:
    broken = [*line_of([0x41])[:-2], (Fraction(1), 0), (Fraction(2), 1)]
    assert receive([*broken, *line_of([0x42, 0x43])], CLOCK // 8, Fraction(8)) == [0x42, 0x43]


def test_a_break_and_a_glitch_are_no_bytes() -> None:
    levels = [(Fraction(2), 1), (Fraction(40), 0), (Fraction(2), 1), (Fraction(1, 4), 0), *line_of([0x99])]
    assert receive(levels, CLOCK // 8, Fraction(8)) == [0x99]


def test_of_two_bytes_not_taken_the_second_stays() -> None:
    assert receive(line_of([1, 2]), CLOCK // 4, Fraction(4), taken=False) == [2]


@pytest.mark.parametrize("ratio", RATIOS, ids=str)
def test_sends_ten_bits_a_byte_within_a_clock_of_their_place(ratio: Fraction) -> None:
    dut = UartTransmitter(clock_hz=CLOCK, baud=round(CLOCK / ratio))
    values = BYTES[:4]
    trace: list[int] = []

    async def bench(ctx: Any) -> None:
        waiting = list(values)
        for _ in range(int(ratio * (10 * len(values) + 3))):
            ctx.set(dut.i.valid, bool(waiting))
            ctx.set(dut.i.payload, waiting[0] if waiting else 0)
            if waiting and ctx.get(dut.i.ready):
                waiting.pop(0)
            trace.append(ctx.get(dut.tx))
            await ctx.tick()

    run(dut, bench)
    start = trace.index(0)
    expected = [level for _, level in line_of(values)[1:-1]]
    for place, level in enumerate(expected):
        first, after = start + ratio * place + 1, start + ratio * (place + 1) - 1
        assert {trace[cycle] for cycle in range(-(-first // 1), after // 1 + 1)} <= {level}
    assert all(trace[int(start + ratio * len(expected)) + 1 :])


@pytest.mark.parametrize("ratio", [Fraction(4), Fraction(25, 3)], ids=str)
def test_a_receiver_receives_from_its_transmitter(ratio: Fraction) -> None:
    baud = round(CLOCK / ratio)
    m: Any = Module()
    m.submodules.tx = tx = UartTransmitter(clock_hz=CLOCK, baud=baud)
    m.submodules.rx = rx = UartReceiver(clock_hz=CLOCK, baud=baud)
    m.d.comb += rx.rx.eq(tx.tx)
    received: list[int] = []

    async def bench(ctx: Any) -> None:
        waiting = list(range(0, 256, 5))
        ctx.set(rx.o.ready, 1)
        while len(received) < 52:
            ctx.set(tx.i.valid, bool(waiting))
            ctx.set(tx.i.payload, waiting[0] if waiting else 0)
            if waiting and ctx.get(tx.i.ready):
                waiting.pop(0)
            if ctx.get(rx.o.valid):
                received.append(ctx.get(rx.o.payload))
            await ctx.tick()

    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert received == list(range(0, 256, 5))


@pytest.mark.parametrize("baud", [9600, 115_200, 921_600, 1_000_000, 3_000_000])
@pytest.mark.parametrize("clock", [12_000_000, 25_000_000, 48_000_000, 100_000_000])
def test_the_rate_is_within_a_thousandth(clock: int, baud: int) -> None:
    step, bits = rate(clock, baud)
    assert abs(Fraction(step * clock, baud << bits) - 1) <= Fraction(1, 1000)
    assert bits <= 24


def test_refuses_less_than_four_clocks_a_bit() -> None:
    with pytest.raises(ValueError, match=r"^baud must be at most clock_hz / 4 = 3000000, not 3000001$"):
        rate(CLOCK, 3_000_001)
    with pytest.raises(ValueError, match=r"^baud must be 1 to 1000000000, not 0$"):
        rate(CLOCK, 0)
    with pytest.raises(ValueError, match=r"^clock_hz must be an integer, not 1.5$"):
        rate(1.5, 9600)  # type: ignore[arg-type]
