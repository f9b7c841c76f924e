"""The word sources of a network's flippers, one stream a flipper: the golden model of `hdl/engine/source.py`.

Draw j = t*N + n of a record decides neuron n in step t of a layer with N neurons, for every number of lanes.
"""

import secrets
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from spikeveil.pysim.model import checks
from spikeveil.pysim.model.bits import check_count, word_dtype
from spikeveil.pysim.model.flipper import FlipSpec
from spikeveil.pysim.model.lfsr import PERIOD, Lfsr, check_seed
from spikeveil.pysim.model.trivium import KEY_BYTES, Trivium, port_value
from spikeveil.pysim.model.trivium_bank import TriviumBank

LAYER_BITS = 8
LEASE_BITS = 40
RECORD_BITS = 32
MAX_LAYER = (1 << LAYER_BITS) - 1
MAX_LEASE = (1 << LEASE_BITS) - 1
#: leases from here up are for simulations; ledgers and devices grant those below, so that no mask is used by both
FIRST_SIMULATED_LEASE = 1 << (LEASE_BITS - 1)
MAX_RECORD = (1 << RECORD_BITS) - 1
_GROUP = 512  # records computed in parallel, so that they stay in the cache


def stream_iv(layer: int, lease: int, record: int) -> bytes:
    """The IV of one record's stream: the 10 big-endian bytes of layer * 2^72 + lease * 2^32 + record.

    Byte 0 is the layer (0 to 2^8 - 1), bytes 1 to 5 the lease (0 to 2^40 - 1), bytes 6 to 9 the record (0 to 2^32 - 1);
    anything else raises ValueError.
    """
    layer = checks.integer("layer", layer, 0, MAX_LAYER)
    lease = checks.integer("lease", lease, 0, MAX_LEASE)
    record = checks.integer("record", record, 0, MAX_RECORD)
    return ((layer << LEASE_BITS + RECORD_BITS) | (lease << RECORD_BITS) | record).to_bytes(KEY_BYTES, "big")


class WordSource(ABC):
    """The random words of every flipper in a network.

    The same arguments give the same words in every call, so that a device can be verified. A source does not prevent
    a second use of a mask: the ledger and the device do.
    """

    name: ClassVar[str]
    assurance: ClassVar[str]  # security against an adversary who has everything but the secret

    @abstractmethod
    def require(self, flippers: int) -> None:
        """Raise ValueError unless this source can serve a network of `flippers` flippers."""

    @abstractmethod
    def words(
        self, bits: int, *, flipper: int, layer: int, lease: int, first_record: int, records: int, count: int
    ) -> NDArray[np.unsignedinteger[Any]]:
        """The words of draws 0 to count - 1 of each record: (records, count), the smallest unsigned dtype.

        | argument | range | meaning |
        |---|---|---|
        | `bits` | 1 to 64 | width of a word |
        | `flipper` | from 0 | index among the network's flippers |
        | `layer` | 0 to 2^8 - 1 | index among its layers |
        | `lease` | 0 to 2^40 - 1 | lease number |
        | `first_record` | 0 to 2^32 - 1 | number of the first record; the last one has the same range |
        | `records` | 0 or more | records |
        | `count` | 0 or more | draws of a whole record: steps * neurons |

        Anything out of range raises ValueError.
        """

    @abstractmethod
    def masks(
        self, flip: FlipSpec, *, flipper: int, layer: int, lease: int, first_record: int, records: int, count: int
    ) -> NDArray[np.bool_]:
        """True where draw j of a record flips its spike: (records, count) bool, equal to
        `flip.masks(words(flip.bits, ...))` and computed faster. Arguments and errors as in `words`.
        """

    def words_in_parallel(
        self, bits: int, *, flipper: int, layer: int, lease: int, first_record: int, records: int, count: int
    ) -> NDArray[np.unsignedinteger[Any]]:
        """The same as `words`, faster where a source can compute many records at once."""
        return self.words(
            bits, flipper=flipper, layer=layer, lease=lease, first_record=first_record, records=records, count=count
        )


def _shape(layer: int, lease: int, first_record: int, records: int, count: int) -> tuple[int, int]:
    """The shape (records, count); ValueError for a negative count, or a layer, lease or record number without an IV."""
    shape = check_count("records", records), check_count("draws a record", count)
    stream_iv(layer, lease, first_record)
    if first_record + records - 1 > MAX_RECORD:
        raise ValueError(f"last record must be 0 to {MAX_RECORD}, not {first_record + records - 1}")
    return shape


class LfsrSource(WordSource):
    """One linear stream a flipper, from `seeds` (integers, 1 to 2^127 - 1, in layer order).

    A stream continues from record to record: record r starts at draw r * count. The seeds belong to ONE lease, so the
    lease number is checked and not used. Raises ValueError where a seed is out of range, or where two are equal: equal
    seeds would give two layers the same flips.
    """

    name = "lfsr"
    assurance = "none: linear, so a few hundred known flips determine its 127 bits of state"

    def __init__(self, seeds: Sequence[int]) -> None:
        if not isinstance(seeds, Sequence) or isinstance(seeds, str | bytes):
            raise ValueError(f"LFSR seeds must be a sequence of integers, not {type(seeds).__name__}")
        self._seeds = tuple(check_seed(seed) for seed in seeds)
        if len(set(self._seeds)) < len(self._seeds):
            raise ValueError("LFSR seeds must differ from one another, not repeat")

    @classmethod
    def generate(cls, flippers: int) -> "LfsrSource":
        """A source for `flippers` flippers with fresh seeds from the operating system's generator."""
        return cls([1 + secrets.randbelow(PERIOD) for _ in range(check_count("flippers", flippers))])

    def __repr__(self) -> str:
        return f"LfsrSource({len(self._seeds)} seeds hidden)"

    def require(self, flippers: int) -> None:
        if len(self._seeds) != flippers:
            raise ValueError(f"LFSR seeds must be {flippers}, one a flipper, not {len(self._seeds)}")

    def words(
        self, bits: int, *, flipper: int, layer: int, lease: int, first_record: int, records: int, count: int
    ) -> NDArray[np.unsignedinteger[Any]]:
        shape = _shape(layer, lease, first_record, records, count)
        return self._stream(flipper, first_record * count * bits).words(records * count, bits).reshape(shape)

    def masks(
        self, flip: FlipSpec, *, flipper: int, layer: int, lease: int, first_record: int, records: int, count: int
    ) -> NDArray[np.bool_]:
        out = np.empty(_shape(layer, lease, first_record, records, count), np.bool_)
        self._stream(flipper, first_record * count * flip.bits).below(flip.threshold, flip.bits, out)
        return out

    def _stream(self, flipper: int, bits: int) -> Lfsr:
        """A flipper's stream after its first `bits` bits."""
        stream = Lfsr(self._seeds[checks.integer("flipper", flipper, 0, len(self._seeds) - 1)])
        stream.skip(bits)
        return stream


class TriviumSource(WordSource):
    """Trivium under one 10-byte `key`: record r of lease L in layer l is the keystream of IV `stream_iv(l, L, r)`.

    Anything but 10 bytes raises ValueError, which does not show the key.
    """

    name = "trivium"
    assurance = "computational: indistinguishable from uniform bits unless Trivium (80-bit key) is broken"

    def __init__(self, key: bytes) -> None:
        port_value(key, "key")
        self._key = key

    @classmethod
    def generate(cls) -> "TriviumSource":
        """A source with a fresh key from the operating system's generator."""
        return cls(secrets.token_bytes(KEY_BYTES))

    def __repr__(self) -> str:
        return "TriviumSource(key hidden)"

    def require(self, flippers: int) -> None:
        checks.integer("Trivium flippers", flippers, 0, MAX_LAYER + 1)

    def words(
        self, bits: int, *, flipper: int, layer: int, lease: int, first_record: int, records: int, count: int
    ) -> NDArray[np.unsignedinteger[Any]]:
        out = np.empty(_shape(layer, lease, first_record, records, count), word_dtype(bits))
        for row, record in enumerate(range(first_record, first_record + records)):
            out[row] = Trivium(self._key, stream_iv(layer, lease, record)).words(count, bits)
        return out

    def masks(
        self, flip: FlipSpec, *, flipper: int, layer: int, lease: int, first_record: int, records: int, count: int
    ) -> NDArray[np.bool_]:
        out = np.empty(_shape(layer, lease, first_record, records, count), np.bool_)
        for group, bank in self._banks(layer, lease, first_record, records):
            out[group] = bank.below(flip.threshold, flip.bits, count)
        return out

    def words_in_parallel(
        self, bits: int, *, flipper: int, layer: int, lease: int, first_record: int, records: int, count: int
    ) -> NDArray[np.unsignedinteger[Any]]:
        out = np.empty(_shape(layer, lease, first_record, records, count), word_dtype(bits))
        for group, bank in self._banks(layer, lease, first_record, records):
            out[group] = bank.words(bits, count)
        return out

    def _banks(self, layer: int, lease: int, first_record: int, records: int) -> Iterator[tuple[slice, TriviumBank]]:
        """The keystreams of the records, a group at a time, and which records those are."""
        for start in range(0, records, _GROUP):
            group = slice(start, min(start + _GROUP, records))
            ivs = [stream_iv(layer, lease, first_record + record) for record in range(group.start, group.stop)]
            yield group, TriviumBank(self._key, ivs)
