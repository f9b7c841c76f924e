"""The released bytes that the host has not confirmed yet, so that they can be sent again."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import enum, stream, wiring
from amaranth.lib.wiring import In, Out

from spikeveil.hdl.device.block_ram import Store
from spikeveil.hdl.device.byte_counter import BYTES, Turning
from spikeveil.hdl.device.cobs import Tail
from spikeveil.hdl.device.inbox import depth_of


class Number(enum.Enum):
    """The positions that can be told."""

    WRITTEN = 0
    POSITION = 1
    TAKEN = 2


class Phase(enum.Enum):
    """How a claim is judged: how many MORE bytes than were taken? within the BOUND of what was sent? was the position
    BEHIND? Each difference is there a cycle after its phase. Then it is ADDed, and the position may MOVE.
    """

    REST = 0
    MORE = 1
    BOUND = 2
    BEHIND = 3
    READY = 4
    ADD = 5
    MOVE = 6


class Outbox(wiring.Component):
    """A ring of `depth` bytes, a power of two, that keeps what came in at `i` until it is confirmed.

    Positions count bytes since `clear`, modulo 2^32: taken <= position <= written. `o` gives the byte at the position,
    which moves on as bytes are taken there, one in three cycles at most. `last` marks the one before what was written
    when `fix` rose; `some` says, a cycle after it came, that there is one. `i` waits while `depth` bytes are not
    confirmed; what a confirmation frees shows there a cycle after `busy`.

    - `tell`: `byte` shows that position, the lowest byte first, from the cycle after on; `turn` (a cycle) goes on to
      the next byte, four times in all.
    - `claim`: the bytes of a position that the host says it has, one in each of four `turn`s, the lowest first. Then
      `confirm` (one cycle): where it lies between taken and the highest position that was reached, taken becomes it,
      and the position too, if that was behind; else nothing happens.
    - `again` (one cycle, also during a `confirm`): the position goes back to taken.
    - `busy`: from the cycle after a `confirm` or `again`, at most 10 cycles. Do not turn, nor take from `o`, meanwhile.
    - `clear` (one cycle, not while `busy`), like reset, forgets every byte and sets the positions to 0.
    """

    i: stream.Interface
    o: stream.Interface
    fix: Signal
    some: Signal
    tell: Any
    turn: Signal
    byte: Signal
    claim: Signal
    confirm: Signal
    again: Signal
    busy: Signal
    clear: Signal

    def __init__(self, depth: int) -> None:
        self.depth = depth_of("outbox", depth)
        self.bits = depth.bit_length()  # one more than an address has, so that full is not empty
        super().__init__(
            {
                "i": In(stream.Signature(8)),
                "o": Out(stream.Signature(Tail())),
                "tell": In(Number),
                "byte": Out(8),
                "claim": In(8),
                **dict.fromkeys(("fix", "turn", "confirm", "again", "clear"), In(1)),
                **dict.fromkeys(("some", "busy"), Out(1)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        phase, again = Signal(Phase), Signal()
        written, position, taken, reached, claimed, more = (Signal(self.bits) for _ in range(6))  # low bits of each
        self._ring(m, written, position, taken, reached, (phase == Phase.MOVE) | self.clear)
        base, ahead = Signal(self.bits), Signal(self.bits)
        m.d.sync += ahead.eq(base - taken)
        with m.Switch(phase):
            with m.Case(Phase.BOUND):
                m.d.comb += base.eq(reached)
            with m.Case(Phase.MORE, Phase.READY, Phase.ADD):
                m.d.comb += base.eq(claimed)
            with m.Default():
                told = (phase == Phase.REST) & (self.tell == Number.WRITTEN)
                m.d.comb += base.eq(Mux(told, written, position))
        exceeds = ahead < more
        plausible, place = self._turn(m, ahead, claimed, phase)

        m.d.comb += self.busy.eq((phase != Phase.REST) | again)
        with m.If(self.again):
            m.d.sync += again.eq(1)
        with m.Switch(phase):
            with m.Case(Phase.REST):
                m.d.sync += phase.eq(Mux(self.confirm & plausible, Phase.MORE, Mux(again, Phase.MOVE, Phase.REST)))
            with m.Case(Phase.MORE):
                m.d.sync += phase.eq(Phase.BOUND)
            with m.Case(Phase.BOUND):
                m.d.sync += [more.eq(ahead), phase.eq(Phase.BEHIND)]
            with m.Case(Phase.BEHIND):
                m.d.sync += phase.eq(Mux(exceeds, Phase.REST, Phase.READY))
            with m.Case(Phase.READY):
                m.d.sync += [phase.eq(Phase.ADD), again.eq(again | self.again | exceeds)]
            with m.Case(Phase.ADD), m.If(place == BYTES - 1):
                m.d.sync += [phase.eq(Phase.REST), taken.eq(claimed)]
            with m.Case(Phase.MOVE):
                m.d.sync += [phase.eq(Phase.REST), again.eq(0), position.eq(taken)]
        with m.If(self.clear):
            m.d.sync += [count.eq(0) for count in (written, position, taken, reached)]
        return m

    def _turn(self, m: Module, ahead: Signal, claimed: Signal, phase: Any) -> tuple[Value, Signal]:
        """The position that was taken; the others are sums of it. Whether the claim is less than a ring above it."""
        m.submodules.number = number = Turning()
        adds, tells = phase == Phase.ADD, self.tell != Number.TAKEN
        difference, under, borrow, far = Signal(8), Signal(), Signal(), Signal()
        over = Const(-1 << self.bits, 8 * BYTES).word_select(number.place, 8)  # the bits that no near claim has
        m.d.comb += [
            number.turn.eq(self.turn | adds),
            number.keep.eq(adds),
            number.clear.eq(self.clear),
            number.add.eq(Mux(adds | tells, Cat(ahead, Const(0, 8 * BYTES)).word_select(number.place, 8), 0)),
            self.byte.eq(number.byte),
            Cat(difference, under).eq(self.claim - number.own - borrow),
        ]
        with m.If(self.turn):
            m.d.sync += borrow.eq(under & (number.place != BYTES - 1))
            m.d.sync += far.eq((far & (number.place != 0)) | (difference & over).any())
            for place in range((self.bits + 7) // 8):
                with m.If(number.place == place):
                    m.d.sync += claimed[8 * place : 8 * place + 8].eq(self.claim)
        return ~far, number.place

    def _ring(self, m: Module, written: Signal, position: Signal, taken: Signal, reached: Signal, moves: Value) -> None:
        m.submodules.ring = ring = Store(width=8, depth=self.depth)
        room = Signal(init=1)  # for a byte: as it was in the cycle before, and one may have come
        fetched, held, load = Signal(), Signal(), Signal()  # held: the ring shows the byte at the position
        goal, following = Signal(self.bits), Signal(self.bits)
        m.d.comb += [
            self.i.ready.eq(room),
            ring.write_address.eq(written),
            ring.write_data.eq(self.i.payload),
            ring.write.eq(self.i.ready),  # also before a byte is there: nobody looks at `written`
            ring.read_address.eq(position),
            following.eq(position + 1),
            load.eq(held & ~self.o.valid),
            self.o.payload.last.eq(following == goal),
        ]
        came = self.i.valid & self.i.ready
        after = (written + 1)[: self.bits]
        m.d.sync += room.eq(Mux(came, (after ^ taken) != self.depth, (written ^ taken) != self.depth) | self.clear)
        with m.If(~self.fix):
            m.d.sync += goal.eq(written)
        with m.If(came):
            m.d.sync += written.eq(after)
        sent = self.o.valid & self.o.ready
        m.d.sync += self.some.eq(Mux(sent, following != written, position != written) & ~moves)
        m.d.sync += [fetched.eq(self.some & ~sent & ~moves), held.eq(fetched & ~sent & ~moves)]
        with m.If(load):
            m.d.sync += [self.o.payload.data.eq(ring.read_data), self.o.valid.eq(1)]
        with m.If(sent):
            m.d.sync += [self.o.valid.eq(0), position.eq(following)]
            with m.If(position == reached):
                m.d.sync += reached.eq(following)
        with m.If(moves):
            m.d.sync += self.o.valid.eq(0)
