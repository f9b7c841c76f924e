"""Train the same digits network in four libraries, write each with the library's NIR exporter, and import it in 8 bits.

    python examples/nir/libraries.py [--libraries snntorch norse spikingjelly sinabs] [--epochs N] [--out FOLDER]

Needs `pip install '.[train,nir]' snntorch nirtorch norse spikingjelly sinabs`. Each network is 64-100-10 leaky neurons
over 16 steps. Prints for each library the accuracy on the 360 test images of the library's own network, of the float
network read from its file, and of the integers; and writes LIBRARY.nir, LIBRARY.npz and digits.json.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import nir
import numpy as np
import torch
from torch import Tensor, nn

from spikeveil.host.data import load_digits
from spikeveil.host.exchange import Formats, convention, import_graph, load_graph
from spikeveil.host.networks.digits_example import STEPS, encode
from spikeveil.pysim import Network

INPUTS, HIDDEN, CLASSES = 64, 100, 10
BATCH, RATE, RECORDS_FOR_FORMATS = 64, 5e-3, 300


class SnnTorch:
    """Leaky neurons with snnTorch's default reset: by subtraction, a step late."""

    options: ClassVar[dict[str, Any]] = {}

    def __init__(self) -> None:
        import snntorch

        self.neuron = snntorch.Leaky
        layers = [self.leaky(HIDDEN), self.leaky(CLASSES, output=True)]
        self.net = nn.Sequential(nn.Linear(INPUTS, HIDDEN), layers[0], nn.Linear(HIDDEN, CLASSES), layers[1])

    def leaky(self, count: int, output: bool = False) -> nn.Module:
        beta, threshold = torch.full((count,), 0.9), torch.ones(count)
        return self.neuron(beta=beta, threshold=threshold, init_hidden=True, output=output)

    def run(self, x: Tensor) -> Tensor:
        """Output spikes (steps, records, classes) of x (steps, records, inputs)."""
        for layer in (self.net[1], self.net[3]):
            layer.reset_mem()
        return torch.stack([self.net(step)[0] for step in x])

    def export(self, x: Tensor) -> Any:
        from snntorch.export_nir import export_to_nir

        return export_to_nir(self.net, x[0], ignore_dims=[0])


class Norse:
    """LIFBox neurons, reset to 0, steps of 1e-3 s."""

    options: ClassVar[dict[str, Any]] = {"dt": 1e-6}  # Norse 1.1 writes its time constants times dt

    def __init__(self) -> None:
        from norse.torch.module.lif_box import LIFBoxCell, LIFBoxParameters
        from norse.torch.module.sequential import SequentialState

        def cell(count: int) -> nn.Module:
            return LIFBoxCell(
                p=LIFBoxParameters(
                    tau_mem_inv=torch.full((count,), 100.0),
                    v_th=torch.full((count,), 0.2),
                    v_leak=torch.zeros(count),
                    v_reset=torch.zeros(count),
                )
            )

        self.net = SequentialState(nn.Linear(INPUTS, HIDDEN), cell(HIDDEN), nn.Linear(HIDDEN, CLASSES), cell(CLASSES))

    def run(self, x: Tensor) -> Tensor:
        """As `SnnTorch.run`."""
        state, spikes = None, []
        for step in x:
            out, state = self.net(step, state)
            spikes.append(out)
        return torch.stack(spikes)

    def export(self, x: Tensor) -> Any:
        from norse.torch.utils.export_nir import to_nir

        return to_nir(self.net, x[0])


class SpikingJelly:
    """LIF nodes, reset to 0, whose input decays too."""

    options: ClassVar[dict[str, Any]] = {}

    def __init__(self) -> None:
        from spikingjelly.activation_based import functional, layer, neuron

        self.functional = functional
        self.net = nn.Sequential(
            layer.Linear(INPUTS, HIDDEN), neuron.LIFNode(tau=4.0, v_reset=0.0, v_threshold=0.3),
            layer.Linear(HIDDEN, CLASSES), neuron.LIFNode(tau=4.0, v_reset=0.0, v_threshold=0.3),
        )  # fmt: skip
        functional.set_step_mode(self.net, "m")

    def run(self, x: Tensor) -> Tensor:
        """As `SnnTorch.run`."""
        self.functional.reset_net(self.net)
        spikes: Tensor = self.net(x)
        return spikes

    def export(self, x: Tensor) -> Any:
        from spikingjelly.activation_based.nir_exchange import to_nir

        return to_nir.export_to_nir(self.net, x, dt=1e-4)


class Sinabs:
    """LIF layers with `norm_input` and at most one spike a step, reset by subtraction."""

    options: ClassVar[dict[str, Any]] = {}

    def __init__(self) -> None:
        import sinabs.activation
        import sinabs.layers

        def neurons(count: int) -> nn.Module:
            return sinabs.layers.LIFSqueeze(
                num_timesteps=STEPS,
                spike_fn=sinabs.activation.SingleSpike,
                min_v_mem=None,
                spike_threshold=torch.full((count,), 0.2),
                tau_mem=torch.full((count,), 10.0),
                norm_input=True,
            )

        layers = [neurons(HIDDEN), neurons(CLASSES)]
        self.net = nn.Sequential(nn.Linear(INPUTS, HIDDEN), layers[0], nn.Linear(HIDDEN, CLASSES), layers[1])

    def run(self, x: Tensor) -> Tensor:
        """As `SnnTorch.run`."""
        for layer in (self.net[1], self.net[3]):
            layer.reset_states()
        steps, records = x.shape[:2]
        return self.net(x.movedim(0, 1).flatten(0, 1)).reshape(records, steps, -1).movedim(1, 0)

    def export(self, x: Tensor) -> Any:
        import sinabs.nir

        return sinabs.nir.to_nir(self.net, x.movedim(0, 1).flatten(0, 1))


LIBRARIES: dict[str, Callable[[], Any]] = {
    "snntorch": SnnTorch,
    "norse": Norse,
    "spikingjelly": SpikingJelly,
    "sinabs": Sinabs,
}


def spikes_of(pixels: Any) -> Tensor:
    """Images as spikes (steps, records, inputs)."""
    return torch.from_numpy(np.moveaxis(encode(pixels), 1, 0).astype(np.float32))


def train(library: Any, x: Tensor, labels: Tensor, epochs: int) -> None:
    """Cross-entropy on the spike counts."""
    optimizer = torch.optim.Adam(library.net.parameters(), RATE)
    for _ in range(epochs):
        for chosen in torch.randperm(len(labels)).split(BATCH):
            optimizer.zero_grad()
            nn.functional.cross_entropy(library.run(x[:, chosen]).sum(0), labels[chosen]).backward()
            optimizer.step()


def measured(name: str, epochs: int, out: Path) -> dict[str, Any]:
    """Train, export, import and compare one library's network."""
    torch.manual_seed(2026)
    data, library = load_digits(), LIBRARIES[name]()
    x, labels = spikes_of(data.train_images), torch.from_numpy(data.train_labels)
    train(library, x, labels, epochs)
    test, test_labels = spikes_of(data.test_images), data.test_labels
    with torch.no_grad():
        own = library.run(test).numpy() > 0
        library.run(test[:, :1])
        graph = library.export(test[:, :1])
    path = out / f"{name}.nir"
    nir.write(path, graph)
    np.savez_compressed(out / f"{name}.npz", x=test.numpy() > 0, spikes=own, labels=test_labels, allow_pickle=False)
    floats = load_graph(path, convention(name).with_choices(**library.options))
    formats_by = np.moveaxis(x[:, :RECORDS_FOR_FORMATS].numpy() > 0, 0, 1)
    inputs = np.moveaxis(test.numpy() > 0, 0, 1)
    imported = import_graph(floats, Formats(), formats_by)
    read, integers = floats.run(inputs)[-1].spikes, Network(imported.spec).run(inputs).raw[-1]
    rows = {"library": np.moveaxis(own, 0, 1), "floats": read, "integers": integers}
    correct = {key: float(np.mean(spikes.sum(axis=1).argmax(axis=1) == test_labels)) for key, spikes in rows.items()}
    equal = float(np.mean(rows["library"] == read))
    return {
        "accuracy": correct,
        "spikes_read_alike": equal,
        "f1": [match.f1 for match in imported.matches or () if match],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--libraries", nargs="+", choices=tuple(LIBRARIES), default=list(LIBRARIES))
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--out", type=Path, default=Path("out"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    found = {}
    for name in options.libraries:
        found[name] = row = measured(name, options.epochs, options.out)
        shares = ", ".join(f"{key} {share:.2%}" for key, share in row["accuracy"].items())
        f1 = ", ".join(f"{score:.3f}" for score in row["f1"])
        print(
            f"{name}: accuracy {shares}; {row['spikes_read_alike']:.3%} of spikes read alike; F1 by layer {f1}",
            flush=True,
        )
    (options.out / "digits.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
