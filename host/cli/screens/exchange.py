"""What `spikeveil import` prints."""

from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from spikeveil.host.cli.privatisation import PrivateNetwork
from spikeveil.host.cli.screens.matches import MATCH_LEGEND, match_table
from spikeveil.host.cli.screens.privatise import print_privatised


def print_import(file: str, report: dict[str, Any], made: PrivateNetwork | None = None) -> None:
    """Print what was read, the layers, the deviations, what was made private and the fingerprint."""
    console = Console(highlight=False, soft_wrap=True)
    if report["exact"]:
        console.print(f"{file}: exported by spikeveil, unchanged since: the network is restored exactly")
    elif "weights" in report:
        _print_weights(console, report["weights"])
    else:
        choices = ", ".join(f"{name.replace('_', '-')} {value}" for name, value in report["choices"].items())
        console.print(f"{file}: read with {choices}")
        if report["choices"].get("decay") == "exp" and report["choices"]["gain"] == "dt-over-tau":
            console.print("note: the gain is r dt/tau; with exp, Sinabs and Rockpool mean another (--gain)")
        _print_layers(report["layers"])
        for kind in ("deviation", "note"):
            for sentence in report[f"{kind}s"]:
                console.print(f"{kind}: {sentence}")
        if report["allow_loss"]:
            console.print("--allow-loss: a layer may be silent or have lost spikes; the network file says so")
        _print_recorded(console, report["recorded"])
    if made is not None:
        print_privatised(Console(highlight=False), made)
    console.print(f"fingerprint {report['fingerprint']}")
    console.print(f"written to {report['file']}" if report["file"] else "not written: -o names a file")


def _print_weights(console: Console, rows: list[dict[str, Any]]) -> None:
    """A line for each layer of a file of weights."""
    for row in rows:
        fires = "readout" if row["threshold"] is None else f"threshold {row['threshold']}"
        line = f"layer {row['layer']}: {row['inputs']}-{row['neurons']}, {fires}, leak {row['leak']}"
        if row["match"] is not None:
            line += (
                f"; F1 {row['match']['f1']:.3f} against the floats, {row['integer_rate']:.4g} a neuron and step "
                f"(floats {row['float_rate']:.4g})"
            )
        console.print(line)


def _print_recorded(console: Console, recorded: dict[str, Any] | None) -> None:
    if recorded is None:
        return
    if recorded["different"] == 0:
        console.print(f"float network: all {recorded['compared']:,} recorded output spikes reproduced")
        return
    console.print(f"float network: {recorded['different']:,} of {recorded['compared']:,} recorded output spikes differ")
    for choices in recorded["choices_that_match"]:
        options = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in choices.items())
        console.print(f"  all are reproduced with {options}")


def _print_layers(rows: list[dict[str, Any]]) -> None:
    console = Console(highlight=False)
    console.width = max(console.width, 110)  # in a pipe too: the columns are numbers, and wrapped numbers mislead
    console.print(_size_table(rows))
    console.print("dense: weights that the core stores; multiplies: dense ones for each that the file's nodes do")
    if "match" not in rows[0]:
        console.print("scales from the weights alone; --data chooses them by the spikes, and measures")
        return
    table = Table(title="As integers, on the data", title_justify="left", box=SIMPLE, padding=(0, 1, 0, 0))
    for column in ("layer", "floats", "integers", "cut", "threshold", "leak", "potentials", "saturated"):
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(*_measured(row))
    console.print(table)
    console.print(match_table([row["match"] for row in rows], [row["correlation"] for row in rows]))
    console.print(MATCH_LEGEND)


def _size_table(rows: list[dict[str, Any]]) -> Table:
    table = Table(title="As dense layers", title_justify="left", box=SIMPLE, padding=(0, 1, 0, 0))
    for column in ("layer", "node", "inputs", "neurons", "in file", "dense", "not 0", "memory bits", "multiplies"):
        table.add_column(column, justify="left" if column == "node" else "right")
    for row in rows:
        factor = row["multiply_factor"]
        counts = ("inputs", "neurons", "weights_in_file", "weights_dense", "weights_not_zero", "weight_memory_bits")
        cells = [f"{row[name]:,}" for name in counts]
        table.add_row(str(row["layer"]), row["node"], *cells, "none" if factor is None else f"x {factor:.3g}")
    return table


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
    ]
