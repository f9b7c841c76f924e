"""`spikeveil compare`: the first step, layer and neuron at which two networks differ."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeAlias

import click

from spikeveil.host.cli.errors import usage_errors
from spikeveil.host.cli.options.common import json_option
from spikeveil.host.cli.options.data import layout_option, optional_data_option, read_data
from spikeveil.host.cli.options.exchange import any_choice, choice_options, read_choices
from spikeveil.host.cli.screens.compare import print_comparison
from spikeveil.host.cli.screens.tables import print_json
from spikeveil.host.data import spike_files
from spikeveil.host.data.spike_files import SpikeData
from spikeveil.host.exchange import compare as comparison
from spikeveil.host.exchange import exporting, nodes, reference
from spikeveil.host.exchange.choices import Choices
from spikeveil.host.exchange.reference import FloatGraph
from spikeveil.host.networks import catalogue
from spikeveil.host.networks.float_model import FloatNetwork
from spikeveil.pysim import NetworkSpec

Side: TypeAlias = NetworkSpec | FloatGraph | FloatNetwork | SpikeData

EXAMPLE = "Example: spikeveil compare net.nir net.snn --data images.npz"


@click.command(epilog=EXAMPLE)
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@optional_data_option
@layout_option
@choice_options
@click.option("--raster", type=click.IntRange(0), metavar="RECORD", help="Draw the spikes of this record in both.")
@json_option
def compare(a: str, b: str, **options: Any) -> None:
    """Show the first difference of two networks, and how well their spikes match.

    The difference is a step, a layer and a neuron, with what each network does there. Spikes match where they are at
    most a step apart: F1 by layer, A being the reference. A and B are each a network file (.snn, or `digits`), a NIR
    graph (.nir), a float network (.npz that `FloatNetwork.save` wrote), or a recording (.npz with input `x` and
    `output_spikes`, which needs no --data). Flippers are left out: their noise is no property of a network. Without
    data two network files are compared number by number. What a NIR graph leaves open is taken from a network file that
    was imported from it, or from the options.

    Exit code 0: equal; 1: different; 2: cannot be compared.
    """
    with usage_errors(), _unreadable_files():
        choices = read_choices(options) if any_choice(options) else _choices_of_import(a, b)
        sides = [_load(name, choices) for name in (a, b)]
        if options["data"] is None and isinstance(sides[0], NetworkSpec) and isinstance(sides[1], NetworkSpec):
            record = _compare_numbers(sides[0], sides[1])
        else:
            record = _compare_spikes((a, b), sides, options)
    if options["as_json"]:
        print_json(record)
    else:
        print_comparison(record)
    if not record["equal"]:
        raise SystemExit(1)


@contextmanager
def _unreadable_files() -> Iterator[None]:
    """A file that cannot be read is no difference: exit code 2, as for wrong usage."""
    try:
        yield
    except OSError as error:
        raise click.UsageError(f"{error.filename}: {error.strerror}" if error.filename else str(error)) from error


def _choices_of_import(a: str, b: str) -> Choices:
    """The choices in a network file that was imported from the NIR file beside it."""
    for graph, network in ((a, b), (b, a)):
        if graph.endswith(".nir") and network.endswith(".snn") and Path(graph).exists() and Path(network).exists():
            note = NetworkSpec.origin(network) or {}
            if note.get("source_sha256") == hashlib.sha256(Path(graph).read_bytes()).hexdigest():
                return Choices.of(note.get("choices", {}))
    return Choices()


def _load(name: str, choices: Choices) -> Side:
    path = Path(name)
    if path.suffix == ".nir":
        file = nodes.read_nir(path)
        return exporting.restore_network(file) or reference.build_graph(file, choices)
    if path.suffix != ".npz":
        return catalogue.load(name)
    names = set(spike_files.read_arrays(path))
    if "x" in names and names & {"spikes", "output_spikes"}:
        return spike_files.load_data(path)
    return FloatNetwork.load(path)


def _compare_numbers(a: NetworkSpec, b: NetworkSpec) -> dict[str, Any]:
    first = comparison.first_unequal_number(a, b)
    words = f"equal: fingerprint {a.fingerprint}" if first is None else f"first difference: {first}"
    return {"equal": first is None, "words": words, "first": first}


def _compare_spikes(names: tuple[str, str], sides: list[Side], options: dict[str, Any]) -> dict[str, Any]:
    recorded = next((side for side in sides if isinstance(side, SpikeData)), None)
    data = read_data(options["data"], options["layout"]) if options["data"] else recorded
    if data is None:
        raise ValueError(f"--data must be given to compare the spikes of {names[0]} and {names[1]}")
    labels = names if names[0] != names[1] else ("A", "B")
    both = (_record(labels[0], sides[0], data), _record(labels[1], sides[1], data))
    first = comparison.first_difference(*both)
    compared = sum(spikes.size for spikes in min((recording.spikes for recording in both), key=len))
    flipped = any(getattr(side, "flipped", ()) for side in sides)
    words = f"equal: all {compared:,} spikes" if first is None else str(first)
    return {
        "equal": first is None,
        "words": words + (" (flippers left out)" if flipped else ""),
        "first": None if first is None else asdict(first),
        "layers": [{"layer": index} | match.to_dict() for index, match in comparison.match_layers(*both)],
        "raster": None if options["raster"] is None else comparison.raster(*both, options["raster"]),
        "records": int(data.inputs.shape[0]),
        "steps": int(data.inputs.shape[1]),
        "flippers_left_out": flipped,
    }


def _record(name: str, side: Side, data: SpikeData) -> comparison.Recording:
    if isinstance(side, NetworkSpec):
        return comparison.run_integers(name, side, data.inputs)
    if isinstance(side, FloatGraph):
        return comparison.run_graph(name, side, data.inputs)
    if isinstance(side, FloatNetwork):
        return comparison.run_floats(name, side, data.inputs)
    if side.output_spikes is None:
        raise ValueError(f"{name} must hold output_spikes beside x")
    return comparison.recording(name, side.output_spikes)
