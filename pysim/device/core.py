"""The network under one lease, fed with steps as they come. Twin of what hdl/device/core.py puts behind the guard."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spikeveil.pysim.device.messages import SEED_BYTES, turned
from spikeveil.pysim.model.lfsr import PERIOD
from spikeveil.pysim.model.network import Network
from spikeveil.pysim.model.source import LfsrSource, TriviumSource, WordSource
from spikeveil.pysim.model.spec import NetworkSpec


class Seeds(LfsrSource):
    """Seeds as the device takes them: it does not compare them with one another."""

    def __init__(self, seeds: Sequence[int]) -> None:
        self._seeds = tuple(seeds)


def words(secret: bytes, *, lfsr: bool) -> WordSource:
    """The source that the secret of an OPEN starts, as the guard let it through."""
    if not lfsr:
        return TriviumSource(turned(secret))
    parts = (secret[at : at + SEED_BYTES] for at in range(0, len(secret), SEED_BYTES))
    return Seeds([int.from_bytes(part, "little") & PERIOD for part in parts])


class Run:
    """The golden model on the steps of one lease, of which every `record_steps` are a record."""

    def __init__(self, spec: NetworkSpec, source: WordSource, lease: int, record_steps: int) -> None:
        self._network = Network(spec, source if spec.flipped else None)
        self._lease, self._steps, self._record = lease, record_steps, 0
        self._begun = np.zeros((0, spec.inputs), np.bool_)  # the steps of a record that is not whole

    def feed(self, steps: NDArray[np.bool_]) -> NDArray[np.int64]:
        """What leaves for the next steps (steps, inputs): (steps, outputs) spikes or potentials."""
        before, every = len(self._begun), np.concatenate([self._begun, steps])
        whole, rest = divmod(len(every), self._steps)
        records = np.zeros((whole + (rest > 0), self._steps, every.shape[1]), np.bool_)
        records.reshape(-1, every.shape[1])[: len(every)] = every
        result = self._network.run(records, lease=self._lease, first_record=self._record)
        rows = result.readout if result.released is None else result.released
        self._record, self._begun = self._record + whole, every[len(every) - rest :]
        return np.asarray(rows, np.int64).reshape(-1, self._network.spec.outputs)[before : len(every)]
