"""Chooses and sends the bodies IDENTITY, STATUS and OUTPUT (docs/protocol.md). Twin of pysim/device/messages.py."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import enum, stream, wiring
from amaranth.lib.wiring import In, Out

from spikeveil.hdl.device.byte_counter import ByteReadout
from spikeveil.hdl.device.cobs import MessageByte
from spikeveil.hdl.device.outbox import PositionReadout
from spikeveil.hdl.device.reply_fields import (
    OFFSET_BITS,
    OUTPUT_END,
    ROOM_END,
    Answer,
    FieldOffset,
    ReplyFields,
    StatusFields,
)
from spikeveil.pysim.device.identity import Identity


class _Phase(enum.Enum):
    """States: ADDRESS, LATCH, SELECT and SEND for a byte of the fields, DATA for the output bytes after them."""

    IDLE = 0
    ADDRESS = 1
    LATCH = 2
    SELECT = 3
    SEND = 4
    DATA = 5


class Replies(wiring.Component):
    """Sends answers and output as bodies, one at a time.

    | port | width | direction | meaning |
    |---|---|---|---|
    | `o` | stream, `MessageByte` | out | bodies |
    | `outbox` | stream, `MessageByte` | in | output bytes, up to the `last` of a body |
    | `available` | 1 | in | the outbox has a byte |
    | `positions` | `PositionReadout` | out | reads positions of the outbox |
    | `input_position` | `ByteReadout` | out | reads the input position |
    | `status` | `StatusFields` | in | fields of STATUS |
    | `answer` | `Answer` | in | the next answer |
    | `answer_valid` | 1 | in | one cycle while neither `enable` nor `busy`: accept `answer` |
    | `enable` | 1 | in | a body may begin |
    | `busy` | 1 | out | a body is being sent, from the cycle after its begin on |
    | `hold` | 1 | out | fields are being read: positions and `status`, except `damaged`, must be stable |

    An answer replaces one that has not begun to leave; it is optional only if that one was. A body begins in a cycle in
    which `enable` and `o.ready` are high. It is an OUTPUT if the outbox has bytes and the answer is optional, or there
    is none, or the last body was an answer; otherwise it is the answer. An OUTPUT drops an optional answer. It carries
    the outbox's bytes up to `last`, at most 234.

    Timing: four cycles for a byte of the fields and three for a byte of output, while `o` is ready. Reset drops the
    answer and the current body.
    """

    o: stream.Interface
    outbox: stream.Interface
    available: Signal
    positions: Any
    input_position: Any
    status: Any
    answer: Any
    answer_valid: Signal
    enable: Signal
    busy: Signal
    hold: Signal

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        super().__init__(
            {
                "o": Out(stream.Signature(MessageByte())),
                "outbox": In(stream.Signature(MessageByte())),
                "available": In(1),
                "positions": Out(PositionReadout()),
                "input_position": Out(ByteReadout()),
                "status": In(StatusFields()),
                "answer": In(Answer()),
                "answer_valid": In(1),
                "enable": In(1),
                "busy": Out(1),
                "hold": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        phase: Any = Signal(_Phase)
        output = Signal()  # the body is an OUTPUT
        field_byte = Signal(8)
        offset = Signal(OFFSET_BITS, init=FieldOffset.KIND)
        pending_answer: Any = Signal(Answer())
        begin = Signal()
        m.submodules.fields = fields = ReplyFields(self.identity)
        wiring.connect(m, fields.positions, wiring.flipped(self.positions))
        wiring.connect(m, fields.input_position, wiring.flipped(self.input_position))
        send_data = phase == _Phase.DATA
        sent = self.o.valid & self.o.ready
        m.d.comb += [
            fields.offset.eq(offset),
            fields.output.eq(output),
            fields.answer.eq(pending_answer),
            fields.status.eq(self.status),
            fields.latch.eq(phase == _Phase.LATCH),
            fields.shift.eq(phase == _Phase.SELECT),
            self.o.valid.eq((phase == _Phase.SEND) | (send_data & self.outbox.valid)),
            self.o.payload.data.eq(Mux(send_data, self.outbox.payload.data, field_byte)),
            self.o.payload.last.eq(
                Mux(send_data, self.outbox.payload.last | (offset == OUTPUT_END), fields.last & ~output)
            ),
            self.outbox.ready.eq(send_data & self.o.ready),
        ]
        self._choose(m, ~self.busy & self.enable & self.o.ready, begin, output, pending_answer)
        with m.If(sent):
            m.d.sync += offset.eq(offset + 1)
            with m.If((offset == FieldOffset.TAG) & output):
                m.d.sync += offset.eq(FieldOffset.NONCE)
            with m.If((offset == ROOM_END) & ~pending_answer.identify & ~output):
                m.d.sync += offset.eq(FieldOffset.OUTPUT_POSITION)
        with m.If(begin):
            m.d.sync += [phase.eq(_Phase.ADDRESS), offset.eq(FieldOffset.KIND), self.busy.eq(1), self.hold.eq(1)]
        self._advance(m, phase, fields, field_byte, sent, output)
        return m

    def _advance(
        self, m: Module, phase: Any, fields: ReplyFields, field_byte: Signal, sent: Value, output: Signal
    ) -> None:
        """Step through the phases of a body."""
        with m.Switch(phase):
            with m.Case(_Phase.ADDRESS):
                m.d.sync += phase.eq(_Phase.LATCH)
            with m.Case(_Phase.LATCH):
                m.d.sync += phase.eq(_Phase.SELECT)
            with m.Case(_Phase.SELECT):
                m.d.sync += [phase.eq(_Phase.SEND), field_byte.eq(fields.byte)]
            with m.Case(_Phase.SEND), m.If(sent):
                after_fields = Mux(output, _Phase.DATA, _Phase.IDLE)
                m.d.sync += [
                    phase.eq(Mux(fields.last, after_fields, _Phase.ADDRESS)),
                    self.hold.eq(~fields.last),
                    self.busy.eq(output | ~fields.last),
                ]
            with m.Case(_Phase.DATA), m.If(sent & self.o.payload.last):
                m.d.sync += [phase.eq(_Phase.IDLE), self.busy.eq(0)]

    def _choose(self, m: Module, may_begin: Value, begin: Signal, output: Signal, pending_answer: Any) -> None:
        """Accept answers, and choose the body that begins."""
        pending = Signal()
        answer_was_last = Signal()
        choose_output = Signal()
        m.d.comb += [
            choose_output.eq(self.available & (~pending | pending_answer.optional | answer_was_last)),
            begin.eq(may_begin & (self.available | pending)),
        ]
        with m.If(self.answer_valid):
            m.d.sync += [
                pending_answer.eq(self.answer),
                pending.eq(1),
                pending_answer.optional.eq(self.answer.optional & (pending_answer.optional | ~pending)),
            ]
        with m.If(begin):
            m.d.sync += [
                output.eq(choose_output),
                answer_was_last.eq(~choose_output),
                pending.eq(pending & choose_output & ~pending_answer.optional),
            ]
