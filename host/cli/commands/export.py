"""`spikeveil export`: a network file as a NIR graph."""

from pathlib import Path
from typing import Any

import click

from spikeveil.host.cli.options.common import json_option
from spikeveil.host.cli.options.network import network_argument
from spikeveil.host.cli.screens.tables import print_json
from spikeveil.host.exchange import exporting
from spikeveil.host.networks import catalogue


@click.command(epilog="Example: spikeveil export digits -o digits.nir --keep-flippers")
@network_argument
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False), required=True, help="Write the graph to this .nir file."
)
@click.option("--drop-flippers", is_flag=True, help="Leave the flippers out: what comes back is not private.")
@click.option("--keep-flippers", is_flag=True, help="Keep them in a note that only `spikeveil import` reads.")
@json_option
def export(network: str, output: str, drop_flippers: bool, keep_flippers: bool, as_json: bool) -> None:
    """Write a network as a NIR graph.

    The graph has the same integers and imports back to the same network exactly. Units: a step is 1 (dt = 1), a
    potential's unit is the core's integer, and every gain is 1. NIR has no flippers, so any other tool that runs the
    graph releases raw spikes: a network with flippers needs --drop-flippers or --keep-flippers.

    NETWORK is a file that `NetworkSpec.save` wrote, or `digits` for the trained network of the example.
    """
    spec = catalogue.load(network)
    exporting.require_spikes(spec)
    if drop_flippers and keep_flippers:
        raise click.UsageError("give either --drop-flippers or --keep-flippers")
    if spec.flipped and not (drop_flippers or keep_flippers):
        raise click.UsageError(
            f"NIR has no flippers, and {len(spec.flipped)} of the layers have one: --drop-flippers leaves them out, "
            "--keep-flippers keeps them in a note that other tools do not read; either way, what another tool runs "
            "is not private"
        )
    losses = exporting.export_losses(spec)
    written = exporting.without_flippers(spec) if drop_flippers else spec
    exporting.write_nir(written, Path(output))
    record: dict[str, Any] = {
        "file": output,
        "fingerprint": written.fingerprint,
        "flippers": "none" if not spec.flipped else "dropped" if drop_flippers else "kept in the note",
        "units": exporting.UNITS,
        "other_tools": losses,
    }
    if as_json:
        print_json(record)
        return
    for sentence in losses:
        click.echo(f"other tools: {sentence}", err=True)
    if spec.flipped:
        click.echo("warning: not private in any other tool: its spikes are the raw ones", err=True)
    click.echo(f"written to {output}: dt 1, potentials in the core's integers, compare ge, reset immediate")
    click.echo(f"fingerprint {written.fingerprint}, which `spikeveil import` gives back")
