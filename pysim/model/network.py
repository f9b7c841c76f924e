"""The golden model of a whole network (`hdl/engine/network.py`)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikeveil.pysim.model import checks, layer
from spikeveil.pysim.model.decision import RandomisedDecision, winners_by_potential, winners_by_spikes
from spikeveil.pysim.model.flipper import release
from spikeveil.pysim.model.neuron import Integers
from spikeveil.pysim.model.source import WordSource
from spikeveil.pysim.model.spec import NetworkSpec


@dataclass(frozen=True)
class Result:
    """The result of one run. Every array is (records, steps, neurons).

    | field | type | meaning |
    |---|---|---|
    | `released` | bool array or None | spikes of the last layer after its flipper; None where it is a readout |
    | `readout` | integers or None | potentials of the last layer after each step; None where it fires |
    | `raw` | a bool array a layer | raw spikes |
    | `limited` | a bool array a layer | raw spikes within the spike limits |
    | `sent` | a bool array a layer | spikes after the flipper: the inputs of the next layer |
    | `potentials` | integers a layer | potentials after reset and saturation |
    | `decisions` | array or None | class numbers (records,), int64, or one-hot words (records, classes), bool |
    | `winners` | integers or None | under a decision, the winning class of each record (records,) |

    `raw`, `limited`, `sent`, `potentials` and `winners` are for debugging: a private chip never releases them.
    """

    released: NDArray[np.bool_] | None
    readout: Integers | None
    raw: tuple[NDArray[np.bool_], ...]
    limited: tuple[NDArray[np.bool_], ...]
    sent: tuple[NDArray[np.bool_], ...]
    potentials: tuple[Integers, ...]
    decisions: NDArray[Any] | None = None
    winners: NDArray[np.int64] | None = None


class Network:
    """The golden model of `spec`; `source` serves its flippers and its decision, and may be None where it has none.

    Raises ValueError where `source` is missing or does not fit the number of randomised layers.
    """

    def __init__(self, spec: NetworkSpec, source: WordSource | None = None) -> None:
        if not isinstance(spec, NetworkSpec):
            raise ValueError(f"network spec must be a NetworkSpec, not {spec!r}")
        if source is None and spec.randomised:
            raise ValueError(f"network source must be given for the {len(spec.randomised)} randomised layers, not None")
        if source is not None:
            source.require(len(spec.randomised))
        self.spec, self.source = spec, source

    def run(self, spikes: ArrayLike, *, lease: int | None = None, first_record: int = 0) -> Result:
        """Run records of input spikes (records, steps, inputs), values 0 and 1, bool or any integer type.

        Record i runs as record `first_record + i` of `lease`, from the initial potentials. The same
        arguments give the same masks. The model does not prevent a second use of a lease: the ledger and the device do.
        """
        x = checks.spikes(spikes, self.spec.inputs)
        if self.spec.steps is not None and x.shape[1] != self.spec.steps:
            raise ValueError(f"run steps must be the {self.spec.steps} of the network's records, not {x.shape[1]}")
        layer_arrays: dict[str, list[Any]] = {"raw": [], "limited": [], "sent": [], "potentials": []}
        for index, spec in enumerate(self.spec.layers):
            trace = layer.run(x, spec)
            x = trace.limited if spec.flip is None else self._flip(index, trace.limited, lease, first_record)
            for name, array in zip(layer_arrays, (trace.raw, trace.limited, x, trace.potentials), strict=True):
                layer_arrays[name].append(array)
        arrays: dict[str, Any] = {name: tuple(layers) for name, layers in layer_arrays.items()}
        if self.spec.decision is not None:
            winners = self._winners(self.spec.decision, arrays["raw"][-1], arrays["potentials"][-1])
            decisions = self._decide(self.spec.decision, winners, lease, first_record)
            return Result(released=None, readout=None, **arrays, decisions=decisions, winners=winners)
        fires = not self.spec.layers[-1].readout
        return Result(
            released=np.ascontiguousarray(x) if fires else None,
            readout=None if fires else np.ascontiguousarray(arrays["potentials"][-1]),
            **arrays,
        )

    def _winners(self, decision: RandomisedDecision, raw: NDArray[np.bool_], potentials: Integers) -> NDArray[np.int64]:
        """The winning class of each record (records,)."""
        if self.spec.layers[-1].readout:
            return winners_by_potential(potentials, decision.by)
        return winners_by_spikes(raw, decision.classes)

    def _decide(
        self, decision: RandomisedDecision, winners: NDArray[np.int64], lease: int | None, first_record: int
    ) -> NDArray[Any]:
        """The winners, randomised by the word source of the last layer's index."""
        if self.source is None:
            raise RuntimeError("the decision has no word source")
        if lease is None:
            raise ValueError("run lease must be given for a network with a decision, not None")
        words = self.source.words_in_parallel(
            decision.bits,
            flipper=len(self.spec.flipped),
            layer=len(self.spec.layers) - 1,
            lease=lease,
            first_record=first_record,
            records=len(winners),
            count=decision.draws,
        )
        return decision.release(winners, words)

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
