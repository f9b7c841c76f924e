"""`spikeveil build`: from a network to a bitstream and its report."""

from pathlib import Path
from typing import Any

import click
from rich.console import Console

from spikeveil.boards.board import Board
from spikeveil.host.bitstream import report
from spikeveil.host.bitstream.build import Build
from spikeveil.host.bitstream.fit import MAX_ESTIMATE, require_estimate
from spikeveil.host.bitstream.output import copy_build, require_timing
from spikeveil.host.bitstream.workload import Workload
from spikeveil.host.cli.options.build import (
    baud_option,
    clock_option,
    read_board,
    read_device_plan,
    seed_option,
    target_options,
    widest_build,
    workload_options,
)
from spikeveil.host.cli.options.common import json_option
from spikeveil.host.cli.options.network import network_argument
from spikeveil.host.cli.screens.build_progress import BuildProgress
from spikeveil.host.cli.screens.build_report import print_report, print_sweep
from spikeveil.host.cli.screens.tables import print_json
from spikeveil.host.networks import catalogue
from spikeveil.pysim import NetworkSpec


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
    """Build a bitstream and report its resources and speed.

    The bitstream is that of a device which runs NETWORK. Finished stages are kept in the user's cache folder: a build
    resumes where it stopped, and the same build is made once. The same inputs, tools and seed give the same
    bitstream, byte for byte.

    NETWORK is a file that `NetworkSpec.save` wrote, or `digits` for the trained network of the example.
    """
    spec, board = catalogue.load(network), read_board(options)
    workload = Workload(options["steps"], options["activity"])
    with BuildProgress(Console(stderr=True, highlight=False)) as progress:
        synthesised = _synthesise(spec, board, options, progress)
        reports = _place_and_route(synthesised, options, workload, progress)
    best = max(reports, key=lambda report: min(clock["fmax_mhz"] for clock in report["clocks"]))
    if options["output"]:
        copy_build(synthesised, best, Path(options["output"]))
    if options["as_json"]:
        sweep = [{key: report[key] for key in ("seed", "clocks", "meets_timing")} for report in reports]
        print_json({**best, "sweep": sweep})
    else:
        _print(best, reports)
    require_timing(best)


def _synthesise(spec: NetworkSpec, board: Board, options: dict[str, Any], progress: BuildProgress) -> Build:
    """The build after synthesis; without a number of lanes, the one with the most that fit."""
    if options["lanes"] is None:
        return widest_build(spec, board, options, 1 if options["seeds"] else options["seed"], progress)
    plan = read_device_plan(spec, options, options["lanes"])
    require_estimate(board.suited(plan), board, MAX_ESTIMATE)
    result = Build.of(plan, board)
    result.synthesise(progress, total=3 + 2 * (options["seeds"] or 1))
    return result


def _place_and_route(
    synthesised: Build, options: dict[str, Any], workload: Workload, progress: BuildProgress
) -> list[dict[str, Any]]:
    """The reports of every seed asked for."""
    seeds = [options["seed"]] if options["seeds"] is None else list(range(1, options["seeds"] + 1))
    for index, seed in enumerate(seeds):
        synthesised.place(seed, progress, total=3 + 2 * len(seeds), first=4 + 2 * index)
    return [report.make_report(synthesised, seed, workload) for seed in seeds]


def _print(best: dict[str, Any], reports: list[dict[str, Any]]) -> None:
    console = Console(highlight=False)
    print_report(console, best)
    if len(reports) > 1:
        print_sweep(console, reports)
    if best["source"] == "lfsr":
        console.print("An LFSR is predictable and hides nothing: epsilon is infinite.", style="bold red")
