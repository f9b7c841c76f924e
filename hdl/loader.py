"""Loads an image: weights, biases and thresholds of a network whose memories can be written. See pysim/image.py."""

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from spikeveil.hdl.plan import Plan


class Loader(wiring.Component):
    """Takes the bytes of an image in order, writes the memories' words through `load`, and says whether all is there.

    - `i`: takes a byte in every cycle. Bytes that come while `locked` is high, or beyond the image's end, are dropped.
    - `clear` (one cycle, not while `locked`): begin anew; `loaded` falls.
    - `seal` (one cycle, not while `locked`): `loaded` is, from the next cycle on, whether all bytes came, and as many
      as `length` says, with the CRC-32 `crc`.
    - `position`: bytes taken.

    Reset begins anew. Nothing reads the memories back.
    """

    i: stream.Interface
    locked: Signal
    clear: Signal
    seal: Signal
    length: Signal
    crc: Signal
    position: Signal
    loaded: Signal
    load: Any

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        super().__init__(
            {
                "i": In(stream.Signature(8)),
                "locked": In(1),
                "clear": In(1),
                "seal": In(1),
                "length": In(32),
                "crc": In(32),
                "position": Out(32),
                "loaded": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        return Module()
