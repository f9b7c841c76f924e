"""The accountant: refuses before it charges, counts exactly, says which filter it used."""

import math
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from fractions import Fraction

import mpmath
import numpy as np
import pytest

from spikeveil.host.privacy import (
    Accountant,
    BudgetExceeded,
    Event,
    NotPrivate,
    RandomizedResponse,
    SpikeSubsampling,
    Unit,
    UnsupportedEvent,
    compose,
)
from spikeveil.host.privacy.budget import exact_amount
from spikeveil.host.privacy.composition import Composition
from spikeveil.host.privacy.dpsgd import DpSgd

QUARTER = RandomizedResponse(1, 2)


def test_ten_tenths_exhaust_one_exactly():
    accountant = Accountant(1.0, unit=Unit.RECORD)
    for _ in range(10):
        accountant.spend(0.1)
    assert accountant.spent.epsilon == 1
    assert accountant.remaining.epsilon == 0
    with pytest.raises(BudgetExceeded):
        accountant.spend(5e-324)


def test_a_refusal_names_limit_spent_and_asked_and_changes_nothing():
    accountant = Accountant(1.0, 1e-6, unit="record")
    accountant.spend(0.75, delta=5e-7)
    with pytest.raises(BudgetExceeded) as caught:
        accountant.spend(0.3)
    refusal = caught.value
    assert str(refusal) == "epsilon budget exceeded: limit 1, spent 0.75, asked 0.3 (record level)"
    assert (refusal.limit, refusal.spent, refusal.asked) == (1, Fraction(3, 4), Fraction(3, 10))
    assert (refusal.remaining, refusal.unit, refusal.quantity) == (Fraction(1, 4), Unit.RECORD, "epsilon")
    with pytest.raises(BudgetExceeded, match="delta budget exceeded: limit 1e-06, spent 5e-07, asked 6e-07"):
        accountant.spend(0.1, delta=6e-7)
    assert (accountant.spent.epsilon, accountant.spent.delta) == (Fraction(3, 4), Fraction(5, 10**7))
    accountant.spend(0.25, delta=5e-7)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"asked": -0.1}, "epsilon must be 0 or more, not -0.1"),
        ({"asked": math.nan}, "epsilon must be finite, not nan"),
        ({"asked": math.inf}, "epsilon must be finite, not inf"),
        ({"asked": "0.1"}, "epsilon must be a number, not '0.1'"),
        ({"asked": True}, "epsilon must be a number, not True"),
        ({"asked": 0.1, "count": 1.5}, "count must be a whole number from 0 to 10^12, not 1.5"),
        ({"asked": 0.1, "count": -1}, "count must be a whole number from 0 to 10^12, not -1"),
        ({"asked": 0.1, "count": math.nan}, "count must be a whole number from 0 to 10^12, not nan"),
        ({"asked": 0.1, "delta": -1e-9}, "delta must be 0 or more, not -1e-09"),
        ({"asked": QUARTER, "delta": 1}, "delta must be at least 0 and under 1, not Fraction(1, 1)"),
        (
            {"asked": QUARTER, "unit": "spike"},
            "this budget is at record level, not spike: count the bits that its unit may change with Unit.bits",
        ),
        (
            {"asked": compose([Event(QUARTER)]), "count": 2},
            "count is for a mechanism or a number: a Composition has its own, not 2",
        ),
    ],
)
def test_bad_spends_are_refused_and_change_nothing(arguments, sentence):
    accountant = Accountant(5, 1e-3, unit=Unit.RECORD)
    with pytest.raises(ValueError) as caught:
        accountant.spend(**arguments)
    assert str(caught.value) == sentence
    assert accountant.spent.epsilon == accountant.spent.delta == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"epsilon": 1.0}, "unit is missing: an epsilon means nothing without spike, neuron, step or record"),
        ({"epsilon": 1.0, "unit": "day"}, "unit must be spike, neuron, step, record or subject, not 'day'"),
        ({"epsilon": -1, "unit": "step"}, "epsilon limit must be 0 or more, not -1"),
        ({"epsilon": math.inf, "unit": "step"}, "epsilon limit must be finite, not inf"),
        ({"epsilon": 1, "delta": 1.0, "unit": "step"}, "delta limit must be under 1, not 1.0"),
        ({"epsilon": 1, "unit": "step", "rule": "hope"}, "rule must be sum or renyi, not 'hope'"),
        ({"epsilon": 1, "unit": "step", "order": 2.0}, "order is for the renyi rule, not 2.0 with sum"),
        ({"epsilon": 1, "unit": "step", "rule": "renyi"}, "delta limit must be above 0 for the renyi rule, not 0"),
        (
            {"epsilon": 1, "delta": 1e-6, "unit": "step", "rule": "renyi", "order": 1},
            "order must be above 1 and finite, not 1",
        ),
        (
            {"epsilon": 0.01, "delta": 1e-9, "unit": "step", "rule": "renyi"},
            "epsilon limit 0.01 at delta 1e-09 is out of reach of a Rényi filter of its order",
        ),
    ],
)
def test_bad_budgets_are_refused(arguments, sentence):
    with pytest.raises(ValueError) as caught:
        Accountant(**arguments)
    assert str(caught.value) == sentence


def test_mechanisms_without_privacy_are_refused():
    for rule in ("sum", "renyi"):
        accountant = Accountant(1000, 0.9, unit=Unit.SPIKE, rule=rule)
        with pytest.raises(NotPrivate):
            accountant.spend(SpikeSubsampling(0.1))
        with pytest.raises(UnsupportedEvent, match="composition covers mechanisms with pure epsilon, not DpSgd"):
            accountant.spend(DpSgd(1.0, 250, 60_000))
        assert accountant.spent.epsilon == 0


def test_a_session_announced_at_once_costs_the_exact_composition():
    """160 bits of p = 1/4 at delta 1e-6, charged with their delta; two such sessions add up."""
    accountant = Accountant(300, 3e-6, unit=Unit.RECORD)
    cost = accountant.preview(QUARTER, count=160, delta=1e-6)
    assert (cost.charge, cost.delta, cost.unit) == (
        QUARTER.epsilon_composed(160, Fraction(1, 10**6)),
        Fraction(1, 10**6),
        Unit.RECORD,
    )
    assert cost.fits
    assert accountant.spent.epsilon == 0
    assert accountant.spend(QUARTER, count=160, delta=1e-6) == cost
    accountant.spend(compose([Event(QUARTER, 160)]), delta=1e-6)
    assert accountant.spent.epsilon == 2 * cost.charge
    assert accountant.spent.delta == Fraction(2, 10**6)
    assert not accountant.preview(QUARTER, count=160, delta=1e-6).fits or 3 * cost.charge <= 300


def test_without_delta_bits_add_up_one_by_one():
    one_by_one, at_once = Accountant(100, unit="record"), Accountant(100, unit="record")
    for _ in range(50):
        one_by_one.spend(QUARTER)
    at_once.spend(QUARTER, count=50)
    assert one_by_one.spent == at_once.spent
    assert one_by_one.spent.epsilon == 50 * Fraction(QUARTER.epsilon)


def test_the_filter_is_named():
    assert Accountant(1, unit="record").filter == "pure-sum filter (exact), mechanisms chosen adaptively"
    renyi = Accountant(1, 1e-5, unit="record", rule="renyi", order=20)
    assert renyi.filter == "Rényi filter of order 20, fixed beforehand; mechanisms chosen adaptively"


def test_what_is_shown_carries_its_unit_and_is_rounded_against_us():
    accountant = Accountant(Fraction(1, 3), 1e-6, unit=Unit.NEURON)
    accountant.spend(Fraction(1, 9))
    assert str(accountant.spent) == "epsilon 0.111112, delta 0, neuron level"
    assert str(accountant.remaining) == "epsilon 0.222222, delta 1e-06, neuron level"


# ---- the Rényi filter


def test_renyi_filter_lets_as_much_out_as_its_order_allows():
    """Limit (10, 1e-6), order 4, bits of p = 1/4: mpmath says how many; the next is refused."""
    accountant = Accountant(10, 1e-6, unit="record", rule="renyi", order=4)
    with mpmath.workdps(40):
        capacity = 10 - mpmath.log(mpmath.mpf(3) / 4) + mpmath.log(mpmath.mpf(4) / 10**6) / 3
        bit = mpmath.log((mpmath.mpf(3) / 4) * 27 + (mpmath.mpf(1) / 4) / 27) / 3
        allowed = int(capacity / bit)
    accountant.spend(QUARTER, count=allowed)
    with pytest.raises(BudgetExceeded) as caught:
        accountant.spend(QUARTER)
    assert caught.value.quantity == "Rényi divergence"
    assert QUARTER.epsilon_composed(allowed, 1e-6) <= 10  # sound beside the exact composition
    assert accountant.spent == accountant.limit
    assert 0.5 < accountant.spent_share <= 1


def test_renyi_filter_beats_the_sum_on_many_small_releases():
    mechanism = RandomizedResponse.for_epsilon(0.1)
    counts = []
    for rule in ("sum", "renyi"):
        accountant, count = Accountant(5, 1e-6, unit="record", rule=rule), 0
        with pytest.raises(BudgetExceeded):
            while True:
                accountant.spend(mechanism)
                count += 1
        counts.append(count)
    assert counts[0] == 50
    assert counts[1] > 80
    assert mechanism.epsilon_composed(counts[1], 1e-6) <= 5


def test_renyi_filter_charges_a_number_like_the_response_of_that_epsilon():
    numbers, bits, mixed = (Accountant(20, 1e-6, unit="record", rule="renyi") for _ in range(3))
    by_number = numbers.spend(Fraction(QUARTER.epsilon), count=7).charge
    assert by_number == pytest.approx(bits.spend(QUARTER, count=7).charge, rel=1e-14)
    assert mixed.spend(compose([Event(QUARTER, 7)])).charge == bits.preview(QUARTER, count=7).charge


def test_remaining_under_the_renyi_filter_can_be_spent_and_no_more():
    accountant = Accountant(9, 1e-6, unit="record", rule="renyi")
    accountant.spend(1.5, count=2)
    left = accountant.remaining.epsilon
    assert not accountant.preview(left * Fraction(1 + 10**-9)).fits
    accountant.spend(left)


def test_renyi_filter_takes_no_delta():
    accountant = Accountant(9, 1e-6, unit="record", rule="renyi")
    with pytest.raises(UnsupportedEvent, match=r"a Rényi filter takes purely private mechanisms \(delta = 0\), not"):
        accountant.spend(QUARTER, delta=1e-9)


# ---- exact amounts, threads, imports


@pytest.mark.parametrize(
    ("value", "exact"),
    [
        (0.1, Fraction(1, 10)),
        (np.float64(0.1), Fraction(1, 10)),
        (np.int64(3), Fraction(3)),
        (Decimal("0.30"), Fraction(3, 10)),
        (Fraction(1, 3), Fraction(1, 3)),
        (Fraction(0.1), Fraction(0.1)),
        (1e-5, Fraction(1, 100_000)),
    ],
)
def test_amounts_are_the_decimals_that_were_typed(value, exact):
    assert exact_amount("epsilon", value) == exact


def test_threads_never_overspend():
    accountant = Accountant(1, unit="record")

    def attempt(_):
        try:
            accountant.spend(0.01)
        except BudgetExceeded:
            return 0
        return 1

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(400))) == 100
    assert accountant.remaining.epsilon == 0


def test_the_accountant_needs_neither_torch_nor_amaranth():
    code = (
        "import sys; from spikeveil.host.privacy import Accountant, RandomizedResponse, compose; "
        "RandomizedResponse(1, 2).epsilon_composed(100, 1e-6); Accountant(1, unit='record'); "
        "print(sorted(sys.modules.keys() & {'torch', 'amaranth', 'dp_accounting', 'matplotlib', 'scipy'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# ---- nothing raises what remains


class Refund:
    """Looks like a mechanism and gives epsilon back."""

    epsilon = -5.0
    flip_probability = Fraction(1, 4)


class Cheap(Composition):
    """A composition whose figures are its own."""

    def epsilon(self, delta: float | Fraction) -> float:
        return -3.0


class Generous(RandomizedResponse):
    """A randomised response that states an epsilon of its own."""

    epsilon = -1.0  # type: ignore[assignment]


@pytest.mark.parametrize("rule", ["sum", "renyi"])
@pytest.mark.parametrize("make", [Refund, lambda: Cheap(((Fraction(1, 4), 1),)), lambda: Generous(1, 2)])
def test_what_merely_looks_like_a_mechanism_is_refused(make, rule):
    accountant = Accountant(10, Fraction(1, 10**5), unit="record", rule=rule)
    before = accountant.remaining
    with pytest.raises(UnsupportedEvent):
        accountant.spend(make())
    assert accountant.remaining == before


@pytest.mark.parametrize(
    ("groups", "sentence"),
    [
        (((1 / 4, 5), (1 / 8, -40)), "count must be"),
        (((Fraction(1, 4), 1.5),), "count must be"),
        (((Fraction(3, 4), 1),), "flip probability must be above 0 and at most 1/2"),
        (((Fraction(0), 1),), "flip probability must be above 0 and at most 1/2"),
        (((True, 1),), "flip probability must be above 0 and at most 1/2"),
    ],
)
def test_a_composition_is_checked_where_it_is_made(groups, sentence):
    with pytest.raises(ValueError, match=sentence):
        Composition(groups)
