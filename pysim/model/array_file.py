"""The guarded reader of .npy and .npz files: every size is checked as the file declares it, before anything is read.

Compressed zeros can declare more bytes than any memory holds, and a header can declare more than its file has. Every
file of arrays that a user may be handed is read here, and container formats (network files, NIR) share the limits.
"""

import io
import math
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np
from numpy.typing import NDArray

from spikeveil.pysim.model.damage import DAMAGE

DATA_BYTES = 1 << 28  # that the arrays of one file may declare
NETWORK_BYTES = 1 << 26  # that a network may declare: more than any supported chip holds
STREAM_BYTES = 1 << 30  # that an array may declare which is read in blocks
MAX_DIRECTORY = 1 << 20  # bytes of an archive's directory: some 20,000 names
MAX_DIMENSIONS = 32
MAX_REASON = 200  # characters of a sentence that are an inner error's: those of NumPy repeat a whole header
NUMBERS = "a .npy or .npz file of plain numbers"
KINDS = "biufcSU"  # of NumPy's types: numbers and text
ONLY = "array"  # name of the array of a .npy file
_SUFFIX = ".npy"
_END_RECORD = b"PK\5\6"  # signature of the record that ends a zip archive
_END_RECORD_BYTES = 22
_MAX_COMMENT = 1 << 16

_raised: ContextVar[int | None] = ContextVar("spikeveil_max_bytes", default=None)


class SizeError(ValueError):
    """A file declares more bytes than the limit; the message has the size, the limit and the option that raises it."""


@contextmanager
def raised_limit(max_bytes: int) -> Iterator[None]:
    """Within the block, files may declare `max_bytes` bytes instead of the defaults."""
    token = _raised.set(max_bytes)
    try:
        yield
    finally:
        _raised.reset(token)


def limit(default: int) -> int:
    """The bytes that a file may declare: `default`, or what `raised_limit` has set."""
    raised = _raised.get()
    return default if raised is None else raised


def require_size(name: str, size: int, default: int) -> None:
    """SizeError where `size` is over the limit. name: of the file, and what in it has that size."""
    most = limit(default)
    if size > most:
        raise SizeError(
            f"{name} must be at most {most:,} bytes, not {size:,} (`spikeveil --max-bytes N COMMAND` raises the limit)"
        )


@dataclass(frozen=True)
class ArrayHeader:
    """Shape, type and order of an array, as its file declares them; `offset`: bytes before the first value."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool
    offset: int

    @property
    def size(self) -> int:
        """Bytes of the values."""
        return math.prod(self.shape) * self.dtype.itemsize


class ArrayFile:
    """An open .npy or .npz file; a context manager. `names`: of its arrays, `array` for the only one of a .npy file.

    | argument | meaning |
    |---|---|
    | `source` | path of the file, or its bytes |
    | `name` | how errors call it, such as `data file x.npz` |
    | `expected` | what it must be, for errors: `NAME must be EXPECTED: REASON` |
    | `max_bytes` | that the arrays read by `array` may declare together, unless `raised_limit` sets another number |

    Everything raises ValueError, one sentence, where the file is damaged or another; SizeError where it declares too
    much; OSError where it cannot be opened. Pickled objects are never read.
    """

    def __init__(
        self,
        source: Path | bytes,
        name: str,
        expected: str = NUMBERS,
        max_bytes: int = DATA_BYTES,
    ) -> None:
        self.name, self.expected, self.max_bytes = name, expected, max_bytes
        self._declared = 0
        self._stream: IO[bytes] = io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")
        self._archive: zipfile.ZipFile | None = None
        try:
            with self._damage():
                self._size = self._stream.seek(0, io.SEEK_END)
                self._stream.seek(0)
                if self._stream.read(2) == b"PK":
                    self._archive = self._open_archive()
                self.names = self._names()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        if self._archive is not None:
            self._archive.close()
        self._stream.close()

    def header(self, name: str) -> ArrayHeader:
        """What the file declares of the array `name`. Its values are not read."""
        with self._damage(), self._open(name) as (stream, size):
            return _read_header(stream, size)

    def array(self, name: str) -> NDArray[Any]:
        """The array `name`."""
        with self._damage(), self._open(name) as (stream, size):
            header = _read_header(stream, size)
            self._declared += header.size
            require_size(f"{self.name} with what it declares", self._declared, self.max_bytes)
            values = _read_values(stream, header.dtype, math.prod(header.shape))
        return values.reshape(header.shape, order="F" if header.fortran else "C")

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All arrays by name."""
        return {name: self.array(name) for name in self.names}

    def blocks(self, name: str, count: int, first: int = 0) -> Iterator[NDArray[Any]]:
        """The array `name` from entry `first` of its first axis on, in blocks of `count` entries.

        Memory is that of one block. A compressed array may declare STREAM_BYTES; one that lies in the file as it is may
        be of any size.
        """
        with self._damage(), self._open(name) as (stream, size):
            header = _read_header(stream, size)
            if not header.shape or (header.fortran and len(header.shape) > 1):
                raise ValueError("an array that is read in blocks must have a first axis, in C order")
            if header.size > self._size:
                require_size(f"{self.name} with what it declares", header.size, STREAM_BYTES)
            entry = math.prod(header.shape[1:])
            _skip(stream, min(first, header.shape[0]) * entry * header.dtype.itemsize)
            for start in range(first, header.shape[0], count):
                number = min(count, header.shape[0] - start)
                yield _read_values(stream, header.dtype, number * entry).reshape(number, *header.shape[1:])

    def _open_archive(self) -> zipfile.ZipFile:
        self._stream.seek(max(0, self._size - _END_RECORD_BYTES - _MAX_COMMENT))
        tail = self._stream.read()
        end = tail[tail.rfind(_END_RECORD) :]
        directory = int.from_bytes(end[12:16], "little")
        if directory > MAX_DIRECTORY:
            raise ValueError(f"its directory must have at most {MAX_DIRECTORY:,} bytes, not {directory:,}")
        return zipfile.ZipFile(self._stream)

    def _names(self) -> tuple[str, ...]:
        if self._archive is None:
            return (ONLY,)
        members = self._archive.namelist()
        if len(set(members)) != len(members):
            raise ValueError("it holds two arrays of one name")
        return tuple(name.removesuffix(_SUFFIX) for name in members)

    @contextmanager
    def _open(self, name: str) -> Iterator[tuple[IO[bytes], int]]:
        """The stream of an array's header and values, and its size in bytes."""
        if name not in self.names:
            raise ValueError(f"it holds no array {name!r}, only {', '.join(self.names[:8]) or 'nothing'}")
        if self._archive is None:
            self._stream.seek(0)
            yield self._stream, self._size
            return
        members = self._archive.NameToInfo
        member = members[name + _SUFFIX] if name + _SUFFIX in members else members[name]
        with self._archive.open(member) as stream:
            yield stream, member.file_size

    @contextmanager
    def _damage(self) -> Iterator[None]:
        """Raise any fault of the content as one sentence that names the file."""
        try:
            yield
        except SizeError:
            raise
        except DAMAGE as error:
            reason = " ".join(str(error).split())[:MAX_REASON] or type(error).__name__
            raise ValueError(f"{self.name} must be {self.expected}: {reason}") from error


def read_arrays(path: Path, name: str, expected: str = NUMBERS, max_bytes: int = DATA_BYTES) -> dict[str, NDArray[Any]]:
    """All arrays of a file; arguments and errors as for `ArrayFile`."""
    with ArrayFile(path, name, expected, max_bytes) as file:
        return file.arrays()


def parse_array(content: bytes) -> NDArray[Any]:
    """The array in the bytes of a .npy file, whose length its caller has checked. One of `DAMAGE` for anything else."""
    stream = io.BytesIO(content)
    header = _read_header(stream, len(content))
    values = _read_values(stream, header.dtype, math.prod(header.shape))
    return values.reshape(header.shape, order="F" if header.fortran else "C")


def _read_header(stream: IO[bytes], size: int) -> ArrayHeader:
    """The header at the start of `stream`. ValueError unless it declares what `size` bytes hold, of plain values."""
    with warnings.catch_warnings():  # NumPy's, on headers of Python 2
        warnings.simplefilter("ignore")
        version = np.lib.format.read_magic(stream)
        if version not in ((1, 0), (2, 0), (3, 0)):
            raise ValueError(f"its array is of version {version}, which no NumPy writes")
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(stream)
    if dtype.kind not in KINDS or not dtype.itemsize:
        raise ValueError(f"its array is of {dtype}, not of plain numbers or text")
    if len(shape) > MAX_DIMENSIONS or any(type(length) is not int or length < 0 for length in shape):
        raise ValueError(f"its array declares the shape {shape}")
    header = ArrayHeader(shape, dtype, bool(fortran), stream.tell())
    if header.offset + header.size != size:
        raise ValueError(f"its array declares {header.size:,} bytes and has {size - header.offset:,}")
    return header


def _read_values(stream: IO[bytes], dtype: np.dtype[Any], count: int) -> NDArray[Any]:
    """The next `count` values, writable."""
    values: NDArray[Any] = np.empty(count, dtype)
    if not values.nbytes:
        return values
    view = values.view(np.uint8).data
    position = 0
    while position < len(view):
        piece = stream.readinto(view[position : position + (1 << 20)])  # type: ignore[attr-defined]
        if not piece:
            raise EOFError(f"its array ends {len(view) - position:,} bytes early")
        position += piece
    return values


def _skip(stream: IO[bytes], size: int) -> None:
    """Pass over `size` bytes."""
    if stream.seekable():
        stream.seek(size, io.SEEK_CUR)
