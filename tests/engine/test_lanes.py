"""The formulas that model and gateware share, by hand: a wrong one would agree with itself everywhere else."""

from itertools import pairwise

import numpy as np
import pytest

from spikeveil.hdl.engine.spikes import index_bits, memory_depth
from spikeveil.pysim.model import Decision, LayerLanes, LayerSpec, NetworkSpec
from spikeveil.pysim.model.image import number_bits
from spikeveil.pysim.model.lanes import rows, uniform_lanes
from spikeveil.pysim.model.layer_spec import signed_bits


def chain(*sizes: int) -> list[LayerSpec]:
    return [LayerSpec(np.ones((after, before), int), 1) for before, after in pairwise(sizes)]


@pytest.mark.parametrize(
    ("neurons", "lanes", "count"), [(1, 1, 1), (1, 64, 1), (7, 1, 7), (7, 2, 4), (8, 2, 4), (9, 2, 5), (784, 16, 49)]
)
def test_rows_that_neurons_fill(neurons: int, lanes: int, count: int) -> None:
    assert rows(neurons, lanes) == count


@pytest.mark.parametrize(("lanes", "scan", "fold"), [(1, 1, 1), (16, 16, 1), (16, 2, 8), (12, 4, 3), (64, 1, 64)])
def test_fold_is_the_cycles_of_a_row(lanes: int, scan: int, fold: int) -> None:
    assert LayerLanes(lanes, scan).fold == fold


@pytest.mark.parametrize(
    ("lanes", "fold", "expected"),
    [
        (1, 1, [(1, 1), (1, 1)]),
        (16, 1, [(16, 16), (3, 3)]),  # of three neurons no more than three lanes
        (16, 4, [(16, 4), (3, 1)]),
        (16, 5, [(16, 4), (3, 1)]),  # 16 / 5 is no divisor: the next wider scan
        (64, 64, [(20, 1), (3, 1)]),
    ],
)
def test_lanes_of_every_layer(lanes: int, fold: int, expected: list[tuple[int, int]]) -> None:
    assert uniform_lanes(NetworkSpec(chain(9, 20, 3)), lanes, fold) == tuple(LayerLanes(*pair) for pair in expected)


def test_lanes_of_a_deciding_layer_are_scanned_class_by_class() -> None:
    """Twelve neurons of three classes: rows of 8 would mix two of the classes, rows of 4 do not."""
    spec = NetworkSpec(chain(5, 12), decision=Decision(3, 1), steps=4)
    assert uniform_lanes(spec, 8) == (LayerLanes(8, 4),)


@pytest.mark.parametrize(
    ("low", "high", "bits"),
    [(0, 0, 1), (-1, 0, 1), (0, 1, 2), (-2, 1, 2), (-3, 1, 3), (-128, 127, 8), (-129, 127, 9), (-128, 128, 9)],
)
def test_bits_of_twos_complement(low: int, high: int, bits: int) -> None:
    assert signed_bits(low, high) == bits


def test_numbers_of_an_image_have_a_bit_more_than_a_potential() -> None:
    assert number_bits(LayerSpec([[1]], 1, state_bits=4)) == 5


@pytest.mark.parametrize(("count", "bits", "depth"), [(1, 1, 2), (2, 1, 2), (3, 2, 3), (64, 6, 64), (65, 7, 65)])
def test_bits_of_an_index_and_words_of_a_memory(count: int, bits: int, depth: int) -> None:
    assert (index_bits(count), memory_depth(count)) == (bits, depth)
