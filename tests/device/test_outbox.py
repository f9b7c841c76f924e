"""The outbox against a list of bytes: any order of writing, sending, confirming, sending again; positions that wrap."""

from random import Random
from typing import Any

import pytest
from support.component import run

from spikeveil.hdl.device import outbox
from spikeveil.hdl.device.byte_counter import ByteCounter
from spikeveil.hdl.device.inbox import check_depth
from spikeveil.hdl.device.outbox import Outbox, PositionSelect

WRAP = 1 << 32


class Model:
    """Output as the protocol defines it: all bytes written, and three positions in them."""

    def __init__(self, depth: int, start: int = 0) -> None:
        self.depth, self.start = depth, start
        self.bytes: list[int] = []
        self.confirmed = self.sent = self.reached = start

    @property
    def written(self) -> int:
        return self.start + len(self.bytes)

    @property
    def space(self) -> int:
        return self.depth - (self.written - self.confirmed)

    def send(self) -> int:
        byte = self.bytes[self.sent - self.start]
        self.sent += 1
        self.reached = max(self.reached, self.sent)
        return byte

    def confirm(self, position: int) -> None:
        """`position` is modulo 2^32, as on the line."""
        more = (position - self.confirmed) % WRAP
        if more <= self.reached - self.confirmed:
            self.confirmed += more
            self.sent = max(self.sent, self.confirmed)

    def resend(self) -> None:
        self.sent = self.confirmed


class Driver:
    """One outbox and its model, driven together."""

    def __init__(self, ctx: Any, dut: Outbox, start: int = 0) -> None:
        self.ctx, self.dut, self.model = ctx, dut, Model(dut.depth, start)

    async def write(self, byte: int) -> None:
        """Offer a byte for two cycles; it is taken exactly where there is room."""
        self.ctx.set(self.dut.i.payload, byte)
        self.ctx.set(self.dut.i.valid, 1)
        ready = self.ctx.get(self.dut.i.ready)
        assert ready == (self.model.space > 0)
        if ready:
            self.model.bytes.append(byte)
        await self.ctx.tick()
        self.ctx.set(self.dut.i.valid, 0)

    async def send(self, most: int) -> None:
        """A frame of at most `most` bytes: it has exactly those that were there when it began."""
        await self.ctx.tick().repeat(2)
        assert self.ctx.get(self.dut.available) == (self.model.sent < self.model.written)
        self.ctx.set(self.dut.snapshot, 1)
        await self.ctx.tick()
        end = self.model.written
        while most and self.model.sent < end:
            for _ in range(4):
                if self.ctx.get(self.dut.o.valid):
                    break
                await self.ctx.tick()
            self.ctx.set(self.dut.o.ready, 1)
            shown = self.ctx.get(self.dut.o.payload.data), self.ctx.get(self.dut.o.payload.last)
            assert self.ctx.get(self.dut.o.valid)
            assert shown == (self.model.send(), self.model.sent == end)
            await self.ctx.tick()
            self.ctx.set(self.dut.o.ready, 0)
            most -= 1
        self.ctx.set(self.dut.snapshot, 0)
        await self.ctx.tick()

    async def confirm(self, position: int, *, resend: bool = False) -> None:
        for byte in (position % WRAP).to_bytes(4, "little"):
            self.ctx.set(self.dut.confirmation.byte, byte)
            await self._shift(self.dut.confirmation)
        self.ctx.set(self.dut.confirmation.confirm, 1)
        self.ctx.set(self.dut.confirmation.resend, resend)
        await self.ctx.tick()
        self.ctx.set(self.dut.confirmation.confirm, 0)
        self.ctx.set(self.dut.confirmation.resend, 0)
        self.model.confirm(position)
        if resend:
            self.model.resend()
        for cycle in range(12):
            if not self.ctx.get(self.dut.busy):
                break
            assert cycle < 10
            await self.ctx.tick()
        await self.ctx.tick()  # then what is free shows

    async def read_positions(self) -> None:
        """Read all three positions, as STATUS and OUTPUT report them."""
        truth = {
            PositionSelect.WRITTEN: self.model.written,
            PositionSelect.SENT: self.model.sent,
            PositionSelect.CONFIRMED: self.model.confirmed,
        }
        for select, position in truth.items():
            self.ctx.set(self.dut.readout.select, select)
            read = []
            for _ in range(4):
                await self.ctx.tick()
                read.append(self.ctx.get(self.dut.readout.byte))
                await self._shift(self.dut.readout)
            assert int.from_bytes(bytes(read), "little") == position % WRAP, select

    async def _shift(self, port: Any) -> None:
        self.ctx.set(port.shift, 1)
        await self.ctx.tick()
        self.ctx.set(port.shift, 0)


def confirmed_positions(model: Model, rng: Random) -> int:
    """Positions of every sort: possible ones, just outside, a ring away, far away, with one byte wrong."""
    near = rng.choice((model.confirmed, model.sent, model.reached, model.written))
    away = rng.choice((0, 0, 0, 1, -1, model.depth, -model.depth, 2 * model.depth, -2 * model.depth))
    if rng.random() < 0.2:
        return near ^ 1 << rng.randrange(32)
    if rng.random() < 0.2:
        return rng.randint(model.confirmed, model.reached)
    return near + away


@pytest.mark.parametrize(
    ("depth", "start"), [(2, 0), (16, 0), (256, 0), (2048, 0), (2, WRAP - 8), (16, WRAP - 64), (256, WRAP - 512)]
)
def test_any_order_of_commands_is_as_the_model_says(depth: int, start: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """`start` is where an outbox would be after so many bytes: the next ones take it over the end of 32 bits."""
    monkeypatch.setattr(outbox, "ByteCounter", lambda: ByteCounter(start))
    dut, rng = Outbox(depth), Random(depth)

    async def bench(ctx: Any) -> None:
        driver = Driver(ctx, dut, start)
        for _ in range(300):
            action = rng.randrange(6)
            if action <= 1:
                for _ in range(rng.choice((1, 3, min(40, depth)))):
                    await driver.write(rng.randrange(256))
            elif action == 2:
                await driver.send(rng.choice((1, 5, 60)))
            elif action <= 4:
                await driver.confirm(confirmed_positions(driver.model, rng), resend=rng.random() < 0.2)
            else:
                await driver.read_positions()
        await driver.confirm(driver.model.reached)
        assert driver.model.confirmed > WRAP or start == 0
        assert driver.model.confirmed - start > 4 * min(depth, 40)

    run(dut, bench)


def test_full_waits_and_confirming_makes_room() -> None:
    dut = Outbox(4)

    async def bench(ctx: Any) -> None:
        driver = Driver(ctx, dut)
        for byte in range(6):  # the last two find no room
            await driver.write(byte)
        assert driver.model.bytes == [0, 1, 2, 3]
        await driver.send(9)
        await driver.confirm(5)  # more than was written
        await driver.write(9)
        assert driver.model.bytes == [0, 1, 2, 3]
        await driver.confirm(3)
        for byte in (4, 5, 6, 7):
            await driver.write(byte)
        await driver.read_positions()
        assert driver.model.bytes == [0, 1, 2, 3, 4, 5, 6]
        await driver.confirm(3, resend=True)  # from 3 on once more
        await driver.send(2)
        await driver.confirm(4, resend=True)
        await driver.send(9)
        await driver.confirm(7)
        await driver.read_positions()
        assert driver.model.confirmed == 7

    run(dut, bench)


def test_a_confirmation_ahead_of_what_is_sent_again_skips_it() -> None:
    """`resend` does not lower the highest sent position: the answer to it may cross the host's next confirmation."""
    dut = Outbox(16)

    async def bench(ctx: Any) -> None:
        driver = Driver(ctx, dut)
        for byte in range(12):
            await driver.write(byte)
        await driver.send(10)
        await driver.confirm(0, resend=True)
        await driver.send(4)
        await driver.confirm(11)  # never sent
        assert driver.model.confirmed == 0
        await driver.confirm(9)  # sent the first time
        assert driver.model.sent == 9
        await driver.read_positions()
        await driver.send(9)

    run(dut, bench)


def test_clear_forgets_bytes_and_positions() -> None:
    dut = Outbox(16)

    async def bench(ctx: Any) -> None:
        driver = Driver(ctx, dut)
        for byte in range(9):
            await driver.write(byte)
        await driver.send(7)
        await driver.confirm(5)
        ctx.set(dut.clear, 1)
        await ctx.tick()
        ctx.set(dut.clear, 0)
        driver.model = Model(16)
        await driver.read_positions()
        for byte in (40, 41):
            await driver.write(byte)
        await driver.confirm(5)
        await driver.send(9)
        await driver.confirm(2)
        await driver.read_positions()

    run(dut, bench)


@pytest.mark.parametrize("depth", [0, 3, 1 << 16, True])
def test_the_depth_is_a_power_of_two(depth: int) -> None:
    refusals = {
        0: "outbox must be 2 to 32768, not 0",
        3: "outbox must be a power of two, not 3",
        1 << 16: "outbox must be 2 to 32768, not 65536",
        True: "outbox must be an integer, not True",
    }
    with pytest.raises(ValueError) as refusal:
        check_depth("outbox", depth)
    assert str(refusal.value) == refusals[depth]
