"""A training run with checkpoints, evaluation and privacy accounting; it may be interrupted and resumed.

A private run releases its checkpoints, and the accuracy and loss of its weights on the TEST images, both after the
steps concerned were recorded as spent. The loss of the training batches, their sizes and the share of clipped gradients
are computed from training examples without noise, so they are neither shown nor stored.
"""

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from spikeveil.host.data.dataset import Dataset
from spikeveil.host.training import checkpoint, ledger_charge
from spikeveil.host.training.checkpoint import CheckpointState, TrainingProgress
from spikeveil.host.training.config import Config
from spikeveil.host.training.data_feed import DataFeed
from spikeveil.host.training.dpsgd import Update, example_loss, plain_gradients, private_gradients
from spikeveil.host.training.network import SpikingNetwork
from spikeveil.host.training.plan import TrainingPlan, plan_of

CHECKPOINT = "checkpoint.npz"


@dataclass(frozen=True)
class TrainingResult:
    """State of a run that has stopped: the network with the resulting weights, its progress, its plan."""

    network: SpikingNetwork
    progress: TrainingProgress
    plan: TrainingPlan

    @property
    def finished(self) -> bool:
        """Whether every step of the plan is spent."""
        return self.progress.spent >= self.plan.steps


class TrainingRun:
    """One run, with its checkpoint in the folder `out`, which must exist.

    resume: continue from the checkpoint in `out`, if there is one. Without it a folder that holds a checkpoint is
    refused, because the steps it counts as spent would be lost. A checkpoint of another configuration or of other data
    is always refused. Raises ValueError.
    """

    def __init__(self, config: Config, data: Dataset, out: Path, *, resume: bool = False) -> None:
        self.config, self.path = config, out / CHECKPOINT
        self.feed = DataFeed(config, data)
        self.plan = plan_of(config, self.feed.size)
        self.network = SpikingNetwork(config.network, seed=config.seed, gain=config.gain)
        self.state = CheckpointState(self.network, _optimiser(config, self.network), self._start_of_mean())
        self.progress = TrainingProgress(config.digest, data.digest)
        if self.path.exists():
            self._resume(resume)

    @property
    def _averages(self) -> bool:
        return self.config.optimiser.average > 0

    def _start_of_mean(self) -> list[Any]:
        return [parameter.detach().clone() for parameter in self.network.parameters()] if self._averages else []

    def _resume(self, resume: bool) -> None:
        if not resume:
            raise ValueError(f"{self.path} must not exist for a new run: resume it, or take another folder")
        found, tensors = checkpoint.load(self.path)
        for name, wanted in (("configuration", "config"), ("data", "data")):
            if getattr(found, wanted) != getattr(self.progress, wanted):
                raise ValueError(f"{self.path} must be of the same {name} to be resumed, not of another")
        ledger_charge.finish_block(found.charged)
        self.state.restore(tensors)
        self.progress = found

    def charged(self, receipt: dict[str, Any]) -> None:
        """Record the ledger's receipt in the checkpoint, before the first step."""
        self._save(replace(self.progress, charged=receipt))

    def train(
        self,
        on_step: Callable[[TrainingProgress], None] = lambda progress: None,
        on_evaluation: Callable[[dict[str, Any]], None] = lambda evaluation: None,
        stop: Callable[[], bool] = lambda: False,
    ) -> TrainingResult:
        """Run the remaining steps, or until stop() is true after a step. Callbacks receive only released values."""
        update = self._update()
        while self.progress.spent < self.plan.steps and not stop():
            self._block(update, on_step, stop)
            if self.progress.spent % (self.config.evaluate_every * self.plan.steps_per_epoch) == 0:
                self._evaluate(on_evaluation)
        finished, log = self.progress.spent >= self.plan.steps, self.progress.log
        if finished and (not log or log[-1]["steps"] != self.progress.spent):
            self._evaluate(on_evaluation)
        return TrainingResult(self._result(), self.progress, self.plan)

    def _update(self) -> Update:
        make = plain_gradients if self.config.privacy is None else private_gradients
        return make(self.config, self.network, self.feed)

    def _block(self, update: Update, on_step: Callable[[TrainingProgress], None], stop: Callable[[], bool]) -> None:
        """Steps to the next checkpoint: recorded as spent first, then made; after a stop, unused ones are released."""
        before, start = self.progress, time.perf_counter()
        epoch_ends = self.plan.steps_per_epoch - before.spent % self.plan.steps_per_epoch
        block = min(self.config.checkpoint_every, epoch_ends, self.plan.steps - before.spent)
        receipt = ledger_charge.begin_block(before.charged, before.spent, block)
        before = replace(before, charged=receipt)
        self._save(replace(before.reserving(block), charged=self._unfinished(receipt)))
        made = 0
        while made < block and not (made and stop()):
            self._step(update, before.spent + made)
            made += 1
            seconds = before.seconds + time.perf_counter() - start
            on_step(replace(before, updates=before.updates + made, spent=before.spent + made, seconds=seconds))
        seconds = before.seconds + time.perf_counter() - start
        done = replace(before, updates=before.updates + made, spent=before.spent + made, seconds=seconds)
        self._save(replace(done, charged=ledger_charge.next_checkpoint(receipt)))
        ledger_charge.finish_block(self.progress.charged)

    @staticmethod
    def _unfinished(receipt: dict[str, Any] | None) -> dict[str, Any] | None:
        """The receipt while a block runs: of the checkpoint before it, as it was."""
        return receipt and {name: value for name, value in receipt.items() if name != "block"}

    def _step(self, update: Update, step: int) -> None:
        chosen = self.config.optimiser
        for group in self.state.optimiser.param_groups:
            group["lr"] = chosen.rate * (1 - (1 - chosen.final) * step / self.plan.configured_steps)
        update(step)
        self.state.optimiser.step()
        if self._averages:
            keep = min(chosen.average, (1 + step) / (10 + step))
            for mean, parameter in zip(self.state.average, self.network.parameters(), strict=True):
                mean.lerp_(parameter.detach(), 1 - keep)

    def _save(self, progress: TrainingProgress) -> None:
        checkpoint.save(self.path, self.state, progress)
        self.progress = progress

    def _evaluate(self, on_evaluation: Callable[[dict[str, Any]], None]) -> None:
        evaluation: dict[str, Any] = {
            "steps": self.progress.spent,
            "updates": self.progress.updates,
            "epochs": self.progress.spent / self.plan.steps_per_epoch,
            "seconds": self.progress.seconds,
            **evaluate(self.config, self._result(), self.feed),
        }
        if self.plan.meter is not None:
            evaluation["privacy"] = self.plan.meter.spent(self.progress.spent).to_dict()
        self._save(replace(self.progress, log=(*self.progress.log, evaluation)))
        on_evaluation(evaluation)

    def _result(self) -> SpikingNetwork:
        """A copy of the network with the resulting weights: their running mean where one is kept."""
        result = copy.deepcopy(self.network)
        with torch.no_grad():
            for parameter, mean in zip(result.parameters(), self.state.average, strict=False):
                parameter.copy_(mean)
        return result


def evaluate(config: Config, network: SpikingNetwork, feed: DataFeed) -> dict[str, Any]:
    """Accuracy and mean loss on the test records, and the spikes of each firing layer a neuron and step."""
    loss, right, total, count = example_loss(config), 0, 0.0, 0
    spikes: list[float] = []
    for x, labels in feed.test():
        with torch.no_grad():
            trace = network.run(x)
        right += int((trace.scores.argmax(dim=1) == labels).sum())
        total += float(loss(trace.scores, labels).sum())
        rates = [float(one.mean()) * len(labels) for one in trace.spikes]
        spikes = [a + b for a, b in zip(spikes, rates, strict=True)] if spikes else rates
        count += len(labels)
    return {"test_accuracy": right / count, "test_loss": total / count, "spike_rates": [one / count for one in spikes]}


def _optimiser(config: Config, network: SpikingNetwork) -> torch.optim.Optimizer:
    chosen = config.optimiser
    if chosen.kind == "adam":
        return torch.optim.Adam(network.parameters(), lr=chosen.rate, betas=(chosen.momentum, 0.999))
    return torch.optim.SGD(network.parameters(), lr=chosen.rate, momentum=chosen.momentum)
