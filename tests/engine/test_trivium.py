"""Trivium against the official eSTREAM vectors: the model, its bit-sliced form, and the gateware in two simulators."""

import gc
import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from amaranth.sim import Simulator
from support.jobs import Job, Response, Stalls
from support.paths import DATA
from support.simulators import Run, backends, verilator

from spikeveil.hdl.engine import trivium as gateware
from spikeveil.pysim import Trivium
from spikeveil.pysim.model.trivium import entry_bit, port_value
from spikeveil.pysim.model.trivium_bank import TriviumBank

VECTORS = DATA / "trivium-80.80.txt"


@dataclass
class Vector:
    """One printed vector: `stream[n]` is the keystream from byte n on, `digest` the XOR of all its 64-byte blocks."""

    name: str
    key: bytes = b""
    iv: bytes = b""
    digest: bytes = b""
    stream: dict[int, bytes] = field(default_factory=dict)

    @property
    def length(self) -> int:
        return max(at + len(part) for at, part in self.stream.items())

    def add(self, name: str, data: bytes) -> None:
        if name.startswith("stream"):
            start = int(name[7:].split("..")[0])
            self.stream[start] = self.stream.get(start, b"") + data
        else:
            attribute = {"key": "key", "IV": "iv", "xor-digest": "digest"}[name]
            setattr(self, attribute, getattr(self, attribute) + data)


def read_vectors() -> list[Vector]:
    found: list[Vector] = []
    name = ""
    for line in VECTORS.read_text().splitlines():
        title = re.match(r"Set (\d+), vector#\s*(\d+):", line)
        value = re.match(r"\s*(?:(key|IV|stream\[\d+\.\.\d+\]|xor-digest) = )?([0-9A-F]+)\s*$", line)
        if title:
            found.append(Vector(f"{title[1]}-{title[2]}"))
        elif value and found:
            name = value[1] or name
            found[-1].add(name, bytes.fromhex(value[2]))
    return found


VECTORS = read_vectors()
VECTOR = pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.name)


def check_keystream(stream: bytes, vector: Vector) -> None:
    for start, part in vector.stream.items():
        assert stream[start : start + len(part)] == part
    assert np.bitwise_xor.reduce(np.frombuffer(stream, np.uint8).reshape(-1, 64)).tobytes() == vector.digest


def first_words(vector: Vector, width: int) -> list[int]:
    """The whole words of `width` bits in the vector's first 64 printed bytes, each byte's lowest bit first."""
    bits = np.unpackbits(np.frombuffer(vector.stream[0], np.uint8), bitorder="little")
    rows = bits[: len(bits) // width * width].reshape(-1, width)
    return [int("".join(map(str, row[::-1])), 2) for row in rows]


@dataclass(frozen=True)
class Case:
    """The first words of `width` bits of some vectors, one after the other through one component."""

    width: int
    vectors: tuple[Vector, ...]

    @property
    def expected(self) -> list[list[int]]:
        return [first_words(vector, self.width) for vector in self.vectors]

    @property
    def period(self) -> int:
        """Cycles from one start to the next: a key setup, and the words at every other cycle."""
        return 1263 // self.width + 2 * (512 // self.width) + 70


# vectors of these files have IV 0; this one is set 6, vector 3, of the suite
FULL_IV = Vector("6-3", key=bytes.fromhex("0F62B5085BAE0154A7FA"), iv=bytes.fromhex("288FF65DC42B92F960C7"))
FULL_IV.stream[0] = bytes.fromhex("A4386C6D7624983FEA8DBE7314E5FE1F")
HALF = Stalls(o=0x9249_0000_5555_FFFF)  # of the sink, in runs of several lengths
WIDTHS = (13, 16, 48, 60, 63, 64)
CASES = {f"{width} bits": Case(width, (*VECTORS[::14], FULL_IV)) for width in WIDTHS}


def model(case: Case) -> list[list[int]]:
    return [
        Trivium(vector.key, vector.iv).words(len(words), case.width).tolist()
        for vector, words in zip(case.vectors, case.expected, strict=True)
    ]


def run_of(case: Case) -> Run:
    """Each vector's key and IV stand at the ports for its whole period."""
    cycles = case.period * len(case.vectors)
    pins = {"start": [int(cycle % case.period == 0) for cycle in range(cycles)]}
    for name in ("key", "iv"):
        numbers = [port_value(getattr(vector, name), name) for vector in case.vectors]
        pins[name] = [numbers[cycle // case.period] for cycle in range(cycles)]
    return gateware.Trivium(case.width), Job(cycles, sinks=("o",), pins=pins, stalls=HALF, restart="start")


def result_of(case: Case, response: Response) -> list[list[int]]:
    """The words that came before the next start; in the cycle of a start the old stream may still offer one."""
    found: list[list[int]] = [[] for _ in case.vectors]
    for cycle, word in response["o"]:
        found[(cycle - 1) // case.period].append(word)
    return [words[: len(expected)] for words, expected in zip(found, case.expected, strict=True)]


@pytest.fixture(scope="module", params=backends(model, run_of, result_of, "trivium"))
def results(request: pytest.FixtureRequest) -> dict[str, list[list[int]]]:
    """The words of every case, on each backend in turn."""
    found: dict[str, list[list[int]]] = request.param(CASES)
    return found


@pytest.mark.parametrize("name", CASES)
def test_words_are_those_of_the_vectors(results: dict[str, list[list[int]]], name: str) -> None:
    assert results[name] == CASES[name].expected


@pytest.mark.verilator
@pytest.mark.xdist_group("trivium")
def test_verilator_gives_every_vector(soak: bool) -> None:
    """At some widths; in the soak run at all."""
    cases = {f"{width} bits": Case(width, tuple(VECTORS)) for width in (range(1, 65) if soak else WIDTHS)}
    for name, response in verilator(cases, run_of).items():
        assert result_of(cases[name], response) == cases[name].expected, name


def test_the_file_holds_every_vector_whole() -> None:
    assert len(VECTORS) == 42
    assert {len(vector.key) for vector in VECTORS} == {len(vector.iv) for vector in VECTORS} == {10}
    assert {len(part) for vector in VECTORS for part in vector.stream.values()} == {64}
    assert {vector.length for vector in VECTORS} == {512, 131_072}


@VECTOR
def test_model_gives_the_vector(vector: Vector) -> None:
    check_keystream(Trivium(vector.key, vector.iv).words(vector.length, 8).tobytes(), vector)


@VECTOR
def test_bank_gives_the_vector(vector: Vector) -> None:
    """Beside streams of other IVs, in two reads; a word of one bit is below 1 where the bit is 0."""
    bank = TriviumBank(vector.key, [bytes([number] * 10) for number in range(70)] + [vector.iv])
    parts = [bank.below(1, 1, count)[70] for count in (1234, 8 * vector.length - 1234)]
    check_keystream(np.packbits(~np.concatenate(parts), bitorder="little").tobytes(), vector)


@pytest.mark.parametrize("width", [1, 5, 16, 31, 60, 64])
def test_model_words_are_lowest_bit_first(width: int) -> None:
    for vector in VECTORS[:5]:
        expected = first_words(vector, width)
        assert Trivium(vector.key, vector.iv).words(len(expected), width).tolist() == expected


@pytest.mark.parametrize("start", [192, 256, 448])
def test_skip_leaves_out_that_many_bits(start: int) -> None:
    vector = VECTORS[0]
    source = Trivium(vector.key, vector.iv)
    source.words(3, 5)
    source.skip(8 * start - 15)
    assert source.words(64, 8).tobytes() == vector.stream[start]


@pytest.mark.parametrize("records", [1, 64, 65, 200])
def test_every_stream_of_a_bank_is_that_of_its_iv(records: int) -> None:
    key = bytes(range(10))
    ivs = [bytes([record, 1, 2, 3, 4, 5, 6, 7, 8, 9]) for record in range(records)]
    for bits, threshold, count in ((16, 17_626, 3_000), (16, 1 << 15, 5), (7, 5, 333), (64, 1 << 62, 40), (3, 0, 9)):
        out = TriviumBank(key, ivs).below(threshold, bits, count)
        assert out.shape == (records, count)
        for record in {0, records // 2, records - 1}:
            expected = Trivium(key, ivs[record]).words(count, bits) < threshold
            np.testing.assert_array_equal(out[record], expected)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: Trivium(bytes(9), bytes(10)), "Trivium key must be 10 bytes, not 9"),
        (lambda: Trivium(bytes(10), bytes(16)), "Trivium IV must be 10 bytes, not 16"),
        (lambda: Trivium("0" * 10, bytes(10)), "Trivium key must be 10 bytes, not str"),  # type: ignore[arg-type]
        (lambda: Trivium(bytes(10), 0), "Trivium IV must be 10 bytes, not int"),  # type: ignore[arg-type]
        (lambda: TriviumBank(bytes(11), [bytes(10)]), "Trivium key must be 10 bytes, not 11"),
        (lambda: TriviumBank(bytes(10), [bytes(10), b""]), "Trivium IV must be 10 bytes, not 0"),
        (lambda: TriviumBank(bytes(10), []), "Trivium IVs must be one or more, not none"),
        (lambda: TriviumBank(bytes(10), [bytes(10)]).below(4, 2, 1), "threshold must be 0 to 3, not 4"),
        (lambda: TriviumBank(bytes(10), [bytes(10)]).below(1, 65, 1), "word bits must be 1 to 64, not 65"),
        (lambda: TriviumBank(bytes(10), [bytes(10)]).below(1, 2, -1), "draws must be 0 or more, not -1"),
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
        gateware.Trivium(width)
    assert str(error.value) == f"Trivium width must be 1 to 64, not {width}"
    del error
    gc.collect()  # the refused component warns here, where it is expected, that nobody elaborated it


def test_repr_hides_the_key() -> None:
    assert repr(Trivium(b"secretsecr", bytes(10))) == "Trivium(key hidden)"
    assert repr(TriviumBank(b"secretsecr", [bytes(10)] * 3)) == "TriviumBank(3 streams, key hidden)"


def test_ports_hold_the_printed_number() -> None:
    assert port_value(bytes.fromhex("0F62B5085BAE0154A7FA"), "key") == 0x0F62B5085BAE0154A7FA
    # the first byte printed enters first, its lowest bit ahead
    assert [entry_bit(place) for place in (0, 1, 7, 8, 79)] == [72, 73, 79, 64, 7]


def simulate(dut: gateware.Trivium, bench: Callable[..., Any]) -> None:
    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()


async def start(ctx: Any, dut: gateware.Trivium, vector: Vector) -> None:
    """Start, and check that the first word is there ceil(1263 / width) + 2 cycles later and no sooner."""
    ctx.set(dut.key, int(vector.key.hex(), 16))
    ctx.set(dut.iv, int(vector.iv.hex(), 16))
    ctx.set(dut.start, 1)
    await ctx.tick()
    ctx.set(dut.start, 0)
    for _ in range(-(-1263 // dut.width) + 1):
        assert not ctx.get(dut.o.valid)
        await ctx.tick()
    assert ctx.get(dut.o.valid)


def run_vectors(width: int, vectors: list[Vector]) -> None:
    """One vector after another through one component, the sink stalling at random in every other one."""
    dut = gateware.Trivium(width)
    stall = random.Random(width)

    async def bench(ctx: Any) -> None:
        await ctx.tick().repeat(3)
        for index, vector in enumerate(vectors):
            await start(ctx, dut, vector)
            expected, got = first_words(vector, width), []
            while len(got) < len(expected):
                assert ctx.get(dut.o.valid)
                ready = index % 2 == 0 or stall.random() < 0.5
                ctx.set(dut.o.ready, ready)
                if ready:
                    got.append(ctx.get(dut.o.payload))
                await ctx.tick()
            assert got == expected

    simulate(dut, bench)


@pytest.mark.parametrize("width", range(1, 65))
def test_gateware_gives_the_vectors_at_every_width(width: int, soak: bool) -> None:
    """The soak run takes every vector; the always-on run two, another pair for each width."""
    first = 2 * width % len(VECTORS)
    run_vectors(width, VECTORS if soak else VECTORS[first : first + (1 if width < 4 else 2)])


def test_gateware_gives_every_vector_at_full_width() -> None:
    run_vectors(64, VECTORS)


def test_gateware_is_silent_before_the_first_start_and_withdraws_at_the_next() -> None:
    dut = gateware.Trivium(64)

    async def bench(ctx: Any) -> None:
        for _ in range(40):
            assert not ctx.get(dut.o.valid)
            await ctx.tick()
        await start(ctx, dut, VECTORS[0])
        await ctx.tick().repeat(3)
        await start(ctx, dut, VECTORS[1])
        assert ctx.get(dut.o.payload) == first_words(VECTORS[1], 64)[0]
        await start(ctx, dut, VECTORS[2])
        assert ctx.get(dut.o.payload) == first_words(VECTORS[2], 64)[0]

    simulate(dut, bench)


def test_gateware_restarted_during_setup_starts_from_nothing() -> None:
    dut = gateware.Trivium(48)

    async def bench(ctx: Any) -> None:
        for cycles in (1, 2, 3, 10, 27):
            ctx.set(dut.key, (1 << 80) - 1)
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            await ctx.tick().repeat(cycles)
            await start(ctx, dut, VECTORS[7])
            assert ctx.get(dut.o.payload) == first_words(VECTORS[7], 48)[0]

    simulate(dut, bench)
