"""The leak of a potential, as data."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from spikeveil.pysim.model import checks

Rounding = Literal["floor", "nearest"]
ROUNDINGS: tuple[Rounding, ...] = ("floor", "nearest")


@dataclass(frozen=True)
class Leak:
    """The decay of a potential v in one step, in integers; `none`, `shift` and `scale` make one.

    | kind | rounding | leak(v) | bounds |
    |---|---|---|---|
    | `none` | `floor` | v | integrate-and-fire |
    | `shift` | `floor` | v - (v >> k) | k = shift_by, 1 to 31 |
    | `shift` | `nearest` | v - ((v + 2^(k-1)) >> k) | |
    | `scale` | `floor` | (v*a) >> f | f = shift_by, 1 to 16; a = factor, 0 to 2^f |
    | `scale` | `nearest` | (v*a + 2^(f-1)) >> f | |

    >> is the arithmetic shift: it rounds towards minus infinity. `nearest` rounds the shifted number to the nearest
    integer, halves upwards.

    Raises ValueError for anything outside these bounds.
    """

    kind: Literal["none", "shift", "scale"] = "none"
    shift_by: int = 0
    factor: int = 0
    rounding: Rounding = "floor"

    def __post_init__(self) -> None:
        checks.choice("leak kind", self.kind, ("none", "shift", "scale"))
        checks.choice("leak rounding", self.rounding, ROUNDINGS)
        shift_low, shift_high = {"none": (0, 0), "shift": (1, 31), "scale": (1, 16)}[self.kind]
        shift_by = checks.integer("leak shift", self.shift_by, shift_low, shift_high)
        factor_high = 1 << shift_by if self.kind == "scale" else 0
        object.__setattr__(self, "shift_by", shift_by)
        object.__setattr__(self, "factor", checks.integer("leak factor", self.factor, 0, factor_high))
        if self.kind == "none" and self.rounding != "floor":
            raise ValueError(f"leak rounding must be 'floor' where nothing leaks, not {self.rounding!r}")

    @classmethod
    def none(cls) -> "Leak":
        """No decay: leak(v) = v."""
        return cls()

    @classmethod
    def shift(cls, k: int, rounding: Rounding = "floor") -> "Leak":
        """leak(v) = v - (v >> k), or rounded to nearest."""
        return cls("shift", k, 0, rounding)

    @classmethod
    def scale(cls, a: int, f: int, rounding: Rounding = "floor") -> "Leak":
        """leak(v) = (v * a) >> f, a decay of a/2^f a step, or rounded to nearest."""
        return cls("scale", f, a, rounding)

    @property
    def half(self) -> int:
        """What is added before the shift: 2^(shift_by - 1) for `nearest`, 0 for `floor`."""
        return 1 << (self.shift_by - 1) if self.rounding == "nearest" else 0

    @property
    def decay(self) -> float:
        """The factor that `leak` rounds v times: 1, 1 - 2^-k or a/2^f."""
        if self.kind == "shift":
            return 1 - 2.0**-self.shift_by
        return self.factor / (1 << self.shift_by) if self.kind == "scale" else 1.0

    @property
    def dead_band(self) -> tuple[int, int]:
        """The lowest and highest v with leak(v) = v, which never decay: (0, 0) where all others do.

        With d = 1 - decay it is about -1/(2d) to 1/(2d) for `nearest` (-25 to 25 at decay 0.98); for `floor` -1/d to 0
        of a `scale`, 0 to 1/d of a `shift`. A leak that keeps every potential has none, and gives (0, 0) too.
        """
        loss = (1 << self.shift_by) - self.factor if self.kind == "scale" else 1
        if self.kind == "none" or loss == 0:
            return 0, 0
        one = 1 << self.shift_by
        if self.kind == "shift":  # v - ((v + half) >> k) = v where 0 <= v + half < 2^k
            return -self.half, one - 1 - self.half
        # 0 <= half - v * loss < 2^f for (v*a + half) >> f = v
        return -((one - 1 - self.half) // loss), self.half // loss

    def describe(self) -> dict[str, Any]:
        """The fields as plain data; `rounding` only where it is not `floor`, which older files do not name."""
        fields = asdict(self)
        if self.rounding == "floor":
            del fields["rounding"]
        return fields

    def __str__(self) -> str:
        half = f" + {self.half}" if self.half else ""
        return {
            "none": "none",
            "shift": f"v - ((v{half}) >> {self.shift_by})" if half else f"v - (v >> {self.shift_by})",
            "scale": f"(v * {self.factor}{half}) >> {self.shift_by}",
        }[self.kind]
