"""Files of released decisions: `.npz`, CSV or Parquet, each with the mechanism that made them.

| kind | decisions | mechanism |
|---|---|---|
| `.npz` | array `decisions`: (records,) class numbers or (records, classes) words | array `decision`, JSON |
| `.csv` | a line each: a class number, or one column of 0 and 1 a class | first line `# decision: ` and JSON |
| `.parquet` | column `decision`, or columns `class_0`, `class_1`, ... in any order | schema metadata `decision`, JSON |

A Parquet file of class numbers may call its only column otherwise, and one of words may have c columns of other names,
which are then taken in their order. Any other number or shape of columns is refused.

Without its mechanism a decision says nothing, so a file that lacks it is refused. Files are read in blocks: memory does
not grow with the number of reports.
"""

import io
import json
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeveil.host.privacy.frequency import ReportCounts
from spikeveil.pysim.model.decision import KINDS, RandomisedDecision, describe, from_description
from spikeveil.pysim.model.files import write_atomically

BLOCK = 1 << 20  # numbers read at once: reports, times the classes of one-hot words
MAX_HEADER = 1 << 16  # bytes of an .npy header or of a mechanism
CSV_MARK = "# decision: "
#: what a damaged or foreign file raises, beside ValueError
_DAMAGE = (
    ArithmeticError,
    EOFError,
    LookupError,
    NotImplementedError,
    OSError,
    RecursionError,
    RuntimeError,
    TypeError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
)


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
    except _DAMAGE as error:
        raise ValueError(f"report file {path} must hold decisions and their mechanism: {error}") from error


def _mechanism(text: str | bytes | None) -> RandomisedDecision:
    if text is None:
        raise ValueError("it names no mechanism, and decisions without one say nothing")
    parsed: Any = json.loads(text)
    if not isinstance(parsed, dict) or str(parsed.get("kind")) not in KINDS:
        raise ValueError(f"its mechanism must be a JSON object of kind {' or '.join(KINDS)}, not {str(parsed)[:60]}")
    return from_description(parsed)


def _records_at_once(decision: RandomisedDecision) -> int:
    return max(1, BLOCK // decision.output_neurons)


def _npz(path: Path) -> Iterator[RandomisedDecision | NDArray[Any]]:
    with zipfile.ZipFile(path) as archive, ExitStack() as streams:
        names = archive.namelist()
        if "decision.npy" not in names:
            raise ValueError("it names no mechanism, and decisions without one say nothing")
        shape, dtype, stream = _npy(streams.enter_context(archive.open("decision.npy")))
        if shape != () or dtype.kind != "U" or dtype.itemsize > MAX_HEADER:
            raise ValueError("its mechanism is no text")
        decision = _mechanism(str(np.frombuffer(stream.read(dtype.itemsize), dtype)[0]))
        yield decision
        shape, dtype, stream = _npy(streams.enter_context(archive.open("decisions.npy")))
        per_record = (decision.output_neurons,) if decision.output_neurons > 1 else ()
        if len(shape) != 1 + len(per_record) or shape[0] < 0 or shape[1:] != per_record or dtype.kind not in "biu":
            expected = "(records,)" if not per_record else f"(records, {decision.classes})"
            raise ValueError(f"its decisions have shape {shape} and type {dtype}, not {expected} and integers")
        for start in range(0, shape[0], _records_at_once(decision)):
            records = min(_records_at_once(decision), shape[0] - start)
            part = stream.read(records * decision.output_neurons * dtype.itemsize)
            yield np.frombuffer(part, dtype, records * decision.output_neurons).reshape(records, *per_record)
        if stream.read(1):
            raise ValueError(f"its decisions are more than the {shape[0]} records of their shape")


def _npy(stream: Any) -> tuple[tuple[int, ...], np.dtype[Any], Any]:
    """Shape, type and content of an array in an archive, before any of it is read."""
    version = np.lib.format.read_magic(stream)
    reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = reader(stream, max_header_size=MAX_HEADER)
    if fortran and len(shape) > 1:
        raise ValueError("its array is in Fortran order")
    return shape, dtype, stream


def _csv(path: Path) -> Iterator[RandomisedDecision | NDArray[Any]]:
    with path.open(encoding="utf-8") as file:
        first = file.readline(MAX_HEADER)
        decision = _mechanism(first.removeprefix(CSV_MARK) if first.startswith(CSV_MARK) else None)
        yield decision
        while lines := list(islice(file, _records_at_once(decision))):
            cells = [line.split(",") for line in lines if line.strip()]
            if any(len(row) != decision.output_neurons for row in cells):
                raise ValueError(f"its lines must have {decision.output_neurons} columns, and one has another number")
            numbers = np.array(cells, np.int64).reshape(len(cells), decision.output_neurons)
            yield numbers[:, 0] if decision.output_neurons == 1 else numbers


def _parquet(path: Path) -> Iterator[RandomisedDecision | NDArray[Any]]:
    import pyarrow.parquet  # an optional package

    with pyarrow.parquet.ParquetFile(path) as file:
        decision = _mechanism((file.schema_arrow.metadata or {}).get(b"decision"))
        yield decision
        names = _parquet_columns(file.schema_arrow.names, decision)
        for batch in file.iter_batches(batch_size=_records_at_once(decision), columns=names):
            columns = [batch.column(name).to_numpy(zero_copy_only=False) for name in names]
            yield columns[0] if decision.output_neurons == 1 else np.stack(columns, axis=1)


def _parquet_columns(names: list[str], decision: RandomisedDecision) -> list[str]:
    """The columns of the decisions, in class order."""
    wanted = [f"class_{number}" for number in range(decision.classes)] if decision.output_neurons > 1 else ["decision"]
    if all(names.count(name) == 1 for name in wanted):
        return wanted
    if len(names) == len(set(names)) == decision.output_neurons:
        return list(names)
    expected = f"{wanted[0]!r}, or one" if len(wanted) == 1 else f"{wanted[0]!r} to {wanted[-1]!r}, or {len(wanted)}"
    raise ValueError(f"its columns must be {expected} in all, not {names[:8]}")
