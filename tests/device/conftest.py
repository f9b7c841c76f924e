"""A ledger with a budget, and boards with a twin, for the tests of the driver."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.driver_runs import SPEC

from spikeveil.host.device.twin_board import TwinBoard
from spikeveil.host.privacy.ledger import Ledger
from spikeveil.pysim import NetworkSpec
from spikeveil.pysim.device.identity import ModelPlan, identity
from spikeveil.pysim.device.top import DeviceModel


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "my.ledger", state_directory=tmp_path / "state", timeout=0.2) as opened:
        opened.create_budget("data", "record", 10**6, "1e-2")
        yield opened


@pytest.fixture
def make_board(tmp_path: Path) -> Iterator[Callable[..., TwinBoard]]:
    """Makes boards with a twin at the port `tmp_path / name`."""
    made: list[TwinBoard] = []

    def make(spec: NetworkSpec = SPEC, name: str = "port", **traits: Any) -> TwinBoard:
        sizes = {size: traits.pop(size) for size in ("window", "outbox") if size in traits}
        described = identity(ModelPlan(spec, **traits), **sizes)
        made.append(TwinBoard(DeviceModel(spec, described), tmp_path / name))
        made[-1].plug()
        return made[-1]

    yield make
    for one in made:
        one.unplug()
