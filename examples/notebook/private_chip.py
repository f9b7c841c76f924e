# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A network trained here, on a private chip
#
# A spiking network learns to read handwritten digits. Then it becomes a chip that releases one randomised class for
# each image, at a record epsilon of 4, and a bitstream for an iCEBreaker. Open this file as a notebook with
# [Jupytext](https://jupytext.readthedocs.io), or run it as a script: `python examples/notebook/private_chip.py`.
# It needs the extras `train`, `data`, `sim` and `boards`, and a C++ compiler for the simulation.

# %%
import numpy as np

import spikeveil
from spikeveil.host.data import load_digits, rate
from spikeveil.host.training import Architecture, Dense, Readout, Recipe, SpikingNetwork, fit, quantised, specification

STEPS = 16
digits = load_digits()


def encode(images):
    """Intensities (records, 64) as spikes (records, 16, 64)."""
    return rate(images, STEPS, digits.maximum)


# %% [markdown]
# ## Train, and go on training with integers
#
# Four-bit weights fit the block RAM of the small chip. The quantised network computes the chip's integers in its
# forward pass, so the specification made from it spikes as it does.

# %%
architecture = Architecture((64,), digits.classes, STEPS, (Dense(64),), Readout("counts"))
network = SpikingNetwork(architecture, seed=1)
losses = list(fit(network, digits.train_images, digits.train_labels, encode, Recipe(epochs=8)))
twin = quantised(network, encode(digits.train_images[:300]), weight_bits=4)
losses += list(fit(twin, digits.train_images, digits.train_labels, encode, Recipe(epochs=4)))
net = specification(twin)
print("loss", [round(loss, 3) for loss in losses])

# %% [markdown]
# ## A chip that releases decisions
#
# The epsilon is a record's: whatever two images are, the probability of any output differs by a factor of e^4 at most.

# %%
decision = spikeveil.Decision.for_epsilon(4, classes=digits.classes)
chip = spikeveil.Chip(net, release=decision, steps=STEPS, board="icebreaker", lanes=2)
x, labels = encode(digits.test_images), digits.test_labels
raw = np.argmax(spikeveil.Network(net).run(x).raw[-1].sum(axis=1), axis=1)
expected = np.mean(raw == labels) * float(decision.winner_probability)
print(f"record epsilon {chip.claim.epsilon():.4f}")
print(f"raw {np.mean(raw == labels):.1%}, released {chip.accuracy(x, labels):.1%}, expected about {expected:.1%}")

# %%
chip  # noqa: B018 # in a notebook: the claim, the estimated resources, and the input of a record

# %% [markdown]
# ## The gateware releases what the model does

# %%
assert np.array_equal(chip.simulate(x[:20]), chip.predict(x[:20]))

# %% [markdown]
# ## The bitstream
#
# Some minutes, with open tools from Python wheels. `report.json` lies beside the bitstream.

# %%
bitstream = chip.build("out/notebook")
print(bitstream, chip.report["resources"])
