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
    | `record_steps` | steps of a record; under a decision those of the specification |
    """

    def __init__(self, spec: NetworkSpec, source: WordSource, lease: int, record_steps: int) -> None:
        self._network = Network(spec, source if spec.randomised else None)
        self._lease = lease
        self._record_steps = record_steps
        self._record = 0
        self._partial = np.zeros((0, spec.inputs), np.bool_)  # the steps of the incomplete record

    def feed(self, steps: NDArray[np.bool_]) -> NDArray[np.int64]:
        """The output of the next steps (steps, inputs): (releases, numbers) released spikes, potentials or decisions.

        A step is a release; under a decision a record is, when its last step is fed.
        """
        decision, partial_steps = self._network.spec.decision, len(self._partial)
        joined = np.concatenate([self._partial, steps])
        complete, remainder = divmod(len(joined), self._record_steps)
        count = complete if decision is not None else complete + (remainder > 0)
        records = np.zeros((count, self._record_steps, joined.shape[1]), np.bool_)
        fed = joined[: count * self._record_steps]
        records.reshape(-1, joined.shape[1])[: len(fed)] = fed
        result = self._network.run(records, lease=self._lease, first_record=self._record)
        self._record += complete
        self._partial = joined[len(joined) - remainder :]
        if decision is not None:
            return np.asarray(result.decisions, np.int64).reshape(-1, decision.output_neurons)
        rows = result.readout if result.released is None else result.released
        return np.asarray(rows, np.int64).reshape(-1, self._network.spec.outputs)[partial_steps : len(joined)]

    def steps_for(self, releases: int) -> int:
        """Steps that complete this many more releases."""
        if self._network.spec.decision is None:
            return releases
        return max(0, releases * self._record_steps - len(self._partial))
