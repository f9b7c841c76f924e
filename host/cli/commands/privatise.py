"""`spikeveil privatise`: a network that releases a decision, or flipped spikes, in place of what it released."""

from typing import Any

import click
from rich.console import Console

from spikeveil.host.cli import privatisation
from spikeveil.host.cli.options.common import json_option
from spikeveil.host.cli.options.data import layout_option, optional_data_option, read_data
from spikeveil.host.cli.options.network import network_argument
from spikeveil.host.cli.options.release import read_release, release_options
from spikeveil.host.cli.screens.privatise import print_privatised
from spikeveil.host.cli.screens.tables import print_json
from spikeveil.host.networks import catalogue

EXAMPLE = "Example: spikeveil privatise digits --release decision --epsilon 4 --data digits -o private.snn"


@click.command(epilog=EXAMPLE)
@network_argument
@release_options
@click.option("-T", "--steps", type=click.IntRange(1), help="Time steps of a record.  [default: those of --data]")
@optional_data_option
@layout_option
@click.option("-o", "--output", type=click.Path(dir_okay=False), required=True, help="Write it to this .snn file.")
@json_option
def privatise(network: str, **options: Any) -> None:
    """Make a network private: a decision a record, or flipped spikes.

    With --release decision it releases one randomised class at the end of each record, at the record's --epsilon. With
    --release spikes the spikes of its last layer are flipped, at the epsilon of one spike or of a record. Prints the
    claim and, with labelled --data, the accuracy before and after. The weights stay as they are; the note of origin
    is kept, with a claim of DP-SGD where there is one.

    NETWORK is a file that `NetworkSpec.save` wrote, or `digits` for the trained network of the example.
    """
    release = read_release(options)
    spec, origin = catalogue.load(network), catalogue.origin(network)
    data = None if options["data"] is None else read_data(options["data"], options["layout"], options["steps"])
    made = privatisation.privatise(spec, release, origin, data, options["steps"])
    made.spec.save(options["output"], made.origin)
    report = {"file": options["output"], "fingerprint": made.spec.fingerprint, **made.to_dict()}
    if options["as_json"]:
        print_json(report)
        return
    console = Console(highlight=False)
    print_privatised(console, made)
    console.print(f"fingerprint {made.spec.fingerprint}", soft_wrap=True)
    console.print(f"written to {options['output']}", soft_wrap=True)
