"""A simulation job as data, for every engine: the ports of a lease, the player's stimulus and its response."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeveil.hdl.engine.plan import INPUT_LANES, Plan
from spikeveil.hdl.engine.player import row_bits
from spikeveil.pysim.model.decision import RandomisedDecision
from spikeveil.pysim.model.lfsr import SEED_BITS


@dataclass(frozen=True)
class LeasePorts:
    """The values of the ports that open a lease; a network uses those of its source.

    | field | value | meaning |
    |---|---|---|
    | `number` | 0 to 2^40 - 1 | lease number |
    | `record` | 0 to 2^32 - 1 | number of the first record |
    | `key` | 0 to 2^80 - 1 | key of source `trivium`, as `port_value` gives it |
    | `seeds` | 1 to 2^127 - 1, a flipper | seeds of source `lfsr` |
    """

    number: int = 0
    record: int = 0
    key: int = field(default=0, repr=False)
    seeds: tuple[int, ...] = field(default=(), repr=False)

    def ports(self) -> dict[str, int]:
        """Values by port name."""
        seeds = sum(seed << (SEED_BITS * index) for index, seed in enumerate(self.seeds))
        return {"lease": self.number, "record": self.record, "key": self.key, "seeds": seeds}


@dataclass(frozen=True)
class SimulationResult:
    """The result of a simulation.

    | field | type | meaning |
    |---|---|---|
    | `released` | bool or int64 | (records, steps, neurons): released spikes, or a readout's potentials |
    | `stamps` | int64 | (records,): the clock cycle in which the last row of a record left |
    | `cycles` | int | clock cycles simulated |
    | `seconds` | float | wall time of the simulation |
    """

    released: NDArray[Any]
    stamps: NDArray[np.int64]
    cycles: int
    seconds: float

    @property
    def cycles_per_record(self) -> float:
        """Mean clock cycles from one record's last row to the next one's; of a single record, up to its last row."""
        return float(np.diff(self.stamps).mean()) if len(self.stamps) > 1 else float(self.stamps[0])


def stimulus(spikes: NDArray[np.bool_]) -> list[int]:
    """Each record of (records, steps, inputs) as the integer that the player's `stimulus` takes."""
    records, steps, inputs = spikes.shape
    padded = np.zeros((records, steps, -(-inputs // INPUT_LANES) * INPUT_LANES), np.bool_)
    padded[:, :, :inputs] = spikes
    packed = np.packbits(padded.reshape(records, -1), axis=1, bitorder="little")
    return [int.from_bytes(record.tobytes(), "little") for record in packed]


def response(values: list[int], plan: Plan, max_steps: int, steps: int) -> NDArray[Any]:
    """The player's `response` integers as (records, steps, neurons) spikes or potentials."""
    if plan.spec.decision is not None:
        return _decisions(values, plan.spec.decision, max_steps, row_bits(plan))
    width, last = row_bits(plan) * plan.o_rows, plan.spec.layers[-1]
    size = -(-max_steps * width // 8)
    bits = np.array([np.frombuffer(value.to_bytes(size, "little"), np.uint8) for value in values])
    flat = np.unpackbits(bits, axis=1, bitorder="little")[:, (max_steps - steps) * width : max_steps * width]
    if not last.readout:
        return flat.reshape(len(values), steps, -1)[:, :, : last.neurons].astype(np.bool_)
    fields = flat.reshape(len(values), steps, -1, last.state_bits)[:, :, : last.neurons].astype(np.int64)
    weights = np.int64(1) << np.arange(last.state_bits, dtype=np.int64)
    weights[-1] = -weights[-1]
    potentials: NDArray[np.int64] = fields @ weights
    return potentials


def _decisions(values: list[int], decision: RandomisedDecision, max_steps: int, width: int) -> NDArray[Any]:
    """Class numbers or one-hot words, from the only row of each record, which the player puts in the high bits."""
    rows = [value >> (max_steps - 1) * width for value in values]
    if decision.output_bits > 1 or decision.output_neurons == 1:
        return np.array(rows, np.int64)
    return np.array([[row >> number & 1 for number in range(decision.output_neurons)] for row in rows], np.bool_)
