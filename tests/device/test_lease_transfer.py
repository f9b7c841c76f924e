"""Transfers over noisy, slow and busy lines."""

import random

import numpy as np
import pytest
from support.driver_runs import (
    KEY,
    RECORDS,
    SPEC,
    SPIKES,
    STEPS,
    check,
    leases,
)
from support.twin_ports import DirectPort, SlowPort, spoiler

from spikeveil.host.device.driver import Device
from spikeveil.host.device.keys import Secrets
from spikeveil.host.device.link import Timing
from spikeveil.host.device.record_run import RunProgress
from spikeveil.host.device.twin_board import TwinEndpoint
from spikeveil.host.privacy.ledger import Ledger
from spikeveil.pysim import FlipSpec, LayerSpec, NetworkSpec
from spikeveil.pysim.device.identity import ModelPlan, identity
from spikeveil.pysim.device.top import DeviceModel


@pytest.mark.parametrize("seed", range(8))
def test_a_bad_line_gives_the_right_answer(ledger: Ledger, seed: int) -> None:
    endpoint = TwinEndpoint(DeviceModel(SPEC, identity(ModelPlan(SPEC, loadable=seed % 2 == 1), window=128, outbox=64)))
    port = DirectPort(endpoint, spoiler(random.Random(seed), (1e-4, 1e-3, 3e-3, 6e-3)[seed // 2]))
    with Device.open(port, timing=Timing(silence=60.0)) as device:
        device.load(SPEC)
        secrets = Secrets(KEY, False, 2, "a test")
        result = device.run(SPIKES, ledger=ledger, data_set="data", lease_records=10, secrets=secrets)
    check(result)
    assert leases(ledger) == [10, 10, 4]


@pytest.mark.parametrize(("rate", "latency"), [(960, 0.001), (11_520, 0.05), (100_000, 0.0), (100_000, 2.0)])
def test_a_slow_line_is_not_a_bad_one(ledger: Ledger, rate: float, latency: float) -> None:
    port = SlowPort(TwinEndpoint(DeviceModel(SPEC)), rate, latency)
    with Device.open(port, timing=Timing()) as device:
        device.load(SPEC)
        before = device.link.received
        secrets = Secrets(KEY, False, 2, "a test")
        result = device.run(SPIKES, ledger=ledger, data_set="data", lease_records=RECORDS, secrets=secrets)
        line = device.link.received - before
    check(result)
    assert line < 1.5 * (RECORDS * STEPS * 2) + 20 * 50  # the output hardly ever twice, and some answers


@pytest.mark.parametrize(("baud", "window"), [(115_200, 2048), (3_000_000, 2048), (115_200, 512), (3_000_000, 512)])
def test_a_busy_line_carries_mostly_payload(ledger: Ledger, baud: int, window: int) -> None:
    states: list[RunProgress] = []
    spikes = np.random.default_rng(1).random((400, 16, 40)) < 0.1
    wide = NetworkSpec([LayerSpec(np.ones((40, 40), int), 3, flip=FlipSpec(1, 2))])
    payload, rate = 400 * 16 * 5, baud / 10  # bytes in each direction; bytes a second
    port = SlowPort(TwinEndpoint(DeviceModel(wide, identity(ModelPlan(wide), window=window, outbox=window))), rate, 0.0)
    with Device.open(port) as device:
        device.load(wide)
        begun = port.time
        device.run(spikes, ledger=ledger, data_set="data", lease_records=400, progress=states.append)
    assert states[-1].payload == 2 * payload
    assert states[-1].payload / states[-1].line > 0.85
    assert payload / rate / (port.time - begun) > 0.83  # of what the line could carry in that time, each way
