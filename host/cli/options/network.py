"""Options and files that the commands on a network share."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from spikeveil.hdl.engine.plan import Plan
from spikeveil.host.cli.options import keys
from spikeveil.host.cli.options.common import stack
from spikeveil.host.networks.digits_example import CLASSES, held_out
from spikeveil.pysim import NetworkSpec
from spikeveil.pysim.model import checks
from spikeveil.pysim.model.array_file import ArrayFile

DIGITS = "digits"
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
data_options = stack(
    click.option(
        "--data",
        required=True,
        metavar="DATA",
        help="Input spikes (records, steps, inputs), 0 and 1: a .npy or .npz file, or `digits` for the test images.",
    ),
    click.option("--skip", type=click.IntRange(0), default=0, show_default=True, help="Leave out so many records."),
    click.option("--records", type=click.IntRange(1), help="How many records; without it, all that follow."),
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


@dataclass(frozen=True)
class Records:
    """Input spikes (records, steps, inputs) bool; `labels` (records,) and `classes` where the data have them.

    whole, first: all records of the file, and the number of the first of `spikes` in them.
    """

    name: str
    spikes: NDArray[np.bool_]
    labels: NDArray[np.int64] | None = None
    classes: int = 0
    whole: NDArray[np.bool_] | None = None
    first: int = 0


def load_records(data: str, inputs: int, skip: int, records: int | None) -> Records:
    """The records that the options name. ValueError where they are not 0/1 spikes of `inputs` inputs, or none."""
    loaded = Records("the digits test images", *held_out(), CLASSES) if data == DIGITS else _load_file(Path(data))
    spikes = checks.spikes(loaded.spikes, inputs)
    if skip >= len(spikes):
        raise ValueError(f"skip must be under the {len(spikes)} records of the data, not {skip}")
    part = slice(skip, None if records is None else skip + records)
    labels = None if loaded.labels is None else loaded.labels[part]
    return Records(loaded.name, spikes[part], labels, loaded.classes, spikes, skip)


def load_data(data: str, column: str | None = None) -> tuple[NDArray[np.bool_], NDArray[Any] | None]:
    """All records of a data file, and its array `column` of subjects. ValueError."""
    if data == DIGITS:
        spikes, column_values = held_out()[0], None
    else:
        spikes, column_values = _load_file(Path(data)).spikes, _load_column(Path(data), column)
    if column is not None and (column_values is None or len(column_values) != len(spikes)):
        raise ValueError(f"data {data} must have an array {column!r} with one subject a record")
    return checks.spikes(spikes, np.asarray(spikes).shape[-1]), column_values


def _load_column(path: Path, column: str | None) -> NDArray[Any] | None:
    if column is None:
        return None
    with ArrayFile(path, f"data file {path}") as file:
        return file.array(column) if column in file.names else None


def _load_file(path: Path) -> Records:
    with ArrayFile(path, f"data file {path}") as file:
        names = file.names
        if "spikes" not in names and len(names) != 1:
            raise ValueError(f"data file {path} must hold an array named 'spikes', not {', '.join(names) or 'nothing'}")
        return Records(str(path), file.array("spikes" if "spikes" in names else names[0]))


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
