"""Options that the commands on a device share."""

from typing import Any

import click

from spikeveil.host.cli.options.common import stack
from spikeveil.host.device.link import Timing

DEFAULT_BAUD = 1_000_000

baud_option = click.option(
    "--baud",
    type=click.IntRange(1, 4_000_000),
    default=DEFAULT_BAUD,
    show_default=True,
    help="Bits a second, as the device was built for.",
)
device_options = stack(
    click.option("--port", required=True, help="The serial port, as `spikeveil devices` names it."),
    baud_option,
    click.option(
        "--silence",
        type=click.FloatRange(0, min_open=True),
        default=4.0,
        show_default=True,
        help="Seconds without an answer after which the device counts as silent.",
    ),
    click.option(
        "--reconnect",
        type=click.FloatRange(0, min_open=True),
        default=30.0,
        show_default=True,
        help="Seconds to wait for a port that vanished.",
    ),
)


def read_timing(options: dict[str, Any]) -> Timing:
    """The time-outs that the options ask for."""
    return Timing(silence=options["silence"], reconnect=options["reconnect"])
