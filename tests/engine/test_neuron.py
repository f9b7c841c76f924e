"""A neuron's step, every leak and reset, by hand: the golden model and the gateware on the same literal cases."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from support.jobs import Job, Response
from support.simulators import Run, backends

from spikeveil.hdl.engine.neuron import LATENCY, MIN_REVISIT_CYCLES, Neurons, ScannedRow
from spikeveil.hdl.engine.sum_folder import SUMS_LATENCY, ScanRequest
from spikeveil.pysim import LayerSpec, Leak
from spikeveil.pysim.model.neuron import initial, leak, state_dtype, step

WIDE = [[127, 127, -128, -128]]  # sums of -256 to 254

Steps = tuple[list[list[int]], list[list[int]]]  # spikes and potentials, a line a step


@dataclass(frozen=True)
class Case:
    """Sums W x for each step and neuron, from potentials of 0, and the spikes and potentials that they give."""

    spec: LayerSpec
    sums: list[list[int]]
    expected: Steps


def neuron(**changes: Any) -> LayerSpec:
    """One neuron of 8-bit potential (-128 to 127) and threshold 10."""
    return LayerSpec(**({"weights": WIDE, "threshold": 10, "state_bits": 8} | changes))


def readout(decay: Leak | None = None) -> LayerSpec:
    return neuron(threshold=None, readout=True, leak=decay)


def one_step(spec: LayerSpec, v: int, total: int, fires: bool, after: int) -> Case:
    """A step from potential `v`, which another step reaches first: by a spike, where `v` is not below the threshold."""
    fired = spec.threshold is not None and v >= int(spec.threshold)
    first = v + int(spec.threshold or 0) if fired else v
    return Case(spec, [[first], [total]], ([[int(fired)], [int(fires)]], [[v], [after]]))


LEAKS = [
    (Leak.none(), 100, 100),
    (Leak.none(), -100, -100),
    (Leak.shift(1), 7, 4),  # 7 - 3
    (Leak.shift(1), -7, -3),  # -7 - (-4): the shift floors
    (Leak.shift(1), 1, 1),  # 1 - 0: a positive potential stays at 1
    (Leak.shift(1), -1, 0),  # -1 - (-1): a negative one does not
    (Leak.shift(3), 100, 88),  # 100 - 12
    (Leak.shift(3), -100, -87),  # -100 - (-13)
    (Leak.shift(31), 127, 127),
    (Leak.shift(31), -128, -127),
    (Leak.scale(51, 8), 100, 19),  # 5100 / 256 = 19.9
    (Leak.scale(51, 8), -100, -20),  # -19.9
    (Leak.scale(51, 8), -1, -1),  # -0.2
    (Leak.scale(51, 8), 1, 0),
    (Leak.scale(0, 4), -128, 0),
    (Leak.scale(16, 4), -128, -128),
    (Leak.scale(1 << 16, 16), 127, 127),
    (Leak.shift(1, "nearest"), 7, 3),  # 7 - 4, where 3.5 rounds up
    (Leak.shift(1, "nearest"), -7, -4),  # -7 - (-3)
    (Leak.shift(1, "nearest"), 1, 0),  # 1 - 1
    (Leak.shift(1, "nearest"), -1, -1),  # -1 - 0
    (Leak.shift(3, "nearest"), 100, 87),  # 100 - 13, where the shift alone gives 12.5
    (Leak.shift(3, "nearest"), 99, 87),  # 99 - 12
    (Leak.shift(31, "nearest"), 127, 127),
    (Leak.shift(31, "nearest"), -128, -128),
    (Leak.scale(51, 8, "nearest"), 100, 20),  # 19.9
    (Leak.scale(51, 8, "nearest"), -100, -20),
    (Leak.scale(51, 8, "nearest"), -1, 0),
    (Leak.scale(128, 8, "nearest"), 3, 2),  # 1.5
    (Leak.scale(128, 8, "nearest"), -3, -1),  # -1.5
    (Leak.scale(251, 8, "nearest"), 26, 25),  # 25.49
    (Leak.scale(251, 8, "nearest"), 25, 25),  # 24.51: the dead band
    (Leak.scale(251, 8, "nearest"), -25, -25),
    (Leak.scale(251, 8, "nearest"), -26, -25),
    (Leak.scale(1 << 16, 16, "nearest"), 127, 127),
    (Leak.scale(1 << 16, 16, "nearest"), -128, -128),
]

THRESHOLDS = [
    ("zero", 4, 5, False, 9),  # one under the threshold
    ("zero", 4, 6, True, 0),  # at the threshold
    ("zero", 4, 100, True, 0),
    ("subtract", 4, 5, False, 9),
    ("subtract", 4, 6, True, 0),
    ("subtract", 4, 9, True, 3),
    ("subtract", 0, 25, True, 15),  # still over the threshold after the reset: one spike a step, no more
    ("zero", -20, 29, False, 9),
    ("zero", -20, 30, True, 0),
]

SATURATION = [
    ("subtract", 127, 127, True, 127),  # 254 fires; 244 is over the top
    ("subtract", 100, 37, True, 127),  # 137 - 10 is just the top
    ("subtract", 100, 36, True, 126),
    ("zero", -128, -1, False, -128),
    ("zero", -128, -128, False, -128),
    ("zero", -128, 138, True, 0),  # no saturation before the comparison: -128 + 138 = 10
    ("subtract", -28, -100, False, -128),
    ("subtract", -28, -99, False, -127),
]

NEXT = [  # what the sum of a next step of 0 is added to
    ("a threshold above the state is reached", neuron(threshold=200), 127, 73, True, 0),
    ("a threshold above the state is missed", neuron(threshold=200), 127, 72, False, 127),
    ("a readout at the top", readout(), 120, 7, False, 127),
    ("a readout over the top", readout(), 120, 8, False, 127),
    ("a readout under the bottom", readout(), -120, -9, False, -128),
    # (100 * 128) >> 8 = 50, and 50 - 41 = 9 is under the threshold; leaking 100 - 41 = 59 would not be
    ("the leak before the sum", neuron(leak=Leak.scale(128, 8), reset="subtract"), 100, -41, False, 9),
    ("the leak before the sum, at the threshold", neuron(leak=Leak.shift(1), reset="subtract"), 100, -40, True, 0),
]

TOP = (1 << 30) - 1  # of a 31-bit potential


def widest(sign: int, reset: Any) -> Case:
    """A bias nearly as wide as the potential, and a scale of 2^16 that needs 47 bits inside."""
    bias, total = (TOP - 127, 127) if sign > 0 else (-TOP + 127, -128)
    spec = LayerSpec([[127, -128]], 2**31 - 1, Leak.scale(1 << 16, 16), reset, bias=[bias], state_bits=31)
    end = TOP if sign > 0 else -TOP - 1
    return Case(spec, [[total]] * 3, ([[0]] * 3, [[end]] * 3))


PER_NEURON = {"weights": np.repeat(WIDE, 4, axis=0), "threshold": 100, "state_bits": 8}  # in two rows of LANES
EXTENDED = {
    "two fraction bits": Case(
        neuron(fraction_bits=2, reset="subtract", threshold=41, bias=[1]),
        [[5], [5], [0], [30], [-40]],  # 21; 21 + 21 = 42 fires; 2; 123; -36
        ([[0], [1], [0], [1], [0]], [[21], [1], [2], [82], [-77]]),
    ),
    "fraction bits, saturated": Case(
        neuron(fraction_bits=4, threshold=1000), [[7], [1], [-30]], ([[0]] * 3, [[112], [127], [-128]])
    ),
    "initial potentials": Case(
        LayerSpec(**PER_NEURON, initial=[99, -128, 0, 127], leak=Leak.shift(1)),
        [[0, 0, 100, 36], [0, 0, 0, 0]],  # 99 - 49, -128 + 64, 100, 127 - 63 + 36
        ([[0, 0, 1, 1], [0, 0, 0, 0]], [[50, -64, 0, 0], [25, -32, 0, 0]]),
    ),
    "a reset to a value for each neuron": Case(
        LayerSpec(**PER_NEURON, reset="value", reset_potential=[7, -128, 100, 127]),
        [[100] * 4, [0] * 4, [0, 200, 0, -28]],
        ([[1] * 4, [0, 0, 1, 1], [0, 0, 1, 0]], [[7, -128, 100, 127], [7, -128, 100, 127], [7, 72, 100, 99]]),
    ),
    "a leak for each neuron": Case(
        LayerSpec(**PER_NEURON, leak=Leak.scale(0, 3), leak_factors=[0, 3, 7, 8]),
        [[-99] * 4, [0] * 4],  # 0; -297 / 8 = -37.1; -693 / 8 = -86.6; -99
        ([[0] * 4] * 2, [[-99] * 4, [0, -38, -87, -99]]),
    ),
    "a leak for each neuron, to nearest": Case(
        LayerSpec(**PER_NEURON, leak=Leak.scale(0, 3, "nearest"), leak_factors=[0, 3, 7, 8]),
        [[-99] * 4, [0] * 4],
        ([[0] * 4] * 2, [[-99] * 4, [0, -37, -87, -99]]),
    ),
    "everything at once": Case(
        LayerSpec(
            **(PER_NEURON | {"threshold": [50, 60, 70, 80]}),
            leak=Leak.scale(0, 1, "nearest"),
            leak_factors=[0, 1, 2, 1],
            reset="value",
            reset_potential=[1, 2, 3, 4],
            fraction_bits=1,
            initial=[10, 11, 12, -13],
            bias=[0, -1, 1, 2],
        ),
        [[25, 0, 0, 0], [0, 28, 0, 0]],  # 50; 6 - 1; 12 + 1; -6 + 2, then 0; 3 + 56 - 1; 13 + 1; -2 + 2
        ([[1, 0, 0, 0], [0, 0, 0, 0]], [[1, 5, 13, -4], [0, 58, 14, 0]]),
    ),
}

CASES = (
    {f"{decay} of {v}": one_step(readout(decay), v, 0, False, after) for decay, v, after in LEAKS}
    | {
        f"{reset} from {v} by {total}": one_step(neuron(reset=reset), v, total, fires, after)
        for reset, v, total, fires, after in [*THRESHOLDS, *SATURATION]
    }
    | {name: one_step(*case) for name, *case in NEXT}
    | {
        f"a threshold for each neuron, reset {reset}": Case(
            LayerSpec(np.repeat(WIDE, 4, axis=0), [10, 9, 5, 1], reset=reset, state_bits=8),
            [[9] * 4, [0] * 4],
            ([[0, 1, 1, 1], second], [[9, *after], last]),
        )
        for reset, after, second, last in (
            ("zero", [0, 0, 0], [0, 0, 0, 0], [9, 0, 0, 0]),
            ("subtract", [0, 4, 8], [0, 0, 0, 1], [9, 0, 4, 7]),
        )
    }
    | {f"31 bits, {sign:+}, reset {reset}": widest(sign, reset) for sign in (1, -1) for reset in ("zero", "subtract")}
    | EXTENDED
)


def model(case: Case) -> Steps:
    """Step by step by the golden model."""
    spec, kind = case.spec, state_dtype(case.spec)
    v, spikes, potentials = initial(1, spec), [], []
    for total in case.sums:
        current = np.array([total], kind) * 2**spec.fraction_bits + (0 if spec.bias is None else spec.bias)
        s, v = step(v, current.astype(kind), spec)
        spikes.append(s[0].astype(int).tolist())
        potentials.append(v[0].tolist())
    return spikes, potentials


LANES = 3


def run_of(case: Case) -> Run:
    """Rows as close to one another as they may be: each step's in the first cycles after the last row's write."""
    spec = case.spec
    dut = Neurons(spec, lanes=min(LANES, spec.neurons))
    period = dut.rows - 1 + MIN_REVISIT_CYCLES
    cycles = len(case.sums) * period + LATENCY + 1
    requests, sums = [0] * cycles, [0] * cycles
    for number, totals in enumerate(case.sums):
        for row in range(dut.rows):
            cycle, last = number * period + row, row == dut.rows - 1
            fields = {"row": row, "valid": 1, "record_start": number == 0, "step_end": last, "record_end": 0}
            requests[cycle] = ScanRequest(rows=dut.rows).const(fields).as_value().value
            sums[cycle + SUMS_LATENCY] = packed(totals[row * dut.lanes :][: dut.lanes], spec.accumulator_bits)
    return dut, Job(cycles, pins={"i": requests, "sums": sums}, watch=("o",))


def result_of(case: Case, response: Response) -> Steps:
    spec = case.spec
    lanes = min(LANES, spec.neurons)
    layout = ScannedRow(lanes=lanes, state_bits=spec.state_bits)
    rows = [layout.from_bits(value) for _, value in response["o"]]
    spikes: list[list[int]] = [[]]
    potentials: list[list[int]] = [[]]
    for row in rows:
        if row.valid:
            spikes[-1] += [row.spikes >> lane & 1 for lane in range(lanes)]
            potentials[-1] += unpacked(row.potentials, spec.state_bits, lanes)
            if row.step_end:
                spikes.append([])
                potentials.append([])
    return [line[: spec.neurons] for line in spikes[:-1]], [line[: spec.neurons] for line in potentials[:-1]]


def packed(values: list[int], bits: int) -> int:
    return sum((value & (1 << bits) - 1) << bits * lane for lane, value in enumerate(values))


def unpacked(value: int, bits: int, count: int) -> list[int]:
    fields = [value >> bits * lane & (1 << bits) - 1 for lane in range(count)]
    return [number - (number >> bits - 1 << bits) for number in fields]


@pytest.fixture(scope="module", params=backends(model, run_of, result_of, "neuron"))
def results(request: pytest.FixtureRequest) -> dict[str, Steps]:
    """Spikes and potentials of every case, on each backend in turn."""
    found: dict[str, Steps] = request.param(CASES)
    return found


@pytest.mark.parametrize("name", CASES)
def test_steps_by_hand(results: dict[str, Steps], name: str) -> None:
    assert results[name] == CASES[name].expected


@pytest.mark.parametrize(("decay", "v", "expected"), LEAKS)
def test_leaks_round(decay: Leak, v: int, expected: int) -> None:
    assert leak(np.array([v], np.int64), decay).tolist() == [expected]


@pytest.mark.parametrize(
    ("decay", "expected"),
    [
        (Leak.none(), (0, 0)),
        (Leak.scale(256, 8), (0, 0)),
        (Leak.scale(251, 8), (-51, 0)),
        (Leak.scale(251, 8, "nearest"), (-25, 25)),
        (Leak.scale(128, 8, "nearest"), (0, 1)),
        (Leak.shift(3), (0, 7)),
        (Leak.shift(3, "nearest"), (-4, 3)),
        (Leak.shift(1, "nearest"), (-1, 0)),
    ],
)
def test_dead_bands_are_all_that_never_decays(decay: Leak, expected: tuple[int, int]) -> None:
    assert decay.dead_band == expected
    v = np.arange(-300, 300)
    if decay.decay < 1:
        unchanged = v[leak(v, decay) == v]
        assert (unchanged.min(), unchanged.max()) == expected and len(unchanged) == expected[1] - expected[0] + 1


@pytest.mark.parametrize("reset", ["zero", "subtract"])
def test_no_intermediate_overflows_at_the_widest(reset: str) -> None:
    """31-bit potentials and a scale of 2^16 need 47 bits inside; the sums need 32."""
    spec = LayerSpec([[127]], 2**31 - 1, Leak.scale(1 << 16, 16), reset, state_bits=31)  # type: ignore[arg-type]
    assert state_dtype(spec) is np.int64
    for v, total, after in ((2**30 - 1, 127, 2**30 - 1), (-(2**30), -128, -(2**30))):
        assert [one[0, 0] for one in step(np.array([[v]]), np.array([[total]]), spec)] == [False, after]
    plain = LayerSpec([[127]], 2**30 + 126, reset=reset, state_bits=31)  # type: ignore[arg-type]
    assert state_dtype(plain) is np.int32
    v, total = np.array([[2**30 - 1]], np.int32), np.array([[127]], np.int32)
    assert [one[0, 0] for one in step(v, total, plain)] == [True, 0]
