"""Exact amounts of epsilon and delta: what a budget holds, and how it is shown."""

import math
import re
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, localcontext
from fractions import Fraction

from spikeveil.host.privacy.budget import MAX_EXPONENT, exact_amount

#: an exact fraction, or math.inf for "no finite epsilon"
Amount = Fraction | float

#: digits of a typed number: checked, as its power of ten is, before any arithmetic, whose time they bound
TYPED_DIGITS = 60
#: digits of the numerator, and of the denominator, of an amount in an entry
ENTRY_DIGITS = 2000

_ENTRY_BITS = int((ENTRY_DIGITS - 1) * math.log2(10))
_TYPED = re.compile(r"[+-]?(\d+/\d+|(\d+\.?\d*|\.\d+)(e(?P<exponent>[+-]?\d+))?)", re.ASCII)
_ENTRY = re.compile(rf"\d{{1,{ENTRY_DIGITS}}}/[1-9]\d{{0,{ENTRY_DIGITS - 1}}}", re.ASCII)


def amount(name: str, value: object) -> Amount:
    """`value` (a number, or its decimal or n/d as text) as an exact amount of `name`, 0 or more; infinity is permitted.

    A float is read as the decimal that Python prints for it (see `exact_amount`), so that ten times 0.1 is 1.
    Raises ValueError for anything negative or not a number.
    """
    if isinstance(value, str):
        text = value.strip().lower()
        if text in ("inf", "infinity"):
            return math.inf
        written = _typed(name, text)
        if written < 0:
            raise ValueError(f"{name} must be 0 or more, not {value!r}")
        return written
    if isinstance(value, float) and value == math.inf:
        return math.inf
    return exact_amount(name, value)


def _typed(name: str, text: str) -> Fraction:
    """The number in `text`, whose length and exponent are checked first. ValueError."""
    if len(text) > 2 * TYPED_DIGITS + 10:
        raise ValueError(f"{name} must have at most {TYPED_DIGITS} digits, not those of {text[:40]!r}...")
    form = _TYPED.fullmatch(text)
    if form is None:
        raise ValueError(f"{name} must be a number, 0 or more, not {text!r}")
    exponent = form["exponent"] or "0"
    if len(exponent) > 5 or abs(int(exponent)) > MAX_EXPONENT:
        raise ValueError(f"{name} exponent must be {-MAX_EXPONENT} to {MAX_EXPONENT}, not {exponent[:20]}")
    if max(map(len, re.findall(r"\d+", text.partition("e")[0].replace(".", "")))) > TYPED_DIGITS:
        raise ValueError(f"{name} must have at most {TYPED_DIGITS} digits, not those of {text[:40]!r}...")
    try:
        return Fraction(text)
    except ZeroDivisionError:
        raise ValueError(f"{name} must be a number, 0 or more, not {text!r}") from None


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
    """The one text of `value` in an entry: "n/d" in lowest terms, or "inf". ValueError where it is too long."""
    if not isinstance(value, Fraction):
        return "inf"
    if max(value.numerator, value.denominator).bit_length() > _ENTRY_BITS:
        raise ValueError(f"an amount must have at most {ENTRY_DIGITS} digits above and below its line")
    return f"{value.numerator}/{value.denominator}"


def from_text(text: str) -> Amount:
    """The amount that `to_text` wrote. Raises ValueError where the text is not exactly of that form."""
    if text == "inf":
        return math.inf
    if not isinstance(text, str) or not _ENTRY.fullmatch(text):
        raise ValueError(f"an amount must be n/d of at most {ENTRY_DIGITS} digits each")
    value = Fraction(text)
    if to_text(value) != text:
        raise ValueError("an amount must be in lowest terms")
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
