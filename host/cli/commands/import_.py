"""`spikeveil import`: a NIR graph becomes a network of the specification's integers."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from spikeveil.host.cli.options.exchange import choice_options, layout_option, read_choices, read_records
from spikeveil.host.cli.options.privacy import json_option
from spikeveil.host.cli.refusals import refusals

if TYPE_CHECKING:
    from spikeveil.host.exchange.choices import Choices
    from spikeveil.host.exchange.nodes import NirFile
    from spikeveil.host.exchange.records import Records
    from spikeveil.host.exchange.reference import FloatGraph
    from spikeveil.pysim.model.spec import NetworkSpec

EXAMPLE = (
    "Example: spikeveil import net.nir -o net.snn --dt 1e-4 --decay euler --reset subtract --reset-timing delayed "
    "--compare gt --data images.npz"
)

SOME = 16  # records that a choice must reproduce before it is tried on all
FORMATS = ("weight_bits", "state_bits", "per_neuron", "leak_bits")


@click.command(name="import", epilog=EXAMPLE)
@click.argument("file", metavar="NET.nir", type=click.Path(exists=True, dir_okay=False))
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="Write the network to this .snn file.")
@choice_options
@click.option("--weight-bits", type=click.IntRange(2, 8), default=8, show_default=True, help="Bits of a weight.")
@click.option("--state-bits", type=click.IntRange(2, 32), default=16, show_default=True, help="Bits of a potential.")
@click.option(
    "--leak-bits", type=click.IntRange(1, 16), default=8, show_default=True, help="Bits of a leak's fraction."
)
@click.option("--per-neuron", is_flag=True, help="A scale for each neuron instead of each layer.")
@click.option("--data", metavar="DATA", help="Input spikes (.npy, .npz, `digits`) that choose the scales; measured on.")
@layout_option
@click.option(
    "--ignore-note", is_flag=True, help="Read a file of `spikeveil export` as if another tool had written it."
)
@json_option
def import_(file: str, **options: Any) -> None:
    """Import a NIR graph: sorted, checked, lowered to dense layers, quantised to the specification's integers.

    What the file does not say is asked for and never guessed; the answers are kept in the network file. A file that
    `spikeveil export` wrote says all, and gives back the very network.
    """
    from spikeveil.host.exchange import exporting, nodes

    choices, source = read_choices(options), nodes.read(Path(file))
    spec = None if options["ignore_note"] else exporting.restored(source)
    if spec is None:
        spec, origin, record = _quantised(source, choices, Path(file).name, options)
    else:
        origin, record = {"made_by": "spikeveil import", "source": Path(file).name, "source_sha256": source.sha256}, {}
    if options["output"]:
        spec.save(options["output"], origin)
    record = {"fingerprint": spec.fingerprint, "exact": not record, "file": options["output"], **record}
    if options["as_json"]:
        click.echo(json.dumps(record, indent=2))
    else:
        _print(file, record)


def _quantised(
    source: "NirFile", choices: "Choices", name: str, options: dict[str, Any]
) -> tuple["NetworkSpec", dict[str, Any], dict[str, Any]]:
    """The network, its note of origin, and what to report. UsageError where a choice is missing."""
    from spikeveil.host.exchange import chain, importing, reference

    order = chain.ordered(source)
    with refusals():
        choices.require(order)
    graph = reference.build(source, choices)
    formats = importing.Formats(**{name: options[name] for name in FORMATS})
    records = read_records(options["data"], options["layout"]) if options["data"] else None
    imported = importing.import_graph(graph, formats, None if records is None else records.inputs)
    record = {
        "choices": choices.record(),
        "layers": importing.report(imported, graph),
        "deviations": list(imported.lowered.deviations),
        "recorded": _recorded(graph, records),
    }
    return imported.spec, imported.origin(graph, name, formats), record


def _recorded(graph: "FloatGraph", records: "Records | None") -> dict[str, Any] | None:
    """Whether the float network gives the output spikes that the data file recorded, and which choices would."""
    from itertools import product

    from spikeveil.host.exchange import reference
    from spikeveil.host.exchange.choices import WORDS, Choices

    if records is None or records.spikes is None:
        return None
    inputs, spikes = records.inputs, records.spikes

    def different(choices: Choices, count: int) -> int:
        last = reference.build(graph.file, choices).run(inputs[:count])[-1].spikes
        if last.shape[2] != spikes.shape[2]:
            raise ValueError(
                f"data spikes must be of {last.shape[2]} neurons, the graph's output, not {spikes.shape[2]}"
            )
        return int((last != spikes[:count]).sum())

    found = different(graph.choices, len(inputs))
    others: list[dict[str, Any]] = []
    names = ["reset", "reset_timing", "compare", *(["gain"] if graph.choices.decay == "exp" else [])]
    for values in product(*(WORDS[name] for name in names)) if found else ():
        tried = dict(zip(names, values, strict=True))
        try:
            other = Choices.of(graph.choices.record() | tried)
            if different(other, SOME) == 0 and different(other, len(inputs)) == 0:
                others.append(tried)
        except ValueError:  # such as a v_reset that subtracting has no use for
            continue
    return {"compared": int(spikes.size), "different": found, "choices_that_match": others}


def _print(file: str, record: dict[str, Any]) -> None:
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    if record["exact"]:
        console.print(f"{file}: exported by spikeveil, unchanged since: the network is restored exactly")
    else:
        chosen = ", ".join(f"{name.replace('_', '-')} {value}" for name, value in record["choices"].items())
        console.print(f"{file}: read with {chosen}")
        if record["choices"].get("decay") == "exp" and record["choices"]["gain"] == "dt-over-tau":
            console.print("note: gain r dt/tau was taken; with exp, Sinabs and Rockpool mean another (--gain)")
        _print_layers(record["layers"])
        for sentence in record["deviations"]:
            console.print(f"not the same: {sentence}")
        _print_recorded(console, record["recorded"])
    console.print(f"fingerprint {record['fingerprint']}")
    console.print(f"written to {record['file']}" if record["file"] else "written nowhere: -o names a file")


def _print_recorded(console: Any, recorded: dict[str, Any] | None) -> None:
    if recorded is None:
        return
    if recorded["different"] == 0:
        console.print(f"float network: all {recorded['compared']:,} recorded output spikes reproduced")
        return
    console.print(f"float network: {recorded['different']:,} of {recorded['compared']:,} recorded output spikes differ")
    for tried in recorded["choices_that_match"]:
        options = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in tried.items())
        console.print(f"  none would differ with {options}")


def _print_layers(rows: list[dict[str, Any]]) -> None:
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    console.width = max(console.width, 110)  # in a pipe too: the columns are numbers, and wrapped numbers mislead
    table = Table(title="As dense layers", title_justify="left", box=SIMPLE, padding=(0, 1, 0, 0))
    for column in ("layer", "node", "inputs", "neurons", "in file", "dense", "not 0", "memory bits", "multiplies"):
        table.add_column(column, justify="left" if column == "node" else "right")
    for row in rows:
        factor = row["multiply_factor"]
        counts = ("inputs", "neurons", "weights_in_file", "weights_dense", "weights_not_zero", "weight_memory_bits")
        cells = [f"{row[name]:,}" for name in counts]
        table.add_row(str(row["layer"]), row["node"], *cells, "none" if factor is None else f"x {factor:.3g}")
    console.print(table)
    console.print("dense: weights that the core stores; multiplies: dense ones for each that the file's nodes do")
    if "agreement" not in rows[0]:
        console.print("scales from the weights alone; --data chooses them by the spikes, and measures")
        return
    table = Table(title="As integers, on the data", title_justify="left", box=SIMPLE, padding=(0, 1, 0, 0))
    for column in ("layer", "floats", "integers", "cut", "threshold", "leak", "potentials", "saturated", "agreement"):
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(*_measured(row))
    console.print(table)
    console.print("agreement: spikes as in the file's float network, each network fed by its own layers")


def _measured(row: dict[str, Any]) -> list[str]:
    low, high = row["float_range"]
    threshold = row["threshold"]
    return [
        str(row["layer"]),
        f"{low:.3g} to {high:.3g}",
        "{} to {}".format(*row["integer_range"]),
        f"{row['clipped']:.2%}",
        "none" if threshold is None else " to ".join(map(str, sorted(set(threshold)))),
        row["leak"],
        "{} to {}".format(*row["potential_range"]),
        f"{row['saturated']:.2%}",
        "readout" if row["agreement"] is None else f"{row['agreement']:.3%}",
    ]
