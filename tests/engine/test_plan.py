"""The plan of a network: what it refuses, and the sizes and times that everything else is built from."""

from typing import Any

import numpy as np
import pytest

from spikeveil.hdl.engine.plan import Plan
from spikeveil.pysim.model.flipper import FlipSpec
from spikeveil.pysim.model.lanes import LayerLanes
from spikeveil.pysim.model.spec import LayerSpec, NetworkSpec


def layer(neurons: int, inputs: int, **options: Any) -> LayerSpec:
    return LayerSpec(np.zeros((neurons, inputs), int), **{"threshold": 1, "flip": FlipSpec(3, 7), **options})


SPEC = NetworkSpec([layer(20, 33), layer(9, 20, flip=None)])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lanes": 0}, "lanes must be 1 to 64, not 0"),
        ({"lanes": 65}, "lanes must be 1 to 64, not 65"),
        ({"lanes": True}, "lanes must be an integer, not True"),
        ({"source": "pcg"}, "source must be one of 'trivium', 'lfsr', not 'pcg'"),
        ({"fold": 0, "schedule": "fast"}, "fold must be 1 to 64, not 0"),
        (
            {"fold": 2},
            "fold must be 1 on the private schedule, which folds each layer as far as its cadence allows, not 2",
        ),
        ({"schedule": "slow"}, "schedule must be one of 'private', 'fast', not 'slow'"),
        (
            {"spec": NetworkSpec([layer(2, 2, flip=None)])},
            "network must release a decision or flip at least one of its 1 layers: the input would reach the output "
            "unflipped (epsilon infinite); `spikeveil privatise` makes it private",
        ),
        (
            {"spec": NetworkSpec([layer(4, 10)], cadence=105), "lanes": 4},
            "network cadence must be 106 cycles or more, the worst case with 4 lanes, not 105",
        ),
    ],
)
def test_refuses_in_one_sentence(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        Plan(**{"spec": SPEC, **options})
    assert str(caught.value) == message


def test_a_cadence_is_taken_as_specified_and_else_the_worst_case() -> None:
    """4 neurons in a row, 10 inputs, 7-bit words 4 a beat: 28 bits a cycle, so 1263 bits of key setup are 46 cycles.

    10 events + 8 between visits + 40 for registers + 46 + 1 beat + 1 row = 106; scanned two by two, 2 cycles and a row
    more. Without flipper, 100 inputs in 7 rows: 5 * 7 + 100 + 40 to encode; capped at 5: 5 * 7 + 5 + 40.
    """
    assert Plan(NetworkSpec([layer(4, 10)]), lanes=4).cadence == 109
    assert Plan(NetworkSpec([layer(4, 10)], cadence=106), lanes=4).layer_lanes == (LayerLanes(4, 4),)
    assert Plan(NetworkSpec([layer(4, 10)], cadence=999), lanes=4).cadence == 999
    assert Plan(NetworkSpec([layer(4, 10)], cadence=1), lanes=4, schedule="fast").cadence == 1
    assert Plan(NetworkSpec([layer(4, 100, flip=None)]), lanes=4, unsafe=True).cadence == 175
    assert Plan(NetworkSpec([layer(4, 100, input_cap=5, flip=None)]), lanes=1, unsafe=True).cadence == 80


def test_sizes_follow_from_lanes() -> None:
    plan = Plan(SPEC, lanes=8)
    assert (plan.i_rows, plan.o_rows, plan.o_lanes, plan.slots) == (3, 9, 1, 4)
    assert plan.layer_lanes == (LayerLanes(8, 4), LayerLanes(2, 1))
    assert [plan.words_per_beat(index) for index in (0, 1)] == [8, 1]
    fast = Plan(SPEC, lanes=8, schedule="fast")
    assert (fast.layer_lanes, fast.o_rows, fast.o_lanes) == ((LayerLanes(8, 8), LayerLanes(8, 8)), 2, 8)
    folded = Plan(SPEC, lanes=8, schedule="fast", fold=3)  # 8 in 2 cycles of 4: 3 does not divide 8
    assert (folded.layer_lanes, folded.words_per_beat(0)) == ((LayerLanes(8, 4), LayerLanes(8, 4)), 4)
    whole = Plan(SPEC, lanes=64, schedule="fast")
    assert (whole.layer_lanes, whole.words_per_beat(0)) == ((LayerLanes(20, 20), LayerLanes(9, 9)), 9)
    assert plan.lease_ports == {"key": 80, "lease": 40, "record": 32}
    assert Plan(SPEC, source="lfsr").lease_ports == {"seeds": 127}
    assert Plan(NetworkSpec([layer(2, 2, flip=None)]), unsafe=True).lease_ports == {}


def test_a_chip_gets_no_fast_schedule_for_a_private_network() -> None:
    Plan(SPEC).require_private()
    Plan(SPEC, schedule="fast", unsafe=True).require_private()
    Plan(NetworkSpec([layer(2, 2, flip=None)]), schedule="fast", unsafe=True).require_private()
    with pytest.raises(ValueError) as caught:
        Plan(SPEC, schedule="fast").require_private()
    assert str(caught.value) == (
        "schedule must be 'private' for a network with a flipper, not 'fast', whose timing reveals what the flipper "
        "hides; building it all the same needs `unsafe`"
    )


def test_a_loadable_plan_is_as_wide_as_any_image_needs() -> None:
    """33 inputs of weights -128 to 127 and no bias: sums of -4224 to 4191 have 14 bits; those of weights 0, one."""
    plan = Plan(SPEC, loadable=True)
    assert [built.accumulator_bits for built in plan.layers] == [14, 13]
    assert [built.accumulator_bits for built in Plan(SPEC).layers] == [1, 1]
    assert (plan.cadence, plan.i_rows, plan.o_rows) == (Plan(SPEC).cadence, 3, 9)
    assert Plan(SPEC).image_bytes == 0
    assert Plan(SPEC, lanes=8, loadable=True).image_bytes == 3 * 33 * 8 + 3 + 5 * 20 * 2 + 3
