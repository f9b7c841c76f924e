"""Decodes requests and executes them (docs/protocol.md).

Twin of pysim/device/top.py for what is executed, and of pysim/device/messages.py for what is decoded.
"""

from typing import Any

from amaranth.hdl import Assert, Module, Mux, Signal
from amaranth.lib import enum, stream, wiring
from amaranth.lib.wiring import In, Out

from spikeveil.hdl.device.byte_counter import COUNTER_BYTES, ByteReadout
from spikeveil.hdl.device.field_register import FieldRegister
from spikeveil.hdl.device.input_position import InputPosition
from spikeveil.hdl.device.lease_control import LeaseControl, Offer
from spikeveil.hdl.device.loader import LoadControl
from spikeveil.hdl.device.outbox import Confirmation
from spikeveil.hdl.device.reply_fields import Answer
from spikeveil.hdl.device.request_check import RequestCheck
from spikeveil.hdl.device.request_header import MAX_FIELD_BYTES, REQUESTS, RequestHeader
from spikeveil.pysim.device.messages import MessageKind, ResultCode
from spikeveil.pysim.device.wire import CRC_BITS, FORMAT_BITS, POSITION_BITS


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

    def __init__(self, header: RequestHeader, fields: FieldRegister) -> None:
        self.header = header
        self.fields = fields
        self.phase: Any = Signal(_Phase)
        self.result = Signal(ResultCode)
        self.accepted = Signal()  # a byte is accepted in this cycle


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
        self.window = window
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
        m.submodules.header = header = RequestHeader(self.known, secret_bytes=self.secret_bytes)
        m.submodules.fields = fields = FieldRegister(MAX_FIELD_BYTES)
        request = _Request(header, fields)
        phase = request.phase
        idle_cycle = Signal()
        m.d.sync += idle_cycle.eq(~idle_cycle)
        accepted_ok = request.result == ResultCode.OK
        m.d.comb += [
            request.accepted.eq(self.i.valid & self.i.ready),
            self.mark.eq(request.accepted & (phase != _Phase.SECRET)),
            self.idle.eq((phase == _Phase.LENGTH) & idle_cycle),
            self.answer_valid.eq(phase == _Phase.ANSWER),
            self.answer.tag.eq(header.tag),
            self.answer.result.eq(request.result),
            self.answer.identify.eq((header.kind == MessageKind.IDENTIFY) & accepted_ok),
            self.answer.optional.eq((header.kind == MessageKind.INPUT) & accepted_ok),
            self.guard.loaded.eq(self.loader.loaded),
        ]
        self._decode(m, request)
        self._execute(m, request)
        self._secret(m, request)
        with m.Switch(phase):
            with m.Case(_Phase.LENGTH):
                m.d.comb += self.i.ready.eq(~self.busy & ~idle_cycle)
            with m.Case(_Phase.KIND, _Phase.TAG):
                m.d.comb += self.i.ready.eq(1)
            with m.Case(_Phase.FIELDS):
                m.d.comb += self.i.ready.eq(fields.i.ready)
            with m.Case(_Phase.DATA, _Phase.SECRET, _Phase.SKIP):
                m.d.comb += self.i.ready.eq(header.nonempty)
        with m.Switch(phase):
            with m.Case(_Phase.SEAL):
                sealed = Mux(self.loader.loaded, ResultCode.OK, ResultCode.MISMATCH)
                m.d.sync += [phase.eq(_Phase.ANSWER), request.result.eq(sealed)]
            with m.Case(_Phase.DATA, _Phase.SKIP), m.If(~header.nonempty):
                m.d.sync += phase.eq(_Phase.ANSWER)
            with m.Case(_Phase.ANSWER):
                m.d.sync += phase.eq(_Phase.LENGTH)
        self._data(m, request)
        return m

    @property
    def known(self) -> frozenset[MessageKind]:
        """The kinds that the device executes: LOAD and SEAL only where an image can be loaded."""
        loading = () if self.image_bytes else (MessageKind.LOAD, MessageKind.SEAL)
        return frozenset(kind for kind in REQUESTS if kind not in loading)

    def _decode(self, m: Module, request: _Request) -> None:
        """Read header and fields; skip the rest where the kind is unknown or the length wrong."""
        header, fields, phase = request.header, request.fields, request.phase
        m.d.comb += [
            header.byte.eq(self.i.payload),
            header.accept.eq(request.accepted),
            header.load_length.eq(request.accepted & (phase == _Phase.LENGTH)),
            header.load_kind.eq(request.accepted & (phase == _Phase.KIND)),
            header.load_tag.eq(request.accepted & (phase == _Phase.TAG)),
            fields.i.payload.eq(self.i.payload),
            fields.i.valid.eq(self.i.valid),
            fields.enable.eq(phase == _Phase.FIELDS),
            fields.size.eq(header.field_bytes),
            fields.start.eq(phase == _Phase.CHECK_LENGTH),
            fields.clear.eq(header.load_tag),
        ]
        with m.Switch(phase):
            with m.Case(_Phase.LENGTH), m.If(request.accepted):
                m.d.sync += phase.eq(_Phase.KIND)
            with m.Case(_Phase.KIND), m.If(request.accepted):
                m.d.sync += phase.eq(_Phase.TAG)
            with m.Case(_Phase.TAG), m.If(request.accepted):
                m.d.sync += phase.eq(_Phase.CHECK_LENGTH)
            with m.Case(_Phase.CHECK_LENGTH):
                m.d.sync += [
                    request.result.eq(header.result),
                    phase.eq(Mux(header.result == ResultCode.OK, _Phase.FIELDS, _Phase.SKIP)),
                ]
            with m.Case(_Phase.FIELDS), m.If(fields.complete):
                m.d.sync += phase.eq(_Phase.CHECK)

    def _execute(self, m: Module, request: _Request) -> None:
        """Check the fields; then refuse the request or execute it."""
        header, fields, phase = request.header, request.fields, request.phase
        m.submodules.check = check = RequestCheck(
            image_bytes=self.image_bytes, window=self.window, formats=self.formats
        )
        last_field = fields.fields[-POSITION_BITS:]
        m.d.comb += [
            check.kind.eq(header.kind),
            check.size.eq(header.remaining),
            check.field.eq(last_field),
            check.field_valid.eq(fields.accepted & (fields.count == COUNTER_BYTES)),
            check.format.eq(fields.fields[-FORMAT_BITS:]),
            check.at_input_position.eq(self._positions(m, request, check.nonce_matches)),
            check.input_room.eq(self.input_room),
            check.image_position.eq(self.loader.position),
            check.locked.eq(self.locked),
            check.open.eq(self.guard.open),
            check.start.eq(self.guard.start),
            check.nonce.eq(self.guard.nonce),
            self.loader.length.eq(fields.fields[-CRC_BITS - POSITION_BITS : -CRC_BITS]),
            self.loader.crc.eq(last_field),
        ]
        m.d.sync += [self.guard.rewind.eq(0), self.guard.close.eq(0)]
        with m.If(phase == _Phase.CHECK):
            m.d.sync += [request.result.eq(check.verdict), phase.eq(_Phase.SKIP)]
            with m.If(check.verdict == ResultCode.OK), m.Switch(header.kind):
                for kind, (next_phase, *actions) in self._actions(fields, check).items():
                    with m.Case(kind):
                        m.d.sync += phase.eq(next_phase)
                        m.d.comb += actions
        with m.If((phase == _Phase.CHECK) & (check.verdict == ResultCode.OK)):
            m.d.sync += [
                self.guard.rewind.eq(header.kind == MessageKind.OPEN),
                self.guard.close.eq(header.kind == MessageKind.CLOSE),
            ]

    def _actions(self, fields: FieldRegister, check: RequestCheck) -> dict[MessageKind, tuple[Any, ...]]:
        """For each kind that the device executes: the phase after the check, and signals set in that cycle."""
        actions: dict[MessageKind, tuple[Any, ...]] = {
            MessageKind.IDENTIFY: (_Phase.ANSWER,),
            MessageKind.POLL: (_Phase.ANSWER,),
            MessageKind.OPEN: (_Phase.SECRET,),
            MessageKind.INPUT: (_Phase.ADVANCE,),
            MessageKind.TAKE: (_Phase.ANSWER, self.confirmation.resend.eq(fields.fields[-8])),
            MessageKind.CLOSE: (_Phase.ANSWER,),
        }
        if self.image_bytes:
            actions[MessageKind.LOAD] = (_Phase.DATA, self.loader.clear.eq(check.at_image_start))
            actions[MessageKind.SEAL] = (_Phase.SEAL, self.loader.seal.eq(1))
        return actions

    def _positions(self, m: Module, request: _Request, nonce_matches: Signal) -> Signal:
        """Compare the position of an INPUT, forward the confirmed position; whether the former is the one reached."""
        header, fields = request.header, request.fields
        m.submodules.input_position = position = InputPosition()
        wiring.connect(m, wiring.flipped(self.input_position), position.readout)
        field_index = fields.count[2:]  # of fields of four bytes
        is_input = header.kind == MessageKind.INPUT
        is_take = header.kind == MessageKind.TAKE
        is_confirmed_field = Mux(is_input, field_index == 2, is_take & (field_index == 1))
        take_confirms = is_take & fields.accepted & (fields.count == 2 * COUNTER_BYTES)
        input_confirms = is_input & fields.accepted & (fields.count == 3 * COUNTER_BYTES)
        m.d.comb += [
            position.byte.eq(self.i.payload),
            position.compare.eq(fields.shift & is_input & (field_index == 1)),
            position.length.eq(header.remaining),
            position.add.eq(request.phase == _Phase.ADVANCE),
            position.clear.eq(self.guard.start),
            self.confirmation.byte.eq(self.i.payload),
            self.confirmation.shift.eq(fields.shift & is_confirmed_field),
            self.confirmation.confirm.eq((take_confirms | input_confirms) & nonce_matches),
        ]
        with m.If(position.added):
            m.d.sync += request.phase.eq(_Phase.DATA)
        return position.match

    def _data(self, m: Module, request: _Request) -> None:
        """Forward the bytes of a piece; its size was checked, so there is room for all of them."""
        piece = request.accepted & (request.phase == _Phase.DATA)
        for kind, sink in ((MessageKind.INPUT, self.input), (MessageKind.LOAD, self.loader.image)):
            m.d.sync += [sink.payload.eq(self.i.payload), sink.valid.eq(piece & (request.header.kind == kind))]
            m.d.sync += Assert(~sink.valid | sink.ready, f"a byte of {kind.name} was lost")

    def _secret(self, m: Module, request: _Request) -> None:
        """Send the secret to the guard twice: it checks secret and offer, and stores the secret of a granted offer."""
        header, fields, phase = request.header, request.fields, request.phase
        guard = self.guard
        second_pass = Signal()
        pass_end = (phase == _Phase.SECRET) & ~header.nonempty
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
            with m.Case(_Phase.SECRET), m.If(~header.nonempty):
                m.d.sync += phase.eq(_Phase.GUARD)
                with m.If(second_pass):
                    m.d.sync += self.tagged.eq(fields.fields[-8])
            with m.Case(_Phase.GUARD):
                m.d.sync += phase.eq(_Phase.VERDICT)
            with m.Case(_Phase.VERDICT):
                m.d.sync += [request.result.eq(guard.result), second_pass.eq(1), phase.eq(_Phase.ANSWER)]
                with m.If((guard.result == ResultCode.OK) & ~second_pass):
                    m.d.comb += [self.rewind.eq(1), header.restart_secret.eq(1)]
                    m.d.sync += phase.eq(_Phase.SECRET)
