"""Exact amounts of epsilon and delta: what a budget holds, and how it is shown."""

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, localcontext
from fractions import Fraction

from spikeveil.host.privacy.budget import exact_amount

#: an exact fraction, or math.inf for "no finite epsilon"
Amount = Fraction | float


def amount(name: str, value: object) -> Amount:
    """`value` (a number, or its decimal or n/d as text) as an exact amount of `name`, 0 or more; infinity is permitted.

    A float is read as the decimal that Python prints for it (see `exact_amount`), so that ten times 0.1 is 1.
    Raises ValueError for anything negative or not a number.
    """
    if isinstance(value, str):
        text = value.strip().lower()
        if text in ("inf", "infinity"):
            return math.inf
        try:
            written = Fraction(text)
        except (ValueError, ZeroDivisionError):
            raise ValueError(f"{name} must be a number, 0 or more, not {value!r}") from None
        if written < 0:
            raise ValueError(f"{name} must be 0 or more, not {value!r}")
        return written
    if isinstance(value, float) and value == math.inf:
        return math.inf
    return exact_amount(name, value)


def probability(name: str, value: object) -> Fraction:
    """`value` as an exact delta: 0 to 1, 1 excluded. Raises ValueError."""
    result = amount(name, value)
    if not isinstance(result, Fraction) or result >= 1:
        raise ValueError(f"{name} must be at least 0 and under 1, not {value!r}")
    return result


def float_below(value: Fraction) -> float:
    """The largest float that is not above `value` (0 or more)."""
    nearest = float(value)
    return nearest if Fraction(nearest) <= value else math.nextafter(nearest, 0.0)


def to_text(value: Amount) -> str:
    """The one text that stands for `value` in an entry: "n/d" in lowest terms, or "inf"."""
    return f"{value.numerator}/{value.denominator}" if isinstance(value, Fraction) else "inf"


def from_text(text: str) -> Amount:
    """The amount that `to_text` wrote. Raises ValueError where the text is not exactly of that form."""
    value: Amount = math.inf if text == "inf" else Fraction(text)
    if to_text(value) != text or value < 0:
        raise ValueError(f"{text!r} is not an amount")
    return value


def fraction_from_text(text: str) -> Fraction:
    """The finite amount that `to_text` wrote. Raises ValueError."""
    value = from_text(text)
    if not isinstance(value, Fraction):
        raise ValueError(f"{text!r} is not finite")
    return value


def _shown(value: Amount, rounding: str, digits: int) -> str:
    if not isinstance(value, Fraction):
        return "inf"
    with localcontext() as context:
        context.prec = digits
        context.rounding = rounding
        decimal = (Decimal(value.numerator) / Decimal(value.denominator)).normalize()
        plain = decimal.is_zero() or -4 <= decimal.adjusted() < digits
        return f"{decimal:f}" if plain else f"{decimal:e}"


def shown_up(value: Amount, digits: int = 9) -> str:
    """`value` to `digits` significant digits, never below it: limits asked for, charges, what is spent."""
    return _shown(value, ROUND_CEILING, digits)


def shown_down(value: Amount, digits: int = 9) -> str:
    """`value` to `digits` significant digits, never above it: what remains."""
    return _shown(value, ROUND_FLOOR, digits)
