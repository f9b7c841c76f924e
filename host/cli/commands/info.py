"""`spikeveil info`: what is in a network file, and what building and releasing it would mean."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from spikeveil.host.cli.options.network import delta_option, make_plan, network_argument, plan_options, read_delta
from spikeveil.host.cli.options.privacy import json_option
from spikeveil.host.networks.catalogue import load as load_network

if TYPE_CHECKING:
    from rich.console import Console

    from spikeveil.hdl.engine.plan import Plan
    from spikeveil.host.privacy.claim import Claim

LONGEST_NOTE = 200  # characters of one entry
NO_KEY = "none yet, to be drawn from the operating system's generator"


@click.command(epilog="Example: spikeveil info digits --steps 16 --lanes 8")
@network_argument
@click.option("-T", "--steps", type=click.IntRange(1), default=16, show_default=True, help="Time steps of a record.")
@plan_options
@delta_option
@json_option
def info(network: str, **options: Any) -> None:
    """Show a network: layers, number formats, fingerprint, timing of its gateware, and its four-part privacy claim.

    NETWORK is a file that `NetworkSpec.save` wrote, or `digits` for the trained network of the example.
    """
    from spikeveil.host.privacy.claim import Claim

    spec, delta = load_network(network), read_delta(options["delta"])
    source, schedule = options["source"], options["schedule"]
    plan = make_plan(spec, {**options, "unsafe": True})  # looking is safe; building asks
    claim = Claim.of(spec, options["steps"], source=source, schedule=schedule, delta=delta, key_origin=NO_KEY)
    record = _record(plan, claim, options["steps"]) | {"origin": _origin(network)}
    if options["as_json"]:
        click.echo(json.dumps(record, indent=2))
    else:
        _print(network, record, claim)


def _origin(network: str) -> dict[str, Any] | None:
    """The note in the file about where the network is from; the example's word is no file."""
    from spikeveil.pysim.model.spec import NetworkSpec

    return NetworkSpec.origin(network) if Path(network).exists() else None


def _record(plan: "Plan", claim: "Claim", steps: int) -> dict[str, Any]:
    from spikeveil.host.privacy.claim import wall_record

    spec = plan.spec
    fixed = plan.schedule == "private"
    return {
        "fingerprint": spec.fingerprint,
        "private": spec.private,
        "layers": [
            {
                "neurons": layer.neurons,
                "inputs": layer.inputs,
                "weight_bits": layer.weight_bits,
                "state_bits": layer.state_bits,
                "accumulator_bits": layer.accumulator_bits,
                "potential_bits": layer.potential_bits,
                "leak": str(layer.leak),
                "reset": layer.reset,
                "readout": layer.readout,
                "flip": None if layer.flip is None else {"threshold": layer.flip.threshold, "bits": layer.flip.bits},
                "spike_limit": layer.spike_limit,
                "step_spike_limit": layer.step_spike_limit,
                "input_cap": layer.input_cap,
                "lanes": each.lanes,
                "scan": each.scan,
                "weight_memory_bits": layer.neurons * layer.inputs * layer.weight_bits,
            }
            for layer, each in zip(spec.layers, plan.layer_lanes, strict=True)
        ],
        "gateware": {
            "source": plan.source,
            "schedule": plan.schedule,
            "worst_case_cycles_a_step": plan.worst_case,
            "cycles_a_step": plan.cadence if fixed else None,
            "cycles_a_record": plan.cadence * steps if fixed else None,
            "latency_cycles": plan.cadence * plan.slots if fixed else None,
        },
        "walls": [wall_record(wall, claim.delta) for wall in claim.walls],
        "claim": claim.record(),
    }


def _cells(layer: dict[str, Any]) -> list[str]:
    """One row of the table of layers."""
    flip = layer["flip"]
    limits = {"record": layer["spike_limit"], "step": layer["step_spike_limit"], "input": layer["input_cap"]}
    return [
        str(layer["inputs"]),
        str(layer["neurons"]),
        f"{layer['weight_bits']}/{layer['state_bits']}",
        layer["leak"],
        "readout" if layer["readout"] else layer["reset"],
        "none" if flip is None else f"{flip['threshold']}/{1 << flip['bits']}",
        ", ".join(f"{what} {limit}" for what, limit in limits.items() if limit is not None) or "none",
        str(layer["lanes"]),
    ]


def _print_origin(console: "Console", note: dict[str, Any]) -> None:
    """A line an entry, in ASCII: a file may be anybody's."""
    console.print("origin, a note that the fingerprint does not cover:")
    for name, value in note.items():
        text = json.dumps(value)[1:-1] if isinstance(value, str) else json.dumps(value)
        shown = text if len(text) <= LONGEST_NOTE else f"{text[:LONGEST_NOTE]}... ({len(text)} characters)"
        console.print(f"  {json.dumps(name)[1:-1]}: {shown}", markup=False, soft_wrap=True)


def _print(name: str, record: dict[str, Any], claim: "Claim") -> None:
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    from spikeveil.host.cli.screens.claim import print_claim

    console = Console(highlight=False)
    table = Table(title=f"Network {name}", title_justify="left", box=SIMPLE, padding=(0, 1, 0, 0))
    for column in ("layer", "inputs", "neurons", "bits", "leak", "reset", "flip", "limits", "lanes"):
        table.add_column(column, no_wrap=column != "limits")
    for index, layer in enumerate(record["layers"]):
        table.add_row(str(index), *_cells(layer))
    console.print(table)
    console.print("bits: of a weight / of a potential; limits: spikes that count, by record, step or step's input")
    console.print(f"fingerprint {record['fingerprint']}", soft_wrap=True)
    if record["origin"] is not None:
        _print_origin(console, record["origin"])
    gateware = record["gateware"]
    if gateware["cycles_a_step"] is None:
        timing = f"as soon as a step is done, {gateware['worst_case_cycles_a_step']} cycles at worst"
    else:
        timing = (
            f"{gateware['cycles_a_step']} cycles a step whatever the spikes, {gateware['cycles_a_record']} a record, "
            f"latency {gateware['latency_cycles']}"
        )
    console.print(f"schedule {gateware['schedule']}: {timing}")
    print_claim(console, claim, f"Claim for one record, {claim.steps} steps")
    if len(record["walls"]) > 1:
        each = "; ".join(f"layer {wall['layer']} {wall['record_epsilon']:.6g}" for wall in record["walls"])
        console.print(f"record epsilon at each flipped layer: {each}; each one alone bounds the release")
