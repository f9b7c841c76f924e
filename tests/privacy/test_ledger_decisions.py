"""Decisions in the ledger: charged at their epsilon by record, composed exactly, recomputed by `verify`."""

import json
import math
from collections.abc import Iterator
from fractions import Fraction
from io import StringIO
from pathlib import Path

import numpy as np
import pytest

from spikeveil.host.privacy import BudgetExceeded, RandomizedResponse, Unit
from spikeveil.host.privacy.decisions import epsilon_of_decisions
from spikeveil.host.privacy.ledger import (
    DataIdentity,
    DecisionSession,
    Ledger,
    LedgerCorrupt,
    Session,
    Subjects,
    verify_export,
)
from spikeveil.host.privacy.ledger.chain import canonical, link
from spikeveil.host.privacy.ledger.session import session_of
from spikeveil.host.privacy.wall_session import wall_session
from spikeveil.host.privacy.walls import cheapest, walls, walls_behind
from spikeveil.pysim import Decision, FlipSpec, LayerSpec, NetworkSpec, OneHotDecision

KEY = bytes.fromhex("8f3a0b5c7d219e4466f0")
NETWORK = "5a" * 32
FOUR = Decision.for_epsilon(4.0, classes=10)
EPSILON = Fraction(FOUR.epsilon)
SPIKES = np.random.default_rng(8).random((6, 2, 5)) < 0.5


def session(releases: int = 1, delta: Fraction = Fraction(0), decision: object = FOUR) -> DecisionSession:
    return DecisionSession(decision, 16, releases, delta, 1)  # type: ignore[arg-type]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "my.ledger", state_directory=tmp_path) as opened:
        yield opened


@pytest.fixture
def data(ledger: Ledger) -> DataIdentity:
    """Six records of three subjects, with budgets at record, subject and spike level."""
    found = ledger.identify(SPIKES, create=True)
    groups = Subjects.of("who", [1, 1, 2, 2, 2, 3])
    ledger.create_budget("digits", "record", 12, "1e-3", data=found, subjects=groups)
    ledger.create_budget("digits", "subject", 100, "1e-3")
    ledger.create_budget("digits", "spike", 100, "1e-3")
    return found


def lease(ledger: Ledger, one: object, **options: object) -> object:
    given = {"key": KEY, "specification": NETWORK, **options}
    return ledger.lease("digits", one, **given)  # type: ignore[arg-type]


def spent(ledger: Ledger) -> list[tuple[float, float]]:
    return [(float(one.epsilon_spent), float(one.delta_spent)) for one in ledger.budgets()["digits"]]


def test_one_decision_costs_its_epsilon_at_every_unit_and_no_delta() -> None:
    for unit in Unit:
        cost = session(delta=Fraction(1, 10**6)).cost(unit)
        assert (cost.epsilon, cost.delta, cost.bits) == (EPSILON, 0, 1)
    assert Fraction(math.log(((1 << 32) - 9 * FOUR.q) / FOUR.q)) * (1 - Fraction(1, 10**15)) <= EPSILON


@pytest.mark.parametrize("decision", [FOUR, OneHotDecision.oue(4.0, 10)], ids=["kary", "oue"])
def test_decisions_about_one_record_compose_exactly(decision: Decision | OneHotDecision) -> None:
    cost = session(20, Fraction(1, 10**6), decision).cost(Unit.RECORD)
    assert cost.epsilon == Fraction(epsilon_of_decisions(decision, 20, 1e-6)) < 20 * Fraction(decision.epsilon)
    assert (cost.delta, cost.bits) == (Fraction(1, 10**6), 20)


def test_different_records_cost_one_decision_and_a_subject_its_records(ledger: Ledger, data: DataIdentity) -> None:
    granted = lease(ledger, session(5, Fraction(1, 10**6)), records=[0, 1, 2, 3, 4], data=data)
    assert granted.quota == 5  # type: ignore[attr-defined]
    three = epsilon_of_decisions(FOUR, 3, 1e-6)
    assert spent(ledger) == [(FOUR.epsilon, 0), (three, 1e-6), (FOUR.epsilon, 0)]
    lease(ledger, session(6), records=range(6), data=data)
    assert spent(ledger)[0] == (2 * FOUR.epsilon, 0)
    assert ledger.standing("digits").left == {Unit.RECORD: 1, Unit.SUBJECT: 19, Unit.SPIKE: 23}
    lease(ledger, session(2), records=[0, 1], data=data)
    with pytest.raises(BudgetExceeded, match=r"at record level by record 0: limit 12, spent 12, remaining 1"):
        lease(ledger, session(6), records=range(6), data=data)


def test_without_named_records_all_are_about_one(ledger: Ledger) -> None:
    ledger.create_budget("digits", "record", 100, "1e-3")
    lease(ledger, session(20, Fraction(1, 10**6)))
    assert spent(ledger) == [(epsilon_of_decisions(FOUR, 20, 1e-6), 1e-6)]


def test_an_lfsr_is_infinite_or_nominal(ledger: Ledger) -> None:
    ledger.create_budget("digits", "record", 100, "1e-3")
    with pytest.raises(BudgetExceeded):
        ledger.spend("digits", session(), source="lfsr")
    entry = ledger.spend("digits", session(), source="lfsr", demonstration=True)
    assert entry.content["worth"] == "nominal"
    assert spent(ledger) == [(FOUR.epsilon, 0)]


def strong_then_decision(neurons: int) -> NetworkSpec:
    """A flipped layer of that many neurons at p = 7/16, and a decision behind it."""
    flipped = LayerSpec([[1]] * neurons, 1, flip=FlipSpec(7, 4))
    return NetworkSpec([flipped, LayerSpec([[1] * neurons] * 4, 1)], decision=Decision(4, 25, 8), steps=2)


@pytest.mark.parametrize(("neurons", "layer"), [(1, 0), (9, 0), (2000, 1)])
def test_the_smaller_claim_counts(neurons: int, layer: int) -> None:
    """2 neurons and steps cost 4 ln(9/7) before the decision narrows it; 4,000 bits leave the decision alone."""
    spec = strong_then_decision(neurons)
    found = walls(spec, 2)
    wall, costs = cheapest(found, 1, Fraction(0))
    assert wall is not None
    assert wall.layer == layer
    charged = wall_session(wall, walls_behind(found, wall), 3, Fraction(0))
    assert charged.quota == 3
    assert charged.cost(Unit.RECORD, 1).epsilon == Fraction(costs[-1].epsilon)
    a, b = 2 * neurons * math.log(9 / 7), math.log((256 - 75) / 25)
    serial = math.log((math.exp(min(a + b, 700)) + 1) / (math.exp(min(a, 600)) + math.exp(b)))
    assert float(costs[-1].epsilon) == pytest.approx(min(a, b, serial), rel=1e-9)


def test_sessions_are_read_as_they_were_written() -> None:
    later = Session(RandomizedResponse(7, 4), 2, 1, 3, Fraction(0), layer=0, later=((Decision(4, 25, 8), 1),))
    words = session(3, Fraction(1, 7), OneHotDecision(10, 200, 30, 8, "sum"))
    for one in (later, words, session(100_001, Fraction(1, 10**6))):
        assert session_of(one.to_dict()) == one


def test_verify_recomputes_what_decisions_cost(ledger: Ledger, data: DataIdentity, tmp_path: Path) -> None:
    lease(ledger, session(5, Fraction(1, 10**6)), records=[0, 1, 2, 3, 4], data=data)
    assert ledger.verify().recomputed == 1
    text = StringIO()
    ledger.export(text)
    entries = [json.loads(line)["entry"] for line in text.getvalue().splitlines()[:-1]]
    entries[-1]["session"]["decision"]["q"] //= 2  # epsilon 4.7, of which 4 was charged
    with pytest.raises(LedgerCorrupt, match=r"charges epsilon 4 at record level for what costs 4\.77"):
        forged(entries, tmp_path)
    entries[-1]["session"]["decision"]["q"] = 0
    with pytest.raises(LedgerCorrupt, match="entry 5 cannot be read"):
        forged(entries, tmp_path)


def forged(entries: list[dict[str, object]], folder: Path) -> None:
    """Verify an export of `entries`, the chain computed anew."""
    head, lines = "0" * 64, []
    for entry in entries:
        content = canonical(entry)
        head = link(head, content)
        lines.append(f'{{"entry":{content},"hash":"{head}"}}')
    end = canonical({"end": {"entries": len(entries), "head": head}})
    (folder / "forged.jsonl").write_text("\n".join([*lines, end]) + "\n")
    verify_export(folder / "forged.jsonl")


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: session(0), "session releases must be 1 to 4294967296, not 0"),
        (lambda: session(1, Fraction(2)), "session delta must be at least 0 and under 1, not "),
        (lambda: session(decision=3), "session decision must be a Decision or a OneHotDecision, not 3"),
        (lambda: DecisionSession(FOUR, 0, 1, Fraction(0)), "session steps must be 1 to 65535, not 0"),
        (lambda: DecisionSession(FOUR, 1, 1, Fraction(0), 256), "layer must be 0 to 255, not 256"),
        (
            lambda: Session(
                RandomizedResponse(7, 4), 2, 1, 3, Fraction(0), later=((FOUR, 1), (RandomizedResponse(7, 4), 2))
            ),
            "session walls behind must hold a decision as the last one only",
        ),
    ],
)
def test_refusals(make: object, sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{sentence}"):
        make()  # type: ignore[operator]
