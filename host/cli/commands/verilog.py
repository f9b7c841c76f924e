"""`spikeveil verilog`: the gateware of a network as one Verilog file."""

import hashlib
from pathlib import Path
from typing import Any

import click
from amaranth.hdl import Shape
from amaranth.lib.wiring import In
from rich.console import Console

from spikeveil.hdl.device.core import Core
from spikeveil.hdl.engine.network import Network
from spikeveil.hdl.engine.plan import Plan
from spikeveil.host.cli.options.common import json_option
from spikeveil.host.cli.options.network import network_argument, plan_options, read_plan
from spikeveil.host.cli.screens.tables import print_json
from spikeveil.host.cli.screens.verilog import print_verilog
from spikeveil.host.networks import catalogue
from spikeveil.host.verilog_text import to_verilog
from spikeveil.pysim.model.files import write_atomically


@click.command(epilog="Example: spikeveil verilog digits -o digits.v --lanes 16")
@network_argument
@click.option("-o", "--output", type=click.Path(dir_okay=False), required=True, help="The Verilog file to write.")
@click.option("--top", default="spikeveil", show_default=True, help="Name of the top module.")
@click.option("--unguarded", is_flag=True, help="The bare network: opening a lease twice reveals raw spikes.")
@plan_options
@json_option
def verilog(network: str, **options: Any) -> None:
    """Generate the gateware of a network as one Verilog file.

    It is the core: the network behind its guard, which opens each lease once and counts what leaves. With --unguarded
    it is the bare network, and the file's header warns of it. The weights are in the file; no key, lease or seed is.

    NETWORK is a file that `NetworkSpec.save` wrote, or `digits` for the trained network of the example.
    """
    plan = read_plan(catalogue.load(network), options)
    with Console(stderr=True).status("generating Verilog (on a machine's first run, 20 seconds longer)"):
        text, ports = _generate(plan, options["top"], options["unguarded"])
    path = Path(options["output"])
    write_atomically(path, text.encode())
    record = {
        "file": str(path),
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
        "lines": text.count("\n"),
        "guarded": not options["unguarded"],
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


WARNING = """\
// WARNING: UNGUARDED. This network has no guard: under one key, lease and record it gives the same flips every time it
// is opened, and the XOR of two outputs is the XOR of the raw spikes. Nothing it releases is private unless whatever
// opens it never repeats a (key, lease) and counts the records. Without --unguarded, `spikeveil verilog` writes a core.
"""


def _generate(plan: Plan, top: str, unguarded: bool) -> tuple[str, list[dict[str, Any]]]:
    """The Verilog, and the ports besides clk and rst."""
    design = Network(plan) if unguarded else Core(plan)
    ports = [
        {
            "name": "__".join(str(part) for part in path),
            "bits": Shape.cast(member.shape).width,
            "direction": "in" if member.flow is In else "out",
        }
        for path, member, _ in design.signature.flatten(design)
    ]
    text = to_verilog(design, top)
    return (WARNING if unguarded else "") + text, ports
