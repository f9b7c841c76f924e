"""Loads the image of a network that is built as loadable. Twin of hdl/device/loader.py."""

import zlib

from spikeveil.pysim.device.identity import Identity
from spikeveil.pysim.device.messages import ResultCode, Trait
from spikeveil.pysim.model import image
from spikeveil.pysim.model.spec import NetworkSpec


class Loader:
    """The image of a device built from `spec`; `network` is what the device computes, None without a sealed image."""

    def __init__(self, spec: NetworkSpec, identity: Identity) -> None:
        self._spec = spec
        self._identity = identity
        self._content = bytearray()
        self.network = None if Trait.LOADABLE in identity.flags else spec

    @property
    def position(self) -> int:
        """Image bytes accepted."""
        return len(self._content)

    def load(self, position: int, piece: bytes) -> ResultCode:
        """Append a piece that begins at `position`; position 0 discards the image before."""
        if position not in (0, self.position):
            return ResultCode.GAP
        if position + len(piece) > self._identity.image:
            return ResultCode.FULL
        if position == 0:
            self._content.clear()
            self.network = None
        self._content += piece
        return ResultCode.OK

    def seal(self, length: int, crc: int) -> ResultCode:
        """Complete the image where its length and CRC-32 are the stated ones; otherwise the device is unloaded."""
        content = bytes(self._content)
        stated = (length, crc) == (self._identity.image, zlib.crc32(content))
        complete = stated and len(content) == self._identity.image
        self.network = image.from_bytes(self._spec, self._identity.layers, content) if complete else None
        return ResultCode.OK if complete else ResultCode.MISMATCH
