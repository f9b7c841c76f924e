"""What `spikeveil info` prints."""

import json
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from spikeveil.host.cli.screens.claim import print_claim
from spikeveil.host.privacy.claim import Claim
from spikeveil.host.privacy.wording import decision_output

LONGEST_NOTE = 200  # characters of one entry


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
        ", ".join(f"{scope} {limit}" for scope, limit in limits.items() if limit is not None) or "none",
        str(layer["lanes"]),
    ]


def _print_origin(console: Console, note: dict[str, Any]) -> None:
    """Print a line for each entry, in ASCII: the file may come from anywhere."""
    console.print("origin, a note that the fingerprint does not cover:")
    for name, value in note.items():
        text = json.dumps(value)[1:-1] if isinstance(value, str) else json.dumps(value)
        text_shown = text if len(text) <= LONGEST_NOTE else f"{text[:LONGEST_NOTE]}... ({len(text)} characters)"
        console.print(f"  {json.dumps(name)[1:-1]}: {text_shown}", markup=False, soft_wrap=True)


def _accepted_losses(note: dict[str, Any]) -> list[str]:
    """What was lost with --allow-loss when the network was made, as its note of origin says."""
    formats = note.get("formats")
    if not (note.get("allow_loss") or (isinstance(formats, dict) and formats.get("allow_loss"))):
        return []
    losses = note.get("losses")
    sentences = [json.dumps(loss)[1:-1] for loss in losses if isinstance(loss, str)] if isinstance(losses, list) else []
    return sentences or ["no layer lost spikes on the data"]


def print_info(name: str, record: dict[str, Any], claim: Claim) -> None:
    """Print the layers, the origin, the timing on the schedule and the claim."""
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
    console.print(f"schedule {_timing_text(record['gateware'])}")
    if claim.spec.decision is not None:
        console.print(f"releases {decision_output(claim.spec.decision, claim.steps)}, at the end of the record")
    classes = 0 if claim.spec.decision is None else claim.spec.decision.classes
    print_claim(console, claim, f"Claim for one record, {claim.steps} steps", classes)
    for sentence in _accepted_losses(record["origin"] or {}):
        console.print(f"made with --allow-loss: {sentence}", markup=False, soft_wrap=True)
    if len(record["walls"]) > 1:
        epsilons = "; ".join(f"layer {wall['layer']} {wall['record_epsilon']:.6g}" for wall in record["walls"])
        console.print(f"record epsilon at each randomised layer: {epsilons}; each one alone bounds the release")


def _timing_text(gateware: dict[str, Any]) -> str:
    if gateware["cycles_per_step"] is None:
        timing = f"as soon as a step is done, {gateware['worst_case_cycles_per_step']} cycles at worst"
    else:
        timing = (
            f"{gateware['cycles_per_step']} cycles a step whatever the spikes, {gateware['cycles_per_record']} a "
            f"record, latency {gateware['latency_cycles']}"
        )
    return f"{gateware['schedule']}: {timing}"
