"""Plots of `spikeveil epsilon`: every figure says its unit, its bits and its delta."""

from pathlib import Path
from typing import Any

import numpy as np

from spikeveil.host.privacy.mechanisms import RandomizedResponse
from spikeveil.host.privacy.units import Unit
from spikeveil.host.privacy.wording import Raster, mechanism_text


def delta_curve(path: str, mechanism: RandomizedResponse, unit: Unit, bits: int, note: str = "") -> None:
    """Write delta(epsilon) of `bits` composed bits to `path` (.png or .svg), down to delta = 1e-12."""
    end = mechanism.epsilon_composed(bits, 1e-12)
    epsilons = np.linspace(0.0, end if end > 0 else 1.0, 401)
    deltas = [mechanism.delta_composed(bits, float(epsilon)) for epsilon in epsilons]
    title = f"{bits} bits at {unit.value} level, exact composition"
    figure, plot = _figure(path, f"{mechanism_text(mechanism)}\n{title}", note)
    plot.plot(epsilons, deltas)
    plot.set(xlabel="epsilon", ylabel="delta")
    if max(deltas) > 0:
        plot.set(yscale="log", ylim=(1e-12, None))
    figure.savefig(path, dpi=150)


def release_curve(
    path: str,
    mechanism: RandomizedResponse,
    raster: Raster,
    unit: Unit,
    max_releases: int,
    delta: float,
    note: str = "",
) -> None:
    """Write the epsilon of 1 to `most` releases of the same data at `delta` to `path` (.png or .svg)."""
    counts = np.unique(np.geomspace(1, max_releases, 60).astype(np.int64))
    epsilons = [mechanism.epsilon_composed(int(count) * raster.bits(unit), delta) for count in counts]
    sums = [int(count) * raster.bits(unit) * mechanism.epsilon for count in counts]
    title = f"{raster.bits(unit)} bits a release at {unit.value} level, delta {delta:g}"
    figure, plot = _figure(path, f"{mechanism_text(mechanism)}\n{title}", note)
    plot.plot(counts, epsilons, label="exact composition")
    plot.plot(counts, sums, linestyle="--", label="basic composition (sum)")
    plot.set(xlabel="releases of the same data, declared beforehand", ylabel="epsilon", xscale="log")
    if min(epsilons) > 0:
        plot.set_yscale("log")
    plot.legend()
    figure.savefig(path, dpi=150)


def _figure(path: str, title: str, note: str) -> tuple[Any, Any]:
    """An empty figure and its axes. ValueError for a name that is neither .png nor .svg."""
    from matplotlib.figure import Figure

    if Path(path).suffix not in (".png", ".svg"):
        raise ValueError(f"its name must end in .png or .svg, not {Path(path).name!r}")
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    plot = figure.add_subplot()
    plot.set_title(f"{note}\n{title}" if note else title, fontsize=9)
    plot.grid(alpha=0.3)
    return figure, plot
