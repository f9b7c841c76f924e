"""Runs records through the golden model in blocks: memory does not grow with their number, output is kept as it goes.

What has been computed is kept in OUTPUT.partial, so that the same command, with the same key and lease, resumes there.
"""

import hashlib
import json
import os
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from spikeveil.host.data.decoder import decide
from spikeveil.host.scratch import replaced_file
from spikeveil.pysim import Network, NetworkSpec, Result

BLOCK_BYTES = 1 << 26  # of the model's arrays, about
BYTES_A_VALUE = 24  # of all arrays together, for each neuron and step
MAX_HEADER = 1 << 12  # bytes of the first line of a partial file


@dataclass(frozen=True)
class RecordBlocks:
    """Records that are read in blocks; `read(first, count)`: blocks of `count` records from number `first` on."""

    name: str
    records: int
    steps: int
    read: Callable[[int, int], Iterator[NDArray[np.bool_]]]
    labels: NDArray[np.int64] | None = None
    classes: int = 0


@dataclass
class Totals:
    """What a run released: records, spikes (or None), and records whose class is their label (or None)."""

    records: int = 0
    spikes: int | None = None
    right: int | None = None


def block_records(spec: NetworkSpec, steps: int) -> int:
    """Records that the model runs at once."""
    values = steps * (spec.inputs + sum(layer.neurons for layer in spec.layers))
    return max(1, BLOCK_BYTES // (BYTES_A_VALUE * values))


def released(result: Result) -> tuple[str, NDArray[Any]]:
    """The name and the array of what is released: spikes, or potentials of a readout."""
    if result.released is not None:
        return "released", result.released
    if result.readout is None:
        raise ValueError("network must release spikes or the potentials of a readout")
    return "readout", result.readout


def run_in_blocks(
    network: Network, blocks: RecordBlocks, lease: int, first_record: int, output: Path | None, secret: bytes
) -> Totals:
    """Run all records; with `output`, write them to that .npz file. `secret`: the key, for the partial file's identity.

    ValueError; OSError.
    """
    count = block_records(network.spec, blocks.steps)
    totals = Totals()
    if output is None:
        for spikes in blocks.read(0, count):
            first = first_record + totals.records
            _add(totals, blocks, released(network.run(spikes, lease=lease, first_record=first))[1])
        return totals
    partial = output.with_name(output.name + ".partial")
    identity = _identity(network.spec, blocks, lease, first_record, secret)
    with _open_partial(partial) as file:
        start, done = _resume(file, identity, network.spec, blocks)
        for spikes in blocks.read(done, count) if done < blocks.records else ():
            array = released(network.run(spikes, lease=lease, first_record=first_record + done))[1]
            file.write(_encode(array))
            file.flush()
            os.fsync(file.fileno())
            done += len(spikes)
        _write_npz(output, file, start, network.spec, blocks, totals)
    partial.unlink()
    return totals


def _encode(array: NDArray[Any]) -> bytes:
    return array.astype(np.bool_ if array.dtype == np.bool_ else "<i4").tobytes()


def _dtype(spec: NetworkSpec) -> np.dtype[Any]:
    return np.dtype("<i4") if spec.layers[-1].readout else np.dtype(np.bool_)


def _identity(spec: NetworkSpec, blocks: RecordBlocks, lease: int, first_record: int, secret: bytes) -> str:
    """Digest of everything that the output depends on; a file of data by its size and time."""
    path = Path(blocks.name)
    stat = path.stat() if path.is_file() else None
    data = [blocks.name, blocks.records, blocks.steps, *((stat.st_size, stat.st_mtime_ns) if stat else ())]
    text = json.dumps([spec.fingerprint, lease, first_record, data])
    return hashlib.sha256(hashlib.sha256(secret).digest() + text.encode()).hexdigest()


def _open_partial(path: Path) -> IO[bytes]:
    return open(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b")  # noqa: PTH123 # of a descriptor, for its mode


def _resume(file: IO[bytes], identity: str, spec: NetworkSpec, blocks: RecordBlocks) -> tuple[int, int]:
    """Where the values begin in a partial file, and how many records it has whole; another run's is begun anew."""
    header = (json.dumps({"simulate": identity}) + "\n").encode()
    size = blocks.steps * spec.outputs * _dtype(spec).itemsize
    if file.readline(MAX_HEADER) != header:
        file.seek(0)
        file.truncate()
        file.write(header)
    end = file.seek(0, os.SEEK_END)
    done = min((end - len(header)) // size, blocks.records)
    file.seek(len(header) + done * size)
    file.truncate()
    return len(header), done


def _write_npz(
    output: Path, file: IO[bytes], start: int, spec: NetworkSpec, blocks: RecordBlocks, totals: Totals
) -> None:
    """Copy the values of a partial file to the .npz file, and count them."""
    dtype, shape = _dtype(spec), (blocks.records, blocks.steps, spec.outputs)
    name, count = "readout" if spec.layers[-1].readout else "released", block_records(spec, blocks.steps)
    file.seek(start)
    with replaced_file(output) as new, zipfile.ZipFile(new, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
            header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(member, header)
            for first in range(0, blocks.records, count):
                content = file.read(min(count, blocks.records - first) * blocks.steps * spec.outputs * dtype.itemsize)
                member.write(content)
                _add(totals, blocks, np.frombuffer(content, dtype).reshape(-1, *shape[1:]))
        with archive.open("fingerprint.npy", "w") as member:
            np.lib.format.write_array(member, np.array(spec.fingerprint), allow_pickle=False)


def _add(totals: Totals, blocks: RecordBlocks, array: NDArray[Any]) -> None:
    """Count the records of an array."""
    if array.dtype == np.bool_:
        totals.spikes = (totals.spikes or 0) + int(array.sum())
    if blocks.labels is not None and blocks.classes and not array.shape[-1] % blocks.classes:
        labels = blocks.labels[totals.records : totals.records + len(array)]
        totals.right = (totals.right or 0) + int((decide(array, blocks.classes) == labels).sum())
    totals.records += len(array)
