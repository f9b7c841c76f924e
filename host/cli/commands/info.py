"""`spikeveil info`: what is in a network file, and what building and releasing it would mean."""

from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from spikeveil.hdl.engine.plan import Plan
from spikeveil.host.cli.options.common import json_option
from spikeveil.host.cli.options.network import network_argument, plan_options, read_plan
from spikeveil.host.cli.options.privacy import delta_option, read_delta
from spikeveil.host.cli.screens.info import print_info
from spikeveil.host.cli.screens.tables import print_json
from spikeveil.host.networks import catalogue
from spikeveil.host.privacy.claim import Claim, wall_dict
from spikeveil.pysim import NetworkSpec
from spikeveil.pysim.model.decision import RandomisedDecision, describe

NO_KEY = "none yet, to be drawn from the operating system's generator"


@click.command(epilog="Example: spikeveil info digits --steps 16 --lanes 8")
@network_argument
@click.option("-T", "--steps", type=click.IntRange(1), default=16, show_default=True, help="Time steps of a record.")
@plan_options
@delta_option
@json_option
def info(network: str, **options: Any) -> None:
    """Show a network: layers, formats, fingerprint, timing and claim.

    Formats are the bits of weights and potentials; the timing is that of its gateware; the claim has four parts.

    NETWORK is a file that `NetworkSpec.save` wrote, or `digits` for the trained network of the example.
    """
    spec, delta = catalogue.load(network), read_delta(options["delta"])
    source, schedule = options["source"], options["schedule"]
    steps = _steps(spec, options["steps"])
    plan = read_plan(spec, {**options, "unsafe": True})  # showing is safe; building asks
    claim = Claim.of(spec, steps, source=source, schedule=schedule, delta=delta, key_origin=NO_KEY)
    report = _report(plan, claim, steps) | {"origin": _origin(network)}
    if options["as_json"]:
        print_json(report)
    else:
        print_info(network, report, claim)


def _steps(spec: NetworkSpec, steps: int) -> int:
    """The steps of a record: under a decision those of the specification, and no others are accepted."""
    given = click.get_current_context().get_parameter_source("steps") is not ParameterSource.DEFAULT
    if spec.steps is None or steps == spec.steps:
        return steps
    if given:
        raise ValueError(f"steps must be the {spec.steps} of the network's records, not {steps}")
    return spec.steps


def _origin(network: str) -> dict[str, Any] | None:
    """The note of origin in the file; None for the example, which is no file."""
    return NetworkSpec.origin(network) if Path(network).exists() else None


def _decision_dict(decision: RandomisedDecision, claim: Claim) -> dict[str, Any]:
    """The decision, what it is worth at most, and its mechanism."""
    return {
        **describe(decision),
        "record_epsilon": decision.epsilon,
        "delta": 0.0,
        "accuracy_ceiling": claim.ceiling(decision.classes),
    }


def _report(plan: Plan, claim: Claim, steps: int) -> dict[str, Any]:
    spec = plan.spec
    fixed = plan.schedule == "private"
    return {
        "fingerprint": spec.fingerprint,
        "private": spec.private,
        "steps": spec.steps,
        "decision": None if spec.decision is None else _decision_dict(spec.decision, claim),
        "layers": [
            {
                "neurons": layer.neurons,
                "inputs": layer.inputs,
                "weight_bits": layer.weight_bits,
                "state_bits": layer.state_bits,
                "accumulator_bits": layer.accumulator_bits,
                "potential_bits": layer.potential_bits,
                "leak": layer.leak_text,
                "reset": layer.reset,
                "readout": layer.readout,
                "flip": None if layer.flip is None else {"threshold": layer.flip.threshold, "bits": layer.flip.bits},
                "spike_limit": layer.spike_limit,
                "step_spike_limit": layer.step_spike_limit,
                "input_cap": layer.input_cap,
                "lanes": layout.lanes,
                "scan": layout.scan,
                "weight_memory_bits": layer.neurons * layer.inputs * layer.weight_bits,
            }
            for layer, layout in zip(spec.layers, plan.layer_lanes, strict=True)
        ],
        "gateware": {
            "source": plan.source,
            "schedule": plan.schedule,
            "worst_case_cycles_per_step": plan.worst_case,
            "cycles_per_step": plan.cadence if fixed else None,
            "cycles_per_record": plan.cadence * steps if fixed else None,
            "latency_cycles": plan.cadence * plan.slots if fixed else None,
        },
        "walls": [wall_dict(wall, claim.delta) for wall in claim.walls],
        "claim": claim.to_dict(),
    }
