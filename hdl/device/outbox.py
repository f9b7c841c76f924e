"""Output buffer: keeps each byte until the host has confirmed it. Twin of pysim/device/outbox.py."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import enum, stream, wiring
from amaranth.lib.wiring import In, Out

from spikeveil.hdl.device.block_ram import BlockRam
from spikeveil.hdl.device.byte_counter import COUNTER_BYTES, ByteCounter
from spikeveil.hdl.device.cobs import MessageByte
from spikeveil.hdl.device.inbox import check_depth
from spikeveil.pysim.device.wire import POSITION_BITS


class PositionSelect(enum.Enum):
    """Selects the position that `PositionReadout` reads."""

    WRITTEN = 0
    SENT = 1
    CONFIRMED = 2


class PositionReadout(wiring.Signature):
    """Reads a position of the outbox byte by byte, least significant byte first; directions as seen by the reader.

    | port | width | direction | meaning |
    |---|---|---|---|
    | `select` | `PositionSelect` | out | which position |
    | `byte` | 8 | in | current byte of that position, one cycle after `select` |
    | `shift` | 1 | out | one cycle: go to the next byte; four shifts for one position |
    """

    def __init__(self) -> None:
        super().__init__({"select": Out(PositionSelect), "byte": In(8), "shift": Out(1)})


class Confirmation(wiring.Signature):
    """Confirms output; directions as seen by the sender of the confirmation.

    | port | width | direction | meaning |
    |---|---|---|---|
    | `byte` | 8 | out | byte of the confirmed position, least significant byte first |
    | `shift` | 1 | out | one cycle for each of its four bytes: `byte` is valid |
    | `confirm` | 1 | out | one cycle, after the four bytes: confirm that position |
    | `resend` | 1 | out | one cycle, alone or together with `confirm`: send again from the confirmed position |
    """

    def __init__(self) -> None:
        super().__init__({"byte": Out(8), "shift": Out(1), "confirm": Out(1), "resend": Out(1)})


class _Phase(enum.Enum):
    """States of a confirmation. Distances are from the confirmed position and valid one cycle later."""

    IDLE = 0
    TARGET = 1  # compute the distance of the target, the position to confirm
    HIGHEST = 2  # compute the distance of the highest sent position
    SENT = 3  # ignore a target above the highest sent position; compute the distance of the sent position
    COMPARE = 4  # raise the sent position if the target is above it
    ADD = 5  # add the distance of the target to the confirmed position, byte by byte
    REWIND = 6  # set the sent position to the confirmed one


class Outbox(wiring.Component):
    """Ring buffer that keeps output bytes until they are confirmed; `depth`, a power of two, is its size in bytes.

    | port | width | direction | meaning |
    |---|---|---|---|
    | `i` | stream, 8 | in | output bytes; not ready while `depth` bytes are unconfirmed |
    | `o` | stream, `MessageByte` | out | the byte at the sent position |
    | `snapshot` | 1 | in | while high, `o.payload.last` marks the newest byte at the time of its rising edge |
    | `available` | 1 | out | there was a byte to send in the previous cycle |
    | `readout` | `PositionReadout` | in | reads one of the positions |
    | `confirmation` | `Confirmation` | in | confirms output or requests it again |
    | `busy` | 1 | out | a confirmation or a resend is in progress |
    | `clear` | 1 | in | one cycle, not while `busy`: drops all bytes, sets all positions to 0 |

    Positions count bytes since `clear`, modulo 2^32: confirmed <= sent <= written. A confirmation takes effect if its
    position lies between the confirmed position and the highest sent one; otherwise it is ignored. If the sent position
    is lower than the new confirmed one, it is raised to it.

    Timing: after each transfer `o` is not valid for at least three cycles. `busy` is high from the cycle after
    `confirm` or `resend` for at most 10 cycles. In these cycles the `shift` of `readout` and of `confirmation` must be
    low and no byte of `o` may be accepted. Freed space can be written one cycle after `busy` falls.

    Reset has the effect of `clear`. ValueError unless `check_depth` accepts `depth`.
    """

    i: stream.Interface
    o: stream.Interface
    snapshot: Signal
    available: Signal
    readout: Any
    confirmation: Any
    busy: Signal
    clear: Signal

    def __init__(self, depth: int) -> None:
        self.depth = check_depth("outbox", depth)
        self.index_bits = depth.bit_length()  # one bit more than an address, to tell a full ring from an empty one
        super().__init__(
            {
                "i": In(stream.Signature(8)),
                "o": Out(stream.Signature(MessageByte())),
                "snapshot": In(1),
                "available": Out(1),
                "readout": In(PositionReadout()),
                "confirmation": In(Confirmation()),
                "busy": Out(1),
                "clear": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        phase: Any = Signal(_Phase)
        # the low bits of each position
        written = Signal(self.index_bits)
        sent = Signal(self.index_bits)
        confirmed = Signal(self.index_bits)
        highest_sent = Signal(self.index_bits)
        target = Signal(self.index_bits)
        self._ring(m, written, sent, confirmed, highest_sent, (phase == _Phase.REWIND) | self.clear)
        base = Signal(self.index_bits)
        distance = Signal(self.index_bits)  # from the confirmed position
        m.d.sync += distance.eq(base - confirmed)
        with m.Switch(phase):
            with m.Case(_Phase.HIGHEST):
                m.d.comb += base.eq(highest_sent)
            with m.Case(_Phase.TARGET, _Phase.COMPARE, _Phase.ADD):
                m.d.comb += base.eq(target)
            with m.Default():
                read_written = (phase == _Phase.IDLE) & (self.readout.select == PositionSelect.WRITTEN)
                m.d.comb += base.eq(Mux(read_written, written, sent))
        plausible, byte_index = self._positions(m, distance, target, phase)
        self._check(m, phase, distance, plausible, byte_index == COUNTER_BYTES - 1, sent, confirmed, target)
        with m.If(self.clear):
            m.d.sync += [position.eq(0) for position in (written, sent, confirmed, highest_sent)]
        return m

    def _check(
        self,
        m: Module,
        phase: Any,
        distance: Signal,
        plausible: Value,
        last_byte: Value,
        sent: Signal,
        confirmed: Signal,
        target: Signal,
    ) -> None:
        """Check a confirmation and execute it."""
        rewind = Signal()
        target_distance = Signal(self.index_bits)
        below_target = distance < target_distance
        m.d.comb += self.busy.eq((phase != _Phase.IDLE) | rewind)
        with m.If(self.confirmation.resend):
            m.d.sync += rewind.eq(1)
        with m.Switch(phase):
            with m.Case(_Phase.IDLE):
                idle_or_rewind = Mux(rewind, _Phase.REWIND, _Phase.IDLE)
                m.d.sync += phase.eq(Mux(self.confirmation.confirm & plausible, _Phase.TARGET, idle_or_rewind))
            with m.Case(_Phase.TARGET):
                m.d.sync += phase.eq(_Phase.HIGHEST)
            with m.Case(_Phase.HIGHEST):
                m.d.sync += [target_distance.eq(distance), phase.eq(_Phase.SENT)]
            with m.Case(_Phase.SENT):
                m.d.sync += phase.eq(Mux(below_target, _Phase.IDLE, _Phase.COMPARE))
            with m.Case(_Phase.COMPARE):
                m.d.sync += [phase.eq(_Phase.ADD), rewind.eq(rewind | self.confirmation.resend | below_target)]
            with m.Case(_Phase.ADD), m.If(last_byte):
                m.d.sync += [phase.eq(_Phase.IDLE), confirmed.eq(target)]
            with m.Case(_Phase.REWIND):
                m.d.sync += [phase.eq(_Phase.IDLE), rewind.eq(0), sent.eq(confirmed)]

    def _positions(self, m: Module, distance: Signal, target: Signal, phase: Any) -> tuple[Value, Signal]:
        """Keep the confirmed position in a counter; the readout adds the distances of the others to it.

        Returns whether the target is less than 2 * depth above the confirmed one, and the byte index.
        """
        m.submodules.confirmed_position = counter = ByteCounter()
        confirmation = self.confirmation
        shift = confirmation.shift | self.readout.shift
        adding = phase == _Phase.ADD
        read_sum = self.readout.select != PositionSelect.CONFIRMED
        difference = Signal(8)
        borrow_out = Signal()
        borrow_in = Signal()
        out_of_reach = Signal()
        high_bits = Const(-1 << self.index_bits, POSITION_BITS).word_select(counter.byte_index, 8)
        distance_byte = Cat(distance, Const(0, POSITION_BITS)).word_select(counter.byte_index, 8)
        m.d.comb += [
            counter.shift.eq(shift | adding),
            counter.store.eq(adding),
            counter.clear.eq(self.clear),
            counter.addend.eq(Mux(adding | read_sum, distance_byte, 0)),
            self.readout.byte.eq(counter.sum_byte),
            Cat(difference, borrow_out).eq(confirmation.byte - counter.byte - borrow_in),
        ]
        with m.If(shift):
            m.d.sync += [
                borrow_in.eq(borrow_out & (counter.byte_index != COUNTER_BYTES - 1)),
                out_of_reach.eq((out_of_reach & (counter.byte_index != 0)) | (difference & high_bits).any()),
            ]
            for index in range((self.index_bits + 7) // 8):
                with m.If(counter.byte_index == index):
                    m.d.sync += target[8 * index : 8 * index + 8].eq(confirmation.byte)
        return ~out_of_reach, counter.byte_index

    def _ring(
        self, m: Module, written: Signal, sent: Signal, confirmed: Signal, highest_sent: Signal, rewind: Value
    ) -> None:
        """Write bytes at `written`, and send the bytes from `sent` on."""
        m.submodules.ring = ring = BlockRam(width=8, depth=self.depth)
        writable = Signal(init=1)  # there is space, counting a byte that was written in the previous cycle
        fetching = Signal()
        fetched = Signal()  # `ring.read_data` is the byte at `sent`
        load = Signal()
        send_end = Signal(self.index_bits)  # `written` at the rising edge of `snapshot`
        next_sent = Signal(self.index_bits)
        m.d.comb += [
            self.i.ready.eq(writable),
            ring.write_address.eq(written),
            ring.write_data.eq(self.i.payload),
            ring.write.eq(self.i.ready),  # harmless while no byte is valid: the word at `written` is not read
            ring.read_address.eq(sent),
            next_sent.eq(sent + 1),
            load.eq(fetched & ~self.o.valid),
            self.o.payload.last.eq(next_sent == send_end),
        ]
        write = self.i.valid & self.i.ready
        next_written = (written + 1)[: self.index_bits]
        space_after_write = (next_written ^ confirmed) != self.depth
        space = (written ^ confirmed) != self.depth
        m.d.sync += writable.eq(Mux(write, space_after_write, space) | self.clear)
        with m.If(~self.snapshot):
            m.d.sync += send_end.eq(written)
        with m.If(write):
            m.d.sync += written.eq(next_written)
        send = self.o.valid & self.o.ready
        m.d.sync += [
            self.available.eq(Mux(send, next_sent != written, sent != written) & ~rewind),
            fetching.eq(self.available & ~send & ~rewind),
            fetched.eq(fetching & ~send & ~rewind),
        ]
        with m.If(load):
            m.d.sync += [self.o.payload.data.eq(ring.read_data), self.o.valid.eq(1)]
        with m.If(send):
            m.d.sync += [self.o.valid.eq(0), sent.eq(next_sent)]
            with m.If(sent == highest_sent):
                m.d.sync += highest_sent.eq(next_sent)
        with m.If(rewind):
            m.d.sync += self.o.valid.eq(0)
