"""Natural logarithms of exact ratios, rounded up to a float."""

import math
from decimal import Decimal, localcontext
from fractions import Fraction

START_DIGITS = 60


def log_up(ratio: Fraction) -> float:
    """The smallest float that is not below ln(ratio), for ratio >= 1; ValueError below 1.

    The logarithm of a rational other than 1 is transcendental (Lindemann 1882), so it lies on no float and some finite
    precision tells on which side of every float it lies. `decimal` rounds each logarithm correctly, so the exact value
    is within one unit in the last place of the difference; digits are doubled until both ends of that interval round up
    to the same float. No bound on the size of the integers is needed.
    """
    if ratio < 1:
        raise ValueError(f"ratio must be at least 1 for a logarithm of 0 or more, not {ratio}")
    if ratio == 1:
        return 0.0
    digits = START_DIGITS
    while True:
        with localcontext() as context:
            context.prec = digits
            numerator, denominator = Decimal(ratio.numerator).ln(), Decimal(ratio.denominator).ln()
            error = Decimal(10) ** (numerator.adjusted() + 2 - digits)
            low, high = numerator - denominator - error, numerator - denominator + error
            if _float_up(low) == _float_up(high):
                return _float_up(high)
        digits *= 2


def _float_up(exact: Decimal) -> float:
    """The smallest float that is not below `exact`."""
    nearest = float(exact)
    return nearest if Decimal(nearest) >= exact else math.nextafter(nearest, math.inf)
