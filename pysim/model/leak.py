"""The leak of a potential, as data."""

from dataclasses import dataclass
from typing import Literal

from spikeveil.pysim.model import checks


@dataclass(frozen=True)
class Leak:
    """The decay of a potential v in one step, in integers; `none`, `shift` and `scale` make one.

    | kind | leak(v) | bounds |
    |---|---|---|
    | `none` | v | integrate-and-fire |
    | `shift` | v - (v >> shift_by) | 1 <= shift_by <= 31 |
    | `scale` | (v*factor) >> shift_by | 1 <= shift_by <= 16, 0 <= factor <= 2^shift_by |

    >> is the arithmetic shift, so every kind rounds towards minus infinity.
    """

    kind: Literal["none", "shift", "scale"] = "none"
    shift_by: int = 0
    factor: int = 0

    def __post_init__(self) -> None:
        checks.choice("leak kind", self.kind, ("none", "shift", "scale"))
        shift_low, shift_high = {"none": (0, 0), "shift": (1, 31), "scale": (1, 16)}[self.kind]
        shift_by = checks.integer("leak shift", self.shift_by, shift_low, shift_high)
        factor_high = 1 << shift_by if self.kind == "scale" else 0
        object.__setattr__(self, "shift_by", shift_by)
        object.__setattr__(self, "factor", checks.integer("leak factor", self.factor, 0, factor_high))

    @classmethod
    def none(cls) -> "Leak":
        """No decay: leak(v) = v."""
        return cls()

    @classmethod
    def shift(cls, k: int) -> "Leak":
        """leak(v) = v - (v >> k)."""
        return cls("shift", k)

    @classmethod
    def scale(cls, a: int, f: int) -> "Leak":
        """leak(v) = (v * a) >> f, a decay of a/2^f a step."""
        return cls("scale", f, a)

    def __str__(self) -> str:
        return {
            "none": "none",
            "shift": f"v - (v >> {self.shift_by})",
            "scale": f"(v * {self.factor}) >> {self.shift_by}",
        }[self.kind]
