"""The network's equations in plain Python integers, one neuron and one synapse at a time: a second formulation."""

import numpy as np

from spikeveil.pysim import LayerSpec, Leak


def _leaked(v: int, leak: Leak) -> int:
    """Floor division in place of shifts."""
    if leak.kind == "shift":
        return v - v // 2**leak.shift_by
    return v * leak.factor // 2**leak.shift_by if leak.kind == "scale" else v


def one_layer(spec: LayerSpec, record: list[list[int]]) -> tuple[list[list[int]], list[list[int]], list[list[int]]]:
    """Raw spikes, spikes within the limits and potentials of one record: one neuron, one synapse at a time."""
    low, high = -(2 ** (spec.state_bits - 1)), 2 ** (spec.state_bits - 1) - 1
    weights = spec.weights.tolist()
    bias = [0] * spec.neurons if spec.bias is None else spec.bias.tolist()
    thresholds = None if spec.threshold is None else np.broadcast_to(spec.threshold, spec.neurons).tolist()
    v = [0] * spec.neurons
    raws, limiteds, potentials = [], [], []
    in_record = spec.neurons * len(record) if spec.spike_limit is None else spec.spike_limit
    for step in record:
        active = [i for i, x in enumerate(step) if x][: spec.input_cap]
        raw, limited = [0] * spec.neurons, [0] * spec.neurons
        in_step = spec.neurons if spec.step_spike_limit is None else spec.step_spike_limit
        for n in range(spec.neurons):
            u = _leaked(v[n], spec.leak) + bias[n]
            for i in active:
                u += weights[n][i]
            if thresholds is not None and u >= thresholds[n]:
                raw[n] = 1
                u = 0 if spec.reset == "zero" else u - thresholds[n]
                if in_record and in_step:
                    limited[n], in_record, in_step = 1, in_record - 1, in_step - 1
            v[n] = min(max(u, low), high)
        raws.append(raw)
        limiteds.append(limited)
        potentials.append(list(v))
    return raws, limiteds, potentials


def flipped(spec: LayerSpec, spikes: list[list[int]], words: list[int]) -> list[list[int]]:
    """Word j = t*N + n of the record decides neuron n of step t."""
    if spec.flip is None:
        return spikes
    return [
        [s ^ (words[t * spec.neurons + n] < spec.flip.threshold) for n, s in enumerate(step)]
        for t, step in enumerate(spikes)
    ]
