"""`spikeveil devices`: the serial ports of this machine, and what the devices at them say they are."""

import json
from typing import TYPE_CHECKING, Any

import click

from spikeveil.host.cli.options.device import baud_option
from spikeveil.host.cli.options.privacy import json_option
from spikeveil.host.cli.refusals import refusal

if TYPE_CHECKING:
    from spikeveil.host.device.driver import Device

SILENCE = 0.6  # seconds: a device answers within a few round trips or not at all
NO_DEVICE = 3


@click.command(epilog="Example: spikeveil devices --probe /dev/ttyUSB0")
@click.argument("ports", nargs=-1, metavar="[PORT]...")
@click.option("--probe", is_flag=True, help="Ask the device at each of these ports what it is.")
@baud_option
@json_option
def devices(ports: tuple[str, ...], probe: bool, baud: int, as_json: bool) -> None:
    """List the serial ports, all or the ones named; with --probe, ask what is there.

    Nothing is written to a port without --probe: other instruments may be listening. Exit code 3 where a port that was
    named and probed does not answer.
    """
    from serial.tools import list_ports

    known = {one.device: str(one.description) for one in list_ports.comports()}
    names = ports or tuple(sorted(known))
    found = [{"port": name, "description": known.get(name, "")} | (_ask(name, baud) if probe else {}) for name in names]
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        _print(found)
    silent = [one["port"] for one in found if "error" in one]
    if ports and silent:
        raise refusal(f"no device answered at {', '.join(silent)}", NO_DEVICE)


def _ask(port: str, baud: int) -> dict[str, Any]:
    """What the device at a port says, or the sentence that says why it does not."""
    from spikeveil.host.device.driver import Device
    from spikeveil.host.device.errors import DeviceError
    from spikeveil.host.device.link import Timing

    try:
        with Device.open(port, baud=baud, timing=Timing(silence=SILENCE)) as device:
            return describe(device)
    except DeviceError as error:
        return {"error": str(error)}


def describe(device: "Device") -> dict[str, Any]:
    """The identity and the highest lease, ready for JSON."""
    from spikeveil.pysim.device.messages import Trait

    own, status = device.identity, device.status()
    return {
        "fingerprint": own.fingerprint.hex(),
        "structure": own.structure.hex(),
        "loadable": Trait.LOADABLE in own.flags,
        "source": "lfsr" if device.lfsr else "trivium",
        "schedule": "private" if device.private_schedule else "fast",
        "releases": "potentials" if Trait.POTENTIALS in own.flags else "spikes",
        "inputs": own.inputs,
        "outputs": own.outputs,
        "lanes": own.lanes,
        "clock": own.clock,
        "cadence": own.cadence,
        "highest_lease": status.lease,
        "damaged_frames": status.damaged,
    }


def _print(found: list[dict[str, Any]]) -> None:
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    if not found:
        console.print("no serial ports on this machine")
    for one in found:
        table = Table(box=SIMPLE, show_header=False, pad_edge=False)
        table.add_column(style="bold", no_wrap=True)
        table.add_column(overflow="fold")
        for name, value in one.items():
            shown = ("yes" if value else "no") if isinstance(value, bool) else f"{value}"
            table.add_row(name.replace("_", " "), shown)
        console.print(table)
