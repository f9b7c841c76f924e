"""Units: the table of bits, held against every pair of small rasters."""

from itertools import combinations, product

import pytest

from spikeveil.host.privacy import Unit


def admitted(raster, neurons, spike_limit, step_spike_limit):
    """The limiter, plainly: the first c raw spikes of a step and the first m of the record."""
    kept, total, in_step = [], 0, 0
    for position, bit in enumerate(raster):
        if position % neurons == 0:
            in_step = 0
        keep = (
            bit
            and (spike_limit is None or total < spike_limit)
            and (step_spike_limit is None or in_step < step_spike_limit)
        )
        total, in_step = total + keep, in_step + keep
        kept.append(bool(keep))
    return tuple(kept)


def supports(unit, steps, neurons):
    """The sets of positions in which two neighbours may differ."""
    positions = [[t * neurons + n for n in range(neurons)] for t in range(steps)]
    return {
        Unit.SPIKE: [[position] for position in range(steps * neurons)],
        Unit.NEURON: [list(column) for column in zip(*positions, strict=True)],
        Unit.STEP: positions,
        Unit.RECORD: [list(range(steps * neurons))],
        Unit.SUBJECT: [list(range(steps * neurons))],  # of one record of the subject
    }[unit]


def worst(unit, steps, neurons, spike_limit, step_spike_limit):
    """The most admitted bits in which two neighbouring raw rasters differ, by trying all."""
    most = 0
    for support in supports(unit, steps, neurons):
        classes = {}
        for raster in product((0, 1), repeat=steps * neurons):
            rest = tuple(bit for position, bit in enumerate(raster) if position not in support)
            classes.setdefault(rest, set()).add(admitted(raster, neurons, spike_limit, step_spike_limit))
        for outcomes in classes.values():
            for a, b in combinations(outcomes, 2):
                most = max(most, sum(x != y for x, y in zip(a, b, strict=True)))
    return most


@pytest.mark.parametrize("unit", Unit)
@pytest.mark.parametrize("shape", [(1, 1), (1, 3), (3, 1), (2, 2), (2, 3), (3, 2)], ids=str)
def test_no_pair_of_neighbours_differs_in_more_bits(unit, shape):
    for spike_limit, step_spike_limit in product((None, 1, 2, 3, 5), (None, 1, 2)):
        bound = unit.bits(*shape, spike_limit=spike_limit, step_spike_limit=step_spike_limit)
        found = worst(unit, *shape, spike_limit, step_spike_limit)
        assert found <= bound
        if spike_limit is None or unit in (Unit.SPIKE, Unit.RECORD):
            assert found == bound  # and nothing is charged in vain


@pytest.mark.parametrize(
    ("unit", "plain", "limited"),
    [(Unit.SPIKE, 1, 2), (Unit.NEURON, 100, 128), (Unit.STEP, 64, 128), (Unit.RECORD, 6400, 128)],
)
def test_counts_of_a_record_of_100_steps_and_64_neurons(unit, plain, limited):
    assert unit.bits(100, 64) == plain
    assert unit.bits(100, 64, spike_limit=64) == limited


def test_a_limit_couples_the_bits():
    assert Unit.SPIKE.bits(2, 1, spike_limit=1) == 2  # (0, 1) and (1, 1) are admitted as (0, 1) and (1, 0)
    assert Unit.STEP.bits(10, 8, step_spike_limit=2) == 4
    assert Unit.STEP.bits(10, 8, step_spike_limit=8) == 8  # cannot bind


def test_a_unit_is_found_by_its_name_and_has_a_relation():
    assert Unit("record") is Unit.RECORD
    assert Unit.STEP.relation == "the raw spikes of every neuron in one time step"


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: Unit("pixel"), "unit must be spike, neuron, step, record or subject, not 'pixel'"),
        (lambda: Unit.RECORD.bits(0, 5), "steps must be an integer of 1 or more, not 0"),
        (lambda: Unit.RECORD.bits(5, 2.0), "neurons must be an integer of 1 or more, not 2.0"),
        (lambda: Unit.RECORD.bits(5, 2, spike_limit=0), "spike limit must be an integer of 1 or more, not 0"),
        (
            lambda: Unit.RECORD.bits(5, 2, step_spike_limit=True),
            "step spike limit must be an integer of 1 or more, not True",
        ),
    ],
)
def test_bad_shapes_are_refused(call, sentence):
    with pytest.raises(ValueError) as caught:
        call()
    assert str(caught.value) == sentence
