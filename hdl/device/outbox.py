"""Output bytes that the host has not confirmed, so that they can be sent again. Twin of pysim/device/outbox.py."""

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
    """A position that can be read out."""

    WRITTEN = 0
    SENT = 1
    CONFIRMED = 2


class PositionReadout(wiring.Signature):
    """Reads a position of the outbox byte by byte; directions as its reader sees them.

    | port | width | direction | meaning |
    |---|---|---|---|
    | `select` | `PositionSelect` | out | which position |
    | `byte` | 8 | in | its current byte, one cycle after `select` |
    | `shift` | 1 | out | one cycle: go to the next byte; four in all |
    """

    def __init__(self) -> None:
        super().__init__({"select": Out(PositionSelect), "byte": In(8), "shift": Out(1)})


class Confirmation(wiring.Signature):
    """Confirms output; directions as its sender sees them.

    | port | width | direction | meaning |
    |---|---|---|---|
    | `byte` | 8 | out | byte of the confirmed position, least significant byte first |
    | `shift` | 1 | out | one cycle for each of its four bytes |
    | `confirm` | 1 | out | one cycle, after the four bytes: confirm that position |
    | `resend` | 1 | out | one cycle, also together with `confirm`: send again from the confirmed position |
    """

    def __init__(self) -> None:
        super().__init__({"byte": Out(8), "shift": Out(1), "confirm": Out(1), "resend": Out(1)})


class _Phase(enum.Enum):
    """States of the check of a confirmation; the difference that each computes is valid one cycle later."""

    IDLE = 0
    CLAIM = 1  # how far does it lie above the confirmed position?
    BOUND = 2  # how far does the highest sent position?
    SENT = 3  # is it within the bound? then: how far does the sent position?
    READY = 4  # does it lie above the sent position?
    ADD = 5  # add it, byte by byte
    REWIND = 6  # the sent position becomes the confirmed one


class Outbox(wiring.Component):
    """Ring of `depth` bytes, a power of two, that keeps output until it is confirmed.

    | port | width | direction | meaning |
    |---|---|---|---|
    | `i` | stream, 8 | in | output bytes; not ready while `depth` bytes are unconfirmed |
    | `o` | stream, `MessageByte` | out | the byte at the sent position |
    | `snapshot` | 1 | in | while high, `last` marks the last byte that was written when it rose |
    | `available` | 1 | out | there is a byte to send, one cycle before |
    | `readout` | `PositionReadout` | in | reads one of the positions |
    | `confirmation` | `Confirmation` | in | confirms output, sends it again |
    | `busy` | 1 | out | a confirmation is being checked |
    | `clear` | 1 | in | one cycle, not while `busy`: drops all bytes, sets all positions to 0 |

    Positions count bytes since `clear`, modulo 2^32: confirmed <= sent <= written. A confirmation takes effect if it
    lies between the confirmed position and the highest sent one; otherwise it is ignored. The sent position is raised
    to it if it was below.

    Timing: `o` gives a byte in at most three cycles. `busy` is high from the cycle after `confirm` or `resend` for at
    most 10 cycles, in which neither `shift` may be high and no byte of `o` may be accepted; the space that is freed is
    available one cycle after it. Reset is `clear`. ValueError where `depth` is not one that `check_depth` allows.
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
        self.index_bits = depth.bit_length()  # one more than an address has, so that a full ring is not an empty one
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
        written = Signal(self.index_bits)  # the low bits of each position
        sent = Signal(self.index_bits)
        confirmed = Signal(self.index_bits)
        highest_sent = Signal(self.index_bits)
        claim = Signal(self.index_bits)
        self._ring(m, written, sent, confirmed, highest_sent, (phase == _Phase.REWIND) | self.clear)
        base = Signal(self.index_bits)
        distance = Signal(self.index_bits)  # from the confirmed position
        m.d.sync += distance.eq(base - confirmed)
        with m.Switch(phase):
            with m.Case(_Phase.BOUND):
                m.d.comb += base.eq(highest_sent)
            with m.Case(_Phase.CLAIM, _Phase.READY, _Phase.ADD):
                m.d.comb += base.eq(claim)
            with m.Default():
                read_written = (phase == _Phase.IDLE) & (self.readout.select == PositionSelect.WRITTEN)
                m.d.comb += base.eq(Mux(read_written, written, sent))
        plausible, byte_index = self._positions(m, distance, claim, phase)
        self._check(m, phase, distance, plausible, byte_index == COUNTER_BYTES - 1, sent, confirmed, claim)
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
        claim: Signal,
    ) -> None:
        """Check a confirmation and carry it out."""
        rewind = Signal()
        claim_distance = Signal(self.index_bits)
        exceeds = distance < claim_distance
        m.d.comb += self.busy.eq((phase != _Phase.IDLE) | rewind)
        with m.If(self.confirmation.resend):
            m.d.sync += rewind.eq(1)
        with m.Switch(phase):
            with m.Case(_Phase.IDLE):
                idle_or_rewind = Mux(rewind, _Phase.REWIND, _Phase.IDLE)
                m.d.sync += phase.eq(Mux(self.confirmation.confirm & plausible, _Phase.CLAIM, idle_or_rewind))
            with m.Case(_Phase.CLAIM):
                m.d.sync += phase.eq(_Phase.BOUND)
            with m.Case(_Phase.BOUND):
                m.d.sync += [claim_distance.eq(distance), phase.eq(_Phase.SENT)]
            with m.Case(_Phase.SENT):
                m.d.sync += phase.eq(Mux(exceeds, _Phase.IDLE, _Phase.READY))
            with m.Case(_Phase.READY):
                m.d.sync += [phase.eq(_Phase.ADD), rewind.eq(rewind | self.confirmation.resend | exceeds)]
            with m.Case(_Phase.ADD), m.If(last_byte):
                m.d.sync += [phase.eq(_Phase.IDLE), confirmed.eq(claim)]
            with m.Case(_Phase.REWIND):
                m.d.sync += [phase.eq(_Phase.IDLE), rewind.eq(0), sent.eq(confirmed)]

    def _positions(self, m: Module, distance: Signal, claim: Signal, phase: Any) -> tuple[Value, Signal]:
        """Count the confirmed position, read the others as sums of it. Returns: a claim is within a ring of it."""
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
                    m.d.sync += claim[8 * index : 8 * index + 8].eq(confirmation.byte)
        return ~out_of_reach, counter.byte_index

    def _ring(
        self, m: Module, written: Signal, sent: Signal, confirmed: Signal, highest_sent: Signal, rewind: Value
    ) -> None:
        """Write bytes at `written` and send those at `sent`."""
        m.submodules.ring = ring = BlockRam(width=8, depth=self.depth)
        writable = Signal(init=1)  # there was space in the cycle before, also for the byte written in it
        fetching = Signal()
        fetched = Signal()  # the ring shows the byte at `sent`
        load = Signal()
        send_end = Signal(self.index_bits)  # `written` when `snapshot` rose
        next_sent = Signal(self.index_bits)
        m.d.comb += [
            self.i.ready.eq(writable),
            ring.write_address.eq(written),
            ring.write_data.eq(self.i.payload),
            ring.write.eq(self.i.ready),  # a write without a byte is harmless: nothing reads at `written`
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
