"""What a run has received, record by record, kept in a file so that a run goes on where it was left."""

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeveil.pysim.device.pack import unpack
from spikeveil.pysim.model.files import write_atomically
from spikeveil.pysim.model.spec import NetworkSpec

OWNER_ONLY = 0o600  # the file holds a digest of the private input
ARRAYS = ("rows", "received", "leases", "places", "sent")


class Results:
    """The records of one run over `spikes` (records, steps, inputs) of `spec`.

    - `rows`: (records, steps, neurons), released spikes (bool) or potentials (int32), zero where not received yet.
    - `received`: (records,) bool. `leases`, `places`: the lease under which each was received, its number in it.
    - `sent`: (records,) under how many leases each may have been released: what a claim must count.

    path: where all of it is written, whole, now and after each change; a file that is there is gone on from. None
    keeps it in memory. ValueError where the file belongs to another network or other spikes; OSError where it cannot
    be written, before anything is leased.
    """

    def __init__(self, spec: NetworkSpec, spikes: NDArray[np.bool_], path: Path | None = None) -> None:
        self.spec, self.path = spec, path
        records, steps, _ = spikes.shape
        self._identity = {"fingerprint": spec.fingerprint, "data": _digest(spikes)}
        self.readout = spec.layers[-1].readout
        self.rows: NDArray[Any] = np.zeros((records, steps, spec.outputs), np.int32 if self.readout else np.bool_)
        self.received = np.zeros(records, np.bool_)
        self.leases, self.places, self.sent = (np.zeros(records, np.int64) for _ in range(3))
        if path is not None and path.exists():
            self._read(path)
        self._write()

    def pending(self, most: int) -> NDArray[np.int64]:
        """The first records that are not received, `most` at the most."""
        return np.flatnonzero(~self.received)[:most]

    def sending(self, records: NDArray[np.int64]) -> None:
        """Note, on the disk, that the records are about to be sent under a lease."""
        self.sent[records] += 1
        self._write()

    def receive(self, records: NDArray[np.int64], lease: int, output: bytes) -> int:
        """Keep the whole records of a lease's output, in their order; how many they were."""
        bits = self.spec.layers[-1].state_bits if self.readout else 1
        steps, neurons = self.rows.shape[1:]
        size = -(-neurons * bits // 8) * steps
        count: int = min(len(records), len(output) // size)
        whole = records[:count]
        if count:
            rows = unpack(output[: count * size], neurons, bits, signed=self.readout)
            self.rows[whole] = rows.reshape(count, steps, neurons)
            self.received[whole], self.leases[whole], self.places[whole] = True, lease, np.arange(count)
            self._write()
        return count

    def discard(self) -> None:
        """Remove the file."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)

    def _write(self) -> None:
        if self.path is not None:
            arrays: dict[str, Any] = {name: getattr(self, name) for name in ARRAYS}
            write_atomically(self.path, npz(**arrays, **self._identity), OWNER_ONLY)

    def _read(self, path: Path) -> None:
        try:
            with np.load(path, allow_pickle=False) as held:
                found = {name: held[name] for name in (*ARRAYS, *self._identity)}
        except (ValueError, KeyError, EOFError, OSError) as error:
            raise ValueError(f"file {path} must be what a run left, and it is cut or foreign: remove it") from error
        for name, value in self._identity.items():
            if str(found[name]) != value:
                what = "network" if name == "fingerprint" else "data"
                raise ValueError(
                    f"file {path} must be of the same {what} as this run: remove it, or name another output"
                )
        for name in ARRAYS:
            setattr(self, name, found[name])


def npz(**arrays: Any) -> bytes:
    """The content of a .npz file."""
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    return content.getvalue()


def _digest(spikes: NDArray[np.bool_]) -> str:
    return hashlib.sha256(repr(spikes.shape).encode() + np.packbits(spikes).tobytes()).hexdigest()
