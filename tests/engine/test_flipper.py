"""Words to rows of masks: each word decides the spike of its draw, whatever the lanes, the beats and the stalls."""

from typing import Any

import numpy as np
import pytest
from support.backends import NO_STALLS, Stalls
from support.component import play, run
from support.strategies import EVERY_OTHER

from spikeveil.hdl.engine.flipper import Flipper
from spikeveil.hdl.engine.source import MAX_SOURCE_WIDTH
from spikeveil.pysim.model.flipper import FlipSpec
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
