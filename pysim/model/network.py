"""The golden model of a whole network (`hdl/engine/network.py`)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikeveil.pysim.model import checks, layer
from spikeveil.pysim.model.flipper import release
from spikeveil.pysim.model.neuron import Integers
from spikeveil.pysim.model.source import WordSource
from spikeveil.pysim.model.spec import NetworkSpec


@dataclass(frozen=True)
class Result:
    """The result of one run. Every array is (records, steps, neurons).

    ============  ====================  =====================================================================
    field         type                  meaning
    ============  ====================  =====================================================================
    `released`    bool array or None    spikes of the last layer after its flipper; None where it is a readout
    `readout`     integers or None      potentials of the last layer after each step; None where it fires
    `raw`         a bool array a layer  raw spikes
    `limited`     a bool array a layer  raw spikes within the spike limits
    `sent`        a bool array a layer  spikes after the flipper: the inputs of the next layer
    `potentials`  integers a layer      potentials after reset and saturation
    ============  ====================  =====================================================================

    `raw`, `limited`, `sent` and `potentials` are for debugging: a private chip never releases them.
    """

    released: NDArray[np.bool_] | None
    readout: Integers | None
    raw: tuple[NDArray[np.bool_], ...]
    limited: tuple[NDArray[np.bool_], ...]
    sent: tuple[NDArray[np.bool_], ...]
    potentials: tuple[Integers, ...]


class Network:
    """The golden model of `spec`; `source` serves its flippers, and may be None where no layer has one.

    Raises ValueError where `source` is missing or does not fit the number of flippers.
    """

    def __init__(self, spec: NetworkSpec, source: WordSource | None = None) -> None:
        if not isinstance(spec, NetworkSpec):
            raise ValueError(f"network spec must be a NetworkSpec, not {spec!r}")
        if source is None and spec.flipped:
            raise ValueError(f"network source must be given for the {len(spec.flipped)} flipped layers, not None")
        if source is not None:
            source.require(len(spec.flipped))
        self.spec, self.source = spec, source

    def run(self, spikes: ArrayLike, *, lease: int | None = None, first_record: int = 0) -> Result:
        """Run records of input spikes (records, steps, inputs), values 0 and 1, bool or any integer type.

        Record i runs as record `first_record + i` of `lease`; potentials start at zero in each. The same
        arguments give the same masks. The model does not prevent a second use of a lease: the ledger and the device do.
        """
        x = checks.spikes(spikes, self.spec.inputs)
        gathered: dict[str, list[Any]] = {"raw": [], "limited": [], "sent": [], "potentials": []}
        for index, spec in enumerate(self.spec.layers):
            trace = layer.run(x, spec)
            x = trace.limited if spec.flip is None else self._flip(index, trace.limited, lease, first_record)
            for name, array in zip(gathered, (trace.raw, trace.limited, x, trace.potentials), strict=True):
                gathered[name].append(array)
        fires = not self.spec.layers[-1].readout
        return Result(
            released=np.ascontiguousarray(x) if fires else None,
            readout=None if fires else np.ascontiguousarray(gathered["potentials"][-1]),
            **{name: tuple(arrays) for name, arrays in gathered.items()},
        )

    def _flip(self, index: int, spikes: NDArray[np.bool_], lease: int | None, first_record: int) -> NDArray[np.bool_]:
        flip = self.spec.layers[index].flip
        if flip is None or self.source is None:
            raise RuntimeError(f"layer {index} has no flipper")
        if lease is None:
            raise ValueError(f"run lease must be given for a network with a flipper (layer {index}), not None")
        records, steps, neurons = spikes.shape
        masks = self.source.masks(
            flip,
            flipper=self.spec.flipped.index(index),
            layer=index,
            lease=lease,
            first_record=first_record,
            records=records,
            count=steps * neurons,
        )
        return release(spikes, masks.reshape(spikes.shape))
