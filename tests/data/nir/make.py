"""Write the files of this folder again: `python tests/data/nir/make.py`, where README.md's libraries are installed."""

from collections.abc import Callable
from pathlib import Path

import nir
import norse.torch.utils.export_nir as norse_nir
import numpy as np
import sinabs.activation
import sinabs.layers
import sinabs.nir
import snntorch
import torch
from norse.torch.module.lif_box import LIFBoxCell, LIFBoxParameters
from norse.torch.module.sequential import SequentialState
from rockpool.nn.combinators import Sequential
from rockpool.nn.modules.torch import LIFNeuronTorch, LinearTorch
from rockpool.nn.modules.torch import nir as rockpool_nir
from snntorch.export_nir import export_to_nir
from spikingjelly.activation_based import functional, layer, neuron
from spikingjelly.activation_based.nir_exchange import to_nir as jelly_nir
from torch import Tensor, nn

HERE = Path(__file__).parent
STEPS, RECORDS, INPUTS, HIDDEN, OUTPUTS = 20, 3, 6, 10, 4


def coins(*shape: int) -> Tensor:
    """Random input spikes (steps, records, *shape)."""
    return (torch.rand(STEPS, RECORDS, *shape) < 0.5).float()


def save(name: str, graph: nir.NIRGraph, x: Tensor, spikes: Tensor) -> None:
    """Both files of one network; arrays are steps first."""
    nir.write(HERE / f"{name}.nir", graph)
    arrays = {"x": x.numpy().astype(np.uint8), "spikes": (spikes.numpy() > 0).astype(np.uint8)}
    np.savez_compressed(HERE / f"{name}.npz", allow_pickle=False, **arrays)
    print(name, f"{arrays['spikes'].mean():.3f} spikes a neuron and step")


def louder(net: nn.Module, *factors: float) -> nn.Module:
    """Weights times a factor, layer by layer, so that the output spikes."""
    weighted = [module for module in net.modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    with torch.no_grad():
        for module, factor in zip(weighted, factors, strict=True):
            module.weight.mul_(factor)
    return net


def two_layers(neurons: Callable[[int], nn.Module], bias: bool = True) -> list[nn.Module]:
    """6 inputs, 10 hidden and 4 output neurons."""
    first, second = nn.Linear(INPUTS, HIDDEN), nn.Linear(HIDDEN, OUTPUTS, bias=bias)
    return [first, neurons(HIDDEN), second, neurons(OUTPUTS)]


def from_snntorch(name: str, net: nn.Sequential, *shape: int) -> None:
    x = coins(*shape)
    net[-1].output = True
    graph = export_to_nir(net, x[0], ignore_dims=[0])
    for module in net:
        if isinstance(module, snntorch.Leaky):
            module.reset_mem()
    save(name, graph, x, torch.stack([net(step)[0] for step in x]))


def leaky(shape: tuple[int, ...], beta: float, threshold: Tensor | None = None, **options: object) -> nn.Module:
    level = torch.ones(shape) if threshold is None else threshold
    return snntorch.Leaky(beta=beta * torch.ones(shape), threshold=level, init_hidden=True, **options)


def snntorch_files() -> None:
    for name, beta, options in (("delayed", 0.8, {}), ("immediate", 0.8, {"reset_delay": False}), ("if", 1.0, {})):
        torch.manual_seed(3)
        thresholds = {HIDDEN: torch.ones(HIDDEN), OUTPUTS: torch.linspace(0.5, 1, OUTPUTS)}
        parts = two_layers(lambda n, b=beta, t=thresholds, o=options: leaky((n,), b, t[n], **o), bias=False)
        from_snntorch(f"snntorch_{name}", louder(nn.Sequential(*parts), 4, 3), INPUTS)
    torch.manual_seed(4)
    zero = {"reset_mechanism": "zero"}
    net = nn.Sequential(
        nn.Conv2d(2, 3, 3, padding=1),
        leaky((3, 6, 6), 0.75, **zero),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(27, OUTPUTS),
        leaky((OUTPUTS,), 0.75, **zero),
    )
    from_snntorch("snntorch_conv", louder(net, 2, 4), 2, 6, 6)


def spikingjelly_file() -> None:
    torch.manual_seed(5)
    parts = [neuron.LIFNode(tau=2.0, v_reset=-0.25) for _ in range(2)]
    net = nn.Sequential(layer.Linear(INPUTS, HIDDEN), parts[0], layer.Linear(HIDDEN, OUTPUTS), parts[1])
    functional.set_step_mode(louder(net, 9, 9), "m")
    x = coins(INPUTS)
    graph = jelly_nir.export_to_nir(net, x, dt=1e-4)
    functional.reset_net(net)
    save("spikingjelly_lif", graph, x, net(x))


def sinabs_file() -> None:
    torch.manual_seed(6)

    def neurons(count: int) -> nn.Module:
        return sinabs.layers.LIFSqueeze(
            batch_size=RECORDS,
            spike_fn=sinabs.activation.SingleSpike,
            min_v_mem=None,
            spike_threshold=torch.ones(count),
            tau_mem=torch.full((count,), 12.0),
            norm_input=True,
        )

    net = louder(nn.Sequential(*two_layers(neurons)), 25, 25)
    x = coins(INPUTS)
    flat = x.movedim(0, 1).flatten(0, 1)
    net(flat)
    graph = sinabs.nir.to_nir(net, flat)
    for module in (net[1], net[3]):
        module.reset_states()
    save("sinabs_lif", graph, x, net(flat).reshape(RECORDS, STEPS, -1).movedim(1, 0))


def norse_file() -> None:
    torch.manual_seed(7)

    def neurons(count: int) -> nn.Module:
        zeros = torch.zeros(count)
        rate, threshold = torch.full((count,), 100.0), torch.full((count,), 0.25)
        return LIFBoxCell(LIFBoxParameters(tau_mem_inv=rate, v_th=threshold, v_leak=zeros, v_reset=zeros))

    net = louder(SequentialState(*two_layers(neurons)), 6, 9)
    x, state, spikes = coins(INPUTS), None, []
    graph = norse_nir.to_nir(net, torch.rand(INPUTS))
    for step in x:
        out, state = net(step, state)
        spikes.append(out)
    save("norse_lifbox", graph, x, torch.stack(spikes))


def rockpool_file() -> None:
    torch.manual_seed(8)

    def neurons(count: int) -> nn.Module:
        each = {"tau_mem": torch.full((count,), 0.02), "threshold": torch.ones(count), "bias": torch.zeros(count)}
        return LIFNeuronTorch((count,), dt=1e-3, max_spikes_per_dt=1, **each)

    sizes = ((INPUTS, HIDDEN), (HIDDEN, OUTPUTS))
    parts = [part for size in sizes for part in (LinearTorch(size, has_bias=True), neurons(size[1]))]
    for part in parts[::2]:
        part.weight.mul_(5)
    x, net = coins(INPUTS), Sequential(*parts)
    spikes = net(x.movedim(0, 1))[0].movedim(1, 0)
    save("rockpool_lif", rockpool_nir.to_nir(net, torch.rand(1, 1, INPUTS)), x, spikes)


if __name__ == "__main__":
    with torch.no_grad():
        snntorch_files()
        spikingjelly_file()
        sinabs_file()
        norse_file()
        rockpool_file()
