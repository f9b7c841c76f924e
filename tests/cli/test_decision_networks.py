"""Commands on a network that releases decisions: never a smaller epsilon than the release has, or one sentence."""

import json
from pathlib import Path

import numpy as np
import pytest
from support.commands import invoke

from spikeveil.pysim import Decision, FlipSpec, LayerSpec, NetworkSpec

FLIPPED = LayerSpec(np.arange(18).reshape(6, 3) - 9, threshold=4, flip=FlipSpec(20, 8))
LAST = LayerSpec(np.arange(24).reshape(4, 6) - 12, threshold=3)


@pytest.fixture
def network(tmp_path: Path) -> Path:
    NetworkSpec([FLIPPED, LAST], decision=Decision(4, 25, 8), steps=20).save(tmp_path / "net.snn")
    return tmp_path / "net.snn"


def test_info_takes_the_steps_of_the_specification(network: Path) -> None:
    """With fewer steps than a record has, the flipped layer would seem to cost less than it does."""
    record = json.loads(invoke("info", network, "--json", "--delta", "0").stdout)
    flipped = NetworkSpec([FLIPPED])
    flipped.save(network.with_name("flipped.snn"))
    words = ["info", network.with_name("flipped.snn"), "--json", "--delta", "0", "--steps", "20"]
    expected = json.loads(invoke(*words).stdout)
    assert record["claim"]["epsilon_delta"]["record_epsilon"] in (
        "inf",
        expected["claim"]["epsilon_delta"]["record_epsilon"],
        Decision(4, 25, 8).epsilon,
    )
    assert invoke("info", network, "--json", "--steps", "20").stdout
    message = invoke("info", network, "--steps", "1", code=1).stderr
    assert message == "Error: steps must be the 20 of the network's records, not 1\n"


@pytest.mark.parametrize("option", ["--drop-flippers", "--keep-flippers", "--json"])
def test_a_decision_is_not_exported(network: Path, option: str) -> None:
    """It would come back as a network that releases spikes."""
    output = network.with_suffix(".nir")
    message = invoke("export", network, "-o", output, option, code=1).stderr
    assert message.startswith(
        "Error: network decision must be None to be exported, because NIR has none, not Decision("
    )
    assert not output.exists()
