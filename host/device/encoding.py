"""Input steps as the device takes them: on a private device every step of a lease has the same length."""

import numpy as np
from numpy.typing import NDArray

from spikeveil.pysim.device.messages import FIXED_FORMAT, TAGGED_FORMAT
from spikeveil.pysim.device.unpack import bitmaps, events, padded, shortest
from spikeveil.pysim.model.layer import cap_inputs
from spikeveil.pysim.model.spec import NetworkSpec


def encode(
    spikes: NDArray[np.bool_], spec: NetworkSpec, *, private: bool, bitmaps_only: bool = False
) -> tuple[int, bytes]:
    """The format and the bytes of the records (records, steps, inputs).

    private: bitmaps, or as many indices as the first layer's `input_cap`, padded, where those are shorter: the choice
    depends on the specification alone. The spikes beyond the cap, which the core would drop, are left out. Otherwise
    the shorter of all bitmaps and, step by step, the shorter of indices and bitmap. bitmaps_only: the device takes no
    other.
    """
    steps = spikes.reshape(-1, spec.inputs)
    if bitmaps_only:
        return FIXED_FORMAT, bitmaps(steps)
    if private:
        cap = events(spec)
        if cap is None:
            return FIXED_FORMAT, bitmaps(steps)
        return TAGGED_FORMAT, padded(cap_inputs(steps, spec.layers[0].input_cap), cap)
    fixed, tagged = bitmaps(steps), shortest(steps)
    return (TAGGED_FORMAT, tagged) if len(tagged) < len(fixed) else (FIXED_FORMAT, fixed)
