"""Train a small convolutional network in snnTorch, write it as NIR with snnTorch's own exporter, and record its spikes.

    python examples/nir/train.py [--seed N] [--epochs N] [--out FOLDER]

Needs `pip install '.[train,nir]' snntorch nirtorch`. Writes digits_conv.nir and digits_conv.npz: `x` (steps,
records, 1, 8, 8), the test images as spikes, `spikes` (steps, records, 10), what snnTorch made of them, and `labels`.
"""

import argparse
from pathlib import Path

import nir
import numpy as np
import snntorch
import torch
from numpy.typing import NDArray
from snntorch.export_nir import export_to_nir
from torch import Tensor, nn

from spikeveil.host.data import accuracy, classify, load_digits
from spikeveil.host.networks.digits_example import encode

CHANNELS, CLASSES, BETA = 8, 10, 0.875
BATCH, RATE = 64, 5e-3


def network() -> nn.Sequential:
    """1x8x8 convolved to 8x8x8, pooled to 8x4x4, to ten neurons; snnTorch's default reset: subtract, late."""

    def leaky(shape: tuple[int, ...], output: bool = False) -> nn.Module:
        # tensors, because the exporter takes no scalars
        beta, threshold = torch.full(shape, BETA), torch.ones(shape)
        return snntorch.Leaky(beta=beta, threshold=threshold, init_hidden=True, output=output)

    return nn.Sequential(
        nn.Conv2d(1, CHANNELS, 3, padding=1),
        leaky((CHANNELS, 8, 8)),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(CHANNELS * 16, CLASSES),
        leaky((CLASSES,), output=True),
    )


def run(net: nn.Sequential, x: Tensor) -> Tensor:
    """Output spikes (steps, records, classes) of input spikes (steps, records, 1, 8, 8)."""
    for module in net:
        if isinstance(module, snntorch.Leaky):
            module.reset_mem()
    return torch.stack([net(step)[0] for step in x])


def images(pixels: NDArray[np.uint8]) -> Tensor:
    """Images as spikes (steps, records, 1, 8, 8)."""
    spikes = np.moveaxis(encode(pixels), 1, 0)
    return torch.from_numpy(spikes.reshape(*spikes.shape[:2], 1, 8, 8).astype(np.float32))


def train(net: nn.Sequential, x: Tensor, labels: Tensor, epochs: int) -> None:
    """Cross-entropy on the spike counts."""
    optimizer = torch.optim.Adam(net.parameters(), RATE)
    for epoch in range(epochs):
        for chosen in torch.randperm(len(labels)).split(BATCH):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(run(net, x[:, chosen]).sum(0), labels[chosen])
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch + 1}: loss {float(loss):.3f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--out", type=Path, default=Path("out"))
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    torch.set_num_threads(1)
    data = load_digits()
    net = network()
    train(net, images(data.train_images), torch.from_numpy(data.train_labels), options.epochs)
    x = images(data.test_images)
    with torch.no_grad():
        spikes = run(net, x).numpy() > 0
    reached = accuracy(classify(np.moveaxis(spikes, 0, 1), CLASSES), data.test_labels)
    options.out.mkdir(parents=True, exist_ok=True)
    nir.write(options.out / "digits_conv.nir", export_to_nir(net, x[0], ignore_dims=[0]))
    arrays = {"x": x.numpy().astype(np.uint8), "spikes": spikes.astype(np.uint8), "labels": data.test_labels}
    np.savez_compressed(options.out / "digits_conv.npz", allow_pickle=False, **arrays)
    print(f"snnTorch reads {100 * reached:.1f} % of {len(data.test_labels)} test images")


if __name__ == "__main__":
    main()
