"""What the accountant and the ledger share: exact amounts of budget, and the refusal."""

import math
from decimal import Decimal
from fractions import Fraction
from numbers import Rational, Real

from spikeveil.host.privacy.units import Unit

#: powers of ten in a decimal that is read exactly
MAX_EXPONENT = 400


class BudgetExceeded(RuntimeError):  # noqa: N818, the public name
    """A spend was refused BEFORE anything was released; nothing was charged.

    quantity: what would run out ("epsilon", "delta", ...). limit, spent, asked: exact, in that quantity's own unit;
    `remaining` = limit - spent. unit: the unit of protection.
    """

    def __init__(
        self, limit: Fraction, spent: Fraction, asked: Fraction, unit: Unit, quantity: str = "epsilon"
    ) -> None:
        self.limit, self.spent, self.asked, self.unit, self.quantity = limit, spent, asked, unit, quantity
        super().__init__(
            f"{quantity} budget exceeded: limit {float(limit):.12g}, spent {float(spent):.12g}, "
            f"asked {float(asked):.12g} ({unit.value} level)"
        )

    @property
    def remaining(self) -> Fraction:
        """What is still there to spend."""
        return self.limit - self.spent


def exact_amount(name: str, value: object) -> Fraction:
    """`value` as the exact decimal its writer meant: 0.1 is one tenth, not the float beside it.

    Whole numbers, Fractions and Decimals are taken as they are; a float by its shortest decimal (`repr`), which is
    what was typed and lies within half an ulp of it. For a COMPUTED epsilon that was rounded up, half an ulp matters:
    pass `Fraction(epsilon)`, the float's own value.

    Raises ValueError where `value` is no real number, negative, not a number or infinite.
    """
    if isinstance(value, bool) or not isinstance(value, Real | Decimal):
        raise ValueError(f"{name} must be a number, not {value!r}")
    if isinstance(value, Rational):
        amount = Fraction(int(value.numerator), int(value.denominator))
    elif not (value.is_finite() if isinstance(value, Decimal) else math.isfinite(value)):
        raise ValueError(f"{name} must be finite, not {value!r}")
    elif isinstance(value, Decimal):
        amount = _exact_decimal(name, value)
    else:
        amount = Fraction(repr(float(value)))
    if amount < 0:
        raise ValueError(f"{name} must be 0 or more, not {value!r}")
    return amount


def _exact_decimal(name: str, value: Decimal) -> Fraction:
    """A finite decimal, whose powers of ten are checked before any arithmetic: their size is its time. ValueError."""
    if value.is_zero():
        return Fraction(0)
    lowest, highest = int(value.as_tuple().exponent), value.adjusted()
    if not -MAX_EXPONENT <= lowest <= highest <= MAX_EXPONENT:
        raise ValueError(f"{name} must have powers of ten from -{MAX_EXPONENT} to {MAX_EXPONENT}, not {value!r}")
    return Fraction(value)
