"""The LFSR: model and gateware against the bare recurrence, the model against matrix powers too."""

import gc
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from amaranth.sim import Simulator
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from support.jobs import NO_STALLS, Job, Response, Stalls
from support.simulators import Run, backends

from spikeveil.hdl.engine import lfsr as gateware
from spikeveil.pysim import Lfsr

PERIOD = 2**127 - 1
SEED = 0x4B1D_5EED_0123_4567_89AB_CDEF_0F1E_2D3C
Bits = NDArray[np.uint8]


def recurrence(seed: int, count: int) -> Bits:
    """b[0 .. count-1] by the definition, 63 bits at a time: none of them depends on another of the same run."""
    bits = np.zeros(count + 127 + 63, np.uint8)
    bits[:127] = [seed >> i & 1 for i in range(127)]
    for at in range(127, count, 63):
        bits[at : at + 63] = bits[at - 64 : at - 1] ^ bits[at - 127 : at - 64]
    return bits[:count]


def words_of(bits: Bits, width: int) -> list[int]:
    """Consecutive words of `width` bits, the first bit of each lowest."""
    rows = bits[: len(bits) // width * width].reshape(-1, width)
    return [int("".join(map(str, row[::-1])), 2) for row in rows]


@dataclass(frozen=True)
class Case:
    """The first `count` words of `width` bits under a seed, while the sink stalls."""

    width: int
    count: int
    seed: int = SEED
    stalls: Stalls = NO_STALLS

    @property
    def expected(self) -> list[int]:
        return words_of(recurrence(self.seed, self.count * self.width), self.width)


HALF = Stalls(o=0x9249_0000_5555_FFFF)  # half of the cycles, in runs of several lengths
WIDTHS = (13, 16, 48, 60, 63, 64)
CASES = {f"{width} bits": Case(width, 512 // width, stalls=HALF) for width in WIDTHS} | {"seed 1": Case(64, 4, seed=1)}
EVERY_WIDTH = {f"{width} bits": Case(width, 512 // width, stalls=HALF) for width in range(1, 65)}


def model(case: Case) -> list[int]:
    words: list[int] = Lfsr(case.seed).words(case.count, case.width).tolist()
    return words


def run_of(case: Case) -> Run:
    """Started in cycle 0, for long enough whatever the stalls."""
    cycles = -(-127 // case.width) + 3 * case.count + 70
    pins = {"start": [1], "seed": [case.seed] * cycles}
    return gateware.Lfsr(case.width), Job(cycles, sinks=("o",), pins=pins, stalls=case.stalls)


def result_of(case: Case, response: Response) -> list[int]:
    return [word for _, word in response["o"]][: case.count]


@pytest.fixture(scope="module", params=backends(model, run_of, result_of, "lfsr"))
def results(request: pytest.FixtureRequest, soak: bool) -> dict[str, list[int]]:
    """The words of every case, on each backend in turn."""
    found: dict[str, list[int]] = request.param(CASES | EVERY_WIDTH if soak else CASES)
    return found


@pytest.mark.parametrize("name", CASES)
def test_words_follow_the_recurrence(results: dict[str, list[int]], name: str) -> None:
    assert results[name] == CASES[name].expected


def test_words_of_seed_one_by_hand(results: dict[str, list[int]]) -> None:
    # b[127] = b[63] ^ b[0], b[191] = b[127] ^ b[64], b[254] = b[190] ^ b[127], b[255] = b[191] ^ b[128]
    assert results["seed 1"] == [1, 1 << 63, 1 << 63, (1 << 62) | (1 << 63)]


def test_words_of_every_width_of_the_run(results: dict[str, list[int]]) -> None:
    """All 64 widths in the soak run."""
    for name, words in results.items():
        assert words == (CASES | EVERY_WIDTH)[name].expected, name


def matrix_power(exponent: int) -> NDArray[np.float64]:
    """The step b[i..i+126] -> b[i+1..i+127] as a matrix over GF(2), to a power."""
    step = np.eye(127, k=1)
    step[126, [0, 63]] = 1
    result = np.eye(127)
    for digit in f"{exponent:b}":
        result = result @ result % 2
        if digit == "1":
            result = result @ step % 2
    return result


def test_words_of_seed_one_are_those_done_by_hand() -> None:
    # b[127] = b[63] ^ b[0], b[191] = b[127] ^ b[64], b[254] = b[190] ^ b[127], b[255] = b[191] ^ b[128]
    ones = np.flatnonzero(Lfsr(1).words(256, 1))
    assert ones.tolist() == [0, 127, 191, 254, 255]
    assert Lfsr(1).words(4, 64).tolist() == [1, 1 << 63, 1 << 63, (1 << 62) | (1 << 63)]


def test_seed_is_the_first_127_bits() -> None:
    assert Lfsr(SEED).words(2, 63).tolist() == [SEED & (2**63 - 1), SEED >> 63 & (2**63 - 1)]


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.integers(1, PERIOD), st.lists(st.tuples(st.integers(0, 300), st.integers(1, 64)), min_size=1, max_size=6))
def test_words_follow_the_recurrence_from_any_position(seed: int, reads: list[tuple[int, int]]) -> None:
    bits = recurrence(seed, sum(count * width for count, width in reads))
    source, at = Lfsr(seed), 0
    for count, width in reads:
        words = source.words(count, width)
        assert words.tolist() == words_of(bits[at : at + count * width], width)
        at += count * width


@pytest.mark.parametrize("width", [1, 8, 13, 16, 64])
def test_words_follow_the_recurrence_across_blocks(width: int) -> None:
    count = 1_300_000 // width  # more than two blocks of the model
    bits = recurrence(SEED, count * width).reshape(count, width)
    expected = bits.astype(np.uint64) @ (np.uint64(1) << np.arange(width, dtype=np.uint64))
    np.testing.assert_array_equal(Lfsr(SEED).words(count, width), expected)


@pytest.mark.parametrize(("bits", "dtype"), [(1, "u1"), (8, "u1"), (9, "u2"), (16, "u2"), (17, "u4"), (33, "u8")])
def test_words_have_the_smallest_dtype(bits: int, dtype: str) -> None:
    assert Lfsr(SEED).words(3, bits).dtype == np.dtype(dtype)


@pytest.mark.parametrize("distance", [0, 1, 62, 63, 127, 520_191, 520_192, 520_193, 1_250_007])
def test_skip_leaves_out_that_many_bits(distance: int) -> None:
    source = Lfsr(SEED)
    source.skip(distance)
    np.testing.assert_array_equal(source.words(200, 1), recurrence(SEED, distance + 200)[distance:])


@pytest.mark.parametrize("distance", [10**6, 10**30, PERIOD - 1, PERIOD + 5])
def test_skip_agrees_with_the_matrix_power(distance: int) -> None:
    source = Lfsr(SEED)
    source.words(777, 3)
    source.skip(distance - 3 * 777)
    expected = matrix_power(distance) @ recurrence(SEED, 127) % 2
    np.testing.assert_array_equal(source.words(127, 1), expected)


def test_the_period_is_2_to_the_127_minus_1() -> None:
    # prime, so a power that is the identity for a step that is not proves it
    np.testing.assert_array_equal(matrix_power(PERIOD), np.eye(127))


def test_below_is_the_comparison_of_the_words() -> None:
    for bits, threshold in ((16, 17_626), (11, 700), (8, 0), (1, 1)):
        masks = np.empty((7, 5003), np.bool_)
        source, twin = Lfsr(SEED), Lfsr(SEED)
        source.skip(bits)
        twin.skip(bits)
        source.below(threshold, bits, masks)
        np.testing.assert_array_equal(masks.reshape(-1), twin.words(masks.size, bits) < threshold)
        np.testing.assert_array_equal(source.words(5, 7), twin.words(5, 7))


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: Lfsr(0), "LFSR seed must be 1 to 2^127 - 1, not 0"),
        (lambda: Lfsr(-5), "LFSR seed must be 1 to 2^127 - 1, not negative"),
        (lambda: Lfsr(1 << 127), "LFSR seed must be 1 to 2^127 - 1, not a number of 128 bits"),
        (lambda: Lfsr("7"), "LFSR seed must be an integer, not str"),  # type: ignore[arg-type]
        (lambda: Lfsr(True), "LFSR seed must be an integer, not bool"),
        (lambda: Lfsr(1).words(3, 0), "word bits must be 1 to 64, not 0"),
        (lambda: Lfsr(1).words(3, 65), "word bits must be 1 to 64, not 65"),
        (lambda: Lfsr(1).words(-1, 8), "word count must be 0 or more, not -1"),
        (lambda: Lfsr(1).skip(-1), "bits to skip must be 0 or more, not -1"),
        (lambda: Lfsr(1).skip(1.5), "bits to skip must be an integer, not 1.5"),  # type: ignore[arg-type]
        (lambda: Lfsr(1).below(256, 8, np.empty(1, np.bool_)), "threshold must be 0 to 255, not 256"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(call: Callable[[], Any], sentence: str) -> None:
    with pytest.raises(ValueError) as error:
        call()
    assert str(error.value) == sentence


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
@pytest.mark.parametrize("width", [0, 65])
def test_gateware_refuses_other_widths(width: int) -> None:
    with pytest.raises(ValueError) as error:
        gateware.Lfsr(width)
    assert str(error.value) == f"LFSR width must be 1 to 64, not {width}"
    del error
    gc.collect()  # the refused component warns here, where it is expected, that nobody elaborated it


def test_repr_hides_the_seed() -> None:
    assert repr(Lfsr(SEED)) == "Lfsr(seed hidden)"


def simulate(dut: gateware.Lfsr, bench: Callable[..., Any]) -> None:
    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()


@pytest.mark.parametrize("width", [1, 2, 5, 16, 31, 32, 48, 60, 63, 64])
def test_gateware_gives_the_models_words(width: int) -> None:
    """Once with a ready sink, and again under another seed with one that stalls at random; valid when promised."""
    dut = gateware.Lfsr(width)
    random_source = random.Random(width)

    async def bench(ctx: Any) -> None:
        for seed, stalls in ((SEED, 0.0), (1, 0.6)):
            ctx.set(dut.seed, seed)
            ctx.set(dut.o.ready, 0)
            await ctx.tick().repeat(3)
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            for _ in range(-(-127 // width)):
                assert not ctx.get(dut.o.valid)
                await ctx.tick()
            got: list[int] = []
            while len(got) < 60:
                assert ctx.get(dut.o.valid)
                assert not ctx.get(dut.seed_zero)
                ready = random_source.random() >= stalls
                ctx.set(dut.o.ready, ready)
                if ready:
                    got.append(ctx.get(dut.o.payload))
                await ctx.tick()
            assert got == words_of(recurrence(seed, 60 * width), width)

    simulate(dut, bench)


def test_gateware_never_emits_from_a_seed_of_zero() -> None:
    dut = gateware.Lfsr(16)

    async def bench(ctx: Any) -> None:
        ctx.set(dut.o.ready, 1)
        for seed in (0, SEED):
            ctx.set(dut.seed, seed)
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            valid, zero = [], []
            for _ in range(12):
                valid.append(ctx.get(dut.o.valid))
                zero.append(ctx.get(dut.seed_zero))
                await ctx.tick()
            assert any(valid) == (seed != 0)
            assert zero[-1] == (seed == 0)
            assert not zero[0]

    simulate(dut, bench)


def test_gateware_is_silent_before_the_first_start_and_from_a_new_one_on() -> None:
    dut = gateware.Lfsr(64)

    async def bench(ctx: Any) -> None:
        ctx.set(dut.seed, SEED)
        for _ in range(8):
            assert not ctx.get(dut.o.valid)
            await ctx.tick()
        for _ in range(2):
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            assert not ctx.get(dut.o.valid)
            await ctx.tick().repeat(2)
            assert ctx.get(dut.o.valid)
            assert ctx.get(dut.o.payload) == SEED & (2**64 - 1)

    simulate(dut, bench)
