"""The data file of a command: input spikes, labels, and the part of the records that is used."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from spikeveil.host.cli.options.common import stack
from spikeveil.host.data.decoder import accuracy, decide
from spikeveil.host.data.spike_files import LAYOUTS, SpikeData, layout_warning, load_data
from spikeveil.host.networks import catalogue
from spikeveil.host.networks.digits_example import CLASSES, held_out
from spikeveil.pysim import NetworkSpec

DIGITS = "digits"
DATA_HELP = (
    "Input spikes, 0 and 1: a .npz file with x (records, steps, inputs) and, if any, labels; a .npy file; or `digits` "
    "for the test images."
)

layout_option = click.option(
    "--layout", type=click.Choice(LAYOUTS), help="Order of the file's arrays.  [default: records-first]"
)
optional_data_option = click.option("--data", metavar="DATA", help=DATA_HELP)
data_options = stack(
    click.option("--data", required=True, metavar="DATA", help=DATA_HELP),
    layout_option,
    click.option("--skip", type=click.IntRange(0), default=0, show_default=True, help="Leave out so many records."),
    click.option("--records", type=click.IntRange(1), help="How many records; without it, all that follow."),
)


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

    def accuracy(self, released: NDArray[Any]) -> float | None:
        """The share of these records whose label is the class of what is `released`; None without labels.

        `released`: what `decide` takes. None too where its neurons are no multiple of the classes.
        """
        neurons = released.shape[-1] if released.ndim == 3 else self.classes
        if self.labels is None or not self.classes or neurons % self.classes:
            return None
        return accuracy(decide(released, self.classes), self.labels)


def read_data(data: str, layout: str | None = None, steps: int | None = None) -> SpikeData:
    """The data file, or the digits test images; ValueError.

    A warning is printed where the file looks steps-first. `steps`: of a record of the network, where they are known.
    """
    if data == DIGITS and not Path(data).exists():
        spikes, labels = held_out()
        return SpikeData(DIGITS, spikes, labels=labels, classes=CLASSES)
    loaded = load_data(data, layout)
    if layout is None and loaded.layout == "records-first" and loaded.labels is None:
        warning = layout_warning(loaded.inputs, steps)
        if warning:
            warn(warning)
    return loaded


def warn(sentence: str) -> None:
    """Print a warning on the error stream."""
    click.echo(f"warning: {sentence}", err=True)


def load_records(spec: NetworkSpec, options: dict[str, Any], network: str | None = None) -> Records:
    """The records that the options name; `network`: the name of the network, whose note of origin may hold its steps.

    ValueError where they are not 0/1 spikes of the network's inputs, or none."""
    data = read_data(options["data"], options["layout"], spec.steps or _steps_in_origin(network))
    spikes = data.spikes(spec.inputs)
    skip, count = options.get("skip", 0), options.get("records")
    if skip >= len(spikes):
        raise ValueError(f"skip must be under the {len(spikes)} records of the data, not {skip}")
    if spec.steps is not None and spikes.shape[1] != spec.steps:
        hint = "; --layout steps-first reads them so" if len(spikes) == spec.steps and not options["layout"] else ""
        raise ValueError(
            f"data {data.name} must have the {spec.steps} steps of the network's records, not {spikes.shape[1]}{hint}"
        )
    if count is not None and skip + count > len(spikes):
        warn(f"the data have {len(spikes) - skip} records from record {skip} on, not the {count} of --records")
    part = slice(skip, None if count is None else skip + count)
    labels = None if data.labels is None else data.labels[part]
    name = "the digits test images" if data.name == DIGITS else data.name
    return Records(name, spikes[part], labels, classes_of(spec, data), spikes, skip)


def _steps_in_origin(network: str | None) -> int | None:
    """The steps of a record in the network's note of origin, or None."""
    steps = (catalogue.origin(network) or {}).get("steps") if network is not None else None
    return steps if isinstance(steps, int) else None


def classes_of(spec: NetworkSpec, data: SpikeData) -> int:
    """The classes that labels are counted in; 0 for data without labels, or labels that the outputs cannot be.

    The decision's, or what the file holds, or the smallest number that exceeds every label and divides the outputs.
    """
    if data.labels is None:
        return 0
    if spec.decision is not None:
        return spec.decision.classes
    low = int(data.labels.max()) + 1
    if data.classes is not None:
        return data.classes if spec.outputs % data.classes == 0 else 0
    return next((count for count in range(max(2, low), spec.outputs + 1) if spec.outputs % count == 0), 0)


def load_subjects(
    data: str, column: str | None = None, layout: str | None = None
) -> tuple[NDArray[np.bool_], NDArray[Any] | None]:
    """All records of a data file, and its array `column` of subjects. ValueError."""
    loaded = read_data(data, layout)
    subjects = None if column is None else loaded.columns.get(column)
    if column == "labels" and loaded.labels is not None:
        subjects = loaded.labels
    if column is not None and (subjects is None or len(subjects) != len(loaded.inputs)):
        raise ValueError(f"data {data} must have an array {column!r} with one subject a record")
    return loaded.spikes(int(np.prod(loaded.inputs.shape[2:]))), subjects
