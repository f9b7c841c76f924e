"""Random plans and stimuli: shapes and options are drawn one by one, numbers from a drawn seed, so they shrink fast."""

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray
from support.jobs import NO_STALLS, STALL_BITS, Stalls

from spikeveil.hdl.engine.plan import SCHEDULES, SOURCES, Plan
from spikeveil.host.cosim import LeasePorts
from spikeveil.pysim.model import LayerSpec, Leak, NetworkSpec
from spikeveil.pysim.model.decision import Decision, OneHotDecision, RandomisedDecision
from spikeveil.pysim.model.flipper import FlipSpec
from spikeveil.pysim.model.layer_spec import RESETS
from spikeveil.pysim.model.leak import ROUNDINGS

SIZES = st.integers(1, 24) | st.integers(1, 70)
EVERY_OTHER = int("01" * (STALL_BITS // 2), 2)
STALL_PATTERNS = (
    st.just(0)
    | st.sampled_from([EVERY_OTHER, (1 << STALL_BITS) - 2, (1 << 48) - 1, 1])
    | st.integers(0, (1 << STALL_BITS) - 2)  # all ones would never move
)
STALLS = st.just(NO_STALLS) | st.builds(Stalls, STALL_PATTERNS, STALL_PATTERNS)


@dataclass(frozen=True)
class Case:
    """Everything that one comparison needs."""

    plan: Plan
    spikes: NDArray[np.bool_]
    lease: LeasePorts
    stalls: Stalls

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # what Hypothesis prints of a failing example
        printer.text(str(self))

    def __str__(self) -> str:
        plan = self.plan
        layers = "; ".join(
            f"{layer.inputs}->{layer.neurons} w{layer.weight_bits} v{layer.state_bits} {layer.leak} {layer.reset}"
            + "".join(
                f" {name}={getattr(layer, name)}"
                for name in ("flip", "spike_limit", "step_spike_limit", "input_cap", "readout")
                if getattr(layer, name)
            )
            for layer in plan.spec.layers
        )
        return (
            f"Case([{layers}] lanes={plan.lanes} {plan.source} {plan.schedule} spikes {self.spikes.shape} "
            f"{self.spikes.mean():.2f} record={self.lease.record} {self.stalls})"
        )


@st.composite
def flips(draw: Any) -> FlipSpec:
    """Every word width, and among the thresholds both ends."""
    bits = draw(st.integers(1, 16))
    most = 1 << (bits - 1)
    return FlipSpec(draw(st.sampled_from([1, most]) | st.integers(1, most)), bits)


ROUNDING = st.sampled_from(ROUNDINGS)
LEAKS = (
    st.just(Leak.none())
    | st.builds(Leak.shift, st.integers(1, 31), ROUNDING)
    | st.integers(1, 16).flatmap(lambda f: st.builds(Leak.scale, st.integers(0, 1 << f), st.just(f), ROUNDING))
)


def extensions(draw: Any, rng: np.random.Generator, neurons: int, state_bits: int, leak: Leak) -> dict[str, Any]:
    """Some of the fields that a file of version 3 has."""
    half, options = 1 << (state_bits - 1), {}
    options["fraction_bits"] = draw(st.integers(0, 6))
    if draw(st.booleans()):
        options["initial"] = rng.integers(-half, half, neurons)
    if leak.kind == "scale" and draw(st.booleans()):
        options["leak_factors"] = rng.integers(0, (1 << leak.shift_by) + 1, neurons)
    return options


@st.composite
def layers(draw: Any, inputs: int, neurons: int, *, readout: bool = False, flip: bool = False) -> LayerSpec:
    """A layer with every option; `state_bits` small enough, often, that potentials saturate at both ends."""
    rng = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    bits, state_bits = draw(st.integers(2, 8)), draw(st.integers(2, 8) | st.integers(2, 20))
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    weights = draw(st.sampled_from(["uniform", "extreme", "constant by neuron"]))
    options: dict[str, Any] = {"leak": draw(LEAKS), "weight_bits": bits, "state_bits": state_bits, "readout": readout}
    if weights == "uniform":
        options["weights"] = rng.integers(low, high + 1, (neurons, inputs))
    elif weights == "extreme":
        options["weights"] = rng.choice([low, high], (neurons, inputs))
    else:
        options["weights"] = np.repeat(rng.choice([low, -1, 0, 1, high], (neurons, 1)), inputs, axis=1)
    if draw(st.booleans()):
        options["bias"] = rng.integers(-(1 << state_bits), 1 << state_bits, neurons)
    if draw(st.booleans()):
        options |= extensions(draw, rng, neurons, state_bits, options["leak"])
    if draw(st.booleans()):
        options["input_cap"] = draw(st.integers(1, inputs))
    if not readout:
        top = 1 << draw(st.integers(0, state_bits + 1))
        options["threshold"] = draw(st.just(top) | st.just(rng.integers(1, top + 1, neurons)))
        options["reset"] = draw(st.sampled_from(RESETS))
        if options["reset"] == "value":
            half = 1 << (state_bits - 1)
            options["reset_potential"] = rng.integers(-half, half, neurons)
        options["spike_limit"] = draw(st.none() | st.integers(1, 2 * neurons + 1))
        options["step_spike_limit"] = draw(st.none() | st.integers(1, neurons))
        options["flip"] = draw(flips()) if flip else None
    return LayerSpec(**options)


@st.composite
def networks(draw: Any, most_layers: int = 4, sizes: st.SearchStrategy[int] = SIZES) -> NetworkSpec:
    """1 to `most_layers` layers of `sizes` neurons; any of those that fire may flip, or none."""
    chain = draw(st.lists(sizes, min_size=2, max_size=most_layers + 1))
    count = len(chain) - 1
    readout = draw(st.booleans())
    firing = count - readout
    flipped = draw(st.sets(st.integers(0, firing - 1), max_size=firing)) if firing else set()
    return NetworkSpec(
        [
            draw(layers(chain[at], chain[at + 1], readout=readout and at == count - 1, flip=at in flipped))
            for at in range(count)
        ]
    )


@st.composite
def cases(draw: Any, most_layers: int = 4) -> Case:
    """A random network, laid out at random, with random records under a random lease and random stalls."""
    spec = draw(networks(most_layers))
    schedule = draw(st.sampled_from(SCHEDULES))
    plan = Plan(
        spec,
        lanes=draw(st.sampled_from([1, 16, 64]) | st.integers(1, 64)),
        source=draw(st.sampled_from(SOURCES)),
        schedule=schedule,
        unsafe=True,
        fold=draw(st.sampled_from([1, 8]) | st.integers(1, 64)) if schedule == "fast" else 1,
    )
    rng = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    records, steps = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    rate = draw(st.sampled_from([0.0, 0.1, 0.5, 1.0]))
    lease = LeasePorts(
        number=draw(st.sampled_from([0, (1 << 40) - 1]) | st.integers(0, (1 << 40) - 1)),
        record=draw(st.sampled_from([0, (1 << 32) - 3]) | st.integers(0, (1 << 32) - 3)),
        key=int.from_bytes(rng.bytes(10), "big"),
        seeds=tuple(1 + int.from_bytes(rng.bytes(15), "big") for _ in spec.randomised),
    )
    return Case(plan, rng.random((records, steps, spec.inputs)) < rate, lease, draw(STALLS))


@st.composite
def decisions(draw: Any, classes: int) -> RandomisedDecision:
    """Either kind, at every word width that the classes allow, often at the ends of its numbers."""
    bits = draw(st.sampled_from([8, 16, 32]) | st.integers(max(2, (classes - 1).bit_length()), 32))
    if draw(st.booleans()):
        most = (1 << bits) // classes
        return Decision(classes, draw(st.sampled_from([1, most]) | st.integers(1, most)), bits)
    k1 = draw(st.sampled_from([(1 << bits) - 1, 1 << bits - 1]) | st.integers(2, (1 << bits) - 1))
    return OneHotDecision(classes, k1, draw(st.sampled_from([1, k1 - 1]) | st.integers(1, k1 - 1)), bits)


@st.composite
def decision_cases(draw: Any) -> Case:
    """A random network with a decision, firing or a readout, on any schedule and source, under random stalls."""
    classes, readout = draw(st.sampled_from([2, 3, 10, 17]) | st.integers(2, 64)), draw(st.booleans())
    neurons = classes * (1 if readout else draw(st.integers(1, 4)))
    decision = draw(decisions(classes))
    if readout:
        decision = replace(decision, by=draw(st.sampled_from(["final", "sum"])))
    sizes = [*draw(st.lists(SIZES, min_size=1, max_size=3)), neurons]
    chain = [
        draw(layers(before, after, readout=readout and at == len(sizes) - 2, flip=at < len(sizes) - 2))
        for at, (before, after) in enumerate(pairwise(sizes))
    ]
    chain[-1] = replace(chain[-1], spike_limit=None, step_spike_limit=None)
    steps = draw(st.integers(1, 5))
    spec = NetworkSpec(chain, decision=decision, steps=steps)
    schedule = draw(st.sampled_from(SCHEDULES))
    plan = Plan(
        spec,
        lanes=draw(st.sampled_from([1, 16, 64]) | st.integers(1, 64)),
        source=draw(st.sampled_from(SOURCES)),
        schedule=schedule,
        unsafe=True,
        fold=draw(st.sampled_from([1, 8])) if schedule == "fast" else 1,
    )
    rng = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    lease = LeasePorts(
        number=draw(st.integers(0, (1 << 40) - 1)),
        record=draw(st.sampled_from([0, (1 << 32) - 4])),
        key=int.from_bytes(rng.bytes(10), "big"),
        seeds=tuple(1 + int.from_bytes(rng.bytes(15), "big") for _ in spec.randomised),
    )
    spikes = rng.random((draw(st.integers(1, 4)), steps, spec.inputs)) < draw(st.sampled_from([0.0, 0.2, 0.5, 1.0]))
    return Case(plan, spikes, lease, draw(STALLS))
