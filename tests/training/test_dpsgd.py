"""DP-SGD as it is done: gradients against a loop over examples, batches, noise, crashes, charges, a real run."""

import json
import math
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats
from support.paths import TESTS
from torch import Tensor
from torch.nn import functional

from spikeveil.host.data.catalogue import load_dataset
from spikeveil.host.data.dataset import Dataset
from spikeveil.host.privacy import BudgetExceeded, DpSgd, Ledger, LedgerError
from spikeveil.host.training import checkpoint
from spikeveil.host.training.architecture import Architecture, Conv, Dense, Flatten, Layer, Pool, Readout
from spikeveil.host.training.clipping import CLIPPERS, MARGIN, GhostClipper
from spikeveil.host.training.config import Config, load_config
from spikeveil.host.training.data_feed import DataFeed
from spikeveil.host.training.dpsgd import private_gradients
from spikeveil.host.training.ledger_charge import charge, charge_text
from spikeveil.host.training.loop import CHECKPOINT, TrainingResult, TrainingRun
from spikeveil.host.training.network import SpikingNetwork
from spikeveil.host.training.neurons import Neuron
from spikeveil.host.training.plan import plan_of
from spikeveil.host.training.privacy_meter import PrivacyMeter
from spikeveil.host.training.randomness import OsRandomness, SeededRandomness
from spikeveil.host.training.surrogates import FastSigmoid

IF, LIF = Neuron(1.0, 1.0, "subtract", FastSigmoid(2.0)), Neuron(0.75, 1.0, "zero", FastSigmoid(2.0))


def shapes(neuron: Neuron) -> dict[str, tuple[Layer, ...]]:
    return {
        "dense": (Flatten(), Dense(9, neuron), Dense(7, neuron, bias=False)),
        "conv": (Conv(3, 3, 2, 1, neuron), Pool(2, 1), Conv(4, 2, neuron=neuron, bias=False), Flatten()),
    }


def cross_entropy(scores: Tensor, labels: Tensor) -> Tensor:
    return functional.cross_entropy(scores, labels, reduction="none")


def network_of(neuron: Neuron, kind: str, coding: str) -> Architecture:
    readout = Readout("counts", 2, neuron) if kind == "dense" else Readout(neuron=replace(neuron, decay=0.5))
    return Architecture((2, 6, 6), 3, 4, shapes(neuron)[kind], readout, coding)  # type: ignore[arg-type]


@pytest.mark.parametrize("neuron", [IF, LIF], ids=["IF", "LIF"])
@pytest.mark.parametrize("kind", ["dense", "conv"])
@pytest.mark.parametrize("coding", ["direct", "spikes"])
@pytest.mark.parametrize("clipping", CLIPPERS)
def test_clipped_sums_are_those_of_a_loop_over_the_examples(
    neuron: Neuron, kind: str, coding: str, clipping: str
) -> None:
    """The outside truth: one example at a time through plain autograd, clipped and added by hand, in float64."""
    assert_sums_are_those_of_a_loop(network_of(neuron, kind, coding), clipping)


@pytest.mark.parametrize("kind", ["dense", "conv", "max"])
@pytest.mark.parametrize("clipping", CLIPPERS)
def test_an_ann_s_clipped_sums_are_those_of_a_loop_over_the_examples(kind: str, clipping: str) -> None:
    """The same truth for tanh in place of neurons; `max` is the structure of DPSNN's networks."""
    layers = {
        **shapes(Neuron()),
        "max": (Conv(3, 3), Pool(2, 1, "max"), Conv(4, 2), Pool(2, 1, "max"), Flatten(), Dense(5)),
    }
    architecture = Architecture((2, 6, 6), 3, 1, layers[kind], coding="direct", kind="ann")
    assert_sums_are_those_of_a_loop(architecture, clipping)


def assert_sums_are_those_of_a_loop(architecture: Architecture, clipping: str) -> None:
    network, coding = SpikingNetwork(architecture, seed=3, gain=2.0).double(), architecture.coding
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(11, *((4,) if coding == "spikes" else ()), 2, 6, 6, generator=generator, dtype=torch.float64)
    x = (x < 0.5).double() if coding == "spikes" else x
    labels = torch.arange(11) % 3
    examples = []
    for one, label in zip(x, labels, strict=True):
        loss = cross_entropy(network(one[None]), label[None]).sum()
        examples.append([one.numpy() for one in torch.autograd.grad(loss, tuple(network.parameters()))])
    norms = [math.sqrt(sum(float((part**2).sum()) for part in parts)) for parts in examples]
    clip = float(np.median(norms))  # some are clipped and some are not
    factors = [min(1.0, clip / norm) / (1 + MARGIN) for norm in norms]
    wanted = [
        sum(factor * part for factor, part in zip(factors, parts, strict=True)) for parts in zip(*examples, strict=True)
    ]
    found = CLIPPERS[clipping](network, clip).sums(x, labels, cross_entropy)
    for total, truth in zip(found, wanted, strict=True):
        assert_allclose(total.numpy(), truth, rtol=1e-6, atol=1e-9)


def test_no_example_weighs_more_than_the_clip() -> None:
    network = SpikingNetwork(Architecture((6,), 3, 4, (Dense(8, LIF),)), seed=1, gain=3.0)
    clipper = GhostClipper(network, 0.01)
    for seed in range(20):
        x = (torch.rand(1, 4, 6, generator=torch.Generator().manual_seed(seed)) < 0.5).float()
        sums = clipper.sums(x, torch.tensor([seed % 3]), cross_entropy)
        assert math.sqrt(sum(float(total.double().square().sum()) for total in sums)) <= 0.01


def test_a_gradient_that_is_no_number_stops_the_run() -> None:
    network = SpikingNetwork(Architecture((6,), 3, 4, (Dense(8, LIF),), coding="direct"), seed=1)
    with pytest.raises(FloatingPointError, match="a per-example gradient is not finite"):
        GhostClipper(network, 1.0).sums(torch.full((2, 6), math.inf), torch.tensor([0, 1]), cross_entropy)


def test_ghost_clipping_refuses_layers_it_does_not_know() -> None:
    class Own(torch.nn.Linear):  # type: ignore[misc]
        pass

    architecture = Architecture((6,), 3, 4, (Dense(8, LIF),))
    network = SpikingNetwork(architecture, make_linear=lambda i, o, bias: Own(i, o, bias=bias))
    with pytest.raises(ValueError, match="clipping must be 'hooks' for a Own layer, not 'ghost'"):
        GhostClipper(network, 1.0)


@pytest.mark.parametrize("source", [OsRandomness(), SeededRandomness(7)], ids=["os", "seeded"])
@pytest.mark.parametrize("secure", [False, True])
def test_noise_is_standard_normal(source: Any, secure: bool) -> None:
    values = source.gaussians(3, 40_000, secure=secure).numpy()
    assert len(source.gaussians(3, 7, secure=secure)) == 7
    assert values.dtype == np.float32
    assert stats.kstest(values, "norm").pvalue > 1e-6
    assert abs(float(np.corrcoef(values[:20_000], values[20_000:])[0, 1])) < 0.05  # the halves share no words


@pytest.mark.parametrize("source", [OsRandomness(), SeededRandomness(7)], ids=["os", "seeded"])
def test_batches_are_poisson_sampled(source: Any) -> None:
    """Every example on its own with probability 3/20: sizes are binomial, and no pair comes together more often."""
    rounds, size = 4000, 20
    drawn = np.zeros((rounds, size), bool)
    for step in range(rounds):
        drawn[step, source.batch(step, 3, size)] = True
    sizes = np.bincount(drawn.sum(axis=1), minlength=size + 1)
    expected = rounds * stats.binom.pmf(np.arange(size + 1), size, 3 / 20)
    cut = 8  # the tail in one
    observed = [*sizes[:cut], sizes[cut:].sum()]
    assert stats.chisquare(observed, [*expected[:cut], expected[cut:].sum()]).pvalue > 1e-6
    assert (drawn.sum(axis=1) == 0).any()
    assert abs(float((drawn[:, 0] & drawn[:, 1]).mean()) - (3 / 20) ** 2) < 5 * math.sqrt(0.0225 / rounds)
    assert_array_equal(source.batch(0, size, size), np.arange(size))


def test_seeded_randomness_is_a_function_of_seed_purpose_and_step() -> None:
    words = {
        name: source.words(purpose, step, 8).tolist()
        for name, source, purpose, step in (
            ("same", SeededRandomness(7), "noise", 3),
            ("again", SeededRandomness(7), "noise", 3),
            ("seed", SeededRandomness(8), "noise", 3),
            ("purpose", SeededRandomness(7), "batch", 3),
            ("step", SeededRandomness(7), "noise", 4),
        )
    }
    assert words.pop("again") == words["same"]
    assert len({tuple(value) for value in words.values()}) == 4


def tiny(**changes: Any) -> tuple[Config, Dataset]:
    """A run of 24 steps over 96 digits, on a seed, so that it can be repeated."""
    config = load_config("digits-dpsgd")
    layers = (replace(config.network.layers[0], neurons=8),)  # type: ignore[call-arg]
    base: dict[str, Any] = {
        "network": replace(config.network, layers=layers, steps=3),
        "batch_size": 16,
        "epochs": 4,
        "checkpoint_every": 3,
        "evaluate_every": 2,
        "privacy": replace(config.privacy, randomness="seeded"),  # type: ignore[type-var]
    }
    return replace(config, **{**base, **changes}), load_dataset("digits").part(96, 40)


def test_an_empty_batch_is_a_step_of_noise_alone() -> None:
    config, data = tiny(batch_size=1)
    source = SeededRandomness(config.seed)
    empty = next(step for step in range(1000) if not len(source.batch(step, 1, 96)))
    network = SpikingNetwork(config.network, seed=1)
    private_gradients(config, network, DataFeed(config, data))(empty)
    gradients = torch.cat([parameter.grad.flatten() for parameter in network.parameters()])
    assert_allclose(gradients.numpy(), 4.0 * source.gaussians(empty, len(gradients)).numpy(), rtol=1e-6)


def test_the_sum_is_divided_by_the_expected_size() -> None:
    config, data = tiny()
    network, feed = SpikingNetwork(config.network, seed=1), DataFeed(config, data)
    chosen = SeededRandomness(config.seed).batch(5, 16, 96)
    assert len(chosen) != 16
    sums = GhostClipper(network, 1.0).sums(*feed.train(chosen), cross_entropy)
    noise = SeededRandomness(config.seed).gaussians(5, sum(total.numel() for total in sums))
    private_gradients(replace(config, physical=5), network, feed)(5)
    wanted = (torch.cat([total.flatten() for total in sums]) + 4.0 * noise) / 16
    found = torch.cat([parameter.grad.flatten() for parameter in network.parameters()])
    assert_allclose(found.numpy(), wanted.numpy(), rtol=1e-4, atol=1e-6)


def weights(network: torch.nn.Module) -> np.ndarray[Any, Any]:
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()]).numpy()


def some_steps(run: TrainingRun, most: int) -> TrainingResult:
    """Stop the run after `most` steps."""
    made: list[checkpoint.TrainingProgress] = []
    result = run.train(on_step=made.append, stop=lambda: len(made) >= most)
    assert len(made) <= most
    return result


@pytest.mark.parametrize("kind", ["sgd", "adam"])
def test_an_interrupted_run_is_the_run(kind: str, tmp_path: Path) -> None:
    """Stopped after every few steps and resumed in a new object: the same weights, log and count, bit for bit."""
    config, data = tiny()
    config = replace(config, optimiser=replace(config.optimiser, kind=kind, rate=0.05))
    (tmp_path / "whole").mkdir()
    whole = TrainingRun(config, data, tmp_path / "whole").train()
    stops = 0
    while True:
        result = some_steps(TrainingRun(config, data, tmp_path, resume=True), 5)
        if result.finished:
            break
        stops += 1
    assert stops == 4
    assert result.progress.spent == result.progress.updates == whole.progress.spent == 24
    assert_array_equal(weights(result.network), weights(whole.network))
    figures = [[{**record, "seconds": 0} for record in one.progress.log] for one in (result, whole)]
    assert figures[0] == figures[1]
    assert not np.array_equal(weights(whole.network), weights(SpikingNetwork(config.network, seed=config.seed)))


def test_steps_are_spent_before_they_are_made(tmp_path: Path) -> None:
    """At every step the checkpoint on the disk counts it already, and holds weights from before it."""
    config, data = tiny()
    seen: list[tuple[int, int, int]] = []

    def look(progress: checkpoint.TrainingProgress) -> None:
        on_disk, _ = checkpoint.load(tmp_path / CHECKPOINT)
        seen.append((progress.spent, on_disk.spent, on_disk.updates))

    TrainingRun(config, data, tmp_path).train(on_step=look)
    assert [made for made, _, _ in seen] == list(range(1, 25))
    assert all(updates < made <= spent for made, spent, updates in seen)


KILLED = """
import sys, os, signal
from pathlib import Path
sys.path.insert(0, {tests!r})
from training.test_dpsgd import tiny
from spikeveil.host.training.loop import TrainingRun
config, data = tiny(checkpoint_every=4)
def look(progress):
    if progress.spent == 10:
        os.kill(os.getpid(), signal.SIGKILL)
TrainingRun(config, data, Path({out!r})).train(on_step=look)
"""


def test_a_killed_run_forgets_no_step_and_makes_none_twice(tmp_path: Path) -> None:
    """kill -9 inside step 10 of 24, checkpoints after 4, 6 (an epoch's end), 10: steps 7 to 10 are spent, not made."""
    program = KILLED.format(tests=str(TESTS), out=str(tmp_path))
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -signal.SIGKILL
    left, _ = checkpoint.load(tmp_path / CHECKPOINT)
    assert (left.updates, left.spent) == (6, 10)
    config, data = tiny(checkpoint_every=4)
    made: list[checkpoint.TrainingProgress] = []
    result = TrainingRun(config, data, tmp_path, resume=True).train(on_step=made.append)
    assert [progress.spent for progress in made] == list(range(11, 25))
    assert (result.progress.updates, result.progress.spent) == (20, 24)
    assert result.finished
    assert result.progress.log[-1]["privacy"]["steps"] == 24


def test_a_run_is_not_begun_twice_nor_resumed_as_another(tmp_path: Path) -> None:
    config, data = tiny(epochs=1)
    TrainingRun(config, data, tmp_path).train()
    with pytest.raises(ValueError, match="must not exist for a new run: resume it, or take another folder"):
        TrainingRun(config, data, tmp_path)
    with pytest.raises(ValueError, match="must be of the same configuration to be resumed, not of another"):
        TrainingRun(replace(config, seed=2), data, tmp_path, resume=True)
    with pytest.raises(ValueError, match="must be of the same data to be resumed, not of another"):
        TrainingRun(config, data.part(95), tmp_path, resume=True)
    content = (tmp_path / CHECKPOINT).read_bytes()
    (tmp_path / CHECKPOINT).write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match="must be a whole file of ours, not a damaged one"):
        TrainingRun(config, data, tmp_path, resume=True)


def test_a_limit_of_epsilon_is_never_passed(tmp_path: Path) -> None:
    config, data = tiny()
    privacy = replace(config.privacy, epsilon_limit=0.6)  # type: ignore[type-var]
    config = replace(config, privacy=privacy)
    result = TrainingRun(config, data, tmp_path).train()
    mechanism = DpSgd(4.0, 16, 96)
    steps = result.progress.spent
    assert 0 < steps < 24
    assert mechanism.epsilon(steps, 1e-4) <= 0.6 < mechanism.epsilon(steps + 1, 1e-4)
    assert result.finished
    with pytest.raises(ValueError, match=r"privacy epsilon_limit must be at least 0\.\d+, one step's cost, not 0.01"):
        plan_of(replace(config, privacy=replace(privacy, epsilon_limit=0.01)), 96)


@pytest.mark.parametrize("method", ["pld", "rdp"])
def test_the_meter_is_the_accountant(method: str) -> None:
    mechanism = DpSgd(1.0, 250, 60_000)
    meter = PrivacyMeter(mechanism, 1e-5, method)  # type: ignore[arg-type]
    spent = meter.spent(13_440)
    assert spent.pld == mechanism.epsilon(13_440, 1e-5, "pld") < spent.rdp == mechanism.epsilon(13_440, 1e-5, "rdp")
    assert spent.clt < spent.pld  # which is why it decides nothing
    limit = meter.epsilon(70)
    assert meter.max_steps(limit, 90) == 70
    assert meter.max_steps(math.nextafter(limit, 0), 90) == 69
    assert meter.max_steps(100.0, 90) == 90


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    path = tmp_path / "budget.ledger"
    with Ledger(path) as opened:
        opened.create_budget("digits", "record", 10, "1e-3", relation="add/remove")
    return path


def test_the_whole_run_is_charged_before_its_first_step(ledger: Path) -> None:
    config, _ = tiny()
    config = replace(config, privacy=replace(config.privacy, randomness="os"))  # type: ignore[type-var]
    plan = plan_of(config, 96)
    receipt = charge(plan, config, str(ledger), "digits")
    whole = DpSgd(4.0, 16, 96).epsilon(24, 1e-4)
    with Ledger(ledger) as opened:
        (balance,) = opened.budgets("digits")["digits"]
        assert float(balance.epsilon_spent) == receipt["epsilon"] == whole
    with pytest.raises(BudgetExceeded):
        for _ in range(10):
            charge(plan, config, str(ledger), "digits")


def charged_run(ledger: Path, folder: Path) -> tuple[TrainingRun, Dataset, dict[str, Any]]:
    """A charged run in `folder`/one, beside an empty `folder`/copy; its data and its receipt."""
    config, data = tiny()
    config = replace(config, privacy=replace(config.privacy, randomness="os"))  # type: ignore[type-var]
    for name in ("one", "copy"):
        (folder / name).mkdir()
    run = TrainingRun(config, data, folder / "one")
    receipt = charge(run.plan, config, str(ledger), "digits")
    run.charged(receipt)
    return run, data, receipt


def test_a_copied_run_pays_for_itself_or_is_refused(ledger: Path, tmp_path: Path) -> None:
    """Copy a charged run's folder and resume both: the copy's block is charged, and its checkpoint refused."""
    run, data, receipt = charged_run(ledger, tmp_path)
    config = run.config
    some_steps(run, 3)
    shutil.copy(tmp_path / "one" / "checkpoint.npz", tmp_path / "copy" / "checkpoint.npz")
    some_steps(TrainingRun(config, data, tmp_path / "one", resume=True), 3)
    copied = TrainingRun(config, data, tmp_path / "copy", resume=True)
    with pytest.raises(LedgerError, match="has a successor, which another copy of it made"):
        some_steps(copied, 3)
    finished = TrainingRun(config, data, tmp_path / "one", resume=True).train()
    assert finished.finished
    with Ledger(ledger) as opened:
        assert opened.budgets("digits")["digits"][0].epsilon_spent == Fraction(receipt["epsilon"])
        assert (opened.run(receipt["entry"]).leased, opened.run(receipt["entry"]).repeated) == (24, 0)
        opened.verify()
    assert "further charge" not in charge_text(finished.progress.charged)


def test_of_two_copies_that_run_the_same_block_one_is_paid_and_one_refused(ledger: Path, tmp_path: Path) -> None:
    run, data, receipt = charged_run(ledger, tmp_path)
    config = run.config
    shutil.copy(tmp_path / "one" / "checkpoint.npz", tmp_path / "copy" / "checkpoint.npz")
    copied = TrainingRun(config, data, tmp_path / "copy", resume=True)
    done: list[object] = []

    def overtake(progress: object) -> None:
        if not done:
            done.append(some_steps(copied, 3))

    with pytest.raises(LedgerError, match="another copy of the checkpoint finished first"):
        run.train(on_step=overtake)
    with pytest.raises(LedgerError, match="another copy of the checkpoint finished first"):
        TrainingRun(config, data, tmp_path / "one", resume=True)
    with Ledger(ledger) as opened:
        assert opened.run(receipt["entry"]).repeated == 3
        assert opened.budgets("digits")["digits"][0].epsilon_spent > Fraction(receipt["epsilon"])
    result = TrainingRun(config, data, tmp_path / "copy", resume=True).train()
    assert "3 steps were run again from a copy, each a further charge" in charge_text(result.progress.charged)


def test_a_run_on_a_seed_is_not_charged_as_private(ledger: Path) -> None:
    config, _ = tiny()
    with pytest.raises((BudgetExceeded, LedgerError)):
        charge(plan_of(config, 96), config, str(ledger), "digits")


def test_digits_to_a_small_epsilon(tmp_path: Path) -> None:
    """The preset at its full length, with the operating system's noise."""
    config = load_config("digits-dpsgd")
    result = TrainingRun(config, load_dataset("digits"), tmp_path).train()
    last = result.progress.log[-1]
    assert result.finished
    assert last["privacy"]["epsilon_pld"] < 2
    assert last["test_accuracy"] > 0.7
    assert json.loads(json.dumps(result.progress.log)) == list(result.progress.log)
    assert all(set(record) == KEPT for record in result.progress.log)


#: what a log may hold: nothing in it comes from the training examples except through the weights
KEPT = {"steps", "updates", "epochs", "seconds", "test_accuracy", "test_loss", "spike_rates", "privacy"}
