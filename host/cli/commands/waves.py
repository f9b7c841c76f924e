"""`spikeveil waves`: a waveform of the gateware at work, for a viewer."""

import json
from pathlib import Path
from typing import Any

import click

from spikeveil.host.cli.options import keys
from spikeveil.host.cli.options.network import data_options, load_records, make_plan, network_argument, plan_options
from spikeveil.host.cli.options.privacy import json_option
from spikeveil.host.networks.catalogue import load as load_network

MARK = "the key in this file is " + keys.PUBLIC


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
    """Simulate records (one, unless --records says more) and write every signal to a VCD file for GTKWave or Surfer.

    A waveform shows the key, so it is always made with the published demonstration key.

    NETWORK is a file that `NetworkSpec.save` wrote, or `digits` for the trained network of the example.
    """
    from rich.console import Console

    from spikeveil.host.cosim import amaranth_engine, verilator_build, verilator_engine

    spec = load_network(network)
    plan = make_plan(spec, options)
    records = load_records(options["data"], spec.inputs, options["skip"], options["records"] or 1)
    path, key = Path(options["output"]), keys.demonstration(options["source"], len(spec.flipped))
    if options["engine"] == "verilator":
        verilator_build.verilator_root()
    with Console(stderr=True).status(f"{options['engine']}: building and simulating"):
        if options["engine"] == "amaranth":
            outcome = amaranth_engine.run(plan, records.spikes, key.lease(), vcd=str(path))
        else:
            outcome = verilator_engine.run(plan, records.spikes, key.lease(), waves=path)
    record = {
        "file": str(path),
        "bytes": path.stat().st_size,
        "records": len(records.spikes),
        "cycles": outcome.cycles,
        "key": MARK,
    }
    if options["as_json"]:
        click.echo(json.dumps(record, indent=2))
    else:
        count = record["records"]
        click.echo(f"{path}: {path.stat().st_size:,} bytes, {outcome.cycles:,} cycles, {count} record(s)")
        click.echo(f"{MARK}; open it with `gtkwave {path}` or `surfer {path}`")
