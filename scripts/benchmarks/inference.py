"""Network inference, 784-256-10 over 16 steps, 1000 records: the golden model beside snnTorch and bare products.

All three have the same number of threads: one, then one a core. The input is random spikes at a rate of 15 %. Model and
snnTorch run the same integer weights, threshold and leak, and return the output layer's spikes (snnTorch resets one
step later, its default); the bare products are the two float32 matrix products that both need, and nothing else. The
ratio to them is therefore a ceiling: what they take, a faster model would take too.
"""

import os
from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from benchmarks import Row, in_turn
from spikeveil.pysim import LayerSpec, Leak, Network, NetworkSpec

RECORDS, STEPS, SIZES = 1000, 16, (784, 256, 10)
RATE = 0.15
THRESHOLD = 300


def network(generator: np.random.Generator) -> NetworkSpec:
    """Random 8-bit weights under which hidden and output neurons fire in a part of the steps."""
    return NetworkSpec(
        [
            LayerSpec(generator.integers(-44, 44, (after, before)), THRESHOLD, Leak.shift(3), "subtract")
            for before, after in pairwise(SIZES)
        ]
    )


def in_snntorch(spec: NetworkSpec, spikes: NDArray[np.bool_]) -> Callable[[], object]:
    """The network as snnTorch's users write it: nn.Linear and Leaky, a loop over the steps, no gradients."""
    import snntorch
    import torch

    linears, neurons = [], []
    for layer in spec.layers:
        linear = torch.nn.Linear(layer.inputs, layer.neurons, bias=False)
        linear.weight.data = torch.from_numpy(layer.weights.astype(np.float32))
        linears.append(linear)
        neurons.append(snntorch.Leaky(beta=1 - 2.0**-3, threshold=THRESHOLD, reset_mechanism="subtract"))
    x = torch.from_numpy(spikes.astype(np.float32)).transpose(0, 1).contiguous()

    @torch.no_grad()
    def run() -> object:
        memories = [neuron.init_leaky() for neuron in neurons]
        out = []
        for step in x:
            for index, (linear, neuron) in enumerate(zip(linears, neurons, strict=True)):
                step, memories[index] = neuron(linear(step), memories[index])
            out.append(step)
        return torch.stack(out)

    return run


def bare_products(spec: NetworkSpec, spikes: NDArray[np.bool_]) -> Callable[[], object]:
    """The float32 products alone, each over all records and steps at once; operands are ready beforehand."""
    rows = RECORDS * STEPS
    operands = [
        (np.ascontiguousarray(x.reshape(rows, -1), np.float32), np.ascontiguousarray(layer.weights.T, np.float32))
        for x, layer in zip((spikes, Network(spec).run(spikes).raw[0]), spec.layers, strict=True)
    ]
    return lambda: [x @ w for x, w in operands]


def rows() -> Iterator[Row]:
    """Records a second of the three in turn."""
    import torch

    generator = np.random.default_rng(2026)
    spec = network(generator)
    spikes = generator.random((RECORDS, STEPS, SIZES[0])) < RATE
    model = Network(spec)
    calls = {
        "model": lambda: model.run(spikes).released,
        "snntorch": in_snntorch(spec, spikes),
        "bare": bare_products(spec, spikes),
    }
    for threads in sorted({1, os.cpu_count() or 1}):
        torch.set_num_threads(threads)
        with threadpool_limits(threads):
            seconds = in_turn(calls)
        rate = {name: RECORDS / value for name, value in seconds.items()}
        title = f"inference: 784-256-10, 16 steps, {threads} thread{'s' * (threads > 1)}"
        for baseline, named, least in (("snntorch", "snnTorch", 3.0), ("bare", "bare float32 products", 0.4)):
            ratio = rate["model"] / rate[baseline]
            yield Row(title, "records/s", rate["model"], rate[baseline], named, ratio, least)
