"""IDENTITY, STATUS and OUTPUT, a byte a cycle (docs/protocol.md). Twin of pysim/device/messages.py."""

from collections.abc import Sequence
from enum import IntEnum
from itertools import zip_longest
from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from spikeveil.hdl.device.cobs import Tail
from spikeveil.hdl.device.outbox import Number
from spikeveil.pysim.device.identity import Identity
from spikeveil.pysim.device.messages import MessageKind, ResultCode, max_data

AT_BITS = 8


class At(IntEnum):
    """Where the fields of STATUS begin in one table of bytes: numbers of four bytes on multiples of four, which leaves
    a gap after the room. OUTPUT reads it too, with its position in the place of the quota, and then counts its bytes
    on.
    """

    KIND = 3
    TAG = 4
    RESULT = 5
    FLAGS = 6
    LEASE = 7
    NONCE = 12
    QUOTA = 16
    INPUT = 20
    ROOM = 24
    WRITTEN = 28
    TAKEN = 32
    IMAGE = 36
    DAMAGED = 40


ROOM_END, STATE_END = At.ROOM + 1, At.DAMAGED + 1
OUTPUT_END = (ROOM_END + max_data(MessageKind.OUTPUT)) % (1 << AT_BITS)


class State(data.StructLayout):
    """What STATUS tells that is not a position of input or output."""

    def __init__(self) -> None:
        bits = {"flags": 8, "lease": 40, "nonce": 32, "quota": 32, "input_room": 16, "image": 32, "damaged": 16}
        super().__init__({name: unsigned(width) for name, width in bits.items()})


class Answer(data.StructLayout):
    """What a message is answered with: IDENTITY where `identify` is set, or else STATUS with `result`.

    `soft`: an OUTPUT that goes out says as much.
    """

    def __init__(self) -> None:
        super().__init__({"tag": unsigned(8), "result": ResultCode, "identify": unsigned(1), "soft": unsigned(1)})


class Phase(enum.Enum):
    """FETCH, HOLD, PICK and PUT are a byte of the fields each; DATA is the outbox's bytes behind those of an OUTPUT."""

    IDLE = 0
    FETCH = 1
    HOLD = 2
    PICK = 3
    PUT = 4
    DATA = 5


def pick(values: Sequence[Value | None], index: Value) -> Value:
    """`values[index]` as a tree of multiplexers; anything where that is None or beyond the last."""
    while len(values) > 1:
        pairs = zip_longest(values[::2], values[1::2])
        values = [low if high is None else high if low is None else Mux(index[0], high, low) for low, high in pairs]
        index = index[1:]
    assert values[0] is not None
    return values[0]


class Replies(wiring.Component):
    """Bodies to `o`, one at a time, in four cycles a byte of the fields while `o` is taken, three a byte of output.

    `answer`, with `given` (one cycle, while neither `free` nor `under_way`), takes the place of one that has not begun
    to leave, and is soft only if that one was. A body begins in a cycle in which `free` and `o.ready` are high: an
    OUTPUT where the outbox has `some` bytes and the answer is soft, or there is none, or the last body was an answer;
    else the answer. An OUTPUT drops a soft answer. It carries the bytes of `outbox`, at most 234, up to the `last` one.
    `under_way` is high from the next cycle until the body has left.

    Positions are told by `tell`, `turn` and `byte` of the outbox, and the input's by `turn_input` and `input_byte`.
    While `hold` is high they and `state` must stay as they are, but for `damaged`. Reset forgets the answer and the
    body in hand.
    """

    o: stream.Interface
    outbox: stream.Interface
    some: Signal
    tell: Any
    turn: Signal
    byte: Signal
    turn_input: Signal
    input_byte: Signal
    state: Any
    answer: Any
    given: Signal
    free: Signal
    under_way: Signal
    hold: Signal

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        super().__init__(
            {
                "o": Out(stream.Signature(Tail())),
                "outbox": In(stream.Signature(Tail())),
                "tell": Out(Number),
                **dict.fromkeys(("byte", "input_byte"), In(8)),
                "state": In(State()),
                "answer": In(Answer()),
                **dict.fromkeys(("some", "given", "free"), In(1)),
                **dict.fromkeys(("turn", "turn_input", "under_way", "hold"), Out(1)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        phase, output, byte, at = Signal(Phase), Signal(), Signal(8), Signal(AT_BITS, init=At.KIND)
        held: Any = Signal(Answer())
        begin, last = Signal(), Signal()  # last: this byte is the last of its body's fields
        from_outbox, more = phase == Phase.DATA, self.o.valid & self.o.ready
        m.d.comb += [
            self.o.valid.eq((phase == Phase.PUT) | (from_outbox & self.outbox.valid)),
            self.o.payload.data.eq(Mux(from_outbox, self.outbox.payload.data, byte)),
            self.o.payload.last.eq(Mux(from_outbox, self.outbox.payload.last | (at == OUTPUT_END), last & ~output)),
            self.outbox.ready.eq(from_outbox & self.o.ready),
        ]
        self._choose(m, ~self.under_way & self.free & self.o.ready, begin, output, held)
        picked = self._fields(m, phase, held, output, at, last)
        with m.If(more):
            m.d.sync += at.eq(at + 1)
            with m.If((at == At.TAG) & output):
                m.d.sync += at.eq(At.NONCE)
            with m.If((at == ROOM_END) & ~held.identify & ~output):
                m.d.sync += at.eq(At.WRITTEN)
        with m.If(begin):
            m.d.sync += [phase.eq(Phase.FETCH), at.eq(At.KIND), self.under_way.eq(1), self.hold.eq(1)]
        with m.Switch(phase):
            with m.Case(Phase.FETCH):
                m.d.sync += phase.eq(Phase.HOLD)
            with m.Case(Phase.HOLD):
                m.d.sync += phase.eq(Phase.PICK)
            with m.Case(Phase.PICK):
                m.d.sync += [phase.eq(Phase.PUT), byte.eq(picked)]
            with m.Case(Phase.PUT), m.If(more):
                m.d.sync += phase.eq(Mux(last, Mux(output, Phase.DATA, Phase.IDLE), Phase.FETCH))
                m.d.sync += [self.hold.eq(~last), self.under_way.eq(output | ~last)]
            with m.Case(Phase.DATA), m.If(more & self.o.payload.last):
                m.d.sync += [phase.eq(Phase.IDLE), self.under_way.eq(0)]
        return m

    def _choose(self, m: Module, may: Value, begin: Signal, output: Signal, held: Any) -> None:
        """Which body begins, where one may."""
        pending, answered, out = (Signal() for _ in range(3))
        m.d.comb += [
            out.eq(self.some & (~pending | held.soft | answered)),
            begin.eq(may & (self.some | pending)),
        ]
        with m.If(self.given):
            m.d.sync += [held.eq(self.answer), pending.eq(1)]
            m.d.sync += held.soft.eq(self.answer.soft & (held.soft | ~pending))
        with m.If(begin):
            m.d.sync += [output.eq(out), answered.eq(~out), pending.eq(pending & out & ~held.soft)]

    def _fields(self, m: Module, phase: Any, held: Any, output: Signal, at: Signal, last: Signal) -> Value:
        """The byte at `at`, three cycles after that became its place."""
        said, identify = [0] * At.KIND + list(self.identity.pack(0)), held.identify & ~output
        depth = 1 << (len(said) - 1).bit_length()
        rom: Memory = Memory(shape=unsigned(8), depth=depth, init=said, attrs={"ram_style": "block"})
        m.submodules.identity = rom
        read, word = rom.read_port(), at[2:6]
        positions, input_position = Signal(), Signal()
        written, taken = word == At.WRITTEN // 4, word == At.TAKEN // 4
        m.d.comb += [
            read.addr.eq(at),
            last.eq(at == Mux(identify, len(said) - 1, Mux(output, ROOM_END, STATE_END))),
            input_position.eq(word == At.INPUT // 4),
            positions.eq(Mux(output, word == At.QUOTA // 4, written | taken)),
            self.tell.eq(Mux(output, Number.POSITION, Mux(written, Number.WRITTEN, Number.TAKEN))),
            self.turn.eq((phase == Phase.PICK) & ~identify & positions),
            self.turn_input.eq((phase == Phase.PICK) & ~identify & input_position),
        ]
        table = self._table(
            m, phase, Mux(output, MessageKind.OUTPUT, MessageKind.STATUS), Mux(output, 0, held.tag), held.result
        )
        ours, own = Signal(8), Signal(8, reset_less=True)  # own may be the block RAM's register
        m.d.sync += [ours.eq(pick(table, at)), own.eq(read.data)]
        told = Mux(positions, self.byte, Mux(input_position, self.input_byte, ours))
        return Mux(identify & (at != At.TAG), own, told)

    def _table(self, m: Module, phase: Any, kind: Value, tag: Value, result: Value) -> list[Value | None]:
        """The bytes of `At`. `damaged` may count between its two, so the second is kept with the first."""
        state, damaged_high = self.state, Signal(8)
        with m.If(phase == Phase.HOLD):
            m.d.sync += damaged_high.eq(state.damaged[8:])
        fields = {
            At.KIND: kind,
            At.TAG: tag,
            At.RESULT: result,
            At.FLAGS: state.flags,
            At.LEASE: state.lease,
            At.NONCE: state.nonce,
            At.QUOTA: state.quota,
            At.ROOM: state.input_room,
            At.IMAGE: state.image,
            At.DAMAGED: Cat(state.damaged[:8], damaged_high),
        }
        table: list[Value | None] = [None] * (STATE_END + 1)
        for start, value in fields.items():
            for place in range(-(-len(Value.cast(value)) // 8)):
                table[start + place] = Value.cast(value)[8 * place : 8 * place + 8]
        return table
