"""STATUS: the answer with the result of a request and the state of the device. Twin of hdl/device/reply_fields.py."""

from dataclasses import asdict, dataclass
from typing import Self

from spikeveil.pysim.device.messages import Message, MessageKind, ResultCode, StatusFlag, pack


@dataclass(frozen=True)
class Status:
    """The fields of a STATUS.

    | field | meaning |
    |---|---|
    | `result` | result of the request with the same tag |
    | `flags` | lease open, weights loaded, slot missed |
    | `lease`, `nonce` | the highest lease number since power-on and its nonce |
    | `quota` | steps that may still leave |
    | `input_position`, `input_room` | input bytes accepted; input bytes that fit now |
    | `output_position`, `confirmed` | output bytes that have left the guard; those that the host has confirmed |
    | `image_position` | image bytes accepted |
    | `damaged` | frames dropped since power-on |
    """

    result: ResultCode
    flags: StatusFlag
    lease: int
    nonce: int
    quota: int
    input_position: int
    input_room: int
    output_position: int
    confirmed: int
    image_position: int
    damaged: int

    @classmethod
    def from_message(cls, message: Message) -> Self:
        """Unpack a STATUS."""
        values = {
            **message.values,
            "result": ResultCode(message["result"]),
            "flags": StatusFlag(message["flags"]),
        }
        return cls(**values)

    def pack(self, tag: int) -> bytes:
        """The body of the STATUS that answers the request with this tag."""
        return pack(MessageKind.STATUS, tag, **asdict(self))
