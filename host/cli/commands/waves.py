"""`spikeveil waves`: a waveform of the simulated gateware, for a viewer."""

from pathlib import Path
from typing import Any

import click
from rich.console import Console

from spikeveil.host.cli.options import keys
from spikeveil.host.cli.options.common import json_option
from spikeveil.host.cli.options.data import data_options, load_records
from spikeveil.host.cli.options.network import network_argument, plan_options, read_plan
from spikeveil.host.cli.screens.tables import print_json
from spikeveil.host.cosim import amaranth_engine, verilator_build, verilator_engine
from spikeveil.host.networks import catalogue
from spikeveil.host.scratch import replaced_file

KEY_NOTE = "the key in this file is " + keys.PUBLIC


@click.command(epilog="Example: spikeveil waves digits --data digits --records 1 -o digits.vcd")
@network_argument
@data_options
@click.option("-o", "--output", type=click.Path(dir_okay=False), required=True, help="The VCD file to write.")
@click.option(
    "--engine",
    type=click.Choice(("verilator", "amaranth")),
    default="verilator",
    show_default=True,
    help="verilator needs a compiler; amaranth needs none and is slow.",
)
@plan_options
@json_option
def waves(network: str, **options: Any) -> None:
    """Write a waveform of the simulated gateware to a VCD file.

    It holds every signal while one record, or as many as --records asks for, is computed. A waveform shows the key, so
    it is always made with the published demonstration key.

    NETWORK is a file that `NetworkSpec.save` wrote, or `digits` for the trained network of the example.
    """
    spec = catalogue.load(network)
    plan = read_plan(spec, options)
    records = load_records(spec, {**options, "records": options["records"] or 1}, network)
    path, key = Path(options["output"]), keys.demonstration(options["source"], len(spec.randomised))
    if options["engine"] == "verilator":
        verilator_build.verilator_root()
    with Console(stderr=True).status(f"{options['engine']}: building and simulating"), replaced_file(path) as new:
        if options["engine"] == "amaranth":
            result = amaranth_engine.run(plan, records.spikes, key.lease(), vcd=str(new))
        else:
            result = verilator_engine.run(plan, records.spikes, key.lease(), waves=new)
    record = {
        "file": str(path),
        "bytes": path.stat().st_size,
        "records": len(records.spikes),
        "cycles": result.cycles,
        "key": KEY_NOTE,
    }
    if options["as_json"]:
        print_json(record)
    else:
        count = record["records"]
        click.echo(f"{path}: {path.stat().st_size:,} bytes, {result.cycles:,} cycles, {count} record(s)")
        click.echo(f"{KEY_NOTE}; open it with `gtkwave {path}` or `surfer {path}`")
