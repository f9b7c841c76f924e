"""Snapshots: what a verification found up to an entry, so that a later one can go on from there.

One file a ledger, `verified-LEDGER` (the ledger's 128-bit name), of mode 600 in the user's state directory: whoever
could change it could change the witness beside it too. It holds what the ledger holds: names, limits, what is spent.
"""

import contextlib
import json
import zlib
from pathlib import Path
from typing import Any

from spikeveil.host.privacy.ledger.balances import balances_of
from spikeveil.host.privacy.ledger.binding import binding_of
from spikeveil.host.privacy.ledger.chain import Content
from spikeveil.host.privacy.ledger.data_sets import DataSetState
from spikeveil.host.privacy.ledger.replay import Replay
from spikeveil.host.privacy.ledger.runs import RunState
from spikeveil.host.privacy.ledger.session import session_of
from spikeveil.host.privacy.ledger.spread import MemorySpread, row_of, span_of
from spikeveil.host.privacy.ledger.training_session import TrainingSession
from spikeveil.pysim.model.files import write_atomically

FORM = 1
#: intervals of a snapshot; a ledger with more is verified from its beginning
MAX_SPANS = 200_000
#: bytes that a snapshot may unpack to
MAX_BYTES = 256 << 20

_COUNTERS = ("entries", "leases", "last_lease", "head", "identity", "schema", "time")


class SnapshotFile:
    """The snapshot of the ledger `identity` in the state directory `directory`."""

    def __init__(self, directory: Path, identity: str) -> None:
        self.path = directory / f"verified-{identity}"

    def keep(self, state: Replay) -> None:
        """Keep `state`, which was verified, in place of an older one. Never raises: without it, more is read again."""
        content = snapshot_of(state)
        with contextlib.suppress(OSError):
            if content is not None:
                write_atomically(self.path, content, mode=0o600)

    def read(self, recompute: bool = True) -> Replay | None:
        """The state that was kept; None where there is none that can be used."""
        try:
            return restored(self.path.read_bytes(), recompute)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None


def snapshot_of(state: Replay) -> bytes | None:
    """The state in compressed JSON; None where it is too large to keep."""
    if sum(len(spread.spans) for one in state.data_sets.values() for spread in one.spreads.values()) > MAX_SPANS:
        return None
    content = {
        "form": FORM,
        **{name: getattr(state, name) for name in _COUNTERS},
        "data_sets": {name: _data_set(one) for name, one in state.data_sets.items()},
        "bindings": {digest: list(place) for digest, place in state.bindings.items()},
        "runs": {str(number): _run(run) for number, run in state.runs.runs.items()},
        "last": state.runs.last,
    }
    return zlib.compress(json.dumps(content, separators=(",", ":")).encode("ascii"))


def _data_set(state: DataSetState) -> Content:
    return {
        "balances": [balance.to_dict() for balance in state.balances],
        **state.binding.to_dict(),
        "bound": state.bound,
        "charged": state.charged,
        "spreads": {str(axis): [row_of(span) for span in spread.spans] for axis, spread in state.spreads.items()},
    }


def _run(run: RunState) -> Content:
    return {
        "session": run.session.to_dict(),
        "first": run.first,
        "leased": run.leased,
        "repeated": run.repeated,
        "known": sorted(run.known),
        "parents": {str(block): token for block, token in run.parents.items()},
        "finished": sorted(run.finished),
    }


def restored(snapshot: bytes, recompute: bool = True) -> Replay:
    """The replay that `snapshot_of` kept. ValueError, KeyError, TypeError where the bytes are none of its."""
    unpacker = zlib.decompressobj()
    try:
        content = json.loads(unpacker.decompress(snapshot, MAX_BYTES))
    except zlib.error as error:
        raise ValueError(f"the snapshot is garbled: {error}") from None
    if content["form"] != FORM:
        raise ValueError(f"the snapshot is of form {content['form']!r}")
    state = Replay(recompute)
    for name in _COUNTERS:
        setattr(state, name, content[name])
    state.data_sets = {name: _restored_data_set(one) for name, one in content["data_sets"].items()}
    state.bindings = {digest: tuple(place) for digest, place in content["bindings"].items()}
    state.runs.runs = {int(number): _restored_run(run) for number, run in content["runs"].items()}
    state.runs.last = content["last"]
    return state


def _restored_data_set(content: Content) -> DataSetState:
    state = DataSetState(balances_of(content), binding_of(content), content["bound"], content["charged"])
    for axis, rows in content["spreads"].items():
        spread = MemorySpread()
        spread.spans = [span_of(row) for row in rows]
        state.spreads[int(axis)] = spread
    return state


def _restored_run(content: dict[str, Any]) -> RunState:
    session = session_of(content["session"], "add/remove")
    if not isinstance(session, TrainingSession):
        raise TypeError("a run is of a training session")
    parents = {int(block): token for block, token in content["parents"].items()}
    known, finished = set(content["known"]), set(content["finished"])
    return RunState(session, content["first"], content["leased"], content["repeated"], known, parents, finished)
