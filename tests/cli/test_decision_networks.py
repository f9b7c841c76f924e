"""Commands on a network that releases decisions: never a smaller epsilon than the release has, or one sentence."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from support.commands import invoke

from spikeveil.host.privacy.decision_plan import reports_for
from spikeveil.host.privacy.decisions import epsilon_of_decisions
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
    flipped_epsilon = expected["claim"]["epsilon_delta"]["record_epsilon"]
    assert record["walls"][0]["record_epsilon"] == flipped_epsilon > Decision(4, 25, 8).epsilon
    assert record["claim"]["epsilon_delta"]["record_epsilon"] == Decision(4, 25, 8).epsilon
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


def test_info_shows_the_decision(network: Path) -> None:
    """181 of 256 words keep the winner: epsilon ln(181 / 25), ceiling 181 / 256."""
    report = json.loads(invoke("info", network, "--json").stdout)
    decision = report["decision"]
    assert (decision["classes"], decision["q"], decision["bits"], report["steps"]) == (4, 25, 8, 20)
    assert decision["record_epsilon"] == Decision(4, 25, 8).epsilon == pytest.approx(math.log(181 / 25))
    assert decision["accuracy_ceiling"] == pytest.approx(181 / 256)
    assert decision["delta"] == report["claim"]["epsilon_delta"]["delta"] == 0
    text = " ".join(invoke("info", network).stdout.split())
    assert "releases one class number a record of 20 steps, at the end of the record" in text
    assert "1.97963, 0 for one record: k-ary randomised response on 4 classes, q = 25 of 8-bit words" in text
    assert "a guess among 4 equally likely classes can be right up to 70.71 % of the time" in text


def test_epsilon_of_decisions() -> None:
    report = json.loads(invoke("epsilon", "--classes", 4, "-q", 25, "-w", 8, "--delta", "1e-6", "--json").stdout)
    assert report["record_epsilon"] == report["epsilon"] == Decision(4, 25, 8).epsilon
    assert report["delta"] == 0
    words = ["epsilon", "--decision-epsilon", 1, "--releases", 20, "--delta", "1e-6"]
    found = json.loads(invoke(*words, "--json").stdout)
    decision = Decision.for_epsilon(1.0, 10)
    assert found["epsilon"] == found["compositions"]["exact"]["epsilon"] == epsilon_of_decisions(decision, 20, 1e-6)
    assert found["compositions"]["basic"]["epsilon"] == pytest.approx(20, abs=1e-6)
    text = invoke(*words).stdout
    assert text.index("epsilon of a record: 1 for one decision") < text.index(
        "epsilon of 20 decisions about one record"
    )
    assert "nominal epsilon of a record" in invoke(*words, "--source", "lfsr").stdout


def test_plan_of_decisions() -> None:
    words = ["plan", "--decision", "--epsilon", 4, "--delta", "1e-6", "--releases-per-day", 1]
    found = json.loads(invoke(*words, "--accuracy", 0.986, "--half-width", 0.02, "--json").stdout)
    decision = Decision.for_epsilon(4.0, 10)
    assert (found["decision"]["q"], found["record_epsilon"], found["delta"]) == (decision.q, decision.epsilon, 0)
    r = 9 * decision.q / 2**32
    assert found["expected_accuracy"] == pytest.approx(0.986 * (1 - r) + 0.014 * r / 9)
    assert found["accuracy_ceiling"] == pytest.approx(math.exp(4) / (math.exp(4) + 9), rel=1e-6)
    assert found["records"] == reports_for(decision, 0.02)
    text = " ".join(invoke(*words, "--accuracy", 0.986).stdout.split())
    assert text.index("epsilon of a record 4, delta 0, one decision") < text.index("accuracy ceiling")
    assert "84.7 % of one decision, where 98.6 % of raw winners are right" in text
    several = json.loads(invoke(*words[:-1], 30, "--json").stdout)
    assert several["record_epsilon"] <= 4 < 30 * several["epsilon_one_release"]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("epsilon --decision-epsilon 1 -q 3 --delta 0", "a decision takes either --decision-epsilon or -q"),
        ("epsilon --decision-epsilon 1 -T 3 --delta 0", "nothing of a flipped layer"),
        ("epsilon --classes 4 -k 1 -T 1 -N 1 --delta 0", "--classes is for a decision"),
        ("epsilon -q 99 --classes 4 -w 8 --delta 0", "decision q must be 1 to 64, not 99"),
        ("epsilon -q 1 --delta 0 --plot-delta x.png", "plots are for flipped spikes"),
        ("plan --decision --epsilon 1 --delta 0 --releases-per-day 1 -N 4", "its unit is the record"),
        ("plan --decision --epsilon 1 --delta 0 --releases-per-day 1 --unit spike", "its unit is the record"),
        ("plan --decision --epsilon 0.1 --delta 0 --releases-per-day 1 -w 8", "target epsilon must be at least 0.21"),
        ("plan --epsilon 1 --delta 0 --releases-per-day 1 --unit record -T 1 -N 1 --accuracy 1", "are for --decision"),
        ("plan --epsilon 1 --delta 0 --releases-per-day 1 -T 1 -N 1", "Missing option '--unit'"),
    ],
)
def test_wrong_usage_is_one_sentence(line: str, sentence: str) -> None:
    assert sentence in " ".join(invoke(*line.split(), code=2).stderr.split())


def test_the_ledger_is_charged_for_decisions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Budget 9 at record level: two decisions of epsilon 4 fit, a third does not."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    invoke("budget", "create", "my.ledger", "-d", "digits", "--unit", "record", "--epsilon", 9, "--delta", 0)
    charge = ["-d", "digits", "--decision-epsilon", 4, "-T", 16, "--delta", 0]
    lease = ["budget", "lease", "my.ledger", *charge, "--specification", "5a" * 32, "--new-key", "device.key"]
    granted = json.loads(invoke(*lease, "--json").stdout)
    assert granted["quota_decisions"] == 1
    assert granted["mechanism"].startswith("1 decision, k-ary randomised response on 10 classes, q = 67532897")
    assert "record │ 1 decision │" in invoke("budget", "spend", "my.ledger", *charge, "--source", "os").stdout
    shown = json.loads(invoke("budget", "show", "my.ledger", "--json").stdout)["data_sets"]["digits"][0]
    assert (shown["releases_left"], shown["epsilon_spent"]) == (0, "7.99999999")
    assert "nothing was charged" in invoke("budget", "spend", "my.ledger", *charge, "--source", "os", code=1).stderr
    history = " ".join(invoke("budget", "history", "my.ledger").stdout.split())
    assert "record level: 1 decision, epsilon 4, delta 0" in history
    assert "2 charges recomputed, 0 not recomputed" in invoke("budget", "verify", "my.ledger").stdout
