"""The word sources of a network: which draw of which stream decides which spike, and what is refused.

The golden model and the gateware run the same literal cases.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.jobs import Job, Response
from support.paths import DOCS
from support.simulators import Run, backends

from spikeveil.hdl.engine.source import LfsrStream, TriviumStream
from spikeveil.pysim import Lfsr, LfsrSource, Trivium, TriviumSource
from spikeveil.pysim.model.flipper import FlipSpec
from spikeveil.pysim.model.source import WordSource, stream_iv

KEY = bytes.fromhex("0f62b5085bae0154a7fa")
SEEDS = [3**70, 5**40]
FLIP = FlipSpec(17_626, 16)


@dataclass(frozen=True)
class Case:
    """Words of `bits` bits of consecutive records, `beat` of them a cycle in gateware; a line of words a record."""

    bits: int
    beat: int
    expected: list[list[int]]
    key: str = ""
    seed: int = 0
    layer: int = 0
    lease: int = 0
    record: int = 0
    parallel_load: bool = False


# eSTREAM set 6, vector 3: IV 28 8FF65DC42B 92F960C7; the second line computed clock by clock from the equations
FULL_IV = {"key": "0F62B5085BAE0154A7FA", "layer": 0x28, "lease": 0x8FF65DC42B, "record": 0x92F960C7}
FULL_IV_BYTES = [
    list(bytes.fromhex("A4386C6D7624983FEA8DBE73")),
    list(bytes.fromhex("279CF60B0EE28110CCE10BD0")),
]
# eSTREAM set 1, vector 0: 38EB86FF 730D7A9C AF8DF13A
ZERO_IV = {"key": "80000000000000000000"}

CASES: dict[str, Case] = {
    "trivium, bytes": Case(8, 1, FULL_IV_BYTES, **FULL_IV),
    "trivium, bytes, loaded at once": Case(8, 1, FULL_IV_BYTES, **FULL_IV, parallel_load=True),
    "trivium, 16 bits, three a beat": Case(16, 3, [[0xEB38, 0xFF86, 0x0D73, 0x9C7A, 0x8DAF, 0x3AF1]], **ZERO_IV),
    "trivium, 5 bits, the lowest first": Case(5, 1, [[24, 25, 26, 13, 24, 31, 15, 14]], **ZERO_IV),
    # b[127] = b[63] ^ b[0], b[191] = b[127] ^ b[64], b[254] = b[190] ^ b[127], b[255] = b[191] ^ b[128]
    "lfsr, 64 bits, on from record to record": Case(64, 1, [[1, 1 << 63], [1 << 63, 3 << 62]], seed=1),
    "lfsr, 5 bits, four a beat": Case(5, 4, [[0b00001, 0b10101, 0b00110, 0b11010]], seed=0b11010_00110_10101_00001),
}


def model(case: Case) -> list[list[int]]:
    source = LfsrSource([case.seed]) if case.seed else TriviumSource(bytes.fromhex(case.key))
    shape = {"records": len(case.expected), "count": len(case.expected[0])}
    asked = {"flipper": 0, "layer": case.layer, "lease": case.lease, "first_record": case.record, **shape}
    words: list[list[int]] = source.words(case.bits, **asked).tolist()
    return words


def period(case: Case) -> int:
    """Cycles from one record to the next: longer than a key setup and the record's words."""
    return 1263 // (case.bits * case.beat) + len(case.expected[0]) // case.beat + 8


def run_of(case: Case) -> Run:
    """Opened in cycle 0; the sink takes a beat a cycle."""
    width, cycles = case.bits * case.beat, len(case.expected) * period(case)
    next_record = [int(cycle > 0 and cycle % period(case) == 0) for cycle in range(cycles)]
    pins = {"open": [1], "next_record": next_record}
    if case.seed:
        return LfsrStream(width), Job(cycles, sinks=("o",), pins=pins | {"seed": [case.seed] * cycles})
    lease = {"key": int(case.key, 16), "lease": case.lease, "record": case.record}
    pins |= {name: [value] * cycles for name, value in lease.items()}
    return TriviumStream(width, layer=case.layer, parallel_load=case.parallel_load), Job(
        cycles, sinks=("o",), pins=pins
    )


def result_of(case: Case, response: Response) -> list[list[int]]:
    """The first words of each record; an LFSR's records follow one another."""
    beats = [(cycle // period(case), value) for cycle, value in response["o"]]
    words = [
        (record, value >> case.bits * place & (1 << case.bits) - 1)
        for record, value in beats
        for place in range(case.beat)
    ]
    count, records = len(case.expected[0]), range(len(case.expected))
    if case.seed:
        return [[word for _, word in words[record * count :][:count]] for record in records]
    return [[word for at, word in words if at == record][:count] for record in records]


@pytest.fixture(scope="module", params=backends(model, run_of, result_of, "source"))
def results(request: pytest.FixtureRequest) -> dict[str, list[list[int]]]:
    """The words of every case, on each backend in turn."""
    found: dict[str, list[list[int]]] = request.param(CASES)
    return found


@pytest.mark.parametrize("name", CASES)
def test_words_by_hand(results: dict[str, list[list[int]]], name: str) -> None:
    assert results[name] == CASES[name].expected


def place(**changes: int) -> dict[str, int]:
    """A layer of 10 neurons over 6 steps, as `masks` and `words` are asked for it."""
    asked = {"flipper": 1, "layer": 2, "lease": 0x0102030405, "first_record": 7, "records": 3, "count": 60}
    return asked | changes


@pytest.mark.parametrize(
    ("layer", "lease", "record", "printed"),
    [
        (0, 0, 0, "00" "0000000000" "00000000"),
        (1, 2, 3, "01" "0000000002" "00000003"),
        (0xAB, 0x123456789A, 0xBCDEF012, "AB" "123456789A" "BCDEF012"),
        (255, 2**40 - 1, 2**32 - 1, "FF" "FFFFFFFFFF" "FFFFFFFF"),
    ],
)  # fmt: skip
def test_the_iv_is_layer_lease_and_record_most_significant_first(
    layer: int, lease: int, record: int, printed: str
) -> None:
    assert stream_iv(layer, lease, record).hex().upper() == printed


def test_trivium_draw_j_of_a_record_is_word_j_of_its_own_stream() -> None:
    words = TriviumSource(KEY).words(16, **place())
    assert words.shape == (3, 60)
    for row, iv in enumerate(["02010203040500000007", "02010203040500000008", "02010203040500000009"]):
        np.testing.assert_array_equal(words[row], Trivium(KEY, bytes.fromhex(iv)).words(60, 16))


def test_lfsr_stream_runs_on_from_record_to_record() -> None:
    stream = Lfsr(SEEDS[1])
    stream.words(7 * 60, 16)
    np.testing.assert_array_equal(LfsrSource(SEEDS).words(16, **place()).reshape(-1), stream.words(3 * 60, 16))


@settings(derandomize=True, deadline=None, max_examples=40)
@given(st.integers(1, 16), st.data(), st.integers(0, 70), st.integers(0, 90), st.integers(0, 2**31))
def test_masks_are_the_words_below_the_threshold(bits: int, data: Any, records: int, count: int, first: int) -> None:
    flip = FlipSpec(data.draw(st.integers(1, 1 << (bits - 1))), bits)
    asked = place(records=records, count=count, first_record=first)
    for source in (LfsrSource(SEEDS), TriviumSource(KEY)):
        masks = source.masks(flip, **asked)
        assert masks.dtype == np.bool_
        np.testing.assert_array_equal(masks, source.words(bits, **asked) < flip.threshold)


@pytest.mark.parametrize("source", [LfsrSource(SEEDS), TriviumSource(KEY)], ids=["lfsr", "trivium"])
def test_masks_do_not_depend_on_how_many_records_are_asked_for_at_once(source: WordSource) -> None:
    together = source.masks(FLIP, **place(records=1100, first_record=0))  # three groups of the bank
    for start, records in ((0, 1), (1, 510), (511, 2), (1099, 1)):
        alone = source.masks(FLIP, **place(records=records, first_record=start))
        np.testing.assert_array_equal(alone, together[start : start + records])


@pytest.mark.parametrize("other", [{"layer": 3}, {"lease": 6}, {"first_record": 8}])
def test_trivium_masks_differ_between_layers_leases_and_records(other: dict[str, int]) -> None:
    source = TriviumSource(KEY)
    masks, others = (source.masks(FLIP, **asked) for asked in (place(records=1), place(records=1) | other))
    assert (masks != others).any()


@pytest.mark.parametrize("source", [LfsrSource(SEEDS), TriviumSource(KEY)], ids=["lfsr", "trivium"])
@pytest.mark.parametrize("flip", [FlipSpec(17_626), FlipSpec(3, 16), FlipSpec(32_768), FlipSpec(2, 3)])
def test_flips_come_as_often_as_the_threshold_says(source: WordSource, flip: FlipSpec) -> None:
    """Within five standard deviations of a binomial, over a million draws of fixed streams."""
    masks = source.masks(flip, **place(records=1000, count=1000))
    p = float(flip.flip_probability)
    assert abs(masks.sum() - 1e6 * p) < 5 * (1e6 * p * (1 - p)) ** 0.5


@pytest.mark.parametrize("source", [LfsrSource(SEEDS), TriviumSource(KEY)], ids=["lfsr", "trivium"])
def test_neighbouring_flips_are_uncorrelated(source: WordSource) -> None:
    """A register shifted once a decision would show 0.3 here; a million fresh words show under 5 in a thousand."""
    masks = source.masks(FLIP, **place(records=1, count=10**6))[0].astype(float)
    for lag in (1, 2, 3, 63, 64, 127):
        assert abs(np.corrcoef(masks[:-lag], masks[lag:])[0, 1]) < 0.005


def test_each_source_says_what_it_is_worth() -> None:
    assert (LfsrSource.name, TriviumSource.name) == ("lfsr", "trivium")
    assert LfsrSource.assurance.startswith("none: ")
    assert TriviumSource.assurance.startswith("computational: ")
    assert "80-bit key" in TriviumSource.assurance


def test_generated_sources_are_fresh_and_hide_what_they_drew() -> None:
    for generate in (lambda: LfsrSource.generate(2), TriviumSource.generate):
        one, other = generate(), generate()
        assert (one.masks(FLIP, **place()) != other.masks(FLIP, **place())).any()
    assert repr(TriviumSource(KEY)) == "TriviumSource(key hidden)"
    assert repr(LfsrSource(SEEDS)) == "LfsrSource(2 seeds hidden)"


def test_a_source_serves_the_flippers_it_was_made_for() -> None:
    LfsrSource(SEEDS).require(2)
    TriviumSource(KEY).require(2)
    with pytest.raises(ValueError) as error:
        LfsrSource(SEEDS).require(3)
    assert str(error.value) == "LFSR seeds must be 3, one a flipper, not 2"


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: LfsrSource([5, 0]), "LFSR seed must be 1 to 2^127 - 1, not 0"),
        (lambda: LfsrSource([5, 5]), "LFSR seeds must differ from one another, not repeat"),
        (lambda: LfsrSource(5), "LFSR seeds must be a sequence of integers, not int"),  # type: ignore[arg-type]
        (lambda: LfsrSource.generate(-1), "flippers must be 0 or more, not -1"),
        (lambda: TriviumSource(bytes(9)), "Trivium key must be 10 bytes, not 9"),
        (lambda: TriviumSource([0] * 10), "Trivium key must be 10 bytes, not list"),  # type: ignore[arg-type]
        (lambda: TriviumSource(KEY).require(257), "Trivium flippers must be 0 to 256, not 257"),
        (lambda: TriviumSource(KEY).words(0, **place()), "word bits must be 1 to 64, not 0"),
        (lambda: LfsrSource(SEEDS).words(65, **place()), "word bits must be 1 to 64, not 65"),
        (lambda: LfsrSource(SEEDS).masks(FLIP, **place(flipper=2)), "flipper must be 0 to 1, not 2"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(call: Callable[[], Any], sentence: str) -> None:
    with pytest.raises(ValueError) as error:
        call()
    assert str(error.value) == sentence


@pytest.mark.parametrize("source", [LfsrSource(SEEDS), TriviumSource(KEY)], ids=["lfsr", "trivium"])
@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"layer": 256}, "layer must be 0 to 255, not 256"),
        ({"lease": -1}, "lease must be 0 to 1099511627775, not -1"),
        ({"lease": 1 << 40}, "lease must be 0 to 1099511627775, not 1099511627776"),
        ({"lease": 1.0}, "lease must be an integer, not 1.0"),
        ({"first_record": -1}, "record must be 0 to 4294967295, not -1"),
        ({"first_record": (1 << 32) - 2}, "last record must be 0 to 4294967295, not 4294967296"),
        ({"records": -1}, "records must be 0 or more, not -1"),
        ({"count": -1}, "draws a record must be 0 or more, not -1"),
    ],
)
def test_a_place_without_a_stream_is_refused(source: WordSource, changes: dict[str, Any], sentence: str) -> None:
    for call in (lambda asked: source.masks(FLIP, **asked), lambda asked: source.words(16, **asked)):
        with pytest.raises(ValueError) as error:
            call(place(**changes))
        assert str(error.value) == sentence


def test_the_worked_example_of_the_documentation_holds() -> None:
    page = (DOCS / "randomness.md").read_text()
    example = page.split("```python\n")[1].split("```")[0]
    assert example.count("assert ") == 7
    exec(compile(example, "docs/randomness.md", "exec"), {})  # noqa: S102


def test_known_flips_give_the_lfsr_seed_away() -> None:
    """Why its assurance is none: a flip says that its word's top bit is 0, a linear equation in the 127 seed bits."""
    draws = 1500
    masks = LfsrSource(SEEDS).masks(FLIP, **place(flipper=0, first_record=0, records=1, count=draws))[0]
    rows = [1 << i for i in range(127)]  # bit i of the stream is the parity of rows[i] & seed
    for i in range(16 * draws - 127):
        rows.append(rows[i + 63] ^ rows[i])
    pivots: dict[int, int] = {}
    for draw in np.flatnonzero(masks):
        row = rows[16 * draw + 15]
        while row and row.bit_length() in pivots:
            row ^= pivots[row.bit_length()]
        if row:
            pivots[row.bit_length()] = row
    assert len(pivots) == 126  # all but one seed bit are fixed by the others, and zero is no seed
    free = ({*range(1, 128)} - {*pivots}).pop()
    seed = 1 << (free - 1)
    for pivot in sorted(pivots):
        if ((pivots[pivot] & seed).bit_count()) % 2:
            seed |= 1 << (pivot - 1)
    assert seed == SEEDS[0]
