"""Lanes: how many neurons of each layer a device computes in parallel. `hdl/engine/cycle_bounds.py` chooses them."""

from dataclasses import dataclass

from spikeveil.pysim.model import checks
from spikeveil.pysim.model.spec import NetworkSpec

MAX_LANES = 64


@dataclass(frozen=True)
class LayerLanes:
    """The parallelism of one layer. ValueError for anything out of bounds.

    | field | value | meaning |
    |---|---|---|
    | `lanes` | 1 to 64 | neurons summed in parallel |
    | `scan` | 1 to `lanes`, a divisor of it | neurons updated in parallel |
    """

    lanes: int
    scan: int

    def __post_init__(self) -> None:
        checks.integer("lanes", self.lanes, 1, MAX_LANES)
        checks.integer("scan", self.scan, 1, self.lanes)
        if self.lanes % self.scan:
            raise ValueError(f"scan must divide the {self.lanes} lanes, not be {self.scan}")

    @property
    def fold(self) -> int:
        """Cycles in which a row of `lanes` neurons is updated."""
        return self.lanes // self.scan


def uniform_lanes(spec: NetworkSpec, lanes: int, fold: int = 1) -> tuple[LayerLanes, ...]:
    """`lanes` lanes in every layer, at most one a neuron, each row updated in up to `fold` cycles.

    Under a decision, `scan` of the last layer divides the neurons of a class: every row it updates is of one class,
    in more than `fold` cycles where that is needed.

    ValueError where `lanes` or `fold` is not 1 to 64.
    """
    checks.integer("lanes", lanes, 1, MAX_LANES)
    checks.integer("fold", fold, 1, MAX_LANES)
    layer_lanes = [_folded(min(lanes, layer.neurons), fold) for layer in spec.layers]
    if spec.decision is not None:
        layer_lanes[-1] = _within_a_class(layer_lanes[-1], spec.class_neurons)
    return tuple(layer_lanes)


def _folded(lanes: int, fold: int) -> LayerLanes:
    return next(LayerLanes(lanes, scan) for scan in range(1, lanes + 1) if lanes % scan == 0 and lanes <= fold * scan)


def _within_a_class(layer_lanes: LayerLanes, class_neurons: int) -> LayerLanes:
    """The same lanes with the widest scan, up to that of `layer_lanes`, whose rows are of one class each."""
    lanes = layer_lanes.lanes
    scans = range(layer_lanes.scan, 0, -1)
    return next(LayerLanes(lanes, scan) for scan in scans if lanes % scan == 0 and class_neurons % scan == 0)


def rows(neurons: int, lanes: int) -> int:
    """Rows of `lanes` neurons in a layer of `neurons`; the last one may be partly filled."""
    return -(-neurons // lanes)
