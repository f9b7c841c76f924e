"""The same network with another release: a decision, or flipped spikes of its last layer."""

from typing import Any

from spikeveil.host.networks.scales import with_output
from spikeveil.pysim import NetworkSpec
from spikeveil.pysim.model.decision import RandomisedDecision
from spikeveil.pysim.model.flipper import FlipSpec


def with_decision(spec: NetworkSpec, decision: RandomisedDecision, steps: int) -> NetworkSpec:
    """`spec` with one decision a record of `steps` steps in place of what its last layer released.

    The flipper and the limits of the last layer go; those of the layers before it stay. Raises ValueError where the
    decision does not fit the last layer.
    """
    raw = with_output(spec, flip=None, spike_limit=None, step_spike_limit=None)
    return NetworkSpec(raw.layers, raw.cadence, decision, steps)


def with_spikes(
    spec: NetworkSpec, flip: FlipSpec, spike_limit: int | None = None, step_spike_limit: int | None = None
) -> NetworkSpec:
    """`spec` releasing the flipped spikes of its last layer, in place of a decision or of another flip.

    Raises ValueError where the last layer is a readout, which has no spikes, or a limit is out of range.
    """
    return with_output(spec, flip=flip, spike_limit=spike_limit, step_spike_limit=step_spike_limit)


def origin_with(origin: dict[str, Any] | None, change: dict[str, Any]) -> dict[str, Any]:
    """A note of origin with one more change: everything that was in it stays, `change` ends its list `changes`."""
    before = dict(origin or {})
    return before | {"changes": [*before.get("changes", []), change]}
