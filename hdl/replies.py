"""What the device says: IDENTITY, STATUS and OUTPUT, a byte at a time (docs/protocol.md)."""

from collections.abc import Sequence
from itertools import accumulate
from struct import calcsize
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from spikeveil.hdl.cobs import Tail
from spikeveil.pysim.link import FIELDS, Identity, Kind, Result, room

OUTPUT_ROOM = room(Kind.OUTPUT)
FIELD_BYTES = {"kind": 1, "tag": 1, **{name: calcsize(code) for name, code in FIELDS[Kind.STATE]}, "position": 4}


class State(data.StructLayout):
    """The fields of STATUS but for `result`, and the `position` of the next OUTPUT."""

    def __init__(self) -> None:
        names = list(FIELD_BYTES)[3:]
        super().__init__({name: unsigned(8 * FIELD_BYTES[name]) for name in names})


def pick(values: Sequence[Value], index: Value) -> Value:
    """`values[index]` as a tree of multiplexers; beyond the last one, anything."""
    while len(values) > 1:
        pairs = [values[place : place + 2] for place in range(0, len(values), 2)]
        values = [Mux(index[0], pair[1], pair[0]) if len(pair) == 2 else pair[0] for pair in pairs]
        index = index[1:]
    return values[0]


class Answer(data.StructLayout):
    """What a message is answered with: IDENTITY where `identify` is set, or else STATUS with `result`.

    `soft`: an OUTPUT that goes out says as much.
    """

    def __init__(self) -> None:
        super().__init__({"tag": unsigned(8), "result": Result, "identify": unsigned(1), "soft": unsigned(1)})


class Phase(enum.Enum):
    """FETCH, PICK and PUT are a byte of the fields each; DATA is the outbox's bytes behind those of an OUTPUT."""

    IDLE = 0
    FETCH = 1
    PICK = 2
    PUT = 3
    DATA = 4


class Replies(wiring.Component):
    """Bodies to `o`, one at a time, in three cycles a byte of the fields while `o` is taken, two a byte of output.

    `answer`, with `given` (one cycle, while not `busy`), takes the place of one that has not begun to leave, and is soft
    only if that one was. A body begins in a cycle in which `free` and `o.ready` are high: an OUTPUT where `unsent` is
    not 0 and the answer is soft, or there is none, or the last body was an answer; else the answer. An OUTPUT drops
    a soft answer. It carries the bytes of `outbox` that were `unsent` at its beginning, at most 234.

    `busy` is high from that cycle until the body has left. While `hold` is high `state` must stay as it is, but for
    `damaged`. Reset forgets the answer and the body in hand.
    """

    o: stream.Interface
    outbox: stream.Interface
    unsent: Signal
    state: Any
    answer: Any
    given: Signal
    free: Signal
    busy: Signal
    hold: Signal

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        super().__init__(
            {
                "o": Out(stream.Signature(Tail())),
                "outbox": In(stream.Signature(8)),
                "unsent": In(range(identity.outbox + 1)),
                "state": In(State()),
                "answer": In(Answer()),
                "given": In(1),
                "free": In(1),
                "busy": Out(1),
                "hold": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        phase, output, byte = Signal(Phase), Signal(), Signal(8)
        held, begin, left = Signal(Answer()), Signal(), Signal(range(OUTPUT_ROOM + 1))
        last = Signal()  # this byte is the last of its body's fields
        idle, more = phase == Phase.IDLE, self.o.valid & self.o.ready
        m.d.comb += [
            self.busy.eq(begin | ~idle),
            self.hold.eq(begin | (~idle & (phase != Phase.DATA))),
            self.o.payload.data.eq(Mux(phase == Phase.DATA, self.outbox.payload, byte)),
        ]
        self._choose(m, idle & self.free & self.o.ready, begin, output, held)
        with m.If(begin):
            m.d.sync += [phase.eq(Phase.FETCH), left.eq(Mux(self.unsent > OUTPUT_ROOM, OUTPUT_ROOM, self.unsent))]
        picked = self._fields(m, held, output, phase == Phase.PICK, (phase == Phase.PUT) & more, last)
        with m.Switch(phase):
            with m.Case(Phase.FETCH):
                m.d.sync += phase.eq(Phase.PICK)
            with m.Case(Phase.PICK):
                m.d.sync += [phase.eq(Phase.PUT), byte.eq(picked)]
            with m.Case(Phase.PUT):
                m.d.comb += [self.o.valid.eq(1), self.o.payload.last.eq(last & ~output)]
                with m.If(more):
                    m.d.sync += phase.eq(Mux(last, Mux(output, Phase.DATA, Phase.IDLE), Phase.FETCH))
            with m.Case(Phase.DATA):
                m.d.comb += [self.o.valid.eq(self.outbox.valid), self.o.payload.last.eq(left == 1)]
                m.d.comb += self.outbox.ready.eq(self.o.ready)
                with m.If(more):
                    m.d.sync += [left.eq(left - 1), phase.eq(Mux(left == 1, Phase.IDLE, Phase.DATA))]
        return m

    def _choose(self, m: Module, may: Value, begin: Signal, output: Signal, held: Any) -> None:
        """Which body begins, where one may."""
        pending, answered, some, out = (Signal() for _ in range(4))
        m.d.comb += [
            some.eq(self.unsent != 0),
            out.eq(some & (~pending | held.soft | answered)),
            begin.eq(may & (some | pending)),
        ]
        with m.If(self.given):
            m.d.sync += [held.eq(self.answer), pending.eq(1)]
            m.d.sync += held.soft.eq(self.answer.soft & (held.soft | ~pending))
        with m.If(begin):
            m.d.sync += [output.eq(out), answered.eq(~out), pending.eq(pending & out & ~held.soft)]

    def _fields(self, m: Module, held: Any, output: Signal, picking: Value, step: Value, last: Signal) -> Value:
        """The byte of the body's fields whose turn it is, a cycle after that began; `step` goes on to the next."""
        starts = dict(zip(FIELD_BYTES, accumulate(FIELD_BYTES.values(), initial=0), strict=False))
        ends = {name: starts[name] + FIELD_BYTES[name] - 1 for name in starts}
        said, identify = self.identity.pack(0), held.identify & ~output
        rom: Memory = Memory(shape=unsigned(8), depth=1 << (len(said) - 1).bit_length(), init=list(said))
        m.submodules.identity = rom
        read = rom.read_port()
        at = Signal(range(rom.depth))
        m.d.comb += [
            read.addr.eq(at),
            last.eq(at == Mux(identify, len(said) - 1, Mux(output, ends["input_room"], ends["damaged"]))),
        ]
        with m.If(step):
            m.d.sync += at.eq(at + 1)
            with m.If(last):
                m.d.sync += at.eq(0)
            for before, after in (("tag", "session"), ("session", "position"), ("position", "input_position")):
                with m.If(output & (at == ends[before])):
                    m.d.sync += at.eq(starts[after])
        tag = Mux(output, 0, held.tag)
        ours = pick(self._bytes(m, picking, Mux(output, Kind.OUTPUT, Kind.STATE), tag, held.result), at)
        return Mux(identify & (at != ends["tag"]), read.data, ours)

    def _bytes(self, m: Module, picking: Value, kind: Value, tag: Value, result: Value) -> list[Value]:
        """All fields, byte by byte. `damaged` may count between its two, so the second is kept with the first."""
        state, kept = self.state, Signal(8)
        with m.If(picking):
            m.d.sync += kept.eq(state.damaged[8:])
        fields = [kind, tag, result, *(state[name] for name in list(FIELD_BYTES)[3:])]
        wire = Cat(
            Cat(field, Const(0, 64))[: 8 * size] for field, size in zip(fields, FIELD_BYTES.values(), strict=True)
        )
        found: list[Value] = [wire[place : place + 8] for place in range(0, len(wire), 8)]
        found[sum(FIELD_BYTES.values()) - FIELD_BYTES["position"] - 1] = kept
        return found
