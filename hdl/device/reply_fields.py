"""The fields of IDENTITY, STATUS and OUTPUT, one byte at a time. Twin of pysim/device/status.py."""

from collections.abc import Sequence
from enum import IntEnum
from itertools import zip_longest
from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from spikeveil.hdl.device.byte_counter import ByteReadout
from spikeveil.hdl.device.outbox import PositionReadout, PositionSelect
from spikeveil.pysim.device.identity import Identity
from spikeveil.pysim.device.messages import MessageKind, ResultCode, max_data
from spikeveil.pysim.device.wire import (
    DAMAGED_BITS,
    FLAGS_BITS,
    NONCE_BITS,
    POSITION_BITS,
    QUOTA_BITS,
    ROOM_BITS,
    TAG_BITS,
)
from spikeveil.pysim.model.source import LEASE_BITS

OFFSET_BITS = 8
WORD_BYTES = POSITION_BITS // 8


class FieldOffset(IntEnum):
    """Offsets of the fields of STATUS in one table of bytes.

    Fields of four bytes are at multiples of four, which leaves a gap after the room. OUTPUT uses the same table, with
    its position in place of the quota; its data continue the count.
    """

    KIND = 3
    TAG = KIND + 1
    RESULT = TAG + 1
    FLAGS = RESULT + 1
    LEASE = FLAGS + 1
    NONCE = LEASE + LEASE_BITS // 8
    QUOTA = NONCE + NONCE_BITS // 8
    INPUT_POSITION = QUOTA + QUOTA_BITS // 8
    INPUT_ROOM = INPUT_POSITION + WORD_BYTES
    OUTPUT_POSITION = INPUT_ROOM + WORD_BYTES
    CONFIRMED = OUTPUT_POSITION + WORD_BYTES
    IMAGE_POSITION = CONFIRMED + WORD_BYTES
    DAMAGED = IMAGE_POSITION + WORD_BYTES


ROOM_END = FieldOffset.INPUT_ROOM + ROOM_BITS // 8 - 1
STATUS_END = FieldOffset.DAMAGED + DAMAGED_BITS // 8 - 1
OUTPUT_END = (ROOM_END + max_data(MessageKind.OUTPUT)) % (1 << OFFSET_BITS)


class StatusFields(data.StructLayout):
    """The fields of STATUS, except result and the positions of input and output."""

    def __init__(self) -> None:
        widths = {
            "flags": FLAGS_BITS,
            "lease": LEASE_BITS,
            "nonce": NONCE_BITS,
            "quota": QUOTA_BITS,
            "input_room": ROOM_BITS,
            "image_position": POSITION_BITS,
            "damaged": DAMAGED_BITS,
        }
        super().__init__({name: unsigned(width) for name, width in widths.items()})


class Answer(data.StructLayout):
    """The answer to a request.

    | field | width | meaning |
    |---|---|---|
    | `tag` | 8 | tag of the request |
    | `result` | `ResultCode` | result of the request |
    | `identify` | 1 | answer with IDENTITY, not with STATUS |
    | `optional` | 1 | an OUTPUT may replace the answer |
    """

    def __init__(self) -> None:
        super().__init__(
            {"tag": unsigned(TAG_BITS), "result": ResultCode, "identify": unsigned(1), "optional": unsigned(1)}
        )


class ReplyFields(wiring.Component):
    """Selects the byte at an offset of a body's fields.

    | port | width | direction | meaning |
    |---|---|---|---|
    | `offset` | 8 | in | offset of the byte (`FieldOffset`; of an IDENTITY, its index + `FieldOffset.KIND`) |
    | `output` | 1 | in | the body is an OUTPUT |
    | `answer` | `Answer` | in | otherwise: the answer that the body is |
    | `status` | `StatusFields` | in | fields of STATUS |
    | `latch` | 1 | in | the second cycle of an offset |
    | `shift` | 1 | in | the third cycle of an offset |
    | `byte` | 8 | out | the byte, valid in the third cycle of an offset |
    | `last` | 1 | out | the byte is the last of the body's fields |
    | `positions` | `PositionReadout` | out | reads positions of the outbox |
    | `input_position` | `ByteReadout` | out | reads the input position |

    Everything but `damaged` must be stable while a body is read. Reset clears the byte.
    """

    offset: Signal
    output: Signal
    answer: Any
    status: Any
    latch: Signal
    shift: Signal
    byte: Signal
    last: Signal
    positions: Any
    input_position: Any

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        super().__init__(
            {
                "offset": In(OFFSET_BITS),
                "output": In(1),
                "answer": In(Answer()),
                "status": In(StatusFields()),
                "latch": In(1),
                "shift": In(1),
                "byte": Out(8),
                "last": Out(1),
                "positions": Out(PositionReadout()),
                "input_position": Out(ByteReadout()),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        identity_bytes = [0] * FieldOffset.KIND + list(self.identity.pack(0))
        identify = self.answer.identify & ~self.output
        depth = 1 << (len(identity_bytes) - 1).bit_length()
        rom: Memory = Memory(shape=unsigned(8), depth=depth, init=identity_bytes, attrs={"ram_style": "block"})
        m.submodules.identity = rom
        read = rom.read_port()
        word = self.offset[2:6]
        is_position = Signal()
        is_input_position = Signal()
        written = word == FieldOffset.OUTPUT_POSITION // WORD_BYTES
        confirmed = word == FieldOffset.CONFIRMED // WORD_BYTES
        sent = word == FieldOffset.QUOTA // WORD_BYTES
        status_select = Mux(written, PositionSelect.WRITTEN, PositionSelect.CONFIRMED)
        fields_end = Mux(identify, len(identity_bytes) - 1, Mux(self.output, ROOM_END, STATUS_END))
        m.d.comb += [
            read.addr.eq(self.offset),
            self.last.eq(self.offset == fields_end),
            is_input_position.eq(word == FieldOffset.INPUT_POSITION // WORD_BYTES),
            is_position.eq(Mux(self.output, sent, written | confirmed)),
            self.positions.select.eq(Mux(self.output, PositionSelect.SENT, status_select)),
            self.positions.shift.eq(self.shift & ~identify & is_position),
            self.input_position.shift.eq(self.shift & ~identify & is_input_position),
        ]
        table_byte = Signal(8)
        identity_byte = Signal(8, reset_less=True)  # may be the block RAM's register
        m.d.sync += [table_byte.eq(select_byte(self._table(m), self.offset)), identity_byte.eq(read.data)]
        input_or_table = Mux(is_input_position, self.input_position.byte, table_byte)
        status_byte = Mux(is_position, self.positions.byte, input_or_table)
        m.d.comb += self.byte.eq(Mux(identify & (self.offset != FieldOffset.TAG), identity_byte, status_byte))
        return m

    def _table(self, m: Module) -> list[Value | None]:
        """The bytes by their offsets. `damaged` may count between its two, so the second is latched with the first."""
        status = self.status
        damaged_high = Signal(8)
        with m.If(self.latch):
            m.d.sync += damaged_high.eq(status.damaged[8:])
        fields = {
            FieldOffset.KIND: Mux(self.output, MessageKind.OUTPUT, MessageKind.STATUS),
            FieldOffset.TAG: Mux(self.output, 0, self.answer.tag),
            FieldOffset.RESULT: self.answer.result,
            FieldOffset.FLAGS: status.flags,
            FieldOffset.LEASE: status.lease,
            FieldOffset.NONCE: status.nonce,
            FieldOffset.QUOTA: status.quota,
            FieldOffset.INPUT_ROOM: status.input_room,
            FieldOffset.IMAGE_POSITION: status.image_position,
            FieldOffset.DAMAGED: Cat(status.damaged[:8], damaged_high),
        }
        table: list[Value | None] = [None] * (STATUS_END + 1)
        for start, field in fields.items():
            value = Value.cast(field)
            for index in range(-(-len(value) // 8)):
                table[start + index] = value[8 * index : 8 * index + 8]
        return table


def select_byte(table: Sequence[Value | None], index: Value) -> Value:
    """`table[index]` as a tree of multiplexers; undefined where that is None or beyond the end.

    ValueError where every entry is None.
    """
    while len(table) > 1:
        pairs = zip_longest(table[::2], table[1::2])
        table = [low if high is None else high if low is None else Mux(index[0], high, low) for low, high in pairs]
        index = index[1:]
    (selected,) = table
    if selected is None:
        raise ValueError("table must have at least one entry")
    return selected
