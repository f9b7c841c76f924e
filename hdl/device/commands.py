"""Decodes requests and executes them (docs/protocol.md).

Twin of pysim/device/top.py for what is executed, and of pysim/device/messages.py for what is decoded.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

from amaranth.hdl import Assert, Module, Mux, Signal, Value
from amaranth.lib import enum, stream, wiring
from amaranth.lib.wiring import In, Out

from spikeveil.hdl.device.byte_counter import COUNTER_BYTES, ByteReadout
from spikeveil.hdl.device.field_register import FieldRegister
from spikeveil.hdl.device.guard import LeaseControl, Offer
from spikeveil.hdl.device.input_position import InputPosition
from spikeveil.hdl.device.loader import LoadControl
from spikeveil.hdl.device.outbox import Confirmation
from spikeveil.hdl.device.reply_fields import Answer
from spikeveil.pysim.device.messages import MessageKind, ResultCode, header_bytes
from spikeveil.pysim.device.wire import CRC_BITS, FORMAT_BITS, MIN_BODY, POSITION_BITS

KIND_BITS = 4
REQUESTS = [kind for kind in MessageKind if kind < 1 << KIND_BITS]
FIELD_BYTES = {kind: header_bytes(kind) - MIN_BODY for kind in REQUESTS}
MAX_FIELD_BYTES = max(FIELD_BYTES.values())

Refusal: TypeAlias = tuple[Value, ResultCode]  # a condition, and the result where it holds


class _Phase(enum.Enum):
    """The parts of a request in their order, and what follows them."""

    LENGTH = 0
    KIND = 1
    TAG = 2
    CHECK_LENGTH = 3
    FIELDS = 4
    CHECK = 5
    SEAL = 6  # the loader checks the image
    ADVANCE = 7  # add the piece's length to the input position
    DATA = 8  # into the inbox or the loader
    SECRET = 9  # into the guard, twice: to be checked, to be stored
    GUARD = 10  # the guard executes its command
    VERDICT = 11
    SKIP = 12  # the rest of a refused request
    ANSWER = 13


class _Request:
    """Registers of the current request."""

    def __init__(self) -> None:
        self.phase: Any = Signal(_Phase)
        self.kind = Signal(KIND_BITS)
        self.result = Signal(ResultCode)
        self.remaining = Signal(8)  # bytes that were not accepted yet
        self.nonempty = Signal()  # there are any
        self.accepted = Signal()  # one is accepted in this cycle


class Commands(wiring.Component):
    """Decodes and executes requests, one at a time.

    | port | width | direction | meaning |
    |---|---|---|---|
    | `i` | stream, 8 | in | requests, each its length and then its bytes |
    | `mark`, `rewind` | 1 | out | as in `FrameReceiver` |
    | `answer` | `Answer` | out | answer to the request |
    | `answer_valid` | 1 | out | one cycle: `answer` is valid |
    | `busy` | 1 | in | no request may begin |
    | `idle` | 1 | out | between two requests, high in every other cycle |
    | `guard` | `LeaseControl` | out | to the guard; out of registers |
    | `locked` | 1 | in | the network is not in reset: nothing may be loaded |
    | `loader` | `LoadControl` | out | to the loader |
    | `input` | stream, 8 | out | input bytes, to the inbox |
    | `input_room` | window + 1 values | in | bytes that the inbox has room for |
    | `input_position` | `ByteReadout` | in | reads the position in the input stream |
    | `tagged` | 1 | out | the lease's input format is 1 |
    | `confirmation` | `Confirmation` | out | to the outbox |

    A request begins only in the cycles in which `idle` is low. So what begins in a cycle with `idle` has one cycle to
    raise `busy`. Of the input formats the first `formats` are accepted. `image_bytes` is 0 where nothing can be loaded.

    Timing: a request of n bytes takes at most 2 n + 16 cycles, an OPEN twice its secret more. Nothing is awaited except
    the bytes of `i`, so a request never blocks, however full the buffers are. Reset drops the current request.
    """

    i: stream.Interface
    mark: Signal
    rewind: Signal
    answer: Any
    answer_valid: Signal
    busy: Signal
    idle: Signal
    guard: Any
    locked: Signal
    loader: Any
    input: stream.Interface
    input_room: Signal
    input_position: Any
    tagged: Signal
    confirmation: Any

    def __init__(self, *, secret_bytes: int, image_bytes: int, window: int, formats: int = 2) -> None:
        self.secret_bytes = secret_bytes
        self.image_bytes = image_bytes
        self.formats = formats
        super().__init__(
            {
                "i": In(stream.Signature(8)),
                "mark": Out(1),
                "rewind": Out(1),
                "answer": Out(Answer()),
                "answer_valid": Out(1),
                "busy": In(1),
                "idle": Out(1),
                "guard": Out(LeaseControl()),
                "locked": In(1),
                "loader": Out(LoadControl()),
                "input": Out(stream.Signature(8)),
                "input_room": In(range(window + 1)),
                "input_position": In(ByteReadout()),
                "tagged": Out(1),
                "confirmation": Out(Confirmation()),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        request = _Request()
        phase = request.phase
        m.submodules.fields = fields = FieldRegister(MAX_FIELD_BYTES)
        idle_cycle = Signal()
        m.d.sync += idle_cycle.eq(~idle_cycle)
        m.d.comb += [
            request.accepted.eq(self.i.valid & self.i.ready),
            fields.i.payload.eq(self.i.payload),
            fields.i.valid.eq(self.i.valid),
            fields.enable.eq(phase == _Phase.FIELDS),
            self.mark.eq(request.accepted & (phase != _Phase.SECRET)),
            self.idle.eq((phase == _Phase.LENGTH) & idle_cycle),
            self.answer_valid.eq(phase == _Phase.ANSWER),
            self.answer.result.eq(request.result),
            self.answer.identify.eq((request.kind == MessageKind.IDENTIFY) & (request.result == ResultCode.OK)),
            self.answer.optional.eq((request.kind == MessageKind.INPUT) & (request.result == ResultCode.OK)),
            self.guard.loaded.eq(self.loader.loaded),
        ]
        with m.If(request.accepted):
            m.d.sync += [request.remaining.eq(request.remaining - 1), request.nonempty.eq(request.remaining != 1)]
        self._envelope(m, request, fields)
        self._check(m, request, fields)
        self._secret(m, request, fields)
        with m.Switch(phase):
            with m.Case(_Phase.LENGTH):
                m.d.comb += self.i.ready.eq(~self.busy & ~idle_cycle)
            with m.Case(_Phase.KIND, _Phase.TAG):
                m.d.comb += self.i.ready.eq(1)
            with m.Case(_Phase.FIELDS):
                m.d.comb += self.i.ready.eq(fields.i.ready)
                with m.If(fields.complete):
                    m.d.sync += phase.eq(_Phase.CHECK)
            with m.Case(_Phase.DATA, _Phase.SECRET, _Phase.SKIP):
                m.d.comb += self.i.ready.eq(request.nonempty)
        with m.Switch(phase):
            with m.Case(_Phase.SEAL):
                sealed = Mux(self.loader.loaded, ResultCode.OK, ResultCode.MISMATCH)
                m.d.sync += [phase.eq(_Phase.ANSWER), request.result.eq(sealed)]
            with m.Case(_Phase.DATA, _Phase.SKIP), m.If(~request.nonempty):
                m.d.sync += phase.eq(_Phase.ANSWER)
            with m.Case(_Phase.ANSWER):
                m.d.sync += phase.eq(_Phase.LENGTH)
        self._data(m, request)
        return m

    def _envelope(self, m: Module, request: _Request, fields: FieldRegister) -> None:
        """Read length, kind and tag; check the length against the kind."""
        byte = self.i.payload
        phase = request.phase
        length_result = Signal(ResultCode)
        with m.If(request.accepted), m.Switch(phase):
            with m.Case(_Phase.LENGTH):
                m.d.sync += [phase.eq(_Phase.KIND), request.remaining.eq(byte), request.nonempty.eq(byte != 0)]
            with m.Case(_Phase.KIND):
                m.d.sync += [phase.eq(_Phase.TAG), request.kind.eq(Mux(byte[KIND_BITS:].any(), 0, byte))]
            with m.Case(_Phase.TAG):
                m.d.sync += [phase.eq(_Phase.CHECK_LENGTH), self.answer.tag.eq(byte)]
                m.d.comb += fields.clear.eq(1)
        with m.Switch(request.kind):
            for kind in REQUESTS:
                size = FIELD_BYTES[kind] + (self.secret_bytes if kind is MessageKind.OPEN else 0)
                open_ended = kind in (MessageKind.LOAD, MessageKind.INPUT)
                fits = request.remaining >= size if open_ended else request.remaining == size
                with m.Case(kind):
                    m.d.comb += fields.size.eq(FIELD_BYTES[kind])
                    m.d.comb += length_result.eq(Mux(fits, ResultCode.OK, ResultCode.MALFORMED))
                    if not self._executable(kind):
                        m.d.comb += length_result.eq(ResultCode.UNKNOWN)
            with m.Default():
                m.d.comb += length_result.eq(ResultCode.UNKNOWN)
        m.d.comb += fields.start.eq(phase == _Phase.CHECK_LENGTH)
        with m.If(phase == _Phase.CHECK_LENGTH):
            m.d.sync += [
                request.result.eq(length_result),
                phase.eq(Mux(length_result == ResultCode.OK, _Phase.FIELDS, _Phase.SKIP)),
            ]

    def _executable(self, kind: MessageKind) -> bool:
        """Whether this device knows requests of `kind`."""
        return bool(self.image_bytes) or kind not in (MessageKind.LOAD, MessageKind.SEAL)

    def _check(self, m: Module, request: _Request, fields: FieldRegister) -> None:
        """Check each field when it is complete; then refuse the request or execute it."""
        last_field = fields.fields[-POSITION_BITS:]
        nonce_matches = Signal()
        at_image_position = Signal()
        at_image_start = Signal()
        had_lease = Signal()  # since power-on
        first_field = fields.fresh & (fields.count == COUNTER_BYTES)
        with m.If(self.guard.start):
            m.d.sync += had_lease.eq(1)
        with m.If(first_field):
            m.d.sync += [
                nonce_matches.eq((last_field == self.guard.nonce) & had_lease),
                at_image_start.eq(last_field == 0),
                at_image_position.eq(last_field == self.loader.position),
            ]
        at_input_position = self._positions(m, request, fields, nonce_matches)
        image_full, input_full = self._capacity(m, request, at_image_start)
        closed = (~(nonce_matches & self.guard.open), ResultCode.CLOSED)
        locked = (self.locked, ResultCode.LOCKED)
        load = [locked, (~(at_image_start | at_image_position), ResultCode.GAP), (image_full, ResultCode.FULL)]
        piece = [closed, (~at_input_position, ResultCode.GAP), (input_full, ResultCode.FULL)]
        open_lease = [(fields.fields[-FORMAT_BITS:] >= self.formats, ResultCode.MALFORMED)]
        take = [(~nonce_matches, ResultCode.CLOSED)]
        resend = self.confirmation.resend.eq(fields.fields[-8])
        m.d.sync += [self.guard.rewind.eq(0), self.guard.close.eq(0)]
        m.d.comb += [
            self.loader.length.eq(fields.fields[-CRC_BITS - POSITION_BITS : -CRC_BITS]),
            self.loader.crc.eq(last_field),
        ]
        self._execute(m, request, MessageKind.IDENTIFY, _Phase.ANSWER, [])
        self._execute(m, request, MessageKind.POLL, _Phase.ANSWER, [])
        self._execute(m, request, MessageKind.LOAD, _Phase.DATA, load, self.loader.clear.eq(at_image_start))
        self._execute(m, request, MessageKind.SEAL, _Phase.SEAL, [locked], self.loader.seal.eq(1))
        self._execute(m, request, MessageKind.OPEN, _Phase.SECRET, open_lease, registered=[self.guard.rewind.eq(1)])
        self._execute(m, request, MessageKind.INPUT, _Phase.ADVANCE, piece)
        self._execute(m, request, MessageKind.TAKE, _Phase.ANSWER, take, resend)
        self._execute(m, request, MessageKind.CLOSE, _Phase.ANSWER, [closed], registered=[self.guard.close.eq(1)])

    def _capacity(self, m: Module, request: _Request, at_image_start: Signal) -> tuple[Signal, Signal]:
        """Whether a piece does not fit the image, the inbox. Neither changes any more when they are looked at."""
        size = request.remaining
        image_room = Signal(range(max(2, self.image_bytes + 1)))
        image_full = Signal()
        input_full = Signal()
        exceeds = ~image_room[len(size) :].any() & (image_room[: len(size)] < size)
        m.d.sync += [
            image_room.eq(self.image_bytes - self.loader.position),
            image_full.eq(Mux(at_image_start, size > self.image_bytes, exceeds)),
            input_full.eq(self.input_room < size),
        ]
        return image_full, input_full

    def _positions(self, m: Module, request: _Request, fields: FieldRegister, nonce_matches: Signal) -> Signal:
        """Compare the position of an INPUT, forward the confirmed position; whether the former is the one reached."""
        m.submodules.input_position = position = InputPosition()
        wiring.connect(m, wiring.flipped(self.input_position), position.readout)
        field_index = fields.count[2:]  # of fields of four bytes
        is_input = request.kind == MessageKind.INPUT
        is_take = request.kind == MessageKind.TAKE
        is_confirmed_field = Mux(is_input, field_index == 2, is_take & (field_index == 1))
        take_confirms = is_take & fields.fresh & (fields.count == 2 * COUNTER_BYTES)
        input_confirms = is_input & fields.fresh & (fields.count == 3 * COUNTER_BYTES)
        m.d.comb += [
            position.byte.eq(self.i.payload),
            position.compare.eq(fields.shift & is_input & (field_index == 1)),
            position.length.eq(request.remaining),
            position.add.eq(request.phase == _Phase.ADVANCE),
            position.clear.eq(self.guard.start),
            self.confirmation.byte.eq(self.i.payload),
            self.confirmation.shift.eq(fields.shift & is_confirmed_field),
            self.confirmation.confirm.eq((take_confirms | input_confirms) & nonce_matches),
        ]
        with m.If(position.added):
            m.d.sync += request.phase.eq(_Phase.DATA)
        return position.match

    def _execute(
        self,
        m: Module,
        request: _Request,
        kind: MessageKind,
        next_phase: _Phase,
        refusals: Sequence[Refusal],
        *actions: Any,
        registered: Sequence[Any] = (),
    ) -> None:
        """Refuse a request of `kind` with the first refusal that applies; otherwise do the actions, the registered ones
        a cycle later, and continue with `next_phase`.
        """
        if not self._executable(kind):
            return
        with m.If((request.phase == _Phase.CHECK) & (request.kind == kind)):
            verdict: Value = Value.cast(ResultCode.OK)
            for condition, result in reversed(refusals):
                verdict = Mux(condition, result, verdict)
            with m.If(verdict == ResultCode.OK):
                m.d.comb += actions
                m.d.sync += registered
            m.d.sync += [
                request.result.eq(verdict),
                request.phase.eq(Mux(verdict == ResultCode.OK, next_phase, _Phase.SKIP)),
            ]

    def _data(self, m: Module, request: _Request) -> None:
        """Forward the bytes of a piece; its size was checked, so there is room for all of them."""
        piece = request.accepted & (request.phase == _Phase.DATA)
        for kind, sink in ((MessageKind.INPUT, self.input), (MessageKind.LOAD, self.loader.image)):
            m.d.sync += [sink.payload.eq(self.i.payload), sink.valid.eq(piece & (request.kind == kind))]
            m.d.sync += Assert(~sink.valid | sink.ready, f"a byte of {kind.name} was lost")

    def _secret(self, m: Module, request: _Request, fields: FieldRegister) -> None:
        """Send the secret to the guard twice: it checks secret and offer, and stores the secret of a granted offer."""
        phase = request.phase
        guard = self.guard
        second_pass = Signal()
        pass_end = (phase == _Phase.SECRET) & ~request.nonempty
        m.d.comb += guard.offer.eq(fields.fields[: Offer().size])
        m.d.sync += [
            guard.secret.payload.eq(self.i.payload),
            guard.secret.valid.eq(request.accepted & (phase == _Phase.SECRET)),
            guard.check.eq(pass_end & ~second_pass),
            guard.begin.eq(pass_end & second_pass),
        ]
        with m.Switch(phase):
            with m.Case(_Phase.CHECK_LENGTH):
                m.d.sync += second_pass.eq(0)
            with m.Case(_Phase.SECRET), m.If(~request.nonempty):
                m.d.sync += phase.eq(_Phase.GUARD)
                with m.If(second_pass):
                    m.d.sync += self.tagged.eq(fields.fields[-8])
            with m.Case(_Phase.GUARD):
                m.d.sync += phase.eq(_Phase.VERDICT)
            with m.Case(_Phase.VERDICT):
                m.d.sync += [request.result.eq(guard.result), second_pass.eq(1), phase.eq(_Phase.ANSWER)]
                with m.If((guard.result == ResultCode.OK) & ~second_pass):
                    m.d.comb += self.rewind.eq(1)
                    m.d.sync += [
                        request.remaining.eq(self.secret_bytes),
                        request.nonempty.eq(self.secret_bytes != 0),
                        phase.eq(_Phase.SECRET),
                    ]
