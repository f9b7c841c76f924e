"""Length, kind and tag of a request. Twin of pysim/device/messages.py."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from spikeveil.pysim.device.messages import MessageKind, ResultCode, header_bytes
from spikeveil.pysim.device.wire import MIN_BODY, TAG_BITS

KIND_BITS = 4
REQUESTS = [kind for kind in MessageKind if kind < 1 << KIND_BITS]
FIELD_BYTES = {kind: header_bytes(kind) - MIN_BODY for kind in REQUESTS}
MAX_FIELD_BYTES = max(FIELD_BYTES.values())


class RequestHeader(wiring.Component):
    """Registers for length, kind and tag of a request, and the check of the length.

    | port | width | direction | meaning |
    |---|---|---|---|
    | `byte` | 8 | in | current byte of the request |
    | `accept` | 1 | in | the byte is accepted: one less remains |
    | `load_length`, `load_kind`, `load_tag` | 1 | in | with `accept`: the byte is this part of the header |
    | `restart_secret` | 1 | in | one cycle: the bytes of a secret remain once more |
    | `kind` | 4 | out | kind of the request; 0 where it is unknown |
    | `tag` | 8 | out | tag of the request |
    | `remaining` | 8 | out | bytes of the request that were not accepted |
    | `nonempty` | 1 | out | there are any |
    | `field_bytes` | 0 to `MAX_FIELD_BYTES` | out | bytes of the fields of this kind |
    | `result` | `ResultCode` | out | after the tag: OK, or UNKNOWN for the kind, or MALFORMED for the length |

    `known` are the kinds that the device executes; `secret_bytes` is the length of the secret in an OPEN. Reset clears
    everything.
    """

    byte: Signal
    accept: Signal
    load_length: Signal
    load_kind: Signal
    load_tag: Signal
    restart_secret: Signal
    kind: Signal
    tag: Signal
    remaining: Signal
    nonempty: Signal
    field_bytes: Signal
    result: Signal

    def __init__(self, known: frozenset[MessageKind], *, secret_bytes: int) -> None:
        self.known = known
        self.secret_bytes = secret_bytes
        super().__init__(
            {
                "byte": In(8),
                "accept": In(1),
                "load_length": In(1),
                "load_kind": In(1),
                "load_tag": In(1),
                "restart_secret": In(1),
                "kind": Out(KIND_BITS),
                "tag": Out(TAG_BITS),
                "remaining": Out(8),
                "nonempty": Out(1),
                "field_bytes": Out(range(MAX_FIELD_BYTES + 1)),
                "result": Out(ResultCode),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        with m.If(self.accept):
            m.d.sync += [self.remaining.eq(self.remaining - 1), self.nonempty.eq(self.remaining != 1)]
        with m.If(self.load_length):
            m.d.sync += [self.remaining.eq(self.byte), self.nonempty.eq(self.byte != 0)]
        with m.If(self.load_kind):
            m.d.sync += self.kind.eq(Mux(self.byte[KIND_BITS:].any(), 0, self.byte))
        with m.If(self.load_tag):
            m.d.sync += self.tag.eq(self.byte)
        with m.If(self.restart_secret):
            m.d.sync += [self.remaining.eq(self.secret_bytes), self.nonempty.eq(self.secret_bytes != 0)]
        with m.Switch(self.kind):
            for kind in REQUESTS:
                size = FIELD_BYTES[kind] + (self.secret_bytes if kind is MessageKind.OPEN else 0)
                open_ended = kind in (MessageKind.LOAD, MessageKind.INPUT)
                fits = self.remaining >= size if open_ended else self.remaining == size
                with m.Case(kind):
                    m.d.comb += self.field_bytes.eq(FIELD_BYTES[kind])
                    m.d.comb += self.result.eq(Mux(fits, ResultCode.OK, ResultCode.MALFORMED))
                    if kind not in self.known:
                        m.d.comb += self.result.eq(ResultCode.UNKNOWN)
            with m.Default():
                m.d.comb += self.result.eq(ResultCode.UNKNOWN)
        return m
