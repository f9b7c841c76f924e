"""`spikeveil devices`: the serial ports of this machine, and the devices behind them."""

from typing import Any

import click
from serial.tools import list_ports

from spikeveil.host.cli.errors import command_error
from spikeveil.host.cli.options.common import json_option
from spikeveil.host.cli.options.device import baud_option
from spikeveil.host.cli.screens.devices import print_devices
from spikeveil.host.cli.screens.tables import print_json
from spikeveil.host.device.driver import Device
from spikeveil.host.device.errors import DeviceError
from spikeveil.host.device.link import Timing
from spikeveil.pysim.device.messages import Release, Trait

SILENCE = 0.6  # seconds: a device answers within a few round trips or not at all
QUESTION = 2.0  # seconds in which a device that sends other frames must have answered
NO_DEVICE = 3  # exit code
RELEASES = {
    Release.SPIKES: "spikes",
    Release.POTENTIALS: "potentials",
    Release.KARY: "k-ary decisions",
    Release.ONE_HOT: "one-hot decisions",
}


@click.command(epilog="Example: spikeveil devices --probe /dev/ttyUSB0")
@click.argument("ports", nargs=-1, metavar="[PORT]...")
@click.option("--probe", is_flag=True, help="Ask the device at each of these ports for its identity.")
@baud_option
@json_option
def devices(ports: tuple[str, ...], probe: bool, baud: int, as_json: bool) -> None:
    """List the serial ports; --probe identifies the devices at them.

    Without --probe nothing is written to a port: other instruments may be attached. Exit code 3 where a port that was
    named and probed does not answer.
    """
    descriptions = {port.device: str(port.description) for port in list_ports.comports()}
    names = ports or tuple(sorted(descriptions))
    records = [
        {"port": name, "description": descriptions.get(name, "")} | (_probe(name, baud) if probe else {})
        for name in names
    ]
    if as_json:
        print_json(records)
    else:
        print_devices(records)
    silent = [record["port"] for record in records if "error" in record]
    if ports and silent:
        raise command_error(f"no device answered at {', '.join(silent)}", NO_DEVICE)


def _probe(port: str, baud: int) -> dict[str, Any]:
    """The identity of the device at a port, or the error that kept it from being read."""
    try:
        with Device.open(port, baud=baud, timing=Timing(silence=SILENCE, question=QUESTION)) as device:
            return _identity(device)
    except DeviceError as error:
        return {"error": str(error)}


def _identity(device: Device) -> dict[str, Any]:
    identity, status = device.identity, device.status()
    return {
        "fingerprint": identity.fingerprint.hex(),
        "structure": identity.structure.hex(),
        "loadable": Trait.LOADABLE in identity.flags,
        "source": "lfsr" if device.lfsr else "trivium",
        "schedule": "private" if device.private_schedule else "fast",
        "releases": RELEASES[identity.release],
        "inputs": identity.inputs,
        "outputs": identity.outputs,
        "lanes": identity.lanes,
        "clock": identity.clock,
        "cadence": identity.cadence,
        "highest_lease": status.lease,
        "damaged_frames": status.damaged,
    }
