"""The network under one lease, fed with steps as they arrive. Twin of the network in hdl/device/core.py."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spikeveil.pysim.device.messages import reverse_key
from spikeveil.pysim.device.wire import SEED_BYTES
from spikeveil.pysim.model.lfsr import PERIOD
from spikeveil.pysim.model.network import Network
from spikeveil.pysim.model.source import LfsrSource, TriviumSource, WordSource
from spikeveil.pysim.model.spec import NetworkSpec


class UncheckedSeeds(LfsrSource):
    """LFSR seeds as the device accepts them: equal ones are not refused."""

    def __init__(self, seeds: Sequence[int]) -> None:
        self._seeds = tuple(seeds)


def word_source(secret: bytes, *, lfsr: bool) -> WordSource:
    """The word source that is started with the secret of an OPEN; the guard has checked the secret."""
    if not lfsr:
        return TriviumSource(reverse_key(secret))
    seeds = (secret[start : start + SEED_BYTES] for start in range(0, len(secret), SEED_BYTES))
    return UncheckedSeeds([int.from_bytes(seed, "little") & PERIOD for seed in seeds])


class LeaseRun:
    """The golden model on the steps of one lease.

    | argument | meaning |
    |---|---|
    | `spec` | the network |
    | `source` | the word source of the lease |
    | `lease` | its number |
    | `record_steps` | steps of a record |
    """

    def __init__(self, spec: NetworkSpec, source: WordSource, lease: int, record_steps: int) -> None:
        self._network = Network(spec, source if spec.flipped else None)
        self._lease = lease
        self._record_steps = record_steps
        self._record = 0
        self._partial = np.zeros((0, spec.inputs), np.bool_)  # the steps of the incomplete record

    def feed(self, steps: NDArray[np.bool_]) -> NDArray[np.int64]:
        """The output of the next steps (steps, inputs): (steps, outputs) released spikes or potentials."""
        partial_steps = len(self._partial)
        joined = np.concatenate([self._partial, steps])
        complete, remainder = divmod(len(joined), self._record_steps)
        records = np.zeros((complete + (remainder > 0), self._record_steps, joined.shape[1]), np.bool_)
        records.reshape(-1, joined.shape[1])[: len(joined)] = joined
        result = self._network.run(records, lease=self._lease, first_record=self._record)
        rows = result.readout if result.released is None else result.released
        self._record += complete
        self._partial = joined[len(joined) - remainder :]
        return np.asarray(rows, np.int64).reshape(-1, self._network.spec.outputs)[partial_steps : len(joined)]
