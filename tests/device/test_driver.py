"""`Device.run` against the twin, over pseudo-terminals and with a real ledger: every kind of device, every refusal."""

from typing import Any

import numpy as np
import pytest
from support.driver_runs import HIDDEN, KEY, LAST, QUICK, READOUT, RECORDS, SPEC, SPIKES, check, leases, run

from spikeveil.hdl.engine.plan import Plan
from spikeveil.host.device.driver import Device
from spikeveil.host.device.errors import (
    DeviceError,
    WrongDevice,
)
from spikeveil.host.device.keys import Secrets
from spikeveil.host.networks.digits_example import DEMO_KEY
from spikeveil.host.privacy.ledger import Ledger
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
    ],
)
def test_devices_of_all_kinds(make_board: Any, ledger: Ledger, spec: NetworkSpec, traits: dict[str, Any]) -> None:
    secrets = Secrets(KEY, False, len(spec.flipped), "a test")
    check(run(make_board(spec, **traits), ledger, spec, secrets=secrets), spec)


@pytest.mark.slow
@pytest.mark.verilator
@pytest.mark.parametrize("pins", ["bytes", "uart"])
@pytest.mark.parametrize("kind", ["loadable", "lfsr", "readout"])
def test_gateware_of_all_kinds(ledger: Ledger, kind: str, pins: Any) -> None:
    other_spec = NetworkSpec([LayerSpec(-HIDDEN.weights + 1, 20, flip=HIDDEN.flip, input_cap=3), LAST])
    plan, spec = {
        "loadable": (Plan(SPEC, lanes=4, loadable=True), other_spec),
        "lfsr": (Plan(SPEC, lanes=1, source="lfsr"), SPEC),
        "readout": (Plan(READOUT, lanes=16), READOUT),
    }[kind]
    seeds = bytes(range(32))
    lfsr = kind == "lfsr"
    secrets = Secrets(seeds if lfsr else KEY, lfsr, len(spec.flipped), "a test")
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
