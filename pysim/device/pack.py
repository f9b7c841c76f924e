"""Releases as bytes: what leaves the device. Twin of hdl/device/pack.py."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeveil.pysim.model.neuron import Integers


def release_bytes(outputs: int, bits: int) -> int:
    """Bytes of a release: `outputs` numbers of `bits` bits each, without gaps between them."""
    return -(-outputs * bits // 8)


def pack(releases: "NDArray[np.bool_] | Integers", bits: int) -> bytes:
    """Releases (releases, outputs): spikes or one-hot words where `bits` is 1, else potentials or class numbers.

    Number 0 comes first, least significant bit first, two's complement; the last byte of a release is filled with
    zeros.
    """
    numbers = np.asarray(releases).astype(np.int64)
    planes = (numbers[:, :, None] >> np.arange(bits)) & 1
    flat = planes.reshape(len(numbers), bits * numbers.shape[1]).astype(np.bool_)
    return np.packbits(flat, axis=1, bitorder="little").tobytes()


def unpack(content: bytes, outputs: int, bits: int, *, signed: bool = False) -> NDArray[Any]:
    """What `content` (whole releases) holds: (releases, outputs), bool where `bits` is 1, else int32.

    signed: the numbers are two's complement potentials; those keep int32 also where they have one bit.
    """
    size = release_bytes(outputs, bits)
    if len(content) % size:
        raise ValueError(f"output must be whole releases of {size} bytes, not {len(content)} bytes")
    rows = np.frombuffer(content, np.uint8).reshape(-1, size)
    planes = np.unpackbits(rows, axis=1, count=outputs * bits, bitorder="little").reshape(-1, outputs, bits)
    if bits == 1 and not signed:
        return planes[:, :, 0].astype(np.bool_)
    weights = 1 << np.arange(bits, dtype=np.int64)
    weights[-1] *= -1 if signed else 1
    return (planes @ weights).astype(np.int32)
