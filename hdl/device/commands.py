"""What the host says: each message judged and carried out (docs/protocol.md). Twin of pysim/device/top.py."""

from collections.abc import Sequence
from typing import Any, TypeAlias

from amaranth.hdl import Assert, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import enum, stream, wiring
from amaranth.lib.wiring import In, Out

from spikeveil.hdl.device.byte_counter import BYTES, Turning
from spikeveil.hdl.device.guard import Offer
from spikeveil.hdl.device.replies import Answer
from spikeveil.pysim.device.messages import MessageKind, ResultCode, header_bytes

CODE_BITS = 4
COMMANDS = [kind for kind in MessageKind if kind < 1 << CODE_BITS]
Objection: TypeAlias = tuple[Value, ResultCode]  # where the first is not 0, the second is the result

ENVELOPE = 2  # bytes: kind and tag
FIELD_BYTES = {kind: header_bytes(kind) - ENVELOPE for kind in COMMANDS}
MOST_FIELD_BYTES = max(FIELD_BYTES.values())


class Phase(enum.Enum):
    """The parts of a message in their order, and what follows them."""

    LENGTH = 0
    KIND = 1
    TAG = 2
    FORM = 3  # is the length right for the kind?
    FIELDS = 4
    JUDGE = 5
    SEAL = 6  # the loader judges
    COUNT = 7  # the piece's length to the input position
    BYTES = 8  # into the inbox or the loader
    SECRET = 9  # into the guard, once to look at and once to keep
    ASKED = 10  # the guard judges
    VERDICT = 11
    REST = 12  # of a message that is refused
    ANSWER = 13


class Body:
    """The registers of the body in hand; `fields` shift in from the top: each is in the top bits when it is whole."""

    def __init__(self) -> None:
        self.phase, self.kind, self.result = Signal(Phase), Signal(CODE_BITS), Signal(ResultCode)
        self.left, self.some = Signal(8), Signal()  # bytes not taken yet; whether there are any
        self.came, self.shifts = Signal(), Signal()  # one is taken in this cycle; and shifted into the fields
        self.fields = Signal(8 * MOST_FIELD_BYTES)
        self.shifted, self.wanted = (Signal(range(MOST_FIELD_BYTES + 1)) for _ in range(2))
        self.fresh, self.short = Signal(), Signal()  # a byte was shifted in in the cycle before; more are wanted

    def whole(self, position: int) -> Value:
        """In one cycle: the field that ends `position` bytes after the tag stands in the top bits."""
        return self.fresh & (self.shifted == position)


class Commands(wiring.Component):
    """Takes bodies, each its length and then its bytes, from `i` (`mark` and `rewind` as in `FrameReceiver`), carries
    each out and gives its `answer`, with `given` high for one cycle. While `busy` is high it begins no body. Between
    two bodies `free` is high in every other cycle, and one is begun only in those between: what begins with `free` has
    until the next cycle to show as `busy`.

    A body of n bytes takes 2 n + 16 cycles at most, an OPEN twice its secret more: nothing in it waits for anything but
    the bytes of `i`. So commands never block, whatever stands in the buffers.

    - Guard: `offer`, `ask`, `begin`, `close`, `forget` (its `rewind`), `secret`, `verdict` (its `result`), `open`,
      `session`, `start` as there. Nothing else is told to it, and all of it out of registers.
    - Loader: `image`, `clear`, `seal`, `length`, `crc`, `loaded`, `image_position` as there. `image_bytes` is 0 where
      nothing can be loaded.
    - Inbox: `input` and `room`. Of the input formats the first `formats` are taken. `input_byte` and `turn_input` tell
      the position, the bytes taken since `start`, as `Turning` does. `tagged`: the lease's format is 1.
    - Outbox: `turn`, `claim`, `confirm` and `again` as there.

    Reset drops the body in hand.
    """

    i: stream.Interface
    mark: Signal
    rewind: Signal
    answer: Any
    given: Signal
    busy: Signal
    free: Signal
    offer: Any
    ask: Signal
    begin: Signal
    close: Signal
    forget: Signal
    secret: stream.Interface
    verdict: Any
    open: Signal
    locked: Signal
    nonce: Signal
    start: Signal
    image: stream.Interface
    clear: Signal
    seal: Signal
    length: Signal
    crc: Signal
    loaded: Signal
    image_position: Signal
    input: stream.Interface
    room: Signal
    input_byte: Signal
    turn_input: Signal
    tagged: Signal
    turn: Signal
    claim: Signal
    confirm: Signal
    again: Signal

    def __init__(self, *, secret_bytes: int, image_bytes: int, window: int, formats: int = 2) -> None:
        self.secret_bytes, self.image_bytes, self.formats = secret_bytes, image_bytes, formats
        byte = stream.Signature(8)
        guard = {
            "offer": Out(Offer()),
            **dict.fromkeys(("ask", "begin", "close", "forget"), Out(1)),
            "secret": Out(byte),
            "verdict": In(ResultCode),
            **dict.fromkeys(("open", "locked", "start"), In(1)),
            "nonce": In(32),
        }
        loader = {
            "image": Out(byte),
            **dict.fromkeys(("clear", "seal"), Out(1)),
            **dict.fromkeys(("length", "crc"), Out(32)),
            "loaded": In(1),
            "image_position": In(32),
        }
        buffers = {
            "input": Out(byte),
            "room": In(range(window + 1)),
            **dict.fromkeys(("input_byte", "claim"), Out(8)),
            "turn_input": In(1),
            **dict.fromkeys(("tagged", "turn", "confirm", "again"), Out(1)),
        }
        ends = {
            "i": In(byte),
            **dict.fromkeys(("mark", "rewind", "given", "free"), Out(1)),
            "answer": Out(Answer()),
            "busy": In(1),
        }
        super().__init__({**ends, **guard, **loader, **buffers})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        body = Body()
        phase, left, result = body.phase, body.left, body.result
        even = Signal()
        m.d.sync += even.eq(~even)
        takes = {
            Phase.LENGTH: ~self.busy & ~even,
            Phase.KIND: Const(1),
            Phase.TAG: Const(1),
            Phase.FIELDS: body.shifts,
            **dict.fromkeys((Phase.BYTES, Phase.SECRET, Phase.REST), body.some),
        }
        m.d.comb += [
            body.came.eq(self.i.valid & self.i.ready),
            body.shifts.eq(self.i.valid & body.short & ~body.fresh & (phase == Phase.FIELDS)),
            self.mark.eq(body.came & (phase != Phase.SECRET)),
            self.free.eq((phase == Phase.LENGTH) & even),
            self.given.eq(phase == Phase.ANSWER),
            self.answer.result.eq(result),
            self.answer.identify.eq((body.kind == MessageKind.IDENTIFY) & (result == ResultCode.OK)),
            self.answer.soft.eq((body.kind == MessageKind.INPUT) & (result == ResultCode.OK)),
        ]
        with m.If(body.came):
            m.d.sync += [left.eq(left - 1), body.some.eq(left != 1)]
        self._envelope(m, body)
        self._fields(m, body)
        self._judge(m, body)
        self._secret(m, body)
        with m.Switch(phase):
            for each, condition in takes.items():
                with m.Case(each):
                    m.d.comb += self.i.ready.eq(condition)
        with m.Switch(phase):
            with m.Case(Phase.SEAL):
                m.d.sync += [phase.eq(Phase.ANSWER), result.eq(Mux(self.loaded, ResultCode.OK, ResultCode.MISMATCH))]
            with m.Case(Phase.BYTES, Phase.REST), m.If(~body.some):
                m.d.sync += phase.eq(Phase.ANSWER)
            with m.Case(Phase.ANSWER):
                m.d.sync += phase.eq(Phase.LENGTH)
        self._bytes(m, body)
        return m

    def _envelope(self, m: Module, body: Body) -> None:
        """Length, kind and tag, and whether they fit."""
        byte, form, wanted = self.i.payload, Signal(ResultCode), Signal.like(body.wanted)
        with m.If(body.came), m.Switch(body.phase):
            with m.Case(Phase.LENGTH):
                m.d.sync += [body.phase.eq(Phase.KIND), body.left.eq(byte), body.some.eq(byte != 0)]
            with m.Case(Phase.KIND):
                m.d.sync += [body.phase.eq(Phase.TAG), body.kind.eq(Mux(byte[CODE_BITS:].any(), 0, byte))]
            with m.Case(Phase.TAG):
                m.d.sync += [body.phase.eq(Phase.FORM), self.answer.tag.eq(byte), body.shifted.eq(0)]
        with m.Switch(body.kind):
            for kind in COMMANDS:
                size = FIELD_BYTES[kind] + (self.secret_bytes if kind is MessageKind.OPEN else 0)
                fits = body.left >= size if kind in (MessageKind.LOAD, MessageKind.INPUT) else body.left == size
                with m.Case(kind):
                    m.d.comb += [wanted.eq(FIELD_BYTES[kind]), form.eq(Mux(fits, ResultCode.OK, ResultCode.MALFORMED))]
                    if not self.image_bytes and kind in (MessageKind.LOAD, MessageKind.SEAL):
                        m.d.comb += form.eq(ResultCode.UNKNOWN)
            with m.Default():
                m.d.comb += form.eq(ResultCode.UNKNOWN)
        with m.If(body.phase == Phase.FORM):
            m.d.sync += [body.result.eq(form), body.phase.eq(Mux(form == ResultCode.OK, Phase.FIELDS, Phase.REST))]
            m.d.sync += [body.wanted.eq(wanted), body.short.eq(wanted != 0)]

    def _fields(self, m: Module, body: Body) -> None:
        m.d.sync += body.fresh.eq(0)
        with m.If(body.phase == Phase.FIELDS):
            with m.If(body.shifts):
                m.d.sync += [body.fields.eq(Cat(body.fields, self.i.payload)[8:]), body.fresh.eq(1)]
                m.d.sync += body.shifted.eq(body.shifted + 1)
            with m.If(body.fresh):
                m.d.sync += body.short.eq(body.shifted != body.wanted)
            with m.Elif(~body.short):
                m.d.sync += body.phase.eq(Phase.JUDGE)

    def _judge(self, m: Module, body: Body) -> None:
        """Each field is looked at when it is whole; then the body is refused with an objection, or carried out."""
        top, kind, left = body.fields[-32:], body.kind, body.left
        leased, ours, at_image, at_start = (Signal() for _ in range(4))
        at_input = self._positions(m, body)
        image_room = Signal(range(max(2, self.image_bytes + 1)))  # out of a register, as it is long the same
        with m.If(self.start):
            m.d.sync += leased.eq(1)
        with m.If(body.whole(4)):
            m.d.sync += [ours.eq((top == self.nonce) & leased), at_start.eq(top == 0)]
            m.d.sync += at_image.eq(top == self.image_position)
        confirms = ((kind == MessageKind.TAKE) & body.whole(8)) | ((kind == MessageKind.INPUT) & body.whole(12))
        m.d.comb += self.confirm.eq(confirms & ours)
        m.d.sync += image_room.eq(self.image_bytes - self.image_position)
        image_full, input_full = Signal(), Signal()  # nothing moves any more when they are looked at
        over = ~image_room[len(left) :].any() & (image_room[: len(left)] < left)
        m.d.sync += image_full.eq(Mux(at_start, left > self.image_bytes, over))
        m.d.sync += input_full.eq(self.room < left)
        locked, closed = (self.locked, ResultCode.LOCKED), (~(ours & self.open), ResultCode.CLOSED)
        load = [locked, (~(at_start | at_image), ResultCode.GAP), (image_full, ResultCode.FULL)]
        self._case(m, body, MessageKind.IDENTIFY, Phase.ANSWER, [])
        self._case(m, body, MessageKind.POLL, Phase.ANSWER, [])
        self._case(m, body, MessageKind.LOAD, Phase.BYTES, load, self.clear.eq(at_start))
        self._case(m, body, MessageKind.SEAL, Phase.SEAL, [locked], self.seal.eq(1))
        form = [(body.fields[-8:] >= self.formats, ResultCode.MALFORMED)]
        m.d.sync += [self.forget.eq(0), self.close.eq(0)]
        self._case(m, body, MessageKind.OPEN, Phase.SECRET, form, registered=[self.forget.eq(1)])
        held = [closed, (~at_input, ResultCode.GAP), (input_full, ResultCode.FULL)]
        self._case(m, body, MessageKind.INPUT, Phase.COUNT, held)
        self._case(
            m, body, MessageKind.TAKE, Phase.ANSWER, [(~ours, ResultCode.CLOSED)], self.again.eq(body.fields[-8])
        )
        self._case(m, body, MessageKind.CLOSE, Phase.ANSWER, [closed], registered=[self.close.eq(1)])
        m.d.comb += [self.length.eq(body.fields[-64:-32]), self.crc.eq(top)]

    def _positions(self, m: Module, body: Body) -> Signal:
        """The input position, and whether the one heard is it; the claim goes on to the outbox."""
        m.submodules.position = position = Turning()
        same, heard, claims = Signal(), Signal(), Signal()
        words = body.shifted[2:]
        hears, counts = body.shifts, body.phase == Phase.COUNT
        of_input = body.kind == MessageKind.INPUT
        m.d.comb += [
            heard.eq(hears & of_input & (words == 1)),
            claims.eq(Mux(of_input, words == 2, (body.kind == MessageKind.TAKE) & (words == 1))),
            self.turn.eq(hears & claims),
            self.claim.eq(self.i.payload),
            self.input_byte.eq(position.own),
            position.clear.eq(self.start),
            position.keep.eq(1),
            position.add.eq(Mux(counts & (position.place == 0), body.left, 0)),
            position.turn.eq(heard | counts | self.turn_input),
        ]
        with m.If(heard):
            m.d.sync += same.eq((same | (position.place == 0)) & (self.i.payload == position.own))
        with m.If(counts & (position.place == BYTES - 1)):
            m.d.sync += body.phase.eq(Phase.BYTES)
        return same

    def _case(
        self,
        m: Module,
        body: Body,
        kind: MessageKind,
        following: Phase,
        objections: Sequence[Objection],
        *done: Any,
        registered: Sequence[Any] = (),
    ) -> None:
        """A body of `kind` that is judged: refused with the first objection that holds, or `done`, and `following`;
        what is `registered` happens a cycle later.
        """
        if kind in (MessageKind.LOAD, MessageKind.SEAL) and not self.image_bytes:
            return
        with m.If((body.phase == Phase.JUDGE) & (body.kind == kind)):
            verdict: Value = Value.cast(ResultCode.OK)
            for holds, result in reversed(objections):
                verdict = Mux(holds, result, verdict)
            with m.If(verdict == ResultCode.OK):
                m.d.comb += done
                m.d.sync += registered
            m.d.sync += [body.result.eq(verdict), body.phase.eq(Mux(verdict == ResultCode.OK, following, Phase.REST))]

    def _bytes(self, m: Module, body: Body) -> None:
        """Pieces of streams: there is room for all that come, as that was looked at before."""
        piece = body.came & (body.phase == Phase.BYTES)
        for kind, sink in ((MessageKind.INPUT, self.input), (MessageKind.LOAD, self.image)):
            m.d.sync += [sink.payload.eq(self.i.payload), sink.valid.eq(piece & (body.kind == kind))]
            m.d.sync += Assert(~sink.valid | sink.ready, f"a byte of {kind.name} was lost")

    def _secret(self, m: Module, body: Body) -> None:
        """The secret twice: the guard looks at it and at the offer, and keeps it when it has taken the offer."""
        kept, last = Signal(), ~body.some
        ends = (body.phase == Phase.SECRET) & last
        m.d.comb += self.offer.eq(body.fields[: Offer().size])
        m.d.sync += [
            self.secret.payload.eq(self.i.payload),
            self.secret.valid.eq(body.came & (body.phase == Phase.SECRET)),
            self.ask.eq(ends & ~kept),
            self.begin.eq(ends & kept),
        ]
        with m.Switch(body.phase):
            with m.Case(Phase.FORM):
                m.d.sync += kept.eq(0)
            with m.Case(Phase.SECRET), m.If(last):
                m.d.sync += body.phase.eq(Phase.ASKED)
                with m.If(kept):
                    m.d.sync += self.tagged.eq(body.fields[-8])
            with m.Case(Phase.ASKED):
                m.d.sync += body.phase.eq(Phase.VERDICT)
            with m.Case(Phase.VERDICT):
                m.d.sync += [body.result.eq(self.verdict), kept.eq(1), body.phase.eq(Phase.ANSWER)]
                with m.If((self.verdict == ResultCode.OK) & ~kept):
                    m.d.comb += self.rewind.eq(1)
                    m.d.sync += [body.left.eq(self.secret_bytes), body.some.eq(self.secret_bytes != 0)]
                    m.d.sync += body.phase.eq(Phase.SECRET)
