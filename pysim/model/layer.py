"""One layer over whole records: the golden model of `hdl/engine/layer.py`."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from spikeveil.pysim.model import neuron
from spikeveil.pysim.model.layer_spec import LayerSpec

_EXACT_FLOAT32 = 1 << 24  # every integer below this magnitude is a float32
BLOCK_BYTES = 1 << 22  # of spikes and currents computed at once, so that they stay in the caches


def cap_inputs(spikes: NDArray[np.bool_], cap: int | None) -> NDArray[np.bool_]:
    """The input spikes (..., inputs) that count: of each step the first `cap` by index, or all where `cap` is None."""
    if cap is None:
        return spikes
    return spikes & (np.cumsum(spikes, axis=-1, dtype=np.int32) <= cap)


def current(spikes: NDArray[np.bool_], spec: LayerSpec) -> neuron.Integers:
    """The input current W x * 2^fraction_bits + bias, exact: (..., inputs) to (..., neurons).

    A floating-point matrix product of integers is exact while every partial sum stays below 2^24 (float32)
    or 2^53 (float64), in whatever order they are added.
    """
    low, high = spec.current_range
    exact = np.float32 if max(-low, high) < _EXACT_FLOAT32 else np.float64
    total: neuron.Integers = (spikes.astype(exact) @ spec.weights.T.astype(exact)).astype(neuron.state_dtype(spec))
    if spec.fraction_bits:
        total <<= spec.fraction_bits
    return total if spec.bias is None else total + spec.bias.astype(total.dtype)


def bound_contribution(
    spikes: NDArray[np.bool_], record_spikes: NDArray[np.int64], spec: LayerSpec
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Suppress the spikes of one step that exceed the spike limits.

    `spikes`: (records, neurons). `record_spikes`: (records,), those of each record that passed in earlier steps.
    Returns the spikes that pass, and `record_spikes` with them added.
    """
    if spec.spike_limit is None and spec.step_spike_limit is None:
        return spikes, record_spikes
    allowance = np.full_like(record_spikes, spec.neurons)
    if spec.spike_limit is not None:
        allowance = spec.spike_limit - record_spikes
    if spec.step_spike_limit is not None:
        allowance = np.minimum(allowance, spec.step_spike_limit)
    passed = spikes & (np.cumsum(spikes, axis=1) <= allowance[:, None])
    return passed, record_spikes + passed.sum(axis=1)


class LayerTrace:
    """The inner signals of one run of a layer, each (records, steps, neurons)."""

    def __init__(self, spec: LayerSpec, records: int, steps: int) -> None:
        shape = (steps, records, spec.neurons)  # a step at a time is contiguous while it is computed
        limited = spec.spike_limit is not None or spec.step_spike_limit is not None
        self._raw = np.zeros(shape, np.bool_)
        self._limited = np.zeros(shape, np.bool_) if limited else self._raw
        self._potentials = np.zeros(shape, neuron.state_dtype(spec))

    def put(self, t: int, raw: NDArray[np.bool_], limited: NDArray[np.bool_], potentials: neuron.Integers) -> None:
        """Record step `t`, each array (records, neurons)."""
        self._raw[t], self._potentials[t] = raw, potentials
        if self._limited is not self._raw:
            self._limited[t] = limited

    @property
    def raw(self) -> NDArray[np.bool_]:
        """The raw spikes s."""
        return np.moveaxis(self._raw, 0, 1)

    @property
    def limited(self) -> NDArray[np.bool_]:
        """The spikes within the spike limits, which reach the flipper."""
        return np.moveaxis(self._limited, 0, 1)

    @property
    def potentials(self) -> neuron.Integers:
        """The potentials v', after reset and saturation."""
        return np.moveaxis(self._potentials, 0, 1)


def run(spikes: NDArray[np.bool_], spec: LayerSpec) -> LayerTrace:
    """Run the layer on input spikes (records, steps, inputs), every record from the initial potentials."""
    records, steps, _ = spikes.shape
    trace = LayerTrace(spec, records, steps)
    v = neuron.initial(records, spec)
    record_spikes = np.zeros(records, np.int64)
    for t, total in enumerate(_currents(spikes, spec)):
        raw, v = neuron.step(v, total, spec)
        limited, record_spikes = bound_contribution(raw, record_spikes, spec)
        trace.put(t, raw, limited, v)
    return trace


def _currents(spikes: NDArray[np.bool_], spec: LayerSpec) -> Iterator[neuron.Integers]:
    """The current of each step, (records, neurons), computed for several steps in one matrix product."""
    records, steps, inputs = spikes.shape
    block = max(1, BLOCK_BYTES // max(1, 4 * records * (inputs + spec.neurons)))
    for start in range(0, steps, block):
        yield from current(cap_inputs(np.moveaxis(spikes[:, start : start + block], 1, 0), spec.input_cap), spec)
