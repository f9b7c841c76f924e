"""`spikeveil fit`: a build of a network that fits a board, found by estimates."""

import shlex
from typing import Any

import click
from rich.console import Console

from spikeveil.boards.board import Board
from spikeveil.hdl.engine.plan import Plan
from spikeveil.host.bitstream.errors import FitError
from spikeveil.host.bitstream.fit import Fit, find_fits
from spikeveil.host.bitstream.workload import Workload, timing
from spikeveil.host.cli.options.build import baud_option, board_option, clock_option, read_board, workload_options
from spikeveil.host.cli.options.common import json_option
from spikeveil.host.cli.options.data import layout_option, load_records, optional_data_option
from spikeveil.host.cli.options.network import network_argument, schedule_option, source_option, unsafe_option
from spikeveil.host.cli.privatisation import raw_accuracy
from spikeveil.host.cli.screens.tables import figures_table, print_json
from spikeveil.host.networks import catalogue
from spikeveil.host.networks.release import origin_with
from spikeveil.pysim import NetworkSpec

EXAMPLE = "Example: spikeveil fit digits --board icebreaker --data digits -o fitted.snn"


@click.command(epilog=EXAMPLE)
@network_argument
@board_option
@clock_option
@baud_option
@source_option
@schedule_option
@unsafe_option
@workload_options
@optional_data_option
@layout_option
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="Write the network of the best fit to this file.")
@json_option
def fit(network: str, **options: Any) -> None:
    """Find a build that fits a board, by estimates.

    Lanes, loaded weights and bits of weights and potentials are tried, without running a tool. Prints what fits, the
    best first: the network's own numbers before fewer bits, then the most lanes; with labelled --data the accuracy of
    each before it is randomised; and the commands that build the best. Exit code 1 where nothing fits.

    NETWORK is a file that `NetworkSpec.save` wrote, or `digits` for the trained network of the example.
    """
    spec, board = catalogue.load(network), read_board(options)
    spec.require_private(unsafe=options["unsafe"])
    found = list(find_fits(spec, board, _plans(options)))
    if not found:
        raise FitError(f"no number of lanes and no format of 2 to 8 bits fits board {board.name}, by the estimate")
    reports = [_report(network, one, board, options) for one in found]
    best = found[0]
    if options["output"]:
        change = {"made_by": "spikeveil fit", "source_fingerprint": spec.fingerprint, "board": board.name,
                  "weight_bits": best.weight_bits, "state_bits": best.state_bits}  # fmt: skip
        origin = catalogue.origin(network)
        best.plan.spec.save(options["output"], origin_with(origin, change) if best.changed else origin)
    commands = _commands(network, best, options)
    report = {"board": board.name, "chip": board.chip.name, "fits": reports, "commands": commands}
    if options["as_json"]:
        print_json(report)
    else:
        _print(report)


def _plans(options: dict[str, Any]) -> Any:
    def make_plan(spec: NetworkSpec, lanes: int, loadable: bool) -> Plan:
        names = ("source", "schedule", "unsafe")
        return Plan(spec, lanes=lanes, loadable=loadable, **{name: options[name] for name in names})

    return make_plan


def _report(network: str, found: Fit, board: Board, options: dict[str, Any]) -> dict[str, Any]:
    last = found.plan.spec.layers[-1]
    accuracy = None
    if options["data"] is not None:
        records = load_records(found.plan.spec, {**options, "records": None, "skip": 0}, network)
        accuracy = raw_accuracy(found.plan.spec, records.spikes, records.labels, records.classes)
    return {
        "weight_bits": max(layer.weight_bits for layer in found.plan.spec.layers),
        "state_bits": last.state_bits,
        "changed": found.changed,
        "loadable": found.plan.loadable,
        "lanes": found.plan.lanes,
        "resources": {
            name: {"estimate": figure.value, "available": board.chip.available(name)}
            for name, figure in found.estimate.resources.items()
        },
        "inferences_per_second": _speed(found, board, options),
        "raw_accuracy": accuracy,
    }


def _speed(found: Fit, board: Board, options: dict[str, Any]) -> float:
    """Records a second at the board's clock."""
    workload = Workload(found.plan.spec.steps or options["steps"], options["activity"])
    speed: float = timing(found.plan, board.clock_hz, workload)[options["schedule"]]["inferences_per_second"]
    return speed


def _commands(network: str, best: Fit, options: dict[str, Any]) -> list[str]:
    """The commands that build the best fit, to be pasted."""
    commands = []
    file = network
    if best.changed:
        file = options["output"] or "fitted.snn"
        if not options["output"]:
            commands.append(shlex.join(["spikeveil", "fit", network, "--board", options["board"], "-o", file]))
    words = ["spikeveil", "build", file, "--board", options["board"], "--lanes", str(best.plan.lanes)]
    words += ["--loadable"] * best.plan.loadable
    for name in ("clock", "baud"):
        words += [] if options[name] is None else [f"--{name}", f"{options[name]:g}"]
    words += [] if options["source"] == "trivium" else ["--source", options["source"]]
    return [*commands, shlex.join(words)]


def _print(report: dict[str, Any]) -> None:
    console = Console(highlight=False)
    table = figures_table(
        f"{report['board']} ({report['chip']}): estimated to fit, the best first",
        *("weights", "bits", "potential", "lanes", "LUT %", "FF %", "block RAM %", "records a second", "accuracy"),
    )
    for row in report["fits"]:
        shares = [f"{100 * part['estimate'] / part['available']:.0f}" for part in row["resources"].values()]
        accuracy = "" if row["raw_accuracy"] is None else f"{100 * row['raw_accuracy']:.1f} %"
        table.add_row(
            "loaded" if row["loadable"] else "built in",
            str(row["weight_bits"]),
            str(row["state_bits"]),
            str(row["lanes"]),
            *shares,
            f"{row['inferences_per_second']:,.0f}",
            accuracy,
        )
    Console(highlight=False, width=max(console.width, 110)).print(table)  # wrapped figures mislead
    for command in report["commands"]:
        console.print(command, soft_wrap=True, markup=False)
