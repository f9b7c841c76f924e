"""`spikeveil simulate`: records through a network, in the golden model or in the simulated gateware."""

import io
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from spikeveil.host.cli.model_simulation import RecordBlocks, run_in_blocks
from spikeveil.host.cli.options.common import json_option
from spikeveil.host.cli.options.data import Records, classes_of, data_options, load_records
from spikeveil.host.cli.options.keys import PUBLIC, Opening
from spikeveil.host.cli.options.network import (
    ENGINES,
    key_options,
    network_argument,
    plan_options,
    read_opening,
    read_plan,
)
from spikeveil.host.cli.options.privacy import delta_option, read_delta
from spikeveil.host.cli.screens.simulate import print_simulation
from spikeveil.host.cli.screens.tables import print_json
from spikeveil.host.cosim import amaranth_engine, verilator_build, verilator_engine
from spikeveil.host.cosim.compare import first_difference
from spikeveil.host.cosim.job import SimulationResult
from spikeveil.host.data.spike_files import SpikeData, open_stream
from spikeveil.host.networks import catalogue
from spikeveil.host.privacy import report_files
from spikeveil.host.privacy.claim import Claim
from spikeveil.pysim import Network, NetworkSpec, Result
from spikeveil.pysim.model.files import write_atomically

COMPARED = {"decisions": "decisions_compared", "released": "bits_compared", "readout": "potentials_compared"}
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
    """Run records through the golden model or the simulated gateware.

    Shows what is released, with its four-part claim. The engines verilator and amaranth simulate the generated gateware
    and compare every released bit with the golden model; exit code 1 where one differs. Nothing is leased and nothing
    is charged: this is for public data.

    NETWORK is a file that `NetworkSpec.save` wrote, or `digits` for the trained network of the example.
    """
    if options["waves"]:
        raise click.UsageError(
            "a waveform would show the key: `spikeveil waves` writes one, with the demonstration key"
        )
    delta, spec = read_delta(options["delta"]), catalogue.load(network)
    spec.require_private(unsafe=options["unsafe"])
    opening = read_opening(spec, options)
    options |= {"lease": opening.number}
    blocks = _in_blocks(spec, network, options)
    if blocks is not None:
        _simulate_blocks(spec, blocks, opening, delta, options)
        return
    records = load_records(spec, options, network)
    model = Network(spec, opening.words()).run(records.spikes, lease=opening.number, first_record=opening.record)
    result = None if options["engine"] == "model" else _gateware(spec, records, opening, options)
    difference = None if result is None else first_difference(_expected(model), result.released, opening.record)
    if options["output"]:
        _write(Path(options["output"]), result.released if result else _expected(model), spec)
    claim = _claim(spec, records.spikes.shape[1], opening, delta, options)
    report = _report(records, model, result, options) | {"claim": claim.to_dict()}
    if options["as_json"]:
        print_json(report | {"accuracy": report["released_accuracy"]})
    else:
        print_simulation(report, claim, records.classes)
    if difference is not None:
        raise click.ClickException(f"the gateware does not release what the model does; {difference}")


def _in_blocks(spec: NetworkSpec, network: str, options: dict[str, Any]) -> RecordBlocks | None:
    """The records, to be run in blocks; None where they are few, or are not for the model's spikes or potentials."""
    if options["engine"] != "model" or spec.decision is not None:
        return None
    stream = open_stream(Path(options["data"]), options["layout"])
    if stream is None:
        return None
    first, total = options["skip"], stream.shape[0]
    if first >= total:
        raise ValueError(f"skip must be under the {total} records of the data, not {first}")
    stop = total if options["records"] is None else min(total, first + options["records"])
    labels = None if stream.labels is None else stream.labels[first:stop]
    shape = SpikeData(options["data"], np.empty((0, *stream.shape[1:])), labels=stream.labels, classes=stream.classes)
    return RecordBlocks(
        options["data"],
        stop - first,
        stream.shape[1],
        lambda begin, count: stream.blocks(spec.inputs, first + begin, stop, count),
        labels,
        classes_of(spec, shape),
    )


def _simulate_blocks(
    spec: NetworkSpec, blocks: RecordBlocks, opening: Opening, delta: float, options: dict[str, Any]
) -> None:
    """Run the records, write and show what is released."""
    network, output = Network(spec, opening.words()), options["output"]
    secret = opening.key + repr(opening.seeds).encode()
    totals = run_in_blocks(network, blocks, opening.number, opening.record, Path(output) if output else None, secret)
    claim = _claim(spec, blocks.steps, opening, delta, options)
    right = None if totals.right is None else totals.right / totals.records
    report: dict[str, Any] = {
        "engine": options["engine"],
        "data": blocks.name,
        "records": totals.records,
        "steps": blocks.steps,
        "lease": options["lease"],
        "released_accuracy": right,
        "file": output,
    }
    if totals.spikes is not None:
        report["released_spikes_per_record"] = totals.spikes / totals.records
    if options["as_json"]:
        print_json(report | {"claim": claim.to_dict(), "accuracy": right})
    else:
        print_simulation(report, claim, blocks.classes)


def _gateware(spec: NetworkSpec, records: Records, opening: Opening, options: dict[str, Any]) -> SimulationResult:
    """The records in a simulator, with a progress bar."""
    plan, lease = read_plan(spec, options), opening.lease()
    if options["engine"] == "verilator":
        verilator_build.verilator_root()  # reports what is missing before a bar is drawn
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(f"{options['engine']}: building and simulating", total=None)
        if options["engine"] == "amaranth":
            return amaranth_engine.run(plan, records.spikes, lease)
        verilator_engine.build(plan, records.spikes.shape[1])
        progress.update(task, description="verilator: records", total=len(records.spikes))
        return verilator_engine.run(
            plan, records.spikes, lease, progress=lambda done: progress.update(task, completed=done)
        )


def _claim(spec: NetworkSpec, steps: int, opening: Opening, delta: float, options: dict[str, Any]) -> Claim:
    return Claim.of(
        spec,
        steps,
        source=opening.source,
        schedule=options["schedule"],
        delta=delta,
        key_origin=opening.origin,
        key_public=opening.origin == PUBLIC,
    )


def _write(path: Path, released: NDArray[Any], spec: NetworkSpec) -> None:
    """Released spikes as `released`, potentials of a readout as `readout`, and the fingerprint that they belong to."""
    if spec.decision is not None:
        report_files.write_npz(path, released, spec.decision, fingerprint=np.array(spec.fingerprint))
        return
    content = io.BytesIO()
    name = "readout" if spec.layers[-1].readout else "released"
    arrays: dict[str, Any] = {name: released, "fingerprint": np.array(spec.fingerprint)}
    np.savez_compressed(content, **arrays)
    write_atomically(path, content.getvalue())


def _report(
    records: Records, model: Result, result: SimulationResult | None, options: dict[str, Any]
) -> dict[str, Any]:
    count, steps, _ = records.spikes.shape
    report: dict[str, Any] = {
        "engine": options["engine"],
        "data": records.name,
        "records": count,
        "steps": steps,
        "lease": options["lease"],
        "released_accuracy": records.accuracy(_expected(model)),
        "file": options["output"],
    }
    if model.released is not None:
        report["released_spikes_per_record"] = float(model.released.sum() / count)
    if result is not None:
        expected = _expected(model)
        report |= {
            COMPARED[_kind(model)]: int(expected.size),
            "different": int((expected != result.released).sum()),
            "cycles": result.cycles,
            "cycles_per_record": result.cycles_per_record,
            "cycles_per_second": result.cycles / result.seconds,
        }
    return report


def _expected(model: Result) -> NDArray[Any]:
    """What the golden model releases: decisions, spikes, or the potentials of a readout."""
    if model.decisions is not None:
        return model.decisions
    if model.released is not None:
        return model.released
    if model.readout is None:
        raise ValueError("network must release spikes or the potentials of a readout")
    return model.readout


def _kind(model: Result) -> str:
    """The name of the array that a device releases."""
    if model.decisions is not None:
        return "decisions"
    return "readout" if model.released is None else "released"
