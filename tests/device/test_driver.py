"""`Device.run` against the twin, over pseudo-terminals and with a real ledger: every kind of device, every refusal."""

from typing import Any

import numpy as np
import pytest
from support.driver_runs import HIDDEN, KEY, LAST, QUICK, READOUT, RECORDS, SPEC, SPIKES, check, leases, run

from spikeveil.host.device.driver import Device
from spikeveil.host.device.errors import (
    DeviceError,
    WrongDevice,
)
from spikeveil.host.device.keys import Secrets
from spikeveil.host.networks.digits_example import DEMO_KEY
from spikeveil.host.privacy.ledger import Ledger
from spikeveil.pysim import LayerSpec, LfsrSource, Network, NetworkSpec, TriviumSource


def test_every_record_equals_the_golden_model(board: Any, ledger: Ledger) -> None:
    result = run(board(), ledger)
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
def test_devices_of_all_kinds(board: Any, ledger: Ledger, spec: NetworkSpec, traits: dict[str, Any]) -> None:
    secrets = Secrets(KEY, False, len(spec.flipped), "a test")
    check(run(board(spec, **traits), ledger, spec, secrets=secrets), spec)


@pytest.mark.slow
@pytest.mark.verilator
@pytest.mark.parametrize("pins", ["bytes", "uart"])
@pytest.mark.parametrize("kind", ["loadable", "lfsr", "readout"])
def test_gateware_of_all_kinds(ledger: Ledger, kind: str, pins: Any) -> None:
    from spikeveil.hdl.engine.plan import Plan
    from spikeveil.host.virtual.build import BoardSpec
    from spikeveil.host.virtual.process import VirtualBoard

    other = NetworkSpec([LayerSpec(-HIDDEN.weights + 1, 20, flip=HIDDEN.flip, input_cap=3), LAST])
    plan, spec = {
        "loadable": (Plan(SPEC, lanes=4, loadable=True), other),
        "lfsr": (Plan(SPEC, lanes=1, source="lfsr"), SPEC),
        "readout": (Plan(READOUT, lanes=16), READOUT),
    }[kind]
    seeds = bytes(range(32))
    lfsr = kind == "lfsr"
    secrets = Secrets(seeds if lfsr else KEY, lfsr, len(spec.flipped), "a test")
    options: dict[str, Any] = {"lease_records": RECORDS if lfsr else 10, "demonstration": lfsr}
    with (
        VirtualBoard(BoardSpec(plan, pins=pins)) as there,
        Device.open(str(there.port), baud=there.board.baud, timing=QUICK) as device,
    ):
        device.load(spec)
        result = device.run(SPIKES, ledger=ledger, budget="data", secrets=secrets, **options)
        device.load(spec)  # over a lease that is closed
    if lfsr:
        wanted = Network(spec, LfsrSource([int.from_bytes(seeds[:16]), int.from_bytes(seeds[16:])])).run(
            SPIKES, lease=1
        )
        np.testing.assert_array_equal(result.released, wanted.released)
    else:
        check(result, spec)


def test_an_lfsr_runs_as_a_demonstration_with_fresh_seeds_for_each_lease(board: Any, ledger: Ledger) -> None:
    drawn: list[bytes] = []

    class Noted(Secrets):
        def next(self) -> bytes:
            drawn.append(super().next())
            return drawn[-1]

    there = board(source="lfsr")
    with pytest.raises(WrongDevice, match="protects nothing, because its flips come from an LFSR: it runs only as"):
        run(there, ledger, secrets=None)
    result = run(there, ledger, secrets=Noted(None, True, 2, "a test"), demonstration=True)
    assert len(set(drawn)) == 3
    seeds = [[int.from_bytes(one[at : at + 16]) % (1 << 127) for at in (0, 16)] for one in drawn]
    for lease in (1, 2, 3):
        chosen = result.leases == lease
        wanted = Network(SPEC, LfsrSource(seeds[lease - 1])).run(SPIKES[chosen], lease=lease).released
        np.testing.assert_array_equal(result.released[chosen], wanted)
    assert not result.claim.private
    assert "nominal: an insecure demonstration" in result.claim.parts()["spent"]


def test_the_fast_schedule_is_a_demonstration(board: Any, ledger: Ledger) -> None:
    there = board(schedule="fast")
    with pytest.raises(WrongDevice, match="because it is on the fast schedule"):
        run(there, ledger)
    result = run(there, ledger, demonstration=True)
    check(result)
    assert not result.claim.private


def test_the_published_key_is_a_demonstration(board: Any, ledger: Ledger) -> None:
    there, secrets = board(), Secrets(DEMO_KEY, False, 2, "the examples")
    with pytest.raises(ValueError, match=r"^the key is published and protects nothing: it serves only"):
        run(there, ledger, secrets=secrets)
    result = run(there, ledger, secrets=secrets, demonstration=True)
    check(result, source=TriviumSource(DEMO_KEY))
    assert result.claim.faults == ("the key is published",)


def test_a_network_without_a_flipper_has_no_price(board: Any, ledger: Ledger) -> None:
    plain = NetworkSpec([LayerSpec(HIDDEN.weights, 30)])
    with pytest.raises(ValueError, match="no budget covers it"):
        run(board(plain), ledger, plain)


@pytest.mark.parametrize(
    ("option", "sentence"), [("lease_records", "lease records must be"), ("delta", "delta must be")]
)
def test_options_out_of_range(board: Any, ledger: Ledger, option: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{sentence}"):
        run(board(), ledger, **{option: -1})


def test_errors_are_one_sentence_with_an_exit_code() -> None:
    found = {kind.__name__: kind.exit_code for kind in DeviceError.__subclasses__()}
    assert set(found.values()) == {3, 4}
    assert found["WrongDevice"] == found["DeviceRefused"] == 4
