"""Spikes matched one to one: by hand, and against the largest matching of a bipartite graph."""

from itertools import product

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from spikeveil.host.networks.spike_match import SpikeMatch, matched_within_a_step


def train(text: str) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """One neuron's steps, `|` for a spike: (1, steps, 1)."""
    return np.array([letter == "|" for letter in text], np.bool_)[None, :, None]


@pytest.mark.parametrize(
    ("reference", "found", "near", "exact"),
    [
        ("..|..", "..|..", 1, 1),
        ("..|..", ".|...", 1, 0),
        ("..|..", "...|.", 1, 0),
        ("..|..", "|....", 0, 0),  # two steps early
        (".||..", "..||.", 2, 1),  # each has its own partner
        (".|.|.", "..|..", 1, 0),  # one between two is matched once
        ("|.|.|", ".|.|.", 2, 0),
        ("||...", ".||..", 2, 1),
        ("|||..", "..|||", 2, 1),  # the first of the reference is two steps early
        (".....", "..|..", 0, 0),
    ],
)
def test_matches_by_hand(reference: str, found: str, near: int, exact: int) -> None:
    match = SpikeMatch.of(train(reference), train(found))
    assert (match.near, match.exact) == (near, exact)
    assert (match.reference, match.found) == (reference.count("|"), found.count("|"))


def test_scores_by_hand() -> None:
    match = SpikeMatch(reference=10, found=6, exact=3, near=4)
    assert (match.f1, match.exact_f1, match.precision, match.recall) == (8 / 16, 6 / 16, 4 / 6, 4 / 10)
    assert (match.lost, match.silent) == (0.4, None)
    assert SpikeMatch(6, 10, 0, 0).lost == 0
    both, ours, theirs = SpikeMatch(0, 0, 0, 0), SpikeMatch(9, 0, 0, 0), SpikeMatch(0, 9, 0, 0)
    assert [one.f1 for one in (both, ours, theirs)] == [1, 0, 0]
    assert [one.silent for one in (both, ours, theirs)] == ["both", "found", "reference"]
    assert (ours.lost, both.lost, theirs.lost) == (1, 0, 0)


def test_a_silent_network_is_no_99_percent() -> None:
    """The share of equal bits that a silent network has where one step in 250 holds a spike."""
    spikes = np.zeros((1, 1000, 1), np.bool_)
    spikes[0, ::250] = True
    silent = SpikeMatch.of(spikes, np.zeros_like(spikes))
    assert (silent.f1, silent.lost) == (0, 1)
    late = SpikeMatch.of(spikes, np.roll(spikes, 1, axis=1))
    assert (late.f1, late.exact_f1) == (1, 0)


def test_neurons_and_records_are_matched_apart() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.random((2, 3, 15, 4)) < 0.3
    alone = [
        SpikeMatch.of(a[record : record + 1, :, unit : unit + 1], b[record : record + 1, :, unit : unit + 1]).near
        for record, unit in product(range(3), range(4))
    ]
    assert SpikeMatch.of(a, b).near == sum(alone)


@pytest.mark.parametrize("seed", range(20))
def test_no_matching_is_larger(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.random((2, 1, 30, 1)) < rng.choice([0.1, 0.4, 0.7])
    times_a, times_b = (np.flatnonzero(each[0, :, 0]) for each in (a, b))
    near = (np.abs(times_a[:, None] - times_b) <= 1).astype(int)
    rows, columns = linear_sum_assignment(-near)
    before = b.copy()
    assert matched_within_a_step(a, b) == near[rows, columns].sum()
    np.testing.assert_array_equal(b, before)


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^spikes must have shape \(1, 2, 3\) to be matched, not \(1, 2, 4\)$"):
        SpikeMatch.of(np.zeros((1, 2, 3), np.bool_), np.zeros((1, 2, 4), np.bool_))
