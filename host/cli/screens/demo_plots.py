"""The raster plot of `spikeveil demo`: raw spikes beside released ones."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Okabe and Ito's colours: distinct to any colour vision, and by lightness in print
UNCHANGED, ADDED, REMOVED = "#000000", "#E69F00", "#56B4E9"


def raster(
    path: Path,
    images: NDArray[np.bool_],
    raw: NDArray[np.bool_],
    released: NDArray[np.bool_],
    labels: NDArray[np.int64],
    guesses: NDArray[np.int64],
    classes: int,
    title: str,
) -> None:
    """Write one row a record: the image, its raw spikes and its released spikes, (records, steps, neurons) each.

    images: input spikes (records, steps, pixels), shown as their mean over time, square.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 2.3 * len(raw) + 1.5), layout="constrained")
    axes = figure.subplots(len(raw), 3, squeeze=False, width_ratios=(1, 3, 3))
    for row, (picture, raw_spikes, released_spikes) in enumerate(zip(images, raw, released, strict=True)):
        side = int(np.sqrt(picture.shape[1]))
        axes[row][0].imshow(picture.mean(axis=0)[: side * side].reshape(side, side), cmap="gray_r")
        axes[row][0].set(xticks=[], yticks=[])
        axes[row][0].set_ylabel(f"digit {labels[row]}", fontsize=11, fontweight="bold")
        _spikes(axes[row][1], raw_spikes, np.zeros_like(raw_spikes), classes)
        _spikes(axes[row][2], released_spikes, raw_spikes ^ released_spikes, classes)
        axes[row][2].set_ylabel(f"read as {guesses[row]}", fontsize=11, fontweight="bold", rotation=270, labelpad=16)
        axes[row][2].yaxis.set_label_position("right")
        axes[row][1].set_ylabel("class of the neuron", fontsize=9)
    for axis, head in zip(
        axes[0],
        ("input", "raw spikes (never leave the chip)", "released spikes (a receiver sees no colours)"),
        strict=True,
    ):
        axis.set_title(head, fontsize=11)
    for axis in axes[-1][1:]:
        axis.set_xlabel("time step")
    _legend(figure, axes[0][2])
    figure.suptitle(title, fontsize=11)
    figure.savefig(path, dpi=150)


def _spikes(axis: Any, spikes: NDArray[np.bool_], flipped: NDArray[np.bool_], classes: int) -> None:
    """One raster: `spikes` and what the flipper changed, both (steps, neurons); bands of one class each."""
    steps, neurons = spikes.shape
    group = neurons // classes
    for band in range(0, classes, 2):
        axis.axhspan(band * group - 0.5, (band + 1) * group - 0.5, color="#f0f0f0", zorder=0)
    style = {"marker": "s", "linewidths": 0, "s": 13}
    axis.scatter(*np.nonzero(spikes & ~flipped), color=UNCHANGED, **style)
    axis.scatter(*np.nonzero(spikes & flipped), color=ADDED, **style)
    axis.scatter(*np.nonzero(~spikes & flipped), color="none", **{**style, "linewidths": 0.9}, edgecolors=REMOVED)
    axis.set(xlim=(-0.7, steps - 0.3), ylim=(neurons - 0.5, -0.5))
    axis.set_yticks((np.arange(classes) + 0.5) * group - 0.5, [str(index) for index in range(classes)], fontsize=8)


def _legend(figure: Any, axis: Any) -> None:
    for label, colours in (
        ("spike", {"color": UNCHANGED}),
        ("spike made by the flipper", {"color": ADDED}),
        ("spike taken away by the flipper", {"color": "none", "edgecolors": REMOVED}),
    ):
        axis.scatter([], [], marker="s", s=26, label=label, **colours)
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
