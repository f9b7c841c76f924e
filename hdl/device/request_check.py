"""Checks the fields of a request. Twin of pysim/device/top.py."""

from typing import TypeAlias

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from spikeveil.hdl.device.request_header import KIND_BITS
from spikeveil.pysim.device.messages import MessageKind, ResultCode
from spikeveil.pysim.device.wire import FORMAT_BITS, NONCE_BITS, POSITION_BITS

Refusal: TypeAlias = tuple[Value, ResultCode]  # a condition, and the result where it holds


class RequestCheck(wiring.Component):
    """Checks a request against the state of the device.

    | port | width | direction | meaning |
    |---|---|---|---|
    | `kind` | 4 | in | kind of the request |
    | `size` | 8 | in | bytes of the piece that follows the fields |
    | `field` | 32 | in | the first field, in the cycle of `field_valid` |
    | `field_valid` | 1 | in | one cycle |
    | `format` | 8 | in | last field of an OPEN |
    | `at_input_position` | 1 | in | the piece of an INPUT begins at the position reached |
    | `input_room` | window + 1 values | in | free bytes of the inbox |
    | `image_position` | 32 | in | image bytes accepted |
    | `locked` | 1 | in | nothing may be loaded |
    | `open`, `start`, `nonce` | 1, 1, 32 | in | of the lease, as in `LeaseControl` |
    | `nonce_matches` | 1 | out | the first field is the last lease's nonce |
    | `at_image_start` | 1 | out | the first field is 0 |
    | `verdict` | `ResultCode` | out | the first refusal that applies, or OK; valid two cycles after the last field |

    Of the input formats the first `formats` are accepted. Where `image_bytes` is 0, LOAD and SEAL are left to
    `Commands`, which refuses them. Reset: no lease was opened since.
    """

    kind: Signal
    size: Signal
    field: Signal
    field_valid: Signal
    format: Signal
    at_input_position: Signal
    input_room: Signal
    image_position: Signal
    locked: Signal
    open: Signal
    start: Signal
    nonce: Signal
    nonce_matches: Signal
    at_image_start: Signal
    verdict: Signal

    def __init__(self, *, image_bytes: int, window: int, formats: int) -> None:
        self.image_bytes = image_bytes
        self.formats = formats
        super().__init__(
            {
                "kind": In(KIND_BITS),
                "size": In(8),
                "field": In(POSITION_BITS),
                "field_valid": In(1),
                "format": In(FORMAT_BITS),
                "at_input_position": In(1),
                "input_room": In(range(window + 1)),
                "image_position": In(POSITION_BITS),
                "locked": In(1),
                "open": In(1),
                "start": In(1),
                "nonce": In(NONCE_BITS),
                "nonce_matches": Out(1),
                "at_image_start": Out(1),
                "verdict": Out(ResultCode),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        at_image_position = Signal()
        had_lease = Signal()  # since power-on
        with m.If(self.start):
            m.d.sync += had_lease.eq(1)
        with m.If(self.field_valid):
            m.d.sync += [
                self.nonce_matches.eq((self.field == self.nonce) & had_lease),
                self.at_image_start.eq(self.field == 0),
                at_image_position.eq(self.field == self.image_position),
            ]
        image_full, input_full = self._capacity(m)
        locked = (self.locked, ResultCode.LOCKED)
        closed = (~(self.nonce_matches & self.open), ResultCode.CLOSED)
        image_gap = (~(self.at_image_start | at_image_position), ResultCode.GAP)
        input_gap = (~self.at_input_position, ResultCode.GAP)
        refusals: dict[MessageKind, list[Refusal]] = {
            MessageKind.OPEN: [(self.format >= self.formats, ResultCode.MALFORMED)],
            MessageKind.INPUT: [closed, input_gap, (input_full, ResultCode.FULL)],
            MessageKind.TAKE: [(~self.nonce_matches, ResultCode.CLOSED)],
            MessageKind.CLOSE: [closed],
        }
        if self.image_bytes:
            refusals |= {
                MessageKind.LOAD: [locked, image_gap, (image_full, ResultCode.FULL)],
                MessageKind.SEAL: [locked],
            }
        with m.Switch(self.kind):
            for kind, conditions in refusals.items():
                verdict: Value = Value.cast(ResultCode.OK)
                for condition, result in reversed(conditions):
                    verdict = Mux(condition, result, verdict)
                with m.Case(kind):
                    m.d.comb += self.verdict.eq(verdict)
        return m

    def _capacity(self, m: Module) -> tuple[Signal, Signal]:
        """Whether a piece does not fit the image, the inbox. Neither changes any more when the verdict is used."""
        size_bits = len(self.size)
        image_room = Signal(range(max(2, self.image_bytes + 1)))
        image_full = Signal()
        input_full = Signal()
        exceeds = ~image_room[size_bits:].any() & (image_room[:size_bits] < self.size)
        m.d.sync += [
            image_room.eq(self.image_bytes - self.image_position),
            image_full.eq(Mux(self.at_image_start, self.size > self.image_bytes, exceeds)),
            input_full.eq(self.input_room < self.size),
        ]
        return image_full, input_full
