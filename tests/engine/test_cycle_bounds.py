"""The fewest lanes that keep the cadence: by hand, and against every choice there is."""

from itertools import product
from typing import Any

import numpy as np
import pytest

from spikeveil.hdl.engine.cycle_bounds import CADENCE_TOLERANCE, fewest_lanes, stage_cycles
from spikeveil.hdl.engine.plan import Plan
from spikeveil.pysim.model.flipper import FlipSpec
from spikeveil.pysim.model.lanes import LayerLanes, uniform_lanes
from spikeveil.pysim.model.spec import LayerSpec, NetworkSpec


def chain(*sizes: int, caps: tuple[int | None, ...] = (), **options: Any) -> NetworkSpec:
    caps = (*caps, *[None] * (len(sizes) - 1 - len(caps)))
    layers = [
        LayerSpec(np.ones((after, before), int), 1, input_cap=cap, weight_bits=4, **options)
        for before, after, cap in zip(sizes, sizes[1:], caps, strict=False)
    ]
    last = LayerSpec(layers[-1].weights, 1, input_cap=layers[-1].input_cap, weight_bits=4, flip=FlipSpec(69, 8))
    return NetworkSpec([*layers[:-1], last])


def test_mnist_on_sixteen_lanes_by_hand() -> None:
    """784-256-40, caps 239 and 22. All 16 lanes: 16 rows x 239 events + 8 + 40 = 3872 cycles, and a 32nd of it.

    One neuron at a time: 16 cycles more, 3888. The output layer with one lane: 40 x 22 + 48 + setup 158 + 80: far less.
    """
    spec = chain(784, 256, 40, caps=(239, 22))
    assert Plan(spec, schedule="fast", unsafe=True).layer_lanes == (LayerLanes(16, 16), LayerLanes(16, 16))
    folded = Plan(spec, schedule="fast", unsafe=True, fold=8)
    assert folded.layer_lanes == (LayerLanes(16, 2), LayerLanes(16, 2))
    assert max(stage_cycles(spec, uniform_lanes(spec, 16), "trivium", 49)) == 3872
    assert Plan(spec).layer_lanes == (LayerLanes(16, 1), LayerLanes(1, 1))
    assert Plan(spec).cadence == 3888


@pytest.mark.parametrize("source", ["trivium", "lfsr"])
@pytest.mark.parametrize("lanes", [1, 5, 12])
@pytest.mark.parametrize("sizes", [(20, 24, 6), (30, 9), (8, 16, 8, 16)])
def test_no_stage_takes_longer_than_is_tolerated_and_nothing_cheaper_would_do(
    sizes: tuple[int, ...], lanes: int, source: Any
) -> None:
    spec = chain(*sizes)
    rows = -(-sizes[0] // 16)
    whole, chosen = uniform_lanes(spec, lanes), fewest_lanes(spec, lanes, source, rows)
    limit = max(stage_cycles(spec, whole, source, rows))
    limit += limit // CADENCE_TOLERANCE
    assert max(stage_cycles(spec, chosen, source, rows)) <= limit
    for index, (own, most) in enumerate(zip(chosen, whole, strict=True)):
        for count, scan in product(range(1, own.lanes + 1), range(1, own.scan + 1)):
            if count % scan or (count, scan) == (own.lanes, own.scan):
                continue
            other = (*chosen[:index], LayerLanes(count, scan), *chosen[index + 1 :])
            assert max(stage_cycles(spec, other, source, rows)) > limit, (index, count, scan)
        assert own.lanes <= most.lanes


def test_a_longer_cadence_that_is_asked_for_makes_it_smaller() -> None:
    spec = chain(30, 24, 6)
    slow = NetworkSpec(spec.layers, cadence=2000)
    assert Plan(slow, lanes=8).layer_lanes == (LayerLanes(1, 1), LayerLanes(1, 1))
    assert Plan(slow, lanes=8).cadence == 2000


@pytest.mark.parametrize(
    ("lanes", "scan", "message"),
    [
        (6, 4, "scan must divide the 6 lanes, not be 4"),
        (65, 1, "lanes must be 1 to 64, not 65"),
        (4, 5, "scan must be 1 to 4, not 5"),
    ],
)
def test_lanes_that_no_layer_has(lanes: int, scan: int, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        LayerLanes(lanes, scan)
    assert str(caught.value) == message
