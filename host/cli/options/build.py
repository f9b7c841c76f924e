"""Options that `spikeveil build`, `check` and `estimate` share, and the builds that they ask for."""

from dataclasses import replace
from typing import Any

import click

from spikeveil.boards.board import Board
from spikeveil.boards.catalogue import find
from spikeveil.hdl.engine.plan import Plan
from spikeveil.host.bitstream.build import Build
from spikeveil.host.bitstream.lane_search import search_lanes
from spikeveil.host.cli.errors import usage_errors
from spikeveil.host.cli.options.common import stack
from spikeveil.host.cli.options.network import fold_option, read_plan, schedule_option, source_option, unsafe_option
from spikeveil.host.cli.screens.build_progress import BuildProgress
from spikeveil.pysim import NetworkSpec

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


def read_board(options: dict[str, Any]) -> Board:
    """The board that the options name, at the clock and baud rate that they ask for."""
    with usage_errors():
        board = find(options["board"])
        clock = options.get("clock")
        board = board.at(clock_hz=None if clock is None else round(clock * 1e6), baud=options.get("baud"))
        board.dividers()
    return board


def read_device_plan(spec: NetworkSpec, options: dict[str, Any], lanes: int) -> Plan:
    """The plan of a device that the options ask for, with `lanes` lanes."""
    return replace(read_plan(spec, {**options, "lanes": lanes}), loadable=options["loadable"])


def widest_build(spec: NetworkSpec, board: Board, options: dict[str, Any], seed: int, progress: BuildProgress) -> Build:
    """The build with the most lanes that fit the chip and meet the clock, placed with `seed`."""
    spec.require_private(unsafe=options["unsafe"])  # once, not for every number of lanes
    neurons = max(layer.neurons for layer in spec.layers)
    return search_lanes(
        lambda lanes: read_device_plan(spec, options, lanes), neurons, board, seed, progress, progress.say
    )
