"""A hostile host against the gateware: nothing leaves but what the model releases under a lease, within its quota."""

from dataclasses import dataclass

import numpy as np
import pytest
from exchanges import compare, hear
from hostile import HostileHost
from watch import Counts, Watch

from spikeveil.hdl.plan import Plan
from spikeveil.hdl.top import identity
from spikeveil.host.virtual.build import BoardSpec
from spikeveil.host.virtual.process import play
from spikeveil.pysim import FlipSpec, LayerSpec, Leak, NetworkSpec
from spikeveil.pysim.top import Device

FLIP = FlipSpec.for_epsilon(1.0, 8)
BATCH = 5000  # sequences from one power-on to the end of a simulation


def layer(inputs: int, neurons: int, **changes: object) -> LayerSpec:
    """A small layer that spikes now and then."""
    weights = np.random.default_rng(inputs * neurons).integers(-8, 8, (neurons, inputs))
    fields = {"threshold": 6, "leak": Leak.shift(3), "weight_bits": 4, "flip": FLIP} | changes
    return LayerSpec(weights, **fields)  # type: ignore[arg-type]


def plans() -> dict[str, Plan]:
    """Small devices that differ in all that a host can see."""
    one, two = NetworkSpec([layer(12, 6)]), NetworkSpec([layer(20, 9), layer(9, 11)])
    readout = NetworkSpec([layer(12, 6), layer(6, 3, threshold=None, readout=True, flip=None, state_bits=12)])
    return {
        "trivium": Plan(one, 6),
        "two flippers, lfsr": Plan(two, 4, source="lfsr"),
        "potentials": Plan(readout, 3),
        "loadable": Plan(one, 2, loadable=True),
    }


@dataclass(frozen=True)
class Campaign:
    """So many sequences against a device; `exact` compares every answer with the twin's."""

    name: str
    exact: bool
    soak: int


CAMPAIGNS = [
    Campaign("trivium", True, 25_000),
    Campaign("trivium", False, 25_000),
    Campaign("two flippers, lfsr", True, 10_000),
    Campaign("two flippers, lfsr", False, 10_000),
    Campaign("potentials", True, 5_000),
    Campaign("potentials", False, 5_000),
    Campaign("loadable", True, 10_000),
    Campaign("loadable", False, 10_000),
]
ALWAYS = {"trivium"}


def batch(campaign: Campaign, seed: int, count: int) -> Counts:
    """One simulation; every check."""
    plan = plans()[campaign.name]
    board = BoardSpec(plan, pins="bytes")
    device = identity(plan, clock_hz=board.clock)
    image = plan.image(plan.spec) if plan.loadable else b""
    host = HostileHost(device, seed, image=image, bursts=not campaign.exact)
    sequences = list(host.sequences(count))
    chunks = [chunk for sequence in sequences for chunk in sequence]
    answers, _ = play(board, chunks)
    ends = np.cumsum([len(sequence) for sequence in sequences]) - 1
    assert all(hear(answers[end]).statuses for end in ends), "the device did not answer at the end of a sequence"
    counts = Watch(plan.spec, device).run(chunks, answers)
    if campaign.exact:
        compare(chunks, answers, Device(plan.spec, device))
    return counts


@pytest.mark.verilator
@pytest.mark.parametrize("campaign", CAMPAIGNS, ids=lambda one: f"{one.name}, {'exact' if one.exact else 'bursts'}")
def test_no_order_of_commands_gets_more(campaign: Campaign, soak: bool, capsys: pytest.CaptureFixture[str]) -> None:
    if not soak and campaign.name not in ALWAYS:
        pytest.skip("the other devices belong to the full count")
    left, total = campaign.soak if soak else 400, Counts()
    for seed in range(-(-left // BATCH)):
        total += batch(campaign, seed, min(BATCH, left - seed * BATCH))
    with capsys.disabled():
        print(f"\n{campaign.name}, {left} sequences: {total}")
    assert total.leases > left / 4
    assert total.steps > left
    assert total.exhausted > left / 100
    assert total.resent > left / 100
