"""`spikeveil program`: load a bitstream into a board."""

import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click

from spikeveil.boards.catalogue import find
from spikeveil.host.bitstream.errors import BuildError
from spikeveil.host.bitstream.tool_flows import TOOL_FLOWS
from spikeveil.host.cli.errors import usage_errors
from spikeveil.host.cli.options.build import board_option
from spikeveil.host.cli.options.common import json_option

INSTALL = {
    "iceprog": "sudo apt-get install fpga-icestorm",
    "openFPGALoader": "sudo apt-get install openfpgaloader",
    "dfu-util": "sudo apt-get install dfu-util",
}


@click.command(epilog="Example: spikeveil program out/digits/ulx3s-85f.bit --board ulx3s-85f")
@click.argument("bitstream", metavar="BITSTREAM", type=click.Path(exists=True, dir_okay=False))
@board_option
@click.option("--flash", is_flag=True, help="Write it to flash memory, where it survives a power cycle.")
@click.option("--dry-run", is_flag=True, help="Only show the command.")
@json_option
def program(bitstream: str, board: str, flash: bool, dry_run: bool, as_json: bool) -> None:
    """Load a bitstream into a board with the board's own loader."""
    with usage_errors():
        target = find(board)
    suffix = TOOL_FLOWS[target.chip.family].packed
    if Path(bitstream).suffix != f".{suffix}":
        raise click.UsageError(f"board {target.name} takes a .{suffix} file, not {Path(bitstream).name}")
    words = target.flasher if flash else target.loader
    if not words:
        raise BuildError(f"board {target.name} names no {'flasher' if flash else 'loader'}")
    command = [bitstream if word == "{}" else word for word in words]
    if dry_run:
        click.echo(json.dumps({"command": command}) if as_json else shlex.join(command))
        return
    if shutil.which(command[0]) is None:
        fix = INSTALL.get(command[0], f"install {command[0]}")
        raise BuildError(f"{command[0]} is not installed: {fix}")
    done = subprocess.run(command, check=False, stdout=sys.stderr if as_json else None)
    if done.returncode:
        raise BuildError(f"{command[0]} failed with exit code {done.returncode}: {shlex.join(command)}")
    if as_json:
        click.echo(json.dumps({"command": command}))
