"""Output steps as bytes: what leaves the device. Twin of hdl/device/pack.py."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeveil.pysim.model.neuron import Integers


def step_bytes(outputs: int, bits: int) -> int:
    """Bytes of an output step: `outputs` neurons of `bits` bits each, without gaps between them."""
    return -(-outputs * bits // 8)


def pack(steps: "NDArray[np.bool_] | Integers", bits: int) -> bytes:
    """Steps (steps, outputs): spikes where `bits` is 1, else two's complement potentials of `bits` bits.

    Neuron 0 comes first, least significant bit first; the last byte of a step is filled with zeros.
    """
    numbers = np.asarray(steps).astype(np.int64)
    planes = (numbers[:, :, None] >> np.arange(bits)) & 1
    return np.packbits(planes.reshape(len(numbers), -1).astype(np.bool_), axis=1, bitorder="little").tobytes()


def unpack(content: bytes, outputs: int, bits: int, *, signed: bool = False) -> NDArray[Any]:
    """The steps that `content` (whole steps) holds: (steps, outputs), bool where `bits` is 1, else int32.

    signed: the numbers are two's complement potentials; those keep int32 also where they have one bit.
    """
    size = step_bytes(outputs, bits)
    if len(content) % size:
        raise ValueError(f"output must be whole steps of {size} bytes, not {len(content)} bytes")
    rows = np.frombuffer(content, np.uint8).reshape(-1, size)
    planes = np.unpackbits(rows, axis=1, count=outputs * bits, bitorder="little").reshape(-1, outputs, bits)
    if not signed:
        return planes[:, :, 0].astype(np.bool_)
    weights = 1 << np.arange(bits, dtype=np.int64)
    weights[-1] = -weights[-1]
    return (planes @ weights).astype(np.int32)
