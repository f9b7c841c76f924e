"""`spikeveil verilog`: the gateware of a network as one Verilog file."""

import hashlib
from pathlib import Path
from typing import Any

import click
from amaranth.back.verilog import convert
from amaranth.hdl import Shape
from amaranth.lib.wiring import In
from rich.console import Console

from spikeveil.hdl.engine.network import Network
from spikeveil.hdl.engine.plan import Plan
from spikeveil.host.cli.options.common import json_option
from spikeveil.host.cli.options.network import network_argument, plan_options, read_plan
from spikeveil.host.cli.screens.tables import print_json
from spikeveil.host.cli.screens.verilog import print_verilog
from spikeveil.host.networks import catalogue
from spikeveil.pysim.model.files import write_atomically


@click.command(epilog="Example: spikeveil verilog digits -o digits.v --lanes 16")
@network_argument
@click.option("-o", "--output", type=click.Path(dir_okay=False), required=True, help="The Verilog file to write.")
@click.option("--top", default="spikeveil", show_default=True, help="Name of the top module.")
@plan_options
@json_option
def verilog(network: str, **options: Any) -> None:
    """Generate the gateware of a network as one Verilog file.

    The weights are in the file. Key, lease and seeds are inputs of the top module: none is in the file.

    NETWORK is a file that `NetworkSpec.save` wrote, or `digits` for the trained network of the example.
    """
    plan = read_plan(catalogue.load(network), options)
    with Console(stderr=True).status("generating Verilog (on a machine's first run, 20 seconds longer)"):
        text, ports = _generate(plan, options["top"])
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
        "cycles_per_step": plan.cadence if plan.schedule == "private" else None,
        "ports": ports,
    }
    if options["as_json"]:
        print_json(record)
    else:
        print_verilog(record)


def _generate(plan: Plan, top: str) -> tuple[str, list[dict[str, Any]]]:
    """The Verilog, and the ports besides clk and rst."""
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
