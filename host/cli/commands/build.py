"""`spikeveil build`: from a network to a bitstream and its report."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from spikeveil.host.cli.options.network import (
    fold_option,
    make_plan,
    network_argument,
    schedule_option,
    source_option,
    stack,
    unsafe_option,
)
from spikeveil.host.cli.options.privacy import json_option
from spikeveil.host.networks.catalogue import load as load_network

if TYPE_CHECKING:
    from spikeveil.boards.board import Board
    from spikeveil.hdl.engine.plan import Plan
    from spikeveil.host.bitstream.build import Build
    from spikeveil.host.bitstream.workload import Workload
    from spikeveil.host.cli.screens.build import Screen
    from spikeveil.pysim.model.spec import NetworkSpec

board_option = click.option(
    "--board", "board", required=True, metavar="BOARD", help="A name of `spikeveil boards`, or FILE.py:NAME."
)
lanes_option = click.option(
    "--lanes", type=int, help="Neurons of a layer computed in parallel, 1 to 64; without it, the most that fit."
)
clock_option = click.option("--clock", type=float, metavar="MHZ", help="Clock of the design, if not the board's own.")
baud_option = click.option("--baud", type=int, help="Baud rate of the serial line instead of the board's own.")
workload_options = stack(
    click.option("-T", "--steps", type=int, default=16, show_default=True, help="Time steps of an inference."),
    click.option(
        "--activity", type=float, default=0.25, show_default=True, help="Share of a layer's inputs spiking in a step."
    ),
)
loadable_option = click.option(
    "--loadable", is_flag=True, help="Weights come over the link after power-on instead of being built in."
)
target_options = stack(
    board_option, lanes_option, loadable_option, source_option, schedule_option, fold_option, unsafe_option
)
seed_option = click.option(
    "--seed", type=click.IntRange(1), default=1, show_default=True, help="Seed of place and route."
)


@click.command(epilog="Example: spikeveil build digits --board ulx3s-85f --lanes 16 -o out/digits")
@network_argument
@target_options
@clock_option
@baud_option
@seed_option
@click.option("--seeds", type=click.IntRange(2, 99), help="Sweep seeds 1 to N and keep the fastest.")
@workload_options
@click.option("-o", "--output", type=click.Path(file_okay=False), help="Copy the bitstream and report.json here.")
@json_option
def build(network: str, **options: Any) -> None:
    """Build the bitstream of a device that runs NETWORK, and report what it takes and how fast it is.

    Finished steps are kept in the user's cache folder: a build goes on where it stopped, and the same build is made
    once. The same inputs, tools and seed give the same bitstream, byte for byte.

    NETWORK is a file that `NetworkSpec.save` wrote, or `digits` for the trained network of the example.
    """
    from rich.console import Console

    from spikeveil.host.bitstream.workload import Workload
    from spikeveil.host.cli.screens.build import Screen, summary

    spec, board = load_network(network), choose_board(options)
    workload = Workload(options["steps"], options["activity"])
    console = Console(stderr=True, highlight=False)
    with Screen(console) as screen:
        built = _start(spec, board, options, screen)
        reports = _place(built, options, workload, screen)
    best = max(reports, key=lambda report: min(clock["fmax_mhz"] for clock in report["clocks"]))
    if options["output"]:
        _deliver(built, best, Path(options["output"]))
    if options["as_json"]:
        click.echo(json.dumps({**best, "sweep": [summary(report) for report in reports]}, indent=2))
    else:
        _print(best, reports)
    _require_timing(best)


def choose_board(options: dict[str, Any]) -> "Board":
    """The board that the options name, at the clock and baud rate that they ask for."""
    from spikeveil.boards.catalogue import find
    from spikeveil.host.cli.refusals import refusals

    with refusals():
        board = find(options["board"])
        clock = options.get("clock")
        board = board.at(clock_hz=None if clock is None else round(clock * 1e6), baud=options.get("baud"))
        board.dividers()
    return board


def plan_of(spec: "NetworkSpec", options: dict[str, Any], lanes: int) -> "Plan":
    """The plan that the options ask for, with so many lanes."""
    from dataclasses import replace

    return replace(make_plan(spec, {**options, "lanes": lanes}), loadable=options["loadable"])


def _start(spec: "NetworkSpec", board: "Board", options: dict[str, Any], screen: "Screen") -> "Build":
    """The build, its netlist made; with no lanes asked for, the most that fit."""
    from spikeveil.host.bitstream.build import Build

    if options["lanes"] is None:
        return widest(spec, board, options, 1 if options["seeds"] else options["seed"], screen)
    built = Build.of(plan_of(spec, options, options["lanes"]), board)
    built.synthesise(screen, total=3 + 2 * (options["seeds"] or 1))
    return built


def widest(spec: "NetworkSpec", board: "Board", options: dict[str, Any], seed: int, screen: "Screen") -> "Build":
    """The build with the most lanes that fit and meet the clock, placed with `seed`."""
    from spikeveil.host.bitstream.lane_search import most_lanes

    neurons = max(layer.neurons for layer in spec.layers)
    return most_lanes(lambda lanes: plan_of(spec, options, lanes), neurons, board, seed, screen, screen.say)


def _place(built: "Build", options: dict[str, Any], workload: "Workload", screen: "Screen") -> list[dict[str, Any]]:
    """The reports of every seed asked for."""
    from spikeveil.host.bitstream import report

    seeds = [options["seed"]] if options["seeds"] is None else list(range(1, options["seeds"] + 1))
    for index, seed in enumerate(seeds):
        built.place(seed, screen, total=3 + 2 * len(seeds), first=4 + 2 * index)
    return [report.make_report(built, seed, workload) for seed in seeds]


def _deliver(built: "Build", best: dict[str, Any], folder: Path) -> None:
    """Copy the bitstream and the report out of the cache."""
    from spikeveil.pysim.model.files import write_atomically

    folder.mkdir(parents=True, exist_ok=True)
    suffix = built.tool_flow.packed
    bits = (built.folder / f"pack-{best['seed']}" / f"top.{suffix}").read_bytes()
    name = f"{best['board']}.{suffix}"
    write_atomically(folder / name, bits)
    record = {**best, "bitstream": {**best["bitstream"], "file": name}}
    write_atomically(folder / "report.json", (json.dumps(record, indent=2) + "\n").encode())


def _print(best: dict[str, Any], reports: list[dict[str, Any]]) -> None:
    from rich.console import Console

    from spikeveil.host.cli.screens import build_report as show

    console = Console(highlight=False)
    show.print_report(console, best)
    if len(reports) > 1:
        show.print_sweep(console, reports)
    if best["source"] == "lfsr":
        console.print("An LFSR hides nothing from somebody who knows it: epsilon is infinite.", style="bold red")


def _require_timing(best: dict[str, Any]) -> None:
    if not best["meets_timing"]:
        from spikeveil.host.bitstream.errors import BuildError

        slowest = min(clock["fmax_mhz"] for clock in best["clocks"])
        raise BuildError(
            f"the design reaches {slowest:.1f} MHz and board {best['board']} runs at {best['clock_hz'] / 1e6:g}: "
            "ask for fewer lanes, another seed or a slower --clock"
        )
