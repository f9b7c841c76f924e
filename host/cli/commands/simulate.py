"""`spikeveil simulate`: records through a network, in the golden model or in the simulated gateware."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from spikeveil.host.cli.options.network import (
    ENGINES,
    data_options,
    delta_option,
    key_options,
    load_records,
    make_plan,
    network_argument,
    opening,
    plan_options,
    read_delta,
)
from spikeveil.host.cli.options.privacy import json_option
from spikeveil.host.networks.catalogue import load as load_network

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spikeveil.host.cli.options.keys import Opening
    from spikeveil.host.cli.options.network import Records
    from spikeveil.host.cosim.job import SimulationResult
    from spikeveil.host.privacy.claim import Claim
    from spikeveil.pysim.model.network import Result
    from spikeveil.pysim.model.spec import NetworkSpec

EXAMPLE = "Example: spikeveil simulate digits --data digits --records 20 --engine verilator -o released.npz"


@click.command(epilog=EXAMPLE)
@network_argument
@data_options
@click.option("--engine", type=click.Choice(ENGINES), default="model", show_default=True, help="What computes.")
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="Write what was released to this .npz file.")
@click.option("--waves", is_flag=True, help="Refused, because a waveform shows the key: see `spikeveil waves`.")
@plan_options
@key_options
@delta_option
@json_option
def simulate(network: str, **options: Any) -> None:
    """Run records through a network and show what is released, with its four-part claim.

    The engines verilator and amaranth simulate the generated gateware and compare every released bit with the golden
    model; exit code 1 where one differs. Nothing is leased and nothing is booked: this is for public data.

    NETWORK is a file that `NetworkSpec.save` wrote, or `digits` for the trained network of the example.
    """
    if options["waves"]:
        raise click.UsageError(
            "a waveform would show the key: `spikeveil waves` writes one, with the demonstration key"
        )
    from spikeveil.host.cosim.compare import first_difference
    from spikeveil.pysim import Network

    delta, spec = read_delta(options["delta"]), load_network(network)
    spec.require_private(unsafe=options["unsafe"])
    records = load_records(options["data"], spec.inputs, options["skip"], options["records"])
    key = opening(spec, options)
    model = Network(spec, key.words()).run(records.spikes, lease=key.number, first_record=key.record)
    rows = model.readout if model.released is None else model.released
    outcome = None if options["engine"] == "model" else _gateware(spec, records, key, options)
    difference = None if outcome is None or rows is None else first_difference(rows, outcome.released, key.record)
    if options["output"]:
        _write(Path(options["output"]), outcome.released if outcome else rows, spec)
    claim = _claim(spec, records.spikes.shape[1], key, delta, options)
    record = _record(records, model, outcome, options) | {"claim": claim.record()}
    if options["as_json"]:
        click.echo(json.dumps(record, indent=2))
    else:
        _print(record, claim, records.classes)
    if difference is not None:
        raise click.ClickException(f"the gateware does not release what the model says; {difference}")


def _gateware(spec: "NetworkSpec", records: "Records", key: "Opening", options: dict[str, Any]) -> "SimulationResult":
    """The records in a simulator, with a progress bar."""
    from rich.console import Console
    from rich.progress import Progress

    from spikeveil.host.cosim import amaranth_engine, verilator_build, verilator_engine

    plan, lease = make_plan(spec, options), key.lease()
    if options["engine"] == "verilator":
        verilator_build.verilator_root()  # what is missing is said before a bar is drawn
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(f"{options['engine']}: building and simulating", total=None)
        if options["engine"] == "amaranth":
            return amaranth_engine.run(plan, records.spikes, lease)
        verilator_engine.build(plan, records.spikes.shape[1])
        progress.update(task, description="verilator: records", total=len(records.spikes))
        return verilator_engine.run(
            plan, records.spikes, lease, progress=lambda done: progress.update(task, completed=done)
        )


def _claim(spec: "NetworkSpec", steps: int, key: "Opening", delta: float, options: dict[str, Any]) -> "Claim":
    from spikeveil.host.cli.options.keys import PUBLIC
    from spikeveil.host.privacy.claim import Claim

    return Claim.of(
        spec,
        steps,
        source=key.source,
        schedule=options["schedule"],
        delta=delta,
        key_origin=key.origin,
        key_public=key.origin == PUBLIC,
    )


def _write(path: Path, rows: "NDArray[Any] | None", spec: "NetworkSpec") -> None:
    """Released spikes as `released`, potentials of a readout as `readout`, and the fingerprint they belong to."""
    import io

    import numpy as np

    from spikeveil.pysim.model.files import write_atomically

    content = io.BytesIO()
    name = "readout" if spec.layers[-1].readout else "released"
    arrays: dict[str, Any] = {name: rows, "fingerprint": np.array(spec.fingerprint)}
    np.savez_compressed(content, **arrays)
    write_atomically(path, content.getvalue())


def _record(
    records: "Records", model: "Result", outcome: "SimulationResult | None", options: dict[str, Any]
) -> dict[str, Any]:
    count, steps, _ = records.spikes.shape
    found: dict[str, Any] = {
        "engine": options["engine"],
        "data": records.name,
        "records": count,
        "steps": steps,
        "released_accuracy": _accuracy(records, model),
        "file": options["output"],
    }
    rows = model.readout if model.released is None else model.released
    if model.released is not None:
        found["released_spikes_a_record"] = float(model.released.sum() / count)
    if outcome is not None and rows is not None:
        found |= {
            "bits_compared" if model.released is not None else "potentials_compared": int(rows.size),
            "different": int((rows != outcome.released).sum()),
            "cycles": outcome.cycles,
            "cycles_a_record": outcome.cycles_per_record,
            "cycles_a_second": outcome.cycles / outcome.seconds,
        }
    return found


def _accuracy(records: "Records", model: "Result") -> float | None:
    """The share of records read correctly from what is released, where the data have labels."""
    if records.labels is None or model.released is None or model.released.shape[2] % records.classes:
        return None
    from spikeveil.host.data import accuracy, classify

    return accuracy(classify(model.released, records.classes), records.labels)


def _print(record: dict[str, Any], claim: "Claim", classes: int) -> None:
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    from spikeveil.host.cli.screens.claim import print_claim

    console = Console(highlight=False)
    table = Table(box=SIMPLE, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column()
    for name, value in record.items():
        if value is not None and name != "claim":
            shown = (
                f"{100 * value:.1f} %"
                if name == "released_accuracy"
                else f"{value:,.6g}"
                if isinstance(value, float)
                else value
            )
            table.add_row(name.replace("_", " "), f"{shown:,}" if isinstance(shown, int) else str(shown))
    console.print(table)
    print_claim(console, claim, "Claim for one of these records", classes)
