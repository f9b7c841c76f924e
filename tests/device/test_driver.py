"""`Device.run` against the twin, over pseudo-terminals and with a real ledger: every kind of device, every refusal."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.driver_runs import (
    DECISIONS,
    HIDDEN,
    KEY,
    LAST,
    ONE_HOT,
    QUICK,
    READOUT,
    RECORDS,
    SPEC,
    SPIKES,
    STEPS,
    check,
    leases,
    run,
)

from spikeveil.hdl.engine.plan import Plan
from spikeveil.host.device.driver import Device
from spikeveil.host.device.errors import (
    DeviceError,
    WrongDevice,
)
from spikeveil.host.device.keys import Secrets
from spikeveil.host.device.results import Results
from spikeveil.host.networks.digits_example import DEMO_KEY
from spikeveil.host.privacy.ledger import Ledger
from spikeveil.host.privacy.units import Unit
from spikeveil.host.virtual import BoardSpec, VirtualBoard
from spikeveil.pysim import LayerSpec, LfsrSource, Network, NetworkSpec, TriviumSource


def test_every_record_equals_the_golden_model(make_board: Any, ledger: Ledger) -> None:
    result = run(make_board(), ledger)
    check(result)
    assert leases(ledger) == [10, 10, 4]
    assert result.leases.tolist() == [1] * 10 + [2] * 10 + [3] * 4
    assert "3 leases, 1 to 3, of data set 'data'" in result.claim.parts()["spent"]
    assert result.claim.private and result.claim.releases == 1


@pytest.mark.parametrize(
    ("spec", "traits"),
    [
        (SPEC, {"window": 64, "outbox": 4}),
        (SPEC, {"window": 5, "outbox": 1}),
        (READOUT, {}),
        (SPEC, {"loadable": True, "lanes": 4}),
        (READOUT, {"loadable": True, "lanes": 1}),
        (DECISIONS, {}),
        (DECISIONS, {"window": 5, "outbox": 1}),
        (DECISIONS, {"loadable": True, "lanes": 4}),
        (ONE_HOT, {"outbox": 3}),
    ],
)
def test_devices_of_all_kinds(make_board: Any, ledger: Ledger, spec: NetworkSpec, traits: dict[str, Any]) -> None:
    secrets = Secrets(KEY, False, len(spec.randomised), "a test")
    check(run(make_board(spec, **traits), ledger, spec, secrets=secrets), spec)


def test_a_lease_of_decisions_is_charged_and_counted_by_records(make_board: Any, ledger: Ledger) -> None:
    """One decision a record: the quota of a lease of ten is 10, not 60 steps; each record costs its epsilon once."""
    seen = []
    result = run(make_board(DECISIONS), ledger, DECISIONS, progress=lambda state: seen.append(state.steps))
    assert leases(ledger) == [10, 10, 4]
    assert result.decisions is not None and result.decisions.shape == (RECORDS,)
    assert seen[-1] == RECORDS * STEPS
    assert DECISIONS.decision is not None
    assert result.claim.epsilon(Unit.RECORD) == DECISIONS.decision.epsilon
    assert result.claim.epsilon(Unit.SPIKE) <= DECISIONS.decision.epsilon


def test_a_device_of_decisions_takes_records_of_its_own_length(make_board: Any, ledger: Ledger) -> None:
    with Device.open(str(make_board(DECISIONS).path), timing=QUICK) as device:
        device.load(DECISIONS)
        with pytest.raises(ValueError, match="steps"):
            device.run(SPIKES[:, :5], ledger=ledger, data_set="data")
        assert not leases(ledger)


def test_an_interrupted_run_of_decisions_is_resumed(make_board: Any, ledger: Ledger, tmp_path: Path) -> None:
    """The file keeps what was received; only the rest is sent again."""
    board, path = make_board(DECISIONS), tmp_path / "partial.npz"

    def stop(state: Any) -> None:
        if state.records >= 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(board, ledger, DECISIONS, results=Results(DECISIONS, SPIKES, path), progress=stop)
    results = Results(DECISIONS, SPIKES, path)
    assert int(results.received.sum()) == 10
    check(run(board, ledger, DECISIONS, results=results), DECISIONS)


@pytest.mark.slow
@pytest.mark.verilator
@pytest.mark.parametrize("pins", ["bytes", "uart"])
@pytest.mark.parametrize("kind", ["loadable", "lfsr", "readout", "decisions", "one-hot, loadable"])
def test_gateware_of_all_kinds(ledger: Ledger, kind: str, pins: Any) -> None:
    other_spec = NetworkSpec([LayerSpec(-HIDDEN.weights + 1, 20, flip=HIDDEN.flip, input_cap=3), LAST])
    plan, spec = {
        "loadable": (Plan(SPEC, lanes=4, loadable=True), other_spec),
        "lfsr": (Plan(SPEC, lanes=1, source="lfsr"), SPEC),
        "readout": (Plan(READOUT, lanes=16), READOUT),
        "decisions": (Plan(DECISIONS, lanes=4), DECISIONS),
        "one-hot, loadable": (Plan(ONE_HOT, lanes=5, loadable=True), ONE_HOT),
    }[kind]
    seeds = bytes(range(32))
    lfsr = kind == "lfsr"
    secrets = Secrets(seeds if lfsr else KEY, lfsr, len(spec.randomised), "a test")
    options: dict[str, Any] = {"lease_records": RECORDS if lfsr else 10, "demonstration": lfsr}
    with (
        VirtualBoard(BoardSpec(plan, pins=pins)) as board,
        Device.open(str(board.port), baud=board.board.baud, timing=QUICK) as device,
    ):
        device.load(spec)
        result = device.run(SPIKES, ledger=ledger, data_set="data", secrets=secrets, **options)
        device.load(spec)  # over a lease that is closed
    if lfsr:
        expected = Network(spec, LfsrSource([int.from_bytes(seeds[:16]), int.from_bytes(seeds[16:])])).run(
            SPIKES, lease=1
        )
        np.testing.assert_array_equal(result.released, expected.released)
    else:
        check(result, spec)


def test_an_lfsr_runs_as_a_demonstration_with_fresh_seeds_for_each_lease(make_board: Any, ledger: Ledger) -> None:
    secrets_drawn: list[bytes] = []

    class Noted(Secrets):
        def next(self) -> bytes:
            secrets_drawn.append(super().next())
            return secrets_drawn[-1]

    board = make_board(source="lfsr")
    with pytest.raises(WrongDevice, match="protects nothing, because its flips come from an LFSR: it runs only as"):
        run(board, ledger, secrets=None)
    result = run(board, ledger, secrets=Noted(None, True, 2, "a test"), demonstration=True)
    assert len(set(secrets_drawn)) == 3
    seeds = [[int.from_bytes(one[at : at + 16]) % (1 << 127) for at in (0, 16)] for one in secrets_drawn]
    for lease in (1, 2, 3):
        of_lease = result.leases == lease
        expected = Network(SPEC, LfsrSource(seeds[lease - 1])).run(SPIKES[of_lease], lease=lease).released
        np.testing.assert_array_equal(result.released[of_lease], expected)
    assert not result.claim.private
    assert "nominal: an insecure demonstration" in result.claim.parts()["spent"]


def test_the_fast_schedule_is_a_demonstration(make_board: Any, ledger: Ledger) -> None:
    board = make_board(schedule="fast")
    with pytest.raises(WrongDevice, match="because it is on the fast schedule"):
        run(board, ledger)
    result = run(board, ledger, demonstration=True)
    check(result)
    assert not result.claim.private


def test_the_published_key_is_a_demonstration(make_board: Any, ledger: Ledger) -> None:
    board, secrets = make_board(), Secrets(DEMO_KEY, False, 2, "the examples")
    with pytest.raises(ValueError, match=r"^the key is published or a pattern, which protects nothing: only an"):
        run(board, ledger, secrets=secrets)
    result = run(board, ledger, secrets=secrets, demonstration=True)
    check(result, source=TriviumSource(DEMO_KEY))
    assert result.claim.faults == ("the key is published",)


def test_a_network_without_a_flipper_has_no_price(make_board: Any, ledger: Ledger) -> None:
    plain = NetworkSpec([LayerSpec(HIDDEN.weights, 30)])
    with pytest.raises(ValueError, match="no budget covers it"):
        run(make_board(plain), ledger, plain)


@pytest.mark.parametrize(
    ("option", "sentence"), [("lease_records", "lease records must be"), ("delta", "delta must be")]
)
def test_options_out_of_range(make_board: Any, ledger: Ledger, option: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{sentence}"):
        run(make_board(), ledger, **{option: -1})


def test_errors_are_one_sentence_with_an_exit_code() -> None:
    found = {kind.__name__: kind.exit_code for kind in DeviceError.__subclasses__()}
    assert set(found.values()) == {3, 4, 5} and found["LeaseAhead"] == 5
    assert found["WrongDevice"] == found["DeviceRefused"] == 4
