"""The container of network files: a zip archive of one JSON header and plain .npy arrays.

It holds no pickle, and equal contents give equal bytes. What header and arrays mean is not known here: see
`network_file`.
"""

import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeveil.pysim.model.array_file import NETWORK_BYTES, parse_array, require_size

MAX_HEADER = 1 << 22  # bytes of the JSON, whose values take up to 20 times as much memory
_HEADER = "header.json"
_TIMESTAMP = (1980, 1, 1, 0, 0, 0)  # of every member: the earliest that a zip archive can hold


def pack(header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """The container of a JSON-ready header and of arrays by name."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        _add(archive, _HEADER, (json.dumps(header, indent=1, sort_keys=True) + "\n").encode())
        for name in sorted(arrays):
            encoded = io.BytesIO()
            np.lib.format.write_array(encoded, arrays[name], version=(1, 0), allow_pickle=False)
            _add(archive, _member(name), encoded.getvalue())
    return content.getvalue()


class Container:
    """A packed container, read from memory. Damaged content raises one of `damage.DAMAGE`, here or in `array`.

    `header`: the JSON value of the header, of any type. SizeError where its parts declare more than NETWORK_BYTES,
    before any is unpacked.
    """

    def __init__(self, content: bytes, name: str = "network file") -> None:
        self._archive = zipfile.ZipFile(io.BytesIO(content))
        declared = sum(member.file_size for member in self._archive.infolist())
        require_size(f"{name} with what it declares", declared, NETWORK_BYTES)
        if self._archive.getinfo(_HEADER).file_size > MAX_HEADER:
            raise ValueError(f"its header must be at most {MAX_HEADER:,} bytes")
        self.header: Any = json.loads(self._archive.read(_HEADER))

    def array(self, name: str) -> NDArray[Any]:
        """The array `name`."""
        return parse_array(self._archive.read(_member(name)))


def _member(name: str) -> str:
    return f"{name}.npy"


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    archive.writestr(zipfile.ZipInfo(name, date_time=_TIMESTAMP), content, zipfile.ZIP_DEFLATED)
