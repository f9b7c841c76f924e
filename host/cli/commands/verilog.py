"""`spikeveil verilog`: the gateware of a network as one Verilog file."""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from spikeveil.host.cli.options.network import make_plan, network_argument, plan_options
from spikeveil.host.cli.options.privacy import json_option
from spikeveil.host.networks.catalogue import load as load_network

if TYPE_CHECKING:
    from spikeveil.hdl.engine.plan import Plan


@click.command(epilog="Example: spikeveil verilog digits -o digits.v --lanes 16")
@network_argument
@click.option("-o", "--output", type=click.Path(dir_okay=False), required=True, help="The Verilog file to write.")
@click.option("--top", default="spikeveil", show_default=True, help="Name of the top module.")
@plan_options
@json_option
def verilog(network: str, **options: Any) -> None:
    """Generate the gateware of a network, its weights in it, as Verilog.

    Key, lease and seeds are inputs of the top module: none is in the file.

    NETWORK is a file that `NetworkSpec.save` wrote, or `digits` for the trained network of the example.
    """
    from rich.console import Console

    plan = make_plan(load_network(network), options)
    with Console(stderr=True).status("generating Verilog (on a machine's first run, 20 seconds longer)"):
        text, ports = _generate(plan, options["top"])
    from spikeveil.pysim.model.files import write_atomically

    path = Path(options["output"])
    write_atomically(path, text.encode())
    record = {
        "file": str(path),
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
        "lines": text.count("\n"),
        "fingerprint": plan.spec.fingerprint,
        "source": plan.source,
        "schedule": plan.schedule,
        "lanes": plan.lanes,
        "cycles_a_step": plan.cadence if plan.schedule == "private" else None,
        "ports": ports,
    }
    if options["as_json"]:
        click.echo(json.dumps(record, indent=2))
    else:
        _print(record)


def _generate(plan: "Plan", top: str) -> tuple[str, list[dict[str, Any]]]:
    """The Verilog, and the ports besides clk and rst."""
    from amaranth.back.verilog import convert
    from amaranth.hdl import Shape
    from amaranth.lib.wiring import In

    from spikeveil.hdl.engine.network import Network

    network = Network(plan)
    ports = [
        {
            "name": "__".join(str(part) for part in path),
            "bits": Shape.cast(member.shape).width,
            "direction": "in" if member.flow is In else "out",
        }
        for path, member, _ in network.signature.flatten(network)
    ]
    return str(convert(network, name=top, strip_internal_attrs=True)), ports


def _print(record: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    table = Table(title=f"Verilog in {record['file']}: ports besides clk and rst", title_justify="left")
    for name in ("port", "direction", "bits"):
        table.add_column(name, justify="right" if name == "bits" else "left")
    for port in record["ports"]:
        table.add_row(port["name"], port["direction"], str(port["bits"]))
    console.print(table)
    cadence = record["cycles_a_step"]
    timing = "as soon as it is done" if cadence is None else f"every {cadence} cycles, whatever the spikes"
    console.print(
        f"{record['lines']:,} lines; source {record['source']}, {record['lanes']} lanes, schedule "
        f"{record['schedule']}: a step leaves {timing}"
    )
    if record["source"] == "lfsr":
        console.print("An LFSR hides nothing from somebody who knows it: epsilon is infinite.", style="bold red")
    console.print(f"fingerprint {record['fingerprint']}\nsha256      {record['sha256']}", soft_wrap=True)
