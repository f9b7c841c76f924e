"""Fields of entries: which each kind has, and the checks of those that several kinds share."""

import hashlib
import re
from dataclasses import asdict, dataclass
from typing import Literal

_COMMON = {"sequence", "kind", "time", "last_lease"}
_BUDGET = _COMMON | {"data_set", "balances", "data", "subjects"}
_SPEND = _COMMON | {
    "data_set",
    "session",
    "relation",
    "records",
    "bound",
    "source",
    "unsafe",
    "demonstration",
    "worth",
    "device",
    "evidence",
    "charges",
    "balances",
}
#: kind of entry -> its fields in schema 2
FIELDS = {
    "upgrade": _COMMON | {"schema", "software"},
    "budget": _BUDGET,
    "extend": _BUDGET,
    "spend": _SPEND,
    "lease": _SPEND | {"lease", "key"},
    "block": _COMMON | {"run", "key", "start", "steps", "again"},
    "checkpoint": _COMMON | {"run", "block", "key", "token"},
}

#: what neighbouring data sets differ by: one record (or subject) exchanged, or one added or removed
Relation = Literal["substitution", "add/remove"]
RELATIONS: tuple[Relation, ...] = ("substitution", "add/remove")


#: the filter of a budget: pure sum of (epsilon, delta), or a Rényi filter
Rule = Literal["sum", "renyi"]


@dataclass(frozen=True)
class Evidence:
    """What was built and run: SHA-256 of the specification, the Verilog and the bitstream (64 hexadecimal digits),
    and the versions of the tools, each optional. Raises ValueError."""

    specification: str | None = None
    verilog: str | None = None
    bitstream: str | None = None
    versions: str | None = None

    def __post_init__(self) -> None:
        for name in ("specification", "verilog", "bitstream"):
            check_hash(name, getattr(self, name))
        if self.versions is not None:
            text("versions", self.versions, 2000)

    def to_dict(self) -> dict[str, object]:
        """The evidence as it stands in an entry: what is known, and nothing else."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def check_hash(name: str, value: object) -> None:
    """Raise ValueError unless `value` is None or a SHA-256 in hexadecimal."""
    if value is not None and not (isinstance(value, str) and re.fullmatch(r"[0-9a-f]{64}", value)):
        raise ValueError(f"{name} hash must be 64 lower-case hexadecimal digits, not {value!r}")


def check_layer(value: object) -> None:
    """Raise ValueError unless `value` is None or the index of a layer."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 256):
        raise ValueError(f"layer must be 0 to 255, not {value!r}")


def check_relation(value: object) -> None:
    """Raise ValueError unless `value` is one of `RELATIONS`."""
    if value not in RELATIONS:
        raise ValueError(f"relation must be substitution or add/remove, not {value!r}")


def text(name: str, value: object, longest: int = 200) -> str:
    """`value` if it is printable text of 1 to `longest` characters, else ValueError."""
    if not isinstance(value, str) or not 1 <= len(value) <= longest or not value.isprintable():
        raise ValueError(f"{name} must be 1 to {longest} printable characters, not {value!r}")
    return value


def key_digest(purpose: bytes, salt: bytes, key: bytes) -> str:
    """A name for `key` (80 random bits or more) that cannot be turned back: 128 bits of SHA-256 under a salt."""
    return hashlib.sha256(purpose + b"\0" + salt + b"\0" + key).hexdigest()[:32]
