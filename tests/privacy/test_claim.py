"""The four-part claim: which layer bounds it, its figures, and what makes it infinite."""

import math
from fractions import Fraction

import mpmath
import pytest

from spikeveil.host.privacy.claim import Claim, walls
from spikeveil.host.privacy.units import Unit
from spikeveil.pysim import FlipSpec, LayerSpec, NetworkSpec

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
    assert parts["spent"].endswith("every record is charged infinite epsilon beforehand")
    assert found.to_dict()["epsilon_delta"]["record_epsilon"] == "inf"


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
