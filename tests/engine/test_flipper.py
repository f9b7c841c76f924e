"""Words to masks: each word decides the spike of its draw, whatever the lanes, the beats and the stalls.

The golden model and the gateware run the same literal cases.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from support.component import play, run
from support.jobs import NO_STALLS, Job, Response, Stalls
from support.simulators import Run, backends
from support.strategies import EVERY_OTHER

from spikeveil.hdl.engine.flipper import Flipper
from spikeveil.hdl.engine.source import MAX_SOURCE_WIDTH
from spikeveil.pysim.model.flipper import FlipSpec, release
from spikeveil.pysim.model.lanes import rows


def beats(words: Any, words_per_beat: int, bits: int) -> list[int]:
    """Words side by side, the first one lowest."""
    return [
        sum(int(word) << bits * place for place, word in enumerate(words[at : at + words_per_beat]))
        for at in range(0, len(words), words_per_beat)
    ]


def masks(words: Any, flip: FlipSpec, neurons: int, lanes: int) -> list[int]:
    """The rows that whole steps of these words make."""
    steps = (np.asarray(words) < flip.threshold)[: len(words) // neurons * neurons].reshape(-1, neurons)
    return [
        sum(int(bit) << lane for lane, bit in enumerate(step[at : at + lanes]))
        for step in steps
        for at in range(0, neurons, lanes)
    ]


@dataclass(frozen=True)
class Case:
    """Words, `beat` of them a cycle, and the mask of each step of `neurons` draws as digits, neuron 0 first."""

    flip: FlipSpec
    words: list[int]
    expected: list[str]
    lanes: int = 1
    beat: int = 1

    @property
    def neurons(self) -> int:
        return len(self.expected[0])


BYTES = list(bytes.fromhex("38EB86FF730D7A9CAF8DF13A4420540D"))  # eSTREAM set 1, vector 0
CASES = {
    **{
        f"k = {k} of 2^{bits}": Case(FlipSpec(k, bits), [0, k - 1, k, (1 << bits) - 1], ["1100"])
        for bits, k in ((1, 1), (2, 1), (2, 2), (8, 127), (8, 128), (16, 1), (16, 17_626), (16, 32_768))
    },
    "one neuron": Case(FlipSpec(128, 8), BYTES[:8], list("10001110")),
    "a row for a step": Case(FlipSpec(128, 8), BYTES, ["1000", "1110", "0001", "1111"], lanes=4, beat=2),
    "a step ends within a row": Case(FlipSpec(128, 8), BYTES[:15], ["10001", "11000", "01111"], lanes=2),
    "a step ends within a beat": Case(FlipSpec(128, 8), BYTES[:12], ["100", "011", "100", "001"], lanes=2, beat=2),
    "another threshold": Case(FlipSpec(0x3A, 8), BYTES, ["10000100", "00000101"], lanes=3, beat=2),
}


def model(case: Case) -> list[str]:
    masks = case.flip.masks(np.array(case.words, np.uint16)).reshape(-1, case.neurons)
    return ["".join("01"[int(flips)] for flips in step) for step in masks]


def run_of(case: Case) -> Run:
    dut = Flipper(case.flip, neurons=case.neurons, lanes=case.lanes, words_per_beat=case.beat)
    return dut, Job(80, offers={"words": beats(case.words, case.beat, case.flip.bits)}, sinks=("masks",))


def result_of(case: Case, response: Response) -> list[str]:
    """The rows of each step side by side."""
    count = rows(case.neurons, case.lanes)
    digits = ["".join(str(row >> lane & 1) for lane in range(case.lanes)) for _, row in response["masks"]]
    return ["".join(digits[at : at + count])[: case.neurons] for at in range(0, len(digits), count)]


@pytest.fixture(scope="module", params=backends(model, run_of, result_of, "flipper"))
def results(request: pytest.FixtureRequest) -> dict[str, list[str]]:
    """The masks of every case, on each backend in turn."""
    found: dict[str, list[str]] = request.param(CASES)
    return found


@pytest.mark.parametrize("name", CASES)
def test_masks_by_hand(results: dict[str, list[str]], name: str) -> None:
    assert results[name] == CASES[name].expected


def test_released_is_the_spike_where_the_mask_is_zero() -> None:
    spikes, mask = np.array([0, 0, 1, 1], bool), np.array([0, 1, 0, 1], bool)
    assert release(spikes, mask).tolist() == [False, True, True, False]


@pytest.mark.parametrize("bits", range(1, 17))
def test_every_width_compares_at_the_threshold(bits: int) -> None:
    """0, k - 1, k and the largest word, for k at both ends and between."""
    most = 1 << (bits - 1)
    for threshold in sorted({1, (most + 1) // 2, most}):
        edges = [0, threshold - 1, threshold, (1 << bits) - 1]
        dut = Flipper(FlipSpec(threshold, bits), neurons=4, lanes=4, words_per_beat=1)
        taken = play(dut, edges, i="words", o="masks", cycles=20)
        assert [row for _, row in taken] == [0b0011]


@pytest.mark.parametrize(("neurons", "lanes"), [(1, 1), (7, 1), (7, 2), (10, 4), (40, 16), (51, 14), (9, 9), (70, 64)])
@pytest.mark.parametrize("bits", [1, 6, 13, 16])
@pytest.mark.parametrize("stalls", [NO_STALLS, Stalls(i=0x9249_0000_2492_FFFF, o=EVERY_OTHER)])
def test_draws_line_up_with_neurons(neurons: int, lanes: int, bits: int, stalls: Stalls) -> None:
    flip, words_per_beat = FlipSpec(max(1, (1 << bits) // 3), bits), min(MAX_SOURCE_WIDTH // bits, lanes)
    words = np.random.default_rng(bits).integers(0, 1 << bits, (3 * neurons // words_per_beat + 2) * words_per_beat)
    dut = Flipper(flip, neurons=neurons, lanes=lanes, words_per_beat=words_per_beat)
    cycles = 6 * len(words) // words_per_beat + 12 * rows(neurons, lanes) + 60
    taken = play(dut, beats(words, words_per_beat, bits), stalls=stalls, i="words", o="masks", cycles=cycles)
    expected = masks(words, flip, neurons, lanes)
    assert [row for _, row in taken[: len(expected)]] == expected
    if stalls == NO_STALLS:
        assert taken[0][0] <= -(-min(lanes, neurons) // words_per_beat) + 4


def test_flush_forgets_words_and_masks_and_begins_a_step() -> None:
    """Flushed after any number of beats, the next word is draw 0."""
    flip = FlipSpec(3, 3)
    old, new = np.zeros(40, int), np.array([7, 0, 7, 7, 0, 7, 0, 7, 7, 7])
    for count in range(1, 15):
        dut: Any = Flipper(flip, neurons=5, lanes=2, words_per_beat=2)

        async def bench(ctx: Any, dut: Any = dut, count: int = count) -> None:
            ctx.set(dut.words.valid, 1)
            ctx.set(dut.words.payload, beats(old, 2, 3)[0])
            await ctx.tick().repeat(count)
            ctx.set(dut.flush, 1)
            await ctx.tick()
            ctx.set(dut.flush, 0)
            assert not ctx.get(dut.masks.valid)
            rest, got = beats(new, 2, 3), []
            ctx.set(dut.masks.ready, 1)
            for _ in range(40):
                ctx.set(dut.words.valid, bool(rest))
                if rest:
                    ctx.set(dut.words.payload, rest[0])
                if ctx.get(dut.masks.valid):
                    got.append(ctx.get(dut.masks.payload))
                if ctx.get(dut.words.ready) and rest:
                    rest.pop(0)
                await ctx.tick()
            assert got == masks(new, flip, 5, 2) == [0b10, 0b00, 0b1, 0b10, 0b00, 0b0]

        run(dut, bench)
