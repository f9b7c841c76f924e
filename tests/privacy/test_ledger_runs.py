"""Training runs in the ledger: one branch only; steps that are run again are a further charge."""

import json
from collections.abc import Iterator
from fractions import Fraction
from io import StringIO
from pathlib import Path

import pytest

from spikeveil.host.privacy import Unit
from spikeveil.host.privacy.ledger import BudgetRefused, Ledger, LedgerError, TrainingSession, verify_export

RUN = TrainingSession(1.5, 10, 100, 40, Fraction(1, 10**5), "rdp")
WHOLE = RUN.cost(Unit.RECORD).epsilon
TEN = TrainingSession(1.5, 10, 100, 10, Fraction(1, 10**5), "rdp").cost(Unit.RECORD).epsilon


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """A run of 40 steps is charged in entry 3, of a budget that bears ten further steps."""
    with Ledger(tmp_path / "my.ledger", state_directory=tmp_path) as opened:
        opened.create_budget("digits", "record", WHOLE + TEN, "1e-3", relation="add/remove")
        opened.spend("digits", RUN, source="os")
        yield opened


def spent(ledger: Ledger) -> Fraction:
    return Fraction(ledger.budgets("digits")["digits"][0].epsilon_spent)


def test_blocks_count_the_steps_off_and_charge_nothing(ledger: Ledger) -> None:
    token = ledger.head.head
    for block in range(4):
        entry = ledger.begin_block(3, token, 10 * block, 10)
        ledger.finish_block(3, entry, token := f"{block:064x}")
        ledger.finish_block(3, entry, token)  # as after a crash: nothing happens twice
    assert spent(ledger) == WHOLE
    assert (ledger.run(3).leased, ledger.run(3).repeated) == (40, 0)
    with pytest.raises(LedgerError, match=r"steps 40 to 41 are not among the run's 40"):
        ledger.begin_block(3, token, 40, 1)
    assert ledger.verify().recomputed == 1


def test_a_copied_checkpoint_pays_or_is_refused(ledger: Ledger) -> None:
    """Two copies go on from one checkpoint: the second's steps are charged, and only one may finish."""
    first = ledger.head.head
    mine, copied = ledger.begin_block(3, first, 0, 10), ledger.begin_block(3, first, 0, 10)
    assert spent(ledger) == WHOLE + TEN
    assert ledger.run(3).repeated == 10
    with pytest.raises(BudgetRefused):
        ledger.begin_block(3, first, 0, 10)
    ledger.finish_block(3, copied, "ab" * 32)
    with pytest.raises(LedgerError, match="another copy of the checkpoint finished first: this one is refused"):
        ledger.finish_block(3, mine, "cd" * 32)
    with pytest.raises(LedgerError, match=r"has a successor, .* start a run of its own from the beginning"):
        ledger.begin_block(3, first, 10, 10)
    with pytest.raises(LedgerError, match="the checkpoint is not of this run"):
        ledger.begin_block(3, "cd" * 32, 10, 10)
    ledger.begin_block(3, "ab" * 32, 10, 10)
    ledger.verify()


def test_a_crash_costs_its_block_and_no_more(ledger: Ledger) -> None:
    """Its steps stay leased; the run goes on behind them from the same checkpoint, within what was charged."""
    first = ledger.head.head
    ledger.begin_block(3, first, 0, 10)
    ledger.finish_block(3, ledger.begin_block(3, first, 10, 10), "ab" * 32)
    assert spent(ledger) == WHOLE


def test_an_export_shows_the_branches(ledger: Ledger, tmp_path: Path) -> None:
    first = ledger.head.head
    ledger.begin_block(3, first, 0, 10)
    ledger.finish_block(3, ledger.begin_block(3, first, 0, 10), "ab" * 32)
    text = StringIO()
    ledger.export(text)
    (tmp_path / "my.jsonl").write_text(text.getvalue())
    assert verify_export(tmp_path / "my.jsonl").recomputed == 2
    kinds = [json.loads(line)["entry"]["kind"] for line in text.getvalue().splitlines()[:-1]]
    assert kinds == ["genesis", "budget", "spend", "block", "spend", "block", "checkpoint"]
    with pytest.raises(LedgerError, match=r"entry 2 of ledger \S+ is no training run"):
        ledger.run(2)
