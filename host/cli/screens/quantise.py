"""What `spikeveil quantise` prints."""

from pathlib import Path
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from spikeveil.host.cli.privatisation import PrivateNetwork
from spikeveil.host.cli.screens.matches import MATCH_LEGEND, match_table
from spikeveil.host.cli.screens.privatise import print_privatised
from spikeveil.host.privacy.wording import up


def print_quantised(path: Path, report: dict[str, Any], made: PrivateNetwork | None = None) -> None:
    """Print the layers, the accuracies and what was written."""
    console = Console(highlight=False, soft_wrap=True)
    wide = Console(highlight=False)
    wide.width = max(wide.width, 150)  # in a pipe too: the columns are numbers, and wrapped numbers mislead
    table = Table(title=f"{path.name} in integers", title_justify="left", box=SIMPLE, padding=(0, 1, 0, 0))
    columns = ("layer", "size", "scale", "floats", "integers", "cut", "threshold", "leak", "potentials", "saturated")
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    for index, layer in enumerate(report["layers"]):
        table.add_row(str(index), *_cells(layer))
    wide.print(table)
    console.print(
        "scale: of weights, and the fraction bits that potentials have more. cut: weights beyond their bits; "
        "saturated: potentials at a limit of theirs"
    )
    layers = report["layers"]
    wide.print(match_table([layer["match"] for layer in layers], [layer["correlation"] for layer in layers]))
    console.print(MATCH_LEGEND)
    if report["trade"]:
        wide.print(_trade_table(report["trade"]))
        console.print("the least memory that reaches the wanted F1 is chosen, marked *")
    for sentence in report["notes"]:
        console.print(f"note: {sentence}")
    for sentence in report["losses"]:
        console.print(f"--allow-loss: {sentence}")
    if report["float_accuracy"] is not None:
        console.print(_accuracy_table(report, made))
    console.print(f"scales from the {report['scales_from']}")
    if report["flip"] is not None:
        flip = report["flip"]
        flipper = f"flipper {flip['threshold']}/{1 << flip['bits']} on the last layer"
        record_epsilon, spike = up(flip["epsilon_of_a_record"]), up(flip["epsilon_of_one_spike"])
        console.print(
            f"{flipper}: epsilon {record_epsilon} for a whole record at delta 1e-6; for ONE spike of it {spike}"
        )
    if made is not None:
        print_privatised(Console(highlight=False), made)
    elif report["training_claim"] is not None:
        console.print("trained under DP-SGD: the claim on its training data is kept in the file")
    console.print(f"fingerprint {report['fingerprint']}")
    console.print(f"written to {report['file']}" if report["file"] else "not written: -o names a file")


def _accuracy_table(report: dict[str, Any], made: PrivateNetwork | None) -> Table:
    """Accuracy end to end: of the float network, of the integers, and of what is released where that was measured."""
    records = f"{report['test_records']:,} test records of {report['data']}"
    title = f"{records}, {report['steps']} steps, {report['encoder']} coding"
    table = Table(title=title, title_justify="left", box=SIMPLE, padding=(0, 1, 0, 0))
    table.add_column("accuracy")
    table.add_column("correct", justify="right")
    table.add_row("float network", f"{report['float_accuracy']:.2%}")
    table.add_row("integers, unflipped", f"{report['integer_accuracy']:.2%}")
    if made is not None and made.accuracies.released is not None:
        table.add_row(f"released, on {made.accuracies.records:,} records", f"{made.accuracies.released:.2%}")
    return table


def _trade_table(rows: list[dict[str, Any]]) -> Table:
    table = Table(title="Bits against F1", title_justify="left", box=SIMPLE, padding=(0, 1, 0, 0))
    names = ("weight_bits", "state_bits", "fraction_bits", "leak_bits", "memory_bits", "f1")
    for column in ("", "weight bits", "state bits", "fraction bits", "leak bits", "memory bits", "least F1 of a layer"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        cells = [f"{row[name]:.3f}" if name == "f1" else f"{row[name]:,}" for name in names]
        table.add_row("*" if row["chosen"] else "", *cells)
    return table


def _cells(layer: dict[str, Any]) -> list[str]:
    low, high = layer["float_range"]
    return [
        f"{layer['inputs']}-{layer['neurons']}",
        " to ".join(f"{scale:.5g}" for scale in layer["scale"])
        + (f" + {layer['fraction_bits']} bits" if layer["fraction_bits"] else ""),
        f"{low:.3g} to {high:.3g}",
        "{} to {}".format(*layer["integer_range"]),
        f"{layer['clipped']:.2%}",
        "readout" if layer["threshold"] is None else " to ".join(map(str, sorted(set(layer["threshold"])))),
        layer["leak"],
        "{} to {}".format(*layer["potential_range"]),
        f"{layer['saturated']:.2%}",
    ]
