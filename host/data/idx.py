"""IDX, the file format of MNIST: a header of big-endian integers, then bytes; plain or gzipped."""

import gzip
import hashlib
import struct
import zlib
from math import prod
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

UNSIGNED_BYTE = 8
GZIP_MAGIC = b"\x1f\x8b"
LARGEST = 1 << 30  # bytes of one array: more is no data set of this kind


def read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """The array of an IDX file of unsigned bytes with so many dimensions.

    Byte 2 of the header is the type (8), byte 3 the number of dimensions; a 32-bit length for each follows. Whether
    it is gzipped is seen from its first bytes. Raises ValueError, one sentence, for another type or number of
    dimensions, and for a file that is damaged, shorter or longer than its header says; OSError where it cannot be read.
    """
    with path.open("rb") as file:
        zipped = file.read(2) == GZIP_MAGIC
    try:
        with gzip.open(path) if zipped else path.open("rb") as file:
            return _read(file, path, dimensions)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"IDX file {path} must be a whole gzip file: {error}") from error


def content_digest(path: Path) -> str:
    """SHA-256 of a gzipped file's content, as 64 hexadecimal digits; "" where it is no whole gzip file."""
    try:
        with gzip.open(path) as file:
            return hashlib.sha256(file.read(LARGEST)).hexdigest()
    except (EOFError, zlib.error, gzip.BadGzipFile):
        return ""


def _read(file: "IO[bytes] | gzip.GzipFile", path: Path, dimensions: int) -> NDArray[np.uint8]:
    header = file.read(4 + 4 * dimensions)
    expected = bytes((0, 0, UNSIGNED_BYTE, dimensions))
    if header[:4] != expected or len(header) != 4 + 4 * dimensions:
        raise ValueError(
            f"IDX file {path} must start with {expected.hex()} and {dimensions} lengths, not {header[:4].hex()!r}"
        )
    shape = struct.unpack(f">{dimensions}I", header[4:])
    size = prod(shape)
    if size > LARGEST:
        raise ValueError(f"IDX file {path} must hold at most {LARGEST} bytes, not the {size} of its header")
    content = file.read(size + 1)  # one more, to see whether it ends there
    if len(content) != size:
        found = len(content) if len(content) < size else "more"
        raise ValueError(f"IDX file {path} must hold the {size} bytes of its header, not {found}")
    return np.frombuffer(content, np.uint8).reshape(shape)
