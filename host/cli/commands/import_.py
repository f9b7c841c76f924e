"""`spikeveil import`: a NIR graph becomes a network of the specification's integers."""

import hashlib
from dataclasses import fields
from itertools import product
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from spikeveil.host.cli import privatisation
from spikeveil.host.cli.errors import usage_errors
from spikeveil.host.cli.options.common import json_option
from spikeveil.host.cli.options.data import layout_option, optional_data_option, read_data
from spikeveil.host.cli.options.exchange import choice_options, read_choices
from spikeveil.host.cli.options.formats import format_options, read_search
from spikeveil.host.cli.options.release import read_release, release_options, wants_release
from spikeveil.host.cli.screens.exchange import print_import
from spikeveil.host.cli.screens.tables import print_json
from spikeveil.host.data.spike_files import SpikeData
from spikeveil.host.exchange import chain, exporting, importing, nodes, reference
from spikeveil.host.exchange.choices import WORDS, Choices
from spikeveil.host.exchange.nodes import NirFile
from spikeveil.host.exchange.reference import FloatGraph
from spikeveil.host.networks.arrays import quantised, weight_report
from spikeveil.host.networks.float_files import load_weights
from spikeveil.pysim import NetworkSpec

EXAMPLE = (
    "Example: spikeveil import net.nir --from snntorch --data images.npz --release decision --epsilon 4 -o net.snn"
)

HDF5 = b"\x89HDF\r\n\x1a\n"  # signature of the format of NIR files
TRIAL_RECORDS = 16  # that a choice must reproduce before it is tried on all
FORMATS = tuple(field.name for field in fields(importing.Formats))


@click.command(name="import", epilog=EXAMPLE)
@click.argument("file", metavar="NETWORK", type=click.Path(exists=True, dir_okay=False))
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="Write the network to this .snn file.")
@choice_options
@format_options
@optional_data_option
@layout_option
@click.option(
    "--layers",
    type=click.Path(exists=True, dir_okay=False),
    help="TOML file that names the layers and neurons of a file of weights (docs/privatise.md).",
)
@release_options
@click.option("-T", "--steps", type=click.IntRange(1), help="Time steps of a record, for --release.")
@click.option(
    "--ignore-note", is_flag=True, help="Read a file of `spikeveil export` as if another tool had written it."
)
@json_option
def import_(file: str, **options: Any) -> None:
    """Import a NIR graph, or weights, as an integer network.

    NETWORK is a NIR file, or a file of weights (.npz, safetensors, a state dict of PyTorch) with --layers. A graph is
    checked, lowered to dense layers and quantised. What the file leaves open is asked for and never guessed; the
    answers are kept in the network file. A file that `spikeveil export` wrote leaves nothing open and gives back the
    same network. --release makes the network private, as `spikeveil privatise` does.
    """
    release = read_release(options) if wants_release(options) else None
    choices = read_choices(options)
    data = read_data(options["data"], options["layout"], options["steps"]) if options["data"] else None
    if _is_nir(Path(file)):
        spec, origin, report = _from_nir(Path(file), choices, data, options)
    else:
        spec, origin, report = _from_weights(Path(file), data, options)
    if data is not None:
        origin["steps"] = int(data.inputs.shape[1])
    made = None if release is None else privatisation.privatise(spec, release, origin, data, options["steps"])
    if made is not None:
        spec, origin = made.spec, made.origin
    if options["output"]:
        spec.save(options["output"], origin)
    record = {"fingerprint": spec.fingerprint, "exact": not report, "file": options["output"], **report}
    if options["as_json"]:
        print_json(record | ({} if made is None else {"private": made.to_dict()}))
    else:
        print_import(file, record, made)


def _is_nir(path: Path) -> bool:
    """Whether a file is to be read as NIR: by its suffix or by HDF5's signature."""
    with path.open("rb") as stream:
        return path.suffix == ".nir" or stream.read(len(HDF5)) == HDF5


def _from_nir(
    path: Path, choices: Choices, data: SpikeData | None, options: dict[str, Any]
) -> tuple[NetworkSpec, dict[str, Any], dict[str, Any]]:
    """The network of a NIR file, its note of origin, and the report; an empty one for a file of `spikeveil export`."""
    if options["layers"] is not None:
        raise click.UsageError("--layers is for a file of weights: a NIR file names its own layers")
    source = nodes.read_nir(path)
    spec = None if options["ignore_note"] else exporting.restore_network(source)
    if spec is None:
        return _quantised(source, choices, path.name, data, options)
    return spec, {"made_by": "spikeveil import", "source": path.name, "source_sha256": source.sha256}, {}


def _from_weights(
    path: Path, data: SpikeData | None, options: dict[str, Any]
) -> tuple[NetworkSpec, dict[str, Any], dict[str, Any]]:
    """The network of a file of weights, its note of origin, and the report."""
    layers = None if options["layers"] is None else Path(options["layers"])
    network = load_weights(path, layers)
    spikes = None if data is None else data.spikes(network.layers[0].inputs)
    formats = {name: options[name] for name in ("weight_bits", "state_bits", "allow_loss", "max_loss")}
    spec = quantised(network, spikes, search=read_search(options), **formats)
    origin = {
        "made_by": "spikeveil import",
        "source": path.name,
        "source_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "layers": None if layers is None else layers.read_text(encoding="utf-8"),
        "formats": formats,
    }
    return spec, origin, {"weights": weight_report(network, spec, spikes)}


def _quantised(
    source: NirFile, choices: Choices, name: str, data: SpikeData | None, options: dict[str, Any]
) -> tuple[NetworkSpec, dict[str, Any], dict[str, Any]]:
    """The network, its note of origin, and the report. UsageError where a choice is missing."""
    order = chain.ordered_nodes(source)
    with usage_errors():
        choices.require(order)
    graph = reference.build_graph(source, choices)
    formats = importing.Formats(**{name: options[name] for name in FORMATS})
    imported = importing.import_graph(graph, formats, None if data is None else data.inputs)
    record = {
        "choices": choices.to_dict(),
        "layers": importing.import_report(imported, graph),
        "deviations": list(imported.lowered.deviations),
        "notes": list(imported.notes),
        "allow_loss": formats.allow_loss,
        "recorded": _compare_recorded(graph, data),
    }
    return imported.spec, imported.origin(graph, name, formats), record


def _compare_recorded(graph: FloatGraph, data: SpikeData | None) -> dict[str, Any] | None:
    """Output spikes of the float network against the recorded ones, and other choices that reproduce them."""
    if data is None or data.output_spikes is None:
        return None
    inputs, spikes = data.inputs, data.output_spikes
    different = _count_different(graph, graph.choices, inputs, spikes)
    names = ["reset", "reset_timing", "compare", *(["gain"] if graph.choices.decay == "exp" else [])]
    candidates = product(*(WORDS[name] for name in names)) if different else ()
    alternatives = (dict(zip(names, values, strict=True)) for values in candidates)
    return {
        "compared": int(spikes.size),
        "different": different,
        "choices_that_match": [change for change in alternatives if _reproduces(graph, change, inputs, spikes)],
    }


def _reproduces(graph: FloatGraph, change: dict[str, str], inputs: NDArray[Any], spikes: NDArray[np.bool_]) -> bool:
    """Whether the graph gives the recorded spikes with these choices instead of its own."""
    try:
        choices = Choices.of(graph.choices.to_dict() | change)
        trial = slice(TRIAL_RECORDS)
        return all(_count_different(graph, choices, inputs[part], spikes[part]) == 0 for part in (trial, slice(None)))
    except ValueError:  # such as a v_reset that is not zero where a spike subtracts
        return False


def _count_different(graph: FloatGraph, choices: Choices, inputs: NDArray[Any], spikes: NDArray[np.bool_]) -> int:
    """How many output spikes differ from the recorded ones."""
    last = reference.build_graph(graph.file, choices).run(inputs)[-1].spikes
    if last.shape[2] != spikes.shape[2]:
        raise ValueError(
            f"data output_spikes must be of {last.shape[2]} neurons, the graph's output, not {spikes.shape[2]}"
        )
    return int((last != spikes).sum())
