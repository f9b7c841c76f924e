"""The four-part claim: which layer bounds it, its figures, and what makes it infinite."""

import math
from fractions import Fraction

import mpmath
import pytest

from spikeveil.host.privacy.claim import Claim
from spikeveil.host.privacy.decisions import epsilon_of_decisions
from spikeveil.host.privacy.units import RECORD_UNITS, Unit
from spikeveil.host.privacy.walls import walls
from spikeveil.pysim import Decision, FlipSpec, LayerSpec, NetworkSpec

QUARTER = FlipSpec(1, 2)  # p = 1/4: one spike costs ln 3


def layer(neurons: int, inputs: int, flip: FlipSpec | None = None, **more: object) -> LayerSpec:
    return LayerSpec([[1] * inputs] * neurons, 1, flip=flip, **more)  # type: ignore[arg-type]


def claim(*layers: LayerSpec, steps: int = 5, **options: object) -> Claim:
    given = {"source": "trivium", "delta": 0, **options}
    return Claim.of(NetworkSpec(layers), steps, **given)  # type: ignore[arg-type]


def composed(p: Fraction, count: int, delta: float) -> float:
    """Epsilon of `count` bits at `delta`: bisection of the binomial sum, in 50 digits."""
    with mpmath.workdps(50):
        q = mpmath.mpf(p.numerator) / p.denominator
        loss = mpmath.log((1 - q) / q)
        low, high = mpmath.mpf(0), count * loss
        weights = [mpmath.binomial(count, i) * q**i * (1 - q) ** (count - i) for i in range(count + 1)]
        for _ in range(120):
            middle = (low + high) / 2
            excess = sum(w * max(0, 1 - mpmath.exp(middle - (count - 2 * i) * loss)) for i, w in enumerate(weights))
            low, high = (middle, high) if excess > delta else (low, middle)
        return float(high)


def test_pure_figures_of_every_unit() -> None:
    """At delta 0 a unit costs its bits times ln 3."""
    found = claim(layer(4, 3, QUARTER))
    assert [cost.bits for cost in found.costs] == [1, 5, 4, 20]
    for unit, bits in ((Unit.SPIKE, 1), (Unit.NEURON, 5), (Unit.STEP, 4), (Unit.RECORD, 20)):
        assert found.epsilon(unit) == pytest.approx(bits * math.log(3), rel=1e-12)
        assert found.epsilon(unit) >= bits * math.log(3)


@pytest.mark.parametrize(("releases", "bits"), [(1, 20), (3, 60)])
def test_composition_against_high_precision(releases: int, bits: int) -> None:
    found = claim(layer(4, 3, QUARTER), delta=1e-6, releases=releases)
    exact = composed(Fraction(1, 4), bits, 1e-6)
    assert exact <= found.epsilon(Unit.RECORD) <= exact * (1 + 1e-6)


def test_a_spike_limit_sets_the_count() -> None:
    """min(T*N, 2m)."""
    assert claim(layer(4, 3, QUARTER, spike_limit=3)).nominal(Unit.RECORD).bits == 6
    assert claim(layer(4, 3, QUARTER, spike_limit=19)).nominal(Unit.RECORD).bits == 20


def test_the_cheapest_wall_bounds_the_release() -> None:
    strong, weak = FlipSpec(7, 4), FlipSpec(1, 4)
    first = claim(layer(4, 3, strong), layer(4, 4, weak))
    assert [wall.layer for wall in first.walls] == [0, 1]
    assert first.wall is not None
    assert first.wall.layer == 0
    assert first.epsilon(Unit.RECORD) == pytest.approx(20 * math.log(9 / 7))
    assert "computed from layer 0 alone" in first.released
    last = claim(layer(4, 3, weak), layer(4, 4, strong))
    assert last.wall is not None
    assert last.wall.layer == 1
    assert "computed from" not in last.released


def test_a_readout_behind_a_wall_is_post_processing() -> None:
    found = claim(layer(4, 3, QUARTER), LayerSpec([[1, 1, 1, 1]], readout=True))
    assert found.private
    assert found.released.startswith("the potentials of the last layer, computed from layer 0 alone")


@pytest.mark.parametrize(
    ("layers", "options", "reason"),
    [
        ([layer(4, 3)], {}, "no layer has a flipper"),
        ([layer(4, 3, QUARTER)], {"source": "lfsr"}, "an LFSR is linear"),
        ([layer(4, 3, QUARTER)], {"schedule": "fast"}, "on the fast schedule, the time at which a step is released"),
        ([layer(4, 3, QUARTER)], {"key_public": True}, "the key is published"),
    ],
)
def test_what_makes_it_infinite(layers: list[LayerSpec], options: dict[str, object], reason: str) -> None:
    found = claim(*layers, **options)
    assert not found.private
    assert found.epsilon(Unit.SPIKE) == math.inf
    assert found.epsilon(Unit.RECORD) == math.inf
    assert found.ceiling(10) == 1.0
    parts = found.parts()
    assert parts["epsilon, delta"].startswith(f"INFINITE: {reason}")
    assert "no adversary" in parts["epsilon, delta"]
    assert parts["spent"].endswith("every record is charged infinite epsilon before it is released")
    assert found.to_dict()["epsilon_delta"]["record_epsilon"] == "inf"


KARY = Decision(4, 25, 8)  # 256 - 3 * 25 words keep the winner: epsilon ln(181 / 25)


def decides(*layers: LayerSpec, **options: object) -> Claim:
    """The claim of a network that decides about records of 5 steps."""
    given = {"source": "trivium", "delta": 1e-6, **options}
    return Claim.of(NetworkSpec(layers, decision=KARY, steps=5), **given)  # type: ignore[arg-type]


def test_one_decision_costs_its_epsilon_at_every_unit() -> None:
    found = decides(layer(4, 3))
    assert [found.epsilon(unit) for unit in RECORD_UNITS] == [KARY.epsilon] * 4
    assert KARY.epsilon == pytest.approx(math.log(181 / 25), rel=1e-15)
    assert (found.delta, found.steps, found.private) == (0, 5, True)
    assert found.ceiling(4) == pytest.approx(181 / 256, rel=1e-15)
    parts = found.parts()
    assert parts["unit"] == (
        "record: neighbours differ in the whole record of raw spikes, layer 0; the decision about a record may differ"
    )
    assert parts["epsilon, delta"].startswith(
        "1.97963, 0 for one record: k-ary randomised response on 4 classes, q = 25 of 8-bit words. Released: one class "
        "number a record of 5 steps. Holds against an adversary"
    )
    assert (
        decides(layer(4, 3))
        .parts(Unit.SPIKE)["unit"]
        .startswith("spike: neighbours differ in one raw spike of the output")
    )


def test_a_decision_takes_the_steps_of_its_specification() -> None:
    spec = NetworkSpec([layer(4, 3)], decision=KARY, steps=5)
    assert Claim.of(spec, 5, source="trivium", delta=0) == Claim.of(spec, source="trivium", delta=0)
    with pytest.raises(ValueError, match=r"^claim steps must be the 5 of the network's records, not 4$"):
        Claim.of(spec, 4, source="trivium", delta=0)
    with pytest.raises(ValueError, match=r"^claim steps must be given for a network whose specification has none$"):
        Claim.of(NetworkSpec([layer(4, 3, QUARTER)]), source="trivium", delta=0)


def test_repeated_decisions_about_one_record_compose() -> None:
    found = decides(layer(4, 3), releases=10)
    assert found.delta == 1e-6
    assert found.epsilon(Unit.RECORD) == epsilon_of_decisions(KARY, 10, 1e-6) < 10 * KARY.epsilon
    assert "exact composition of 10 decisions" in found.parts()["epsilon, delta"]


def test_a_decision_under_an_lfsr_is_nominal() -> None:
    found = decides(layer(4, 3), source="lfsr")
    assert found.epsilon(Unit.RECORD) == math.inf
    assert found.nominal(Unit.RECORD).epsilon == KARY.epsilon
    assert found.parts()["epsilon, delta"].startswith("INFINITE: an LFSR is linear: a few hundred known decisions")


def test_flips_before_a_decision_count_where_they_claim_less() -> None:
    """5 bits at p = 7/16 cost 5 ln(9/7) = 1.26 alone, and less with the decision behind them."""
    strong = decides(layer(1, 3, FlipSpec(7, 4)), layer(4, 1), delta=0)
    assert strong.wall is not None
    assert strong.wall.layer == 0
    a, b = 5 * math.log(9 / 7), math.log(181 / 25)
    assert strong.epsilon(Unit.RECORD) == pytest.approx(math.log((math.exp(a + b) + 1) / (math.exp(a) + math.exp(b))))
    assert "one class number a record of 5 steps, computed from layer 0 alone" in strong.released
    weak = decides(layer(40, 3, FlipSpec(1, 4)), layer(4, 40), delta=0)
    assert weak.wall is not None
    assert weak.wall.layer == 1
    assert weak.epsilon(Unit.RECORD) == KARY.epsilon


def test_always_four_parts() -> None:
    for found in (claim(layer(4, 3)), claim(layer(4, 3, QUARTER)), claim(layer(4, 3, QUARTER), source="lfsr")):
        assert list(found.parts()) == ["unit", "epsilon, delta", "randomness", "spent"]
        assert all(found.parts().values())
        assert set(found.to_dict()) == {"unit", "epsilon_delta", "randomness", "spent"}


def test_the_parts_in_words() -> None:
    parts = claim(layer(4, 3, QUARTER), delta=1e-6).parts()
    exact = composed(Fraction(1, 4), 20, 1e-6)
    assert parts["unit"] == (
        "record: neighbours differ in the whole record of raw spikes, layer 0; up to 20 released bits of a record may "
        "differ"
    )
    assert float(parts["epsilon, delta"].partition(",")[0]) == pytest.approx(exact, rel=1e-5)
    assert "exact composition of 20 bits of randomised response, p = 1/4" in parts["epsilon, delta"]
    assert "80-bit key" in parts["randomness"]
    assert parts["spent"].startswith("nothing: a simulation charges no budget")
    assert claim(layer(4, 3, QUARTER), booked="epsilon 22 of 100").parts()["spent"] == "epsilon 22 of 100"


def test_a_spike_is_never_shown_as_a_record() -> None:
    spike = claim(layer(4, 3, QUARTER)).parts(Unit.SPIKE)
    assert spike["unit"].startswith("spike: neighbours differ in one raw spike")
    assert spike["epsilon, delta"].startswith("1.09862, 0 for one record: exact composition of 1 bit of randomised")


def test_the_accuracy_ceiling() -> None:
    """e^E / (e^E + c - 1) at record level."""
    found = claim(LayerSpec([[1]], 1, flip=QUARTER), steps=1)
    assert found.ceiling(10) == pytest.approx(3 / (3 + 9))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"source": "os"}, "claim source must be one of 'trivium', 'lfsr', not 'os'"),
        ({"schedule": "slow"}, "claim schedule must be one of 'private', 'fast', not 'slow'"),
        ({"delta": 1}, "claim delta must be at least 0 and under 1, not 1"),
        ({"steps": 0}, "steps must be an integer of 1 or more, not 0"),
    ],
)
def test_refusals(options: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{sentence}$"):
        claim(layer(4, 3, QUARTER), **options)  # type: ignore[arg-type]


def test_walls_carry_the_hardware_integers() -> None:
    (wall,) = walls(NetworkSpec([layer(4, 3), layer(2, 4, FlipSpec(69, 8), step_spike_limit=1)]), 7)
    assert (wall.layer, wall.mechanism.threshold, wall.mechanism.bits) == (1, 69, 8)
    assert (wall.raster.steps, wall.raster.neurons, wall.raster.step_spike_limit) == (7, 2, 1)
