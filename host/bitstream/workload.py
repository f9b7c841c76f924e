"""What an inference is, and how long it takes: cycles are exact, on both schedules."""

from dataclasses import dataclass
from typing import Any

from spikeveil.hdl.engine.plan import Plan
from spikeveil.pysim.model.spec import LayerSpec


@dataclass(frozen=True)
class Workload:
    """What an inference is, for the figures a second: `steps` of a record, and the share of a layer's inputs that
    spike in a step. An input cap bounds that number."""

    steps: int = 16
    activity: float = 0.25

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps must be at least 1, not {self.steps}")
        if not 0 <= self.activity <= 1:
            raise ValueError(f"activity must be 0 to 1, not {self.activity}")

    def events(self, layer: LayerSpec) -> int:
        """Input spikes of a step that a layer works on."""
        return min(round(self.activity * layer.inputs), layer.input_cap or layer.inputs)


def fast_cycles(plan: Plan, workload: Workload) -> int:
    """Clock cycles from a step to the next on the fast schedule: the slowest layer's."""
    return max(
        plan.rows(index) * max(each.lanes // each.scan, workload.events(layer)) + 1
        for index, (layer, each) in enumerate(zip(plan.spec.layers, plan.layer_lanes, strict=True))
    )


def timing(plan: Plan, hz: float, workload: Workload) -> dict[str, Any]:
    """Cycles, microseconds and synaptic operations a second on both schedules, at a clock of `hz`."""
    operations = sum(layer.neurons * workload.events(layer) for layer in plan.spec.layers)
    result: dict[str, Any] = {"steps": workload.steps, "activity": workload.activity, "operations_a_step": operations}
    for schedule, cycles in (("private", plan.cadence), ("fast", fast_cycles(plan, workload))):
        latency = cycles * (plan.slots if schedule == "private" else len(plan.spec.layers))
        result[schedule] = {
            "cycles_a_step": cycles,
            "cycles_an_inference": cycles * workload.steps,
            "microseconds_an_inference": cycles * workload.steps / hz * 1e6,
            "latency_cycles": latency,
            "inferences_a_second": hz / (cycles * workload.steps),
            "synaptic_operations_a_second": operations * hz / cycles,
        }
    result["most_synaptic_operations_a_second"] = hz * sum(each.lanes for each in plan.layer_lanes)
    return result
