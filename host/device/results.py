"""Records that a run has received, stored in a file so that an interrupted run can be resumed."""

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeveil.pysim.device.identity import release_fields
from spikeveil.pysim.device.pack import release_bytes, unpack
from spikeveil.pysim.model.array_file import ArrayFile
from spikeveil.pysim.model.files import write_atomically
from spikeveil.pysim.model.spec import NetworkSpec

MAX_IDENTITY = 1 << 16  # bytes of fingerprint and digest, as text
OWNER_ONLY = 0o600  # the file holds a digest of the private input
#: attribute -> name in the file
ARRAYS = {"released": "rows", "received": "received", "leases": "leases", "lease_indices": "places", "sent": "sent"}


class Results:
    """Results of one run over `spikes` (records, steps, inputs) of `spec`.

    | attribute | type | meaning |
    |---|---|---|
    | `released` | (records, steps, neurons) | released spikes (bool) or potentials (int32); zero until received |
    | | (records,) or (records, classes) | under a decision: class numbers (int64) or one-hot words (bool) |
    | `received` | bool (records,) | whether the record was received |
    | `leases` | (records,) | number of the lease under which it was received |
    | `lease_indices` | (records,) | its index within that lease |
    | `sent` | (records,) | number of leases under which it may have been released; the claim counts these |

    path: the file, written atomically now and after each change; an existing file is resumed. None keeps the results
    in memory. ValueError where the file belongs to another network or other spikes; OSError where it cannot be written,
    before anything is leased.
    """

    def __init__(self, spec: NetworkSpec, spikes: NDArray[np.bool_], path: Path | None = None) -> None:
        self.spec, self.path = spec, path
        records, steps, _ = spikes.shape
        self._sizes = release_fields(spec)
        self._identity = {"fingerprint": spec.fingerprint, "data": _digest(spikes)}
        self.readout = spec.layers[-1].readout and spec.decision is None
        self._releases = steps if spec.decision is None else 1  # of a record
        self.released = self._zeros(records, steps)
        self.received = np.zeros(records, np.bool_)
        self.leases = np.zeros(records, np.int64)
        self.lease_indices = np.zeros(records, np.int64)
        self.sent = np.zeros(records, np.int64)
        if path is not None and path.exists():
            self._read(path)
        self._write()

    @property
    def decisions(self) -> NDArray[Any] | None:
        """`released` of a network with a decision; None for others."""
        return None if self.spec.decision is None else self.released

    @property
    def record_bytes(self) -> int:
        """Bytes that a device sends for one record."""
        return self._releases * release_bytes(self._sizes["outputs"], self._sizes["output_bits"])

    def pending(self, limit: int) -> NDArray[np.int64]:
        """Indices of the first records that are not received, at most `limit`."""
        return np.flatnonzero(~self.received)[:limit]

    def sending(self, records: NDArray[np.int64]) -> None:
        """Record on disk that these records are about to be sent under a lease."""
        self.sent[records] += 1
        self._write()

    def receive(self, records: NDArray[np.int64], lease: int, output: bytes) -> int:
        """Store the complete records of a lease's output, which are in the order of `records`; how many there are."""
        numbers, bits = self._sizes["outputs"], self._sizes["output_bits"]
        count: int = min(len(records), len(output) // self.record_bytes)
        complete = records[:count]
        if count:
            values = unpack(output[: count * self.record_bytes], numbers, bits, signed=self.readout)
            self.released[complete] = values.reshape(count, *self.released.shape[1:])
            self.received[complete] = True
            self.leases[complete] = lease
            self.lease_indices[complete] = np.arange(count)
            self._write()
        return count

    def discard(self) -> None:
        """Remove the file."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)

    def _zeros(self, records: int, steps: int) -> NDArray[Any]:
        """`released` before anything was received."""
        decision = self.spec.decision
        if decision is None:
            return np.zeros((records, steps, self.spec.outputs), np.int32 if self.readout else np.bool_)
        return (
            np.zeros(records, np.int64) if decision.output_neurons == 1 else np.zeros((records, decision.classes), bool)
        )

    def _write(self) -> None:
        if self.path is not None:
            arrays: dict[str, Any] = {name: getattr(self, attribute) for attribute, name in ARRAYS.items()}
            write_atomically(self.path, npz(**arrays, **self._identity), OWNER_ONLY)

    def _read(self, path: Path) -> None:
        names = {name: getattr(self, attribute) for attribute, name in ARRAYS.items()}
        declared = 2 * sum(array.nbytes for array in names.values()) + MAX_IDENTITY
        with ArrayFile(path, f"file {path}", "the results of a run (remove it)", declared) as file:
            content = {name: file.array(name) for name in (*names, *self._identity)}
        for name, value in self._identity.items():
            if str(content[name]) != value:
                source = "network" if name == "fingerprint" else "data"
                raise ValueError(
                    f"file {path} must be of the same {source} as this run: remove it, or name another output"
                )
        for attribute, name in ARRAYS.items():
            setattr(self, attribute, _matching(path, name, content[name], names[name]))


def _matching(path: Path, name: str, array: NDArray[Any], expected: NDArray[Any]) -> NDArray[Any]:
    """`array`, of the shape and type of `expected`. ValueError for another."""
    if array.shape != expected.shape or array.dtype != expected.dtype:
        raise ValueError(
            f"file {path} must hold {name} of {expected.dtype} {expected.shape}, the records of this run, not "
            f"{array.dtype} {array.shape}: remove it"
        )
    return np.ascontiguousarray(array)


def npz(**arrays: Any) -> bytes:
    """The bytes of a .npz file of these arrays."""
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    return content.getvalue()


def _digest(spikes: NDArray[np.bool_]) -> str:
    return hashlib.sha256(repr(spikes.shape).encode() + np.packbits(spikes).tobytes()).hexdigest()
