"""Encodes input steps for a device. On a private device every step of a lease has the same length."""

import numpy as np
from numpy.typing import NDArray

from spikeveil.pysim.device.unpack import bitmaps, fixed_indices, indices_are_shorter, padded, shortest
from spikeveil.pysim.device.wire import FIXED_FORMAT, TAGGED_FORMAT
from spikeveil.pysim.model.layer import cap_inputs
from spikeveil.pysim.model.spec import NetworkSpec


def encode_input(
    spikes: NDArray[np.bool_], spec: NetworkSpec, *, private: bool, bitmaps_only: bool = False
) -> tuple[int, bytes]:
    """The format number of OPEN, and the bytes of the records (records, steps, inputs) in that format.

    | device | encoding |
    |---|---|
    | `bitmaps_only` | bitmaps |
    | `private` | bitmaps, or where that is shorter, `input_cap` indices a step, padded |
    | otherwise | bitmaps, or for each step the shorter of indices and bitmap: whichever is less in total |

    On a private device the spikes beyond the cap are left out, by the same rule by which the core drops them.
    """
    steps = spikes.reshape(-1, spec.inputs)
    if bitmaps_only:
        return FIXED_FORMAT, bitmaps(steps)
    if private:
        if not indices_are_shorter(spec):
            return FIXED_FORMAT, bitmaps(steps)
        return TAGGED_FORMAT, padded(cap_inputs(steps, spec.layers[0].input_cap), fixed_indices(spec))
    fixed, tagged = bitmaps(steps), shortest(steps)
    return (TAGGED_FORMAT, tagged) if len(tagged) < len(fixed) else (FIXED_FORMAT, fixed)
