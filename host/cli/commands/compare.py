"""`spikeveil compare`: the first step, layer and neuron at which two networks part."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from spikeveil.host.cli.options.exchange import choice_options, layout_option, read_choices, read_records
from spikeveil.host.cli.options.privacy import json_option
from spikeveil.host.cli.refusals import refusals
from spikeveil.host.networks.catalogue import load as load_network

if TYPE_CHECKING:
    from spikeveil.host.exchange.choices import Choices
    from spikeveil.host.exchange.records import Records
    from spikeveil.host.exchange.reference import FloatGraph
    from spikeveil.host.networks.float_model import FloatNetwork
    from spikeveil.pysim.model.spec import NetworkSpec

    Side = NetworkSpec | FloatGraph | FloatNetwork | Records

EXAMPLE = "Example: spikeveil compare net.nir net.snn --data images.npz"


@click.command(epilog=EXAMPLE)
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@click.option("--data", metavar="DATA", help="Input spikes: .npy, .npz, or `digits` for the test images.")
@layout_option
@choice_options
@json_option
def compare(a: str, b: str, **options: Any) -> None:
    """Show the first difference of two networks: step, layer, neuron, and what each did there.

    Each of A and B is a network file (.snn, or `digits`), a NIR graph (.nir), a float network (.npz that
    `FloatNetwork.save` wrote), or a recording (.npz with input `x` and output `spikes`, which needs no --data).
    Flippers are taken out: their noise is no property of a network. Without data two network files are compared
    number by number. What a NIR graph leaves open is taken from a network file that was imported from it, or asked.

    Exit code 0: equal; 1: different; 2: cannot be compared.
    """
    from spikeveil.pysim.model.spec import NetworkSpec

    with refusals(), _unreadable():
        choices = read_choices(options) if _given(options) else _choices_of_the_other(a, b)
        sides = [_side(name, choices) for name in (a, b)]
        numbers = options["data"] is None and all(isinstance(side, NetworkSpec) for side in sides)
        record = _numbers(sides) if numbers else _spikes((a, b), sides, options)
    click.echo(json.dumps(record, indent=2) if options["as_json"] else record["words"])
    if not record["equal"]:
        raise SystemExit(1)


@contextmanager
def _unreadable() -> Iterator[None]:
    """A file that cannot be read is nothing that differs: exit code 2 as for wrong usage."""
    try:
        yield
    except OSError as error:
        raise click.UsageError(f"{error.filename}: {error.strerror}" if error.filename else str(error)) from error


def _given(options: dict[str, Any]) -> bool:
    return any(options[name] is not None for name in ("dt", "decay", "reset", "reset_timing", "compare", "initial"))


def _choices_of_the_other(a: str, b: str) -> "Choices":
    """The choices kept in a network file that was imported from the NIR file beside it."""
    import hashlib

    from spikeveil.host.exchange.choices import Choices
    from spikeveil.pysim.model.spec import NetworkSpec

    for graph, network in ((a, b), (b, a)):
        if graph.endswith(".nir") and network.endswith(".snn") and Path(graph).exists() and Path(network).exists():
            note = NetworkSpec.origin(network) or {}
            if note.get("source_sha256") == hashlib.sha256(Path(graph).read_bytes()).hexdigest():
                return Choices.of(note.get("choices", {}))
    return Choices()


def _side(name: str, choices: "Choices") -> "Side":
    from spikeveil.host.exchange import exporting, nodes, records, reference
    from spikeveil.host.networks.float_model import FloatNetwork

    path = Path(name)
    if path.suffix == ".nir":
        file = nodes.read(path)
        return exporting.restored(file) or reference.build(file, choices)
    if path.suffix != ".npz":
        return load_network(name)
    names = set(records.arrays(path))
    if {"x", "spikes"} <= names:
        return records.load(path)
    return FloatNetwork.load(path)


def _numbers(sides: list[Any]) -> dict[str, Any]:
    from spikeveil.host.exchange.compare import first_unequal_number

    found = first_unequal_number(*sides)
    words = f"equal: fingerprint {sides[0].fingerprint}" if found is None else f"first difference: {found}"
    return {"equal": found is None, "words": words, "first": found}


def _spikes(names: tuple[str, str], sides: list[Any], options: dict[str, Any]) -> dict[str, Any]:
    from dataclasses import asdict

    from spikeveil.host.exchange.compare import first_difference
    from spikeveil.host.exchange.records import Records

    given = next((side for side in sides if isinstance(side, Records)), None)
    records = read_records(options["data"], options["layout"]) if options["data"] else given
    if records is None:
        raise ValueError(f"--data must be given to compare the spikes of {names[0]} and {names[1]}")
    shown = names if names[0] != names[1] else ("A", "B")
    runs = [_run(name, side, records) for name, side in zip(shown, sides, strict=True)]
    found = first_difference(*runs)
    compared = sum(spikes.size for spikes in min((run.spikes for run in runs), key=len))
    flipped = any(getattr(side, "flipped", ()) for side in sides)
    words = f"equal: all {compared:,} spikes" if found is None else str(found)
    words += " (flippers taken out)" if flipped else ""
    return {
        "equal": found is None,
        "words": words,
        "first": None if found is None else asdict(found),
        "records": int(records.inputs.shape[0]),
        "steps": int(records.inputs.shape[1]),
        "flippers_taken_out": flipped,
    }


def _run(name: str, side: "Side", records: "Records") -> Any:
    from spikeveil.host.exchange import compare as exchange
    from spikeveil.host.exchange.reference import FloatGraph
    from spikeveil.host.networks.float_model import FloatNetwork
    from spikeveil.pysim.model.spec import NetworkSpec

    if isinstance(side, NetworkSpec):
        return exchange.run_integers(name, side, records.inputs)
    if isinstance(side, FloatGraph):
        return exchange.run_graph(name, side, records.inputs)
    if isinstance(side, FloatNetwork):
        return exchange.run_floats(name, side, records.inputs)
    if side.spikes is None:
        raise ValueError(f"{name} must hold output spikes beside x")
    return exchange.recording(name, side.spikes)
