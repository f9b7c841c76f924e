"""A layer over whole records, by hand: the golden model and the gateware on the same literal cases."""

from dataclasses import dataclass, replace
from itertools import cycle
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In
from numpy.typing import NDArray
from support.jobs import Job, Response
from support.simulators import Run, backends

from spikeveil.hdl.engine.encoder import Encoder
from spikeveil.hdl.engine.layer import Layer
from spikeveil.hdl.engine.spikes import PotentialRow, SpikeRow
from spikeveil.pysim import FlipSpec, LayerSpec
from spikeveil.pysim.model import LayerLanes, layer
from spikeveil.pysim.model.flipper import release

ONE_LANE = LayerLanes(1, 1)

Records = list[list[str]]  # of steps, each a word of digits
Potentials = list[list[list[int]]]  # of a readout: records, steps, neurons


@dataclass(frozen=True)
class Case:
    """Input spikes and words for the flipper, and the released spikes, or the potentials of a readout."""

    spec: LayerSpec
    records: Records
    expected: Records | Potentials
    words: tuple[int, ...] = ()
    lanes: LayerLanes = ONE_LANE


def relay(**changes: Any) -> LayerSpec:
    """Four neurons that repeat their four inputs."""
    return LayerSpec(**({"weights": np.eye(4, dtype=int), "threshold": 1} | changes))


LIMITS: list[tuple[dict[str, int], list[str]]] = [
    ({}, ["0110", "1111", "0001", "1001"]),
    ({"spike_limit": 1}, ["0100", "0000", "0000", "0000"]),
    ({"spike_limit": 2}, ["0110", "0000", "0000", "0000"]),
    ({"spike_limit": 5}, ["0110", "1110", "0000", "0000"]),
    ({"spike_limit": 6}, ["0110", "1111", "0000", "0000"]),
    ({"spike_limit": 7}, ["0110", "1111", "0001", "0000"]),
    ({"spike_limit": 8}, ["0110", "1111", "0001", "1000"]),
    ({"step_spike_limit": 1}, ["0100", "1000", "0001", "1000"]),
    ({"step_spike_limit": 3}, ["0110", "1110", "0001", "1001"]),
    ({"step_spike_limit": 3, "spike_limit": 6}, ["0110", "1110", "0001", "0000"]),  # suppressed ones use no allowance
    ({"step_spike_limit": 1, "spike_limit": 3}, ["0100", "1000", "0001", "0000"]),
]
STEPS = LIMITS[0][1]
ONE_LATE = ["0000"] * 3 + ["1000"]  # a record in between, so that each record is seen to have its own allowance

# the first bytes of eSTREAM set 1, vector 0; those below 128 flip: 1000 1110 0001 1111
KEYSTREAM = tuple(bytes.fromhex("38EB86FF730D7A9CAF8DF13A4420540D"))

BASE = {
    "potentials from zero in each record": Case(
        LayerSpec([[2, -1]], bias=[1], readout=True),
        [["10", "11", "01", "00"]] * 2,
        [[[3], [5], [5], [6]]] * 2,
    ),
    "spikes from zero in each record": Case(  # u = v + 2a - b + 1: 3; 5 fires, 0; 0; 1
        LayerSpec([[2, -1]], 5, reset="subtract", bias=[1]),
        [["10", "11", "01", "00"]] * 2,
        [["0", "1", "0", "0"]] * 2,
    ),
    **{
        f"input cap {cap}": Case(  # inputs weigh 8, 4, 2, 1 and nothing leaks
            LayerSpec([[8, 4, 2, 1]], readout=True, input_cap=cap), [["1111", "0111", "0011", "0000"]], [total]
        )
        for cap, total in (
            (1, [[8], [12], [14], [14]]),
            (2, [[12], [18], [21], [21]]),
            (3, [[14], [21], [24], [24]]),
            (4, [[15], [22], [25], [25]]),
        )
    },
    **{
        f"limits {limits}": Case(relay(**limits), [STEPS, ONE_LATE, STEPS], [passed, ONE_LATE, passed])
        for limits, passed in LIMITS
    },
    "a suppressed spike resets its neuron": Case(
        LayerSpec([[3], [3]], 5, reset="subtract", spike_limit=1), [["1"] * 4], [["00", "10", "00", "00"]]
    ),
    "flips, word j of draw j": Case(
        relay(flip=FlipSpec(128, 8)),
        [["0000", "1111"], ["0000", "0110"]],
        [["1000", "0001"], ["0001", "1001"]],
        words=KEYSTREAM,
    ),
    "flips after the limits": Case(
        relay(flip=FlipSpec(128, 8), step_spike_limit=1),
        [["1111", "1111"], ["0011", "0110"]],
        [["0000", "0110"], ["0011", "1011"]],
        words=KEYSTREAM,
    ),
}
LANES = [ONE_LANE, LayerLanes(3, 3), LayerLanes(4, 2)]  # one at a time; a row partly filled; folded
CASES = {
    f"{name}, {lanes.lanes} lanes, scan {lanes.scan}": replace(case, lanes=lanes)
    for (name, case), lanes in zip(BASE.items(), cycle(LANES), strict=False)
}


def spikes(*records: list[str]) -> NDArray[np.bool_]:
    return np.array([[[digit == "1" for digit in step] for step in record] for record in records])


def words(array: NDArray[np.bool_]) -> Records:
    return [["".join("01"[int(s)] for s in step) for step in record] for record in array]


def model(case: Case) -> Records | Potentials:
    trace, flip = layer.run(spikes(*case.records), case.spec), case.spec.flip
    if case.spec.readout:
        potentials: Potentials = trace.potentials.tolist()
        return potentials
    if flip is None:
        return words(trace.limited)
    return words(release(trace.limited, flip.masks(np.array(case.words, np.uint8)).reshape(trace.limited.shape)))


class EncodedLayer(wiring.Component):
    """A layer behind the encoder that keeps to its input cap; each step comes as one row."""

    def __init__(self, spec: LayerSpec, lanes: LayerLanes) -> None:
        self._layer: Any = Layer(spec, layer_lanes=lanes)
        self._encoder = Encoder(inputs=spec.inputs, lanes=spec.inputs, cap=spec.input_cap)
        members = dict(self._layer.signature.members)
        names = [name for name in ("words", "o") if name in members]
        super().__init__({"i": In(stream.Signature(SpikeRow(spec.inputs)))} | {name: members[name] for name in names})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        ports: Any = self
        m.submodules.encoder, m.submodules.layer = self._encoder, self._layer
        wiring.connect(m, wiring.flipped(ports.i), self._encoder.i)
        wiring.connect(m, self._encoder.o, self._layer.i)
        wiring.connect(m, self._layer.o, wiring.flipped(ports.o))
        if hasattr(self, "words"):
            wiring.connect(m, wiring.flipped(ports.words), self._layer.words)
        return m


def run_of(case: Case) -> Run:
    """All steps and words offered as soon as they are taken."""
    layout = SpikeRow(case.spec.inputs)
    rows = [
        layout.const({"bits": int(step[::-1], 2), "step_end": 1, "record_end": number == len(record) - 1})
        for record in case.records
        for number, step in enumerate(record)
    ]
    offers = {"i": [row.as_value().value for row in rows]} | ({"words": list(case.words)} if case.words else {})
    return EncodedLayer(case.spec, case.lanes), Job(400, offers=offers, sinks=("o",))


def result_of(case: Case, response: Response) -> Records | Potentials:
    """The rows of each step side by side, and the steps of each record, as their markers say."""
    spec, scan = case.spec, case.lanes.scan
    layout = PotentialRow(scan, spec.state_bits) if spec.readout else SpikeRow(scan)
    bits = spec.state_bits if spec.readout else 1
    records: list[list[list[int]]] = []
    step: list[int] = []
    record: list[list[int]] = []
    for _, value in response["o"]:
        row = layout.from_bits(value)
        step += [row.bits >> bits * lane & (1 << bits) - 1 for lane in range(scan)]
        if row.step_end:
            record.append(step[: spec.neurons])
            step = []
        if row.record_end:
            records.append(record)
            record = []
    if spec.readout:
        return [[[v - (v >> bits - 1 << bits) for v in step] for step in record] for record in records]
    return words(np.array(records, np.bool_))


@pytest.fixture(scope="module", params=backends(model, run_of, result_of, "layer"))
def results(request: pytest.FixtureRequest) -> dict[str, Records | Potentials]:
    """What every case releases, on each backend in turn."""
    found: dict[str, Records | Potentials] = request.param(CASES)
    return found


@pytest.mark.parametrize("name", CASES)
def test_records_by_hand(results: dict[str, Any], name: str) -> None:
    assert results[name] == CASES[name].expected


def test_potentials_start_at_zero_in_every_record() -> None:
    counter = LayerSpec([[2, -1]], 5, reset="subtract", bias=[1])
    trace = layer.run(spikes(["10", "11", "01", "00"], ["10", "11", "01", "00"]), counter)
    # u = v + 2a - b + 1: 3; 5 fires, 0; 0; 1
    assert trace.potentials[:, :, 0].tolist() == [[3, 0, 0, 1]] * 2
    assert words(trace.raw) == [["0", "1", "0", "0"]] * 2
    assert trace.limited is not None and words(trace.limited) == words(trace.raw)


@pytest.mark.parametrize(("limits", "passed"), LIMITS)
def test_spike_limits_leave_the_raw_spikes(limits: dict[str, int], passed: list[str]) -> None:
    trace = layer.run(spikes(STEPS, ONE_LATE, STEPS), relay(**limits))
    assert words(trace.raw) == [STEPS, ONE_LATE, STEPS]
    assert words(trace.limited)[0] == passed


def test_a_suppressed_spike_still_resets_its_neuron() -> None:
    spec = LayerSpec([[3], [3]], 5, reset="subtract", spike_limit=1)
    trace = layer.run(spikes(["1", "1", "1", "1"]), spec)
    assert trace.potentials[0].tolist() == [[3, 3], [1, 1], [4, 4], [2, 2]]
    assert words(trace.raw) == [["00", "11", "00", "11"]]
    assert words(trace.limited) == [["00", "10", "00", "00"]]


def test_currents_are_exact_where_float32_is_not() -> None:
    """140,000 weights of 127 sum to more than 2^24, where float32 knows even numbers only."""
    count = 140_000
    weights = np.full((2, count), 127)
    weights[1, 0] = 126
    spec = LayerSpec(weights, 1000, state_bits=31)
    total = layer.current(np.ones((1, count), bool), spec)
    assert total.tolist() == [[127 * count, 127 * count - 1]]


def test_a_partial_sum_may_leave_float32_even_where_the_whole_does_not() -> None:
    weights = np.concatenate([np.full(140_000, 127), np.full(140_000, -127), [1]])[None]
    assert layer.current(np.ones((1, 280_001), bool), LayerSpec(weights, 5, state_bits=31)).tolist() == [[1]]


def test_long_records_are_computed_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(7)
    spec = LayerSpec(generator.integers(-128, 128, (9, 13)), 90, reset="subtract", spike_limit=40)
    x = generator.random((5, 31, 13)) < 0.4
    whole = layer.run(x, spec)
    monkeypatch.setattr(layer, "BLOCK_BYTES", 4 * 5 * (13 + 9) * 4)  # four steps
    parts = layer.run(x, spec)
    for name in ("raw", "limited", "potentials"):
        np.testing.assert_array_equal(getattr(parts, name), getattr(whole, name))
    assert whole.raw.any() and (whole.raw != whole.limited).any()


@pytest.mark.parametrize(("records", "steps"), [(0, 3), (3, 0), (0, 0)])
def test_nothing_in_nothing_out(records: int, steps: int) -> None:
    trace = layer.run(np.zeros((records, steps, 4), bool), relay(spike_limit=2))
    assert trace.raw.shape == trace.limited.shape == trace.potentials.shape == (records, steps, 4)
