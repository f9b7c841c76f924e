"""Throughput of a plan on a given workload. Cycles are exact, on both schedules."""

from dataclasses import dataclass
from typing import Any

from spikeveil.hdl.engine.plan import Plan
from spikeveil.pysim.model.spec import LayerSpec


@dataclass(frozen=True)
class Workload:
    """One inference.

    | field | meaning |
    |---|---|
    | `steps` | steps of a record |
    | `activity` | share of each layer's inputs that spike in a step, 0 to 1; an input cap applies |
    """

    steps: int = 16
    activity: float = 0.25

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps must be at least 1, not {self.steps}")
        if not 0 <= self.activity <= 1:
            raise ValueError(f"activity must be 0 to 1, not {self.activity}")

    def events(self, layer: LayerSpec) -> int:
        """Input spikes of a step that a layer processes."""
        return min(round(self.activity * layer.inputs), layer.input_cap or layer.inputs)


def fast_cycles(plan: Plan, workload: Workload) -> int:
    """Clock cycles a step on the fast schedule: those of the slowest layer."""
    return max(
        plan.rows(index) * max(layout.lanes // layout.scan, workload.events(layer)) + 1
        for index, (layer, layout) in enumerate(zip(plan.spec.layers, plan.layer_lanes, strict=True))
    )


def timing(plan: Plan, hz: float, workload: Workload) -> dict[str, Any]:
    """Cycles, microseconds and synaptic operations a second on both schedules, at a clock of `hz`."""
    operations = sum(layer.neurons * workload.events(layer) for layer in plan.spec.layers)
    result: dict[str, Any] = {"steps": workload.steps, "activity": workload.activity, "operations_per_step": operations}
    for schedule, cycles in (("private", plan.cadence), ("fast", fast_cycles(plan, workload))):
        latency = cycles * (plan.slots if schedule == "private" else len(plan.spec.layers))
        result[schedule] = {
            "cycles_per_step": cycles,
            "cycles_per_inference": cycles * workload.steps,
            "microseconds_per_inference": cycles * workload.steps / hz * 1e6,
            "latency_cycles": latency,
            "inferences_per_second": hz / (cycles * workload.steps),
            "synaptic_operations_per_second": operations * hz / cycles,
        }
    result["peak_synaptic_operations_per_second"] = hz * sum(layout.lanes for layout in plan.layer_lanes)
    return result
