"""Files of released decisions: `.npz`, CSV or Parquet, each with the mechanism that made them.

| kind | decisions | mechanism |
|---|---|---|
| `.npz` | array `decisions`: (records,) class numbers or (records, classes) words | array `decision`, JSON |
| `.csv` | a line each: a class number, or one column of 0 and 1 a class | first line `# decision: ` and JSON |
| `.parquet` | column `decision`, or one column a class | schema metadata `decision`, JSON |

Without its mechanism a decision says nothing, so a file that lacks it is refused. Files are read in blocks: memory does
not grow with the number of reports.
"""

import io
import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeveil.host.privacy.frequency import ReportCounts
from spikeveil.pysim.model.decision import RandomisedDecision, describe, from_description
from spikeveil.pysim.model.files import write_atomically

BLOCK = 1 << 20  # reports read at once
MAX_HEADER = 1 << 16  # bytes of an .npy header or of a mechanism
CSV_MARK = "# decision: "


def write_npz(path: Path, decisions: NDArray[Any], decision: RandomisedDecision, **arrays: Any) -> None:
    """Write decisions with their mechanism, atomically."""
    content = io.BytesIO()
    small = decisions.astype(np.bool_ if decisions.ndim == 2 else np.uint8)
    np.savez_compressed(content, decisions=small, decision=np.array(json.dumps(describe(decision))), **arrays)
    write_atomically(path, content.getvalue())


def count(path: Path) -> ReportCounts:
    """The reports of a file, counted. ValueError, one sentence, for a file that is damaged or lacks its mechanism."""
    readers = {".npz": _npz, ".csv": _csv, ".parquet": _parquet}
    if path.suffix not in readers:
        raise ValueError(f"report file {path} must end in .npz, .csv or .parquet, not {path.suffix!r}")
    with _named(path):
        blocks = readers[path.suffix](path)
        counts = ReportCounts.none(next(blocks))  # type: ignore[arg-type] # the mechanism comes first
        for block in blocks:
            counts += ReportCounts.of(block, counts.decision)  # type: ignore[arg-type]
    return counts


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Any fault of the file as one sentence that names it."""
    try:
        yield
    except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, UnicodeDecodeError) as error:
        raise ValueError(f"report file {path} must hold decisions and their mechanism: {error}") from error


def _mechanism(text: str | bytes | None) -> RandomisedDecision:
    if text is None:
        raise ValueError("it names no mechanism, and decisions without one say nothing")
    parsed: Any = json.loads(text)
    return from_description(parsed)


def _npz(path: Path) -> Iterator[RandomisedDecision | NDArray[Any]]:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        if "decision.npy" not in names:
            raise ValueError("it names no mechanism, and decisions without one say nothing")
        shape, dtype, stream = _npy(archive, "decision.npy")
        if shape != () or dtype.kind != "U" or dtype.itemsize > MAX_HEADER:
            raise ValueError("its mechanism is no text")
        yield _mechanism(str(np.frombuffer(stream.read(dtype.itemsize), dtype)[0]))
        shape, dtype, stream = _npy(archive, "decisions.npy")
        if len(shape) not in (1, 2) or dtype.kind not in "biu":
            raise ValueError(f"its decisions have shape {shape} and type {dtype}, not (records,) or (records, classes)")
        width = int(np.prod(shape[1:], dtype=np.int64))
        for start in range(0, shape[0], BLOCK):
            records = min(BLOCK, shape[0] - start)
            part = stream.read(records * width * dtype.itemsize)
            yield np.frombuffer(part, dtype, records * width).reshape(records, *shape[1:])


def _npy(archive: zipfile.ZipFile, name: str) -> tuple[tuple[int, ...], np.dtype[Any], Any]:
    """Shape, type and content of an array in an archive, before any of it is read."""
    stream = archive.open(name)
    version = np.lib.format.read_magic(stream)
    reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = reader(stream, max_header_size=MAX_HEADER)
    if fortran and len(shape) > 1:
        raise ValueError(f"its array {name} is in Fortran order")
    return shape, dtype, stream


def _csv(path: Path) -> Iterator[RandomisedDecision | NDArray[Any]]:
    with path.open(encoding="utf-8") as file:
        first = file.readline(MAX_HEADER)
        decision = _mechanism(first.removeprefix(CSV_MARK) if first.startswith(CSV_MARK) else None)
        yield decision
        while lines := list(islice(file, BLOCK)):
            numbers = np.array([line.split(",") for line in lines if line.strip()], np.int64)
            yield numbers[:, 0] if decision.output_neurons == 1 else numbers


def _parquet(path: Path) -> Iterator[RandomisedDecision | NDArray[Any]]:
    import pyarrow.parquet  # an optional package

    with pyarrow.parquet.ParquetFile(path) as file:
        decision = _mechanism((file.schema_arrow.metadata or {}).get(b"decision"))
        yield decision
        for batch in file.iter_batches(batch_size=BLOCK):
            columns = [column.to_numpy(zero_copy_only=False) for column in batch.columns]
            yield columns[0] if decision.output_neurons == 1 else np.stack(columns, axis=1)
