"""Decisions: probabilities by enumeration of every word, epsilon against mpmath, winners and ties by hand."""

import math
from collections import Counter
from fractions import Fraction
from random import Random
from typing import Any

import mpmath
import numpy as np
import pytest
from numpy.typing import NDArray
from support.component import run

from spikeveil.hdl.engine.decision import Decider, ScoreCounter
from spikeveil.pysim import FlipSpec, LayerSpec, LfsrSource, Network, NetworkSpec, Trivium, TriviumSource
from spikeveil.pysim.model.decision import Decision, OneHotDecision, winners_by_potential, winners_by_spikes


@pytest.mark.parametrize(
    ("classes", "q", "bits"), [(2, 1, 1), (2, 3, 4), (3, 5, 4), (10, 25, 8), (7, 1, 6), (64, 4, 8)]
)
def test_every_other_class_has_probability_q_of_all_words(classes: int, q: int, bits: int) -> None:
    decision, words = Decision(classes, q, bits), np.arange(1 << bits)[:, None]
    for winner in range(classes):
        released = decision.release(np.full(1 << bits, winner), words)
        counts = Counter(released.tolist())
        assert {other: counts[other] for other in range(classes) if other != winner} == dict.fromkeys(
            (other for other in range(classes) if other != winner), q
        )
        assert counts[winner] == (1 << bits) - (classes - 1) * q


def test_the_others_come_in_ascending_order_with_the_winner_skipped() -> None:
    released = Decision(4, 2, 3).release(np.full(8, 1), np.arange(8)[:, None])
    assert released.tolist() == [0, 0, 2, 2, 3, 3, 1, 1]


@pytest.mark.parametrize(("classes", "k1", "k0", "bits"), [(2, 2, 1, 2), (3, 9, 2, 4), (5, 7, 6, 3)])
def test_one_hot_probabilities_and_epsilon_by_enumeration(classes: int, k1: int, k0: int, bits: int) -> None:
    """The likelihood ratio of every output under every pair of winners, from each bit's exact probability."""
    decision, words = OneHotDecision(classes, k1, k0, bits), 1 << bits
    one = [np.mean(decision.release(np.zeros(words, int), np.repeat(np.arange(words)[:, None], classes, 1)), axis=0)]
    assert one[0].tolist() == [k1 / words, *[k0 / words] * (classes - 1)]
    likelihood = lambda output, winner: math.prod(  # noqa: E731
        Fraction(k, words) if bit else 1 - Fraction(k, words)
        for index, bit in enumerate(output)
        for k in (k1 if index == winner else k0,)
    )
    outputs = [[(output >> bit) & 1 for bit in range(classes)] for output in range(1 << classes)]
    worst = max(
        likelihood(output, a) / likelihood(output, b)
        for output in outputs
        for a in range(classes)
        for b in range(classes)
    )
    assert worst == decision.ratio


@pytest.mark.parametrize("bits", [4, 8, 16, 32])
@pytest.mark.parametrize("classes", [2, 3, 10])
def test_epsilon_is_the_logarithm_rounded_up(bits: int, classes: int) -> None:
    rng = np.random.default_rng(bits * 100 + classes)
    with mpmath.workdps(80):
        for q in {
            1,
            (1 << bits) // classes,
            *(int(q) for q in rng.integers(1, (1 << bits) // classes, 20, endpoint=True)),
        }:
            exact = mpmath.log(mpmath.mpf((1 << bits) - (classes - 1) * q) / q)
            epsilon = Decision(classes, q, bits).epsilon
            assert mpmath.mpf(epsilon) >= exact
            assert epsilon == 0 or mpmath.mpf(math.nextafter(epsilon, 0)) < exact


@pytest.mark.parametrize("epsilon", [0.25, 1.0, 4.0, 8.0, 20.0])
def test_for_epsilon_gives_the_smallest_q(epsilon: float) -> None:
    decision = Decision.for_epsilon(epsilon, classes=10)
    assert decision.bits == 32
    assert decision.epsilon <= epsilon < Decision(10, decision.q - 1).epsilon


def test_for_epsilon_of_one_hot_words() -> None:
    symmetric, oue = OneHotDecision.symmetric(2.0, 10), OneHotDecision.oue(2.0, 10)
    assert symmetric.k1 + symmetric.k0 == 1 << 32
    assert symmetric.epsilon <= 2.0 < OneHotDecision(10, symmetric.k1 + 1, symmetric.k0 - 1).epsilon
    assert oue.k1 == 1 << 31
    assert oue.epsilon <= 2.0 < OneHotDecision(10, oue.k1, oue.k0 - 1).epsilon
    assert oue.k0 / 2**32 == pytest.approx(1 / (math.exp(2.0) + 1), rel=1e-8)  # Wang and others, section 4.3


def test_a_width_that_reaches_no_such_epsilon_is_refused() -> None:
    """8-bit words, 10 classes: q <= 25, so that epsilon is at least ln(31/25)."""
    with pytest.raises(
        ValueError, match=r"decision epsilon must be at least 0\.215111 for words of this width, not 0\.2"
    ):
        Decision.for_epsilon(0.2, classes=10, bits=8)
    assert Decision.for_epsilon(0.2152, classes=10, bits=8).q == 25


REFUSED = [
    (lambda: Decision(1, 1), "decision classes must be 2 to 64, not 1"),
    (lambda: Decision(65, 1), "decision classes must be 2 to 64, not 65"),
    (lambda: Decision(10, 0), "decision q must be 1 to 429496729, not 0"),
    (lambda: Decision(10, 26, 8), "decision q must be 1 to 25, not 26"),
    (lambda: Decision(10, 1, 33), "decision bits must be 1 to 32, not 33"),
    (lambda: Decision(10, 1, 3), "decision classes must be at most 2^bits = 8, not 10"),
    (lambda: OneHotDecision(10, 256, 1, 8), "decision k1 must be 2 to 255, not 256"),
    (lambda: OneHotDecision(10, 5, 5, 8), "decision k0 must be 1 to 4, not 5"),
    (lambda: OneHotDecision(10, 5, 0, 8), "decision k0 must be 1 to 4, not 0"),
    (lambda: Decision.for_epsilon(float("nan"), classes=3), "decision epsilon must be 0 or more, not nan"),
    (lambda: Decision.for_epsilon(-1, classes=3), "decision epsilon must be 0 or more, not -1"),
]


@pytest.mark.parametrize(("make", "sentence"), REFUSED, ids=[sentence for _, sentence in REFUSED])
def test_a_refusal_is_one_sentence(make: object, sentence: str) -> None:
    with pytest.raises(ValueError) as refused:
        make()  # type: ignore[operator]
    assert str(refused.value) == sentence


def test_the_class_with_most_spikes_wins_and_the_lowest_of_equals() -> None:
    raw = np.zeros((4, 3, 6), bool)  # 3 classes of 2 neurons
    raw[0, :, 5] = True  # class 2: 3
    raw[1, 0, [2, 3]] = raw[1, 1, 0] = raw[1, 2, 1] = True  # classes 0 and 1: 2 each
    raw[2, 0, [2, 4]] = True  # classes 1 and 2: 1 each
    assert winners_by_spikes(raw, 3).tolist() == [2, 0, 1, 0]  # the last record is silent


def test_the_largest_potential_wins_at_the_end_or_in_the_sum() -> None:
    potentials = np.array([[[5, 0, -1], [1, 2, 2]], [[-7, -7, -9], [-3, -3, -3]]], np.int32)
    assert winners_by_potential(potentials, "final").tolist() == [1, 0]
    assert winners_by_potential(potentials, "sum").tolist() == [0, 0]


def beats_of(words: NDArray[Any], bits: int, beat_bits: int) -> list[int]:
    """Words of `bits` bits as beats, the lowest bits first."""
    return [int(word) >> at & ((1 << beat_bits) - 1) for word in words for at in range(0, bits, beat_bits)]


def decided(
    decision: Decision | OneHotDecision,
    counter: ScoreCounter,
    rows: list[list[tuple[int, bool, bool]]],
    words: NDArray[Any],
    beat_bits: int,
    seed: int = 0,
) -> list[tuple[int, int]]:
    """(cycle, payload) of each decision of the gateware, rows and beats stalled at random in the order of `seed`.

    `rows`: of each record, (bits, step_end, record_end). `words` (records, draws): a record's are offered from the
    decision before it on, and are followed by ones that belong to nobody.
    """
    dut, random = Decider(decision, counter, beat_bits=beat_bits), Random(seed)
    mask, taken = (1 << beat_bits) - 1, []

    async def bench(ctx: Any) -> None:
        waiting = [row for record in rows for row in record]
        record, beats = 0, beats_of(words[0], decision.bits, beat_bits)
        for cycle in range(20_000):
            if len(taken) == len(rows):
                return
            ctx.set(dut.i.valid, bool(waiting) and (not seed or random.random() < 0.7))
            if waiting:
                bits, step_end, record_end = waiting[0]
                ctx.set(dut.i.payload.bits, bits)
                ctx.set(dut.i.payload.step_end, step_end)
                ctx.set(dut.i.payload.record_end, record_end)
            ctx.set(dut.words.valid, not seed or random.random() < 0.7)
            ctx.set(dut.words.payload, beats[0] if beats else mask)
            ctx.set(dut.o.ready, not seed or random.random() < 0.5)
            if ctx.get(dut.i.valid) and ctx.get(dut.i.ready):
                waiting.pop(0)
            if ctx.get(dut.words.valid) and ctx.get(dut.words.ready):
                assert beats, "a word behind the record's last one was taken"
                beats.pop(0)
            if ctx.get(dut.o.valid) and ctx.get(dut.o.ready):
                assert ctx.get(dut.next_record)
                taken.append((cycle, ctx.get(dut.o.payload.bits)))
                record += 1
                if record < len(rows):
                    beats = beats_of(words[record], decision.bits, beat_bits)
            await ctx.tick()
        raise AssertionError(f"{len(taken)} decisions in 20,000 cycles")

    run(dut, bench)
    return taken


def spike_rows(raw: NDArray[np.bool_], lanes: int) -> list[list[tuple[int, bool, bool]]]:
    """Raw spikes (records, steps, neurons) as rows of `lanes` neurons."""
    records, steps, neurons = raw.shape
    return [
        [
            (
                sum(int(bit) << lane for lane, bit in enumerate(raw[record, step, start : start + lanes])),
                start + lanes == neurons,
                start + lanes == neurons and step == steps - 1,
            )
            for step in range(steps)
            for start in range(0, neurons, lanes)
        ]
        for record in range(records)
    ]


def as_number(released: Any) -> int:
    """A released class number, or a one-hot word with class 0 lowest."""
    if np.ndim(released):
        return sum(int(bit) << index for index, bit in enumerate(released))
    return int(released)


CASES = [
    # decision, neurons a class, lanes, steps, beat bits
    (Decision(2, 1, 1), 1, 1, 1, 1),
    (Decision(3, 70, 8), 4, 2, 3, 8),
    (Decision(10, 25, 8), 4, 4, 5, 4),
    (Decision(10, 400_000_000, 32), 1, 1, 4, 8),
    (Decision(17, 9, 8), 2, 2, 3, 8),
    (Decision(64, 1000, 16), 3, 1, 2, 16),
    (OneHotDecision(2, 3, 1, 2), 2, 1, 2, 2),
    (OneHotDecision(10, 200, 60, 8), 4, 2, 4, 4),
    (OneHotDecision(20, 1 << 31, 1 << 29, 32), 1, 1, 3, 16),
]


@pytest.mark.parametrize(("decision", "group", "lanes", "steps", "beat_bits"), CASES)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_gateware_decides_as_the_model(
    decision: Decision | OneHotDecision, group: int, lanes: int, steps: int, beat_bits: int, seed: int
) -> None:
    """Dense, sparse, tied and silent records, in a row."""
    rng, neurons = np.random.default_rng(seed), decision.classes * group
    raw = np.concatenate([rng.random((2, steps, neurons)) < rate for rate in (0.5, 0.05, 0.0, 1.0)])
    words = rng.integers(0, 1 << decision.bits, (len(raw), decision.draws), np.uint64)
    expected = decision.release(winners_by_spikes(raw, decision.classes), words)
    counter = ScoreCounter(classes=decision.classes, lanes=lanes, rows_per_class=group // lanes, steps=steps)
    taken = decided(decision, counter, spike_rows(raw, lanes), words, beat_bits, seed)
    assert [payload for _, payload in taken] == [as_number(released) for released in expected]


@pytest.mark.parametrize("score", ["final", "sum"])
@pytest.mark.parametrize("classes", [2, 10, 33])
def test_the_gateware_decides_by_potentials_as_the_model(classes: int, score: Any) -> None:
    decision, rng, steps = Decision.for_epsilon(4.0, classes=classes), np.random.default_rng(classes), 5
    potentials = rng.integers(-128, 128, (6, steps, classes), np.int32)
    potentials[0] = -128
    potentials[1] = 127
    words = rng.integers(0, 1 << 32, (6, 1), np.uint64)
    rows = [
        [
            (int(v) & 255, n == classes - 1, n == classes - 1 and t == steps - 1)
            for t in range(steps)
            for n, v in enumerate(record[t])
        ]
        for record in potentials
    ]
    expected = decision.release(winners_by_potential(potentials, score), words)
    counter = ScoreCounter(classes=classes, steps=steps, state_bits=8, score=score)
    assert [payload for _, payload in decided(decision, counter, rows, words, 16, seed=3)] == expected.tolist()


def test_the_time_of_a_kary_decision_tells_neither_winner_nor_word() -> None:
    decision, steps = Decision(10, 25, 8), 2
    moments = set()
    for winner, word in [(0, 0), (9, 0), (4, 255), (4, 224), (4, 225), (0, 100), (9, 249)]:
        raw = np.zeros((1, steps, 10), bool)
        raw[0, :, winner] = True
        counter = ScoreCounter(classes=10, steps=steps)
        ((cycle, _),) = decided(decision, counter, spike_rows(raw, 1), np.array([[word]]), 8)
        moments.add(cycle)
    assert len(moments) == 1


def network(decision: Any, steps: int = 4, group: int = 2, **last: Any) -> NetworkSpec:
    rng = np.random.default_rng(7)
    layers = [
        LayerSpec(rng.integers(-8, 8, (6, 5)), threshold=4, weight_bits=4, flip=FlipSpec(20, 8)),
        LayerSpec(rng.integers(-8, 8, (decision.classes * group, 6)), threshold=3, weight_bits=4, **last),
    ]
    return NetworkSpec(layers, decision=decision, steps=steps)


KEY = bytes(range(1, 11))


@pytest.mark.parametrize("decision", [Decision(3, 20, 8), OneHotDecision(3, 200, 30, 8)], ids=["kary", "one_hot"])
def test_a_network_releases_the_decision_that_the_keystream_gives(decision: Any) -> None:
    """Draw j of record r is word j of the keystream of IV = last layer, lease, record; winners from raw spikes."""
    spec = network(decision)
    spikes = np.random.default_rng(1).random((70, 4, 5)) < 0.5
    result = Network(spec, TriviumSource(KEY)).run(spikes, lease=9, first_record=3)
    assert result.decisions is not None and result.winners is not None
    assert result.released is None and result.readout is None
    counts = result.raw[-1].sum(axis=1).reshape(70, 3, 2).sum(axis=2)
    assert result.winners.tolist() == [row.index(max(row)) for row in counts.tolist()]
    assert len(set(result.winners.tolist())) > 1
    for record in range(70):
        iv = (1 << 72 | 9 << 32 | record + 3).to_bytes(10, "big")
        words = Trivium(KEY, iv).words(decision.draws, 8).astype(np.int64)
        if isinstance(decision, Decision):
            word = int(words[0])
            others = [number for number in range(3) if number != result.winners[record]]
            expected = others[word // 20] if word < 40 else result.winners[record]
            assert result.decisions[record] == expected
        else:
            limits = [200 if number == result.winners[record] else 30 for number in range(3)]
            assert result.decisions[record].tolist() == [int(w) < k for w, k in zip(words, limits, strict=True)]


def test_an_lfsr_runs_on_from_record_to_record() -> None:
    spec, spikes = network(Decision(3, 20, 8)), np.random.default_rng(1).random((6, 4, 5)) < 0.5
    seeds = [12345, 67890]
    whole = Network(spec, LfsrSource(seeds)).run(spikes, lease=1).decisions
    parts = [
        Network(spec, LfsrSource(seeds)).run(spikes[r : r + 1], lease=1, first_record=r).decisions for r in range(6)
    ]
    assert whole is not None
    np.testing.assert_array_equal(whole, np.concatenate(parts))  # type: ignore[arg-type]


def test_a_decision_network_survives_its_file(tmp_path: Any) -> None:
    for decision in (Decision(3, 20, 8), OneHotDecision(3, 200, 30, 8)):
        spec = network(decision)
        spec.save(tmp_path / "net.snn")
        loaded = NetworkSpec.load(tmp_path / "net.snn")
        assert (loaded, loaded.decision, loaded.steps) == (spec, decision, 4)
    assert network(Decision(3, 20, 8)).fingerprint != network(Decision(3, 21, 8)).fingerprint
    assert network(Decision(3, 20, 8)).fingerprint != network(Decision(3, 20, 8), steps=5).fingerprint


def test_a_decision_makes_a_network_private() -> None:
    layer = LayerSpec([[1, -1], [2, 3]], threshold=1)
    assert not NetworkSpec([layer]).private
    assert NetworkSpec([layer], decision=Decision(2, 1, 8), steps=2).private


NO_DECISION = [
    (
        lambda: network(Decision(3, 20, 8), flip=FlipSpec(1, 8)),
        "network decision is made on raw spikes, so flip of the",
    ),
    (
        lambda: network(Decision(3, 20, 8), spike_limit=5),
        "network decision is made on raw spikes, so spike_limit of the",
    ),
    (
        lambda: NetworkSpec([LayerSpec([[1]] * 7, threshold=1)], decision=Decision(3, 1), steps=2),
        "network decision classes must divide the 7 neurons of the last layer, not be 3",
    ),
    (
        lambda: NetworkSpec([LayerSpec([[1]] * 6, readout=True)], decision=Decision(3, 1), steps=2),
        "network decision classes must be 6, the neurons of the readout, not 3",
    ),
    (
        lambda: NetworkSpec([LayerSpec([[1]] * 3, threshold=1)], decision=Decision(3, 1, by="sum"), steps=2),
        "network decision by must be 'final' for a last layer that fires, not 'sum'",
    ),
    (
        lambda: NetworkSpec([LayerSpec([[1]] * 3, threshold=1)], decision=Decision(3, 1)),
        "network steps must be given with a decision, and only then, not None",
    ),
    (
        lambda: NetworkSpec([LayerSpec([[1]] * 3, threshold=1)], steps=3),
        "network steps must be given with a decision, and only then, not 3",
    ),
    (
        lambda: Network(network(Decision(3, 20, 8)), TriviumSource(KEY)).run(np.zeros((1, 3, 5), bool), lease=1),
        "run steps must be the 4 of the network's records, not 3",
    ),
    (
        lambda: NetworkSpec([LayerSpec([[1]] * 3, threshold=1)], decision="kary", steps=3),  # type: ignore[arg-type]
        "network decision must be a RandomisedDecision, not 'kary'",
    ),
]


@pytest.mark.parametrize(("make", "sentence"), NO_DECISION, ids=[sentence[:60] for _, sentence in NO_DECISION])
def test_a_decision_that_does_not_fit_is_refused(make: Any, sentence: str) -> None:
    with pytest.raises(ValueError) as refused:
        make()
    assert str(refused.value).startswith(sentence)
