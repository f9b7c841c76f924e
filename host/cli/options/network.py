"""Options that the commands on a network share."""

from typing import Any

import click

from spikeveil.hdl.engine.plan import Plan
from spikeveil.host.cli.options import keys
from spikeveil.host.cli.options.common import stack
from spikeveil.pysim import NetworkSpec

ENGINES = ("model", "verilator", "amaranth")

network_argument = click.argument("network", metavar="NETWORK")

unsafe_option = click.option(
    "--unsafe", is_flag=True, help="Build a network without a flipper all the same: its epsilon is infinite."
)
lanes_option = click.option(
    "--lanes", type=int, default=16, show_default=True, help="Neurons of a layer computed in parallel, 1 to 64."
)
source_option = click.option(
    "--source",
    type=click.Choice(("trivium", "lfsr")),
    default="trivium",
    show_default=True,
    help="Where the flips come from; lfsr protects nothing.",
)
schedule_option = click.option(
    "--schedule",
    type=click.Choice(("private", "fast")),
    default="private",
    show_default=True,
    help="private: steps leave on a fixed cadence; fast: once done, which reveals the number of spikes.",
)
fold_option = click.option(
    "--fold",
    type=int,
    default=1,
    show_default=True,
    help="Cycles for updating a row of neurons on the fast schedule: more are smaller.",
)
key_options = stack(
    click.option("--key-file", type=click.Path(exists=True, dir_okay=False), help="File with the key in hexadecimal."),
    click.option("--demonstration-key", is_flag=True, help="The published key, to reproduce a run."),
    click.option("--lease", type=int, help="Lease number, 2^39 or more; by default random and printed."),
    click.option(
        "--first-record", type=click.IntRange(0), default=0, show_default=True, help="Number of its first record."
    ),
)
plan_options = stack(lanes_option, schedule_option, fold_option, source_option, unsafe_option)


def read_plan(spec: NetworkSpec, options: dict[str, Any]) -> Plan:
    """The plan that the options ask for."""
    names = ("lanes", "source", "schedule", "fold", "unsafe")
    return Plan(spec, **{name: options[name] for name in names})


def read_opening(spec: NetworkSpec, options: dict[str, Any]) -> keys.Opening:
    """The key that the options name; a fresh one where they name none."""
    lease = (options["source"], len(spec.randomised), options["lease"], options["first_record"])
    if options["key_file"] and options["demonstration_key"]:
        raise click.UsageError("give either --key-file or --demonstration-key")
    if options["demonstration_key"]:
        return keys.demonstration(*lease)
    return keys.from_file(options["key_file"], *lease) if options["key_file"] else keys.fresh(*lease)
