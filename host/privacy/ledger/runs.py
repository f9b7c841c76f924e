"""Training runs in the ledger: charged whole at their start, counted off block by block, one branch only.

A checkpoint is named by a token; the first one's is the hash of the run's charge. `begin_block` leases the next steps
from a checkpoint, `finish_block` records the token of the checkpoint after them. Steps leased before are a further
charge; a checkpoint that has a successor is refused, and so is a second successor.
"""

from dataclasses import dataclass, field, replace
from typing import Any

from spikeveil.host.privacy.ledger.chain import ChainBroken, Content
from spikeveil.host.privacy.ledger.session import session_of
from spikeveil.host.privacy.ledger.training_session import TrainingSession


class RunForked(ValueError):  # noqa: N818, named for what it is
    """A checkpoint already has a successor in the ledger."""


@dataclass
class RunState:
    """A run after the entries so far: its session, the highest step leased, and its checkpoints.

    known: tokens of checkpoints; parents: block -> the token that it starts from; finished: tokens with a successor;
    repeated: steps that were leased again, each a further charge.
    """

    session: TrainingSession
    first: str
    leased: int = 0
    repeated: int = 0
    known: set[str] = field(default_factory=set)
    parents: dict[int, str] = field(default_factory=dict)
    finished: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.known.add(self.first)

    def again(self, start: int) -> bool:
        """Whether a block from `start` repeats steps that were leased before."""
        return start < self.leased

    def begin(self, number: int, token: str, start: int, steps: int) -> None:
        """Lease `steps` steps from `start`, from the checkpoint `token`. RunForked, ValueError."""
        if token not in self.known:
            raise ValueError("the checkpoint is not of this run")
        if token in self.finished:
            raise RunForked(
                "the checkpoint has a successor, which another copy of it made: go on from that one, or start a run of "
                "its own from the beginning, which is charged whole"
            )
        if not 0 <= start <= start + steps <= self.session.steps or steps < 1:
            raise ValueError(f"steps {start} to {start + steps} are not among the run's {self.session.steps}")
        if self.again(start):
            self.repeated += steps
        self.leased = max(self.leased, start + steps)
        self.parents[number] = token

    def finish(self, block: int, token: str) -> None:
        """Record the checkpoint `token` after `block`. RunForked, ValueError."""
        if block not in self.parents:
            raise ValueError(f"entry {block} is no block of this run")
        parent = self.parents[block]
        if parent in self.finished:
            raise RunForked("another copy of the checkpoint finished first: this one is refused, and stays charged")
        if token in self.known:
            raise ValueError("the checkpoint's token was used before")
        self.finished.add(parent)
        self.known.add(token)


def of_entry(content: Content, digest: str) -> RunState | None:
    """The run that a charge starts; None where it is no training session."""
    if content["kind"] != "spend" or content["session"]["kind"] != "dp-sgd":
        return None
    session = session_of(content["session"], "add/remove")
    return RunState(session, digest) if isinstance(session, TrainingSession) else None


def block_content(run: int, token: str, start: int, steps: int, again: bool) -> dict[str, Any]:
    """The fields of a `block` entry; `key` is indexed."""
    return {"run": run, "key": token, "start": start, "steps": steps, "again": again}


def part(session: TrainingSession, steps: int) -> TrainingSession:
    """What `steps` steps that are run again cost: a session of their own."""
    return replace(session, steps=steps)


class RunReplay:
    """The runs of a ledger, rebuilt entry by entry."""

    def __init__(self) -> None:
        self.runs: dict[int, RunState] = {}
        self.last: Content = {}

    def take(self, number: int, content: Content, digest: str) -> None:
        """Add an entry. ChainBroken where it cannot follow."""
        kind = content["kind"]
        if kind in ("block", "checkpoint"):
            try:
                run = self.runs[content["run"]]
                if kind == "block":
                    self._block(number, content, run)
                else:
                    if run.parents.get(content["block"]) != content["key"]:
                        raise ValueError("its parent is another one")
                    run.finish(content["block"], content["token"])
            except (KeyError, ValueError) as error:
                raise ChainBroken(f"entry {number} is no step of a training run: {error}") from None
        elif (state := of_entry(content, digest)) is not None:
            self.runs[number] = state
        self.last = content

    def _block(self, number: int, content: Content, run: RunState) -> None:
        again = run.again(content["start"])
        if content["again"] is not again:
            raise ValueError("whether it is run again does not follow")
        if again:  # the entry before it charges its steps
            before = self.last
            if before["kind"] != "spend" or before["session"] != part(run.session, content["steps"]).to_dict():
                raise ValueError("the steps that are run again were not charged")
        run.begin(number, content["key"], content["start"], content["steps"])
