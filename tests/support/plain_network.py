"""The network's equations in plain Python integers, one neuron and one synapse at a time: a second formulation."""

from fractions import Fraction
from math import floor

import numpy as np

from spikeveil.pysim import LayerSpec, Leak


def _leaked(v: int, leak: Leak, factor: int) -> int:
    """Floor division in place of shifts."""
    half = Fraction(1, 2) if leak.rounding == "nearest" else 0
    if leak.kind == "shift":
        return v - floor(Fraction(v, 2**leak.shift_by) + half)
    return floor(Fraction(v * factor, 2**leak.shift_by) + half) if leak.kind == "scale" else v


def _after_spike(spec: LayerSpec, n: int) -> int:
    return 0 if spec.reset_potential is None else int(spec.reset_potential[n])


def one_layer(spec: LayerSpec, record: list[list[int]]) -> tuple[list[list[int]], list[list[int]], list[list[int]]]:
    """Raw spikes, spikes within the limits and potentials of one record: one neuron, one synapse at a time."""
    low, high = -(2 ** (spec.state_bits - 1)), 2 ** (spec.state_bits - 1) - 1
    weights = spec.weights.tolist()
    bias = [0] * spec.neurons if spec.bias is None else spec.bias.tolist()
    thresholds = None if spec.threshold is None else np.broadcast_to(spec.threshold, spec.neurons).tolist()
    factors = [spec.leak.factor] * spec.neurons if spec.leak_factors is None else spec.leak_factors.tolist()
    v = [0] * spec.neurons if spec.initial is None else spec.initial.tolist()
    raws, limiteds, potentials = [], [], []
    in_record = spec.neurons * len(record) if spec.spike_limit is None else spec.spike_limit
    for step in record:
        active = [i for i, x in enumerate(step) if x][: spec.input_cap]
        raw, limited = [0] * spec.neurons, [0] * spec.neurons
        in_step = spec.neurons if spec.step_spike_limit is None else spec.step_spike_limit
        for n in range(spec.neurons):
            u = _leaked(v[n], spec.leak, factors[n]) + bias[n]
            for i in active:
                u += weights[n][i] * 2**spec.fraction_bits
            if thresholds is not None and u >= thresholds[n]:
                raw[n] = 1
                u = u - thresholds[n] if spec.reset == "subtract" else _after_spike(spec, n)
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
