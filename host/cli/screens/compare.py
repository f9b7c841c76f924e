"""What `spikeveil compare` prints."""

from typing import Any

import click

MAX_NEURONS = 64  # of a layer in a raster


def print_comparison(report: dict[str, Any]) -> None:
    """Print the first difference, the match of each layer where there is one, and the raster that was asked for."""
    click.echo(report["words"])
    for layer in () if report["equal"] else report.get("layers", ()):
        silent = {"both": " (both are silent)", "found": " (B is silent)", "reference": " (A is silent)", None: ""}
        click.echo(
            f"layer {layer['layer']}: F1 {layer['f1']:.3f}{silent[layer['silent']]}, in the same step "
            f"{layer['exact_f1']:.3f}; precision {layer['precision']:.3f}, recall {layer['recall']:.3f}; "
            f"{layer['reference']:,} spikes and {layer['found']:,}"
        )
    for index, lines in report.get("raster") or ():
        click.echo(f"layer {index}, a line a neuron: | both spike, a and b only that one")
        for unit, line in enumerate(lines[:MAX_NEURONS]):
            click.echo(f"{unit:4} {line}")
        if len(lines) > MAX_NEURONS:
            click.echo(f"     and {len(lines) - MAX_NEURONS} more neurons")
