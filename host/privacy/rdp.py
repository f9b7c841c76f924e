"""Rényi differential privacy: the curve of a mechanism, and what it says about (epsilon, delta).

A mechanism has Rényi divergence rho at order a when E[exp((a - 1) L)] <= exp((a - 1) rho) for its privacy loss L
in either direction (Mironov 2017). Curves add up under composition, also when each mechanism is chosen after
seeing the results before it, provided the curve itself was fixed in advance.

**From rho to (epsilon, delta).** For every order a > 1 and every x,
(1 - exp(epsilon - x))_+ <= exp((a - 1)(x - epsilon)) (1 - 1/a)^(a - 1) / a, because the right side over the left has
its minimum, 1, at exp(x - epsilon) = a / (a - 1). Taking the mean over the loss gives

    ln delta = (a - 1) (rho - epsilon + ln(1 - 1/a)) - ln a
    epsilon  = rho + ln(1 - 1/a) - ln(delta a) / (a - 1)

and each order on its own is a valid bound, so the smallest one is.
"""

import math

import numpy as np
from numpy.typing import NDArray

#: the orders at which curves are kept: 1.1 to 10.9 in tenths, then 12 to 63
ORDERS: tuple[float, ...] = (*(1 + tenth / 10 for tenth in range(1, 100)), *(float(order) for order in range(12, 64)))

_UP = 1e-13  # relative allowance for a handful of roundings of 1.1e-16 each


def _orders() -> NDArray[np.float64]:
    return np.asarray(ORDERS)


def _checked(curve: NDArray[np.float64]) -> NDArray[np.float64]:
    rho = np.asarray(curve, dtype=np.float64)
    if rho.shape != (len(ORDERS),):
        raise ValueError(f"Rényi curve must have one value for each of the {len(ORDERS)} orders, not shape {rho.shape}")
    if np.isnan(rho).any() or (rho < 0).any():
        raise ValueError("Rényi curve must hold numbers of 0 or more")
    return rho


def epsilon_from_rdp(curve: NDArray[np.float64], delta: float) -> float:
    """The smallest epsilon at `delta` that a curve over `ORDERS` (float64, nats) proves, rounded up.

    delta = 0 gives infinity unless the curve is 0 throughout. Raises ValueError where delta is not in [0, 1) or the
    curve is not one.
    """
    rho = _checked(curve)
    if not 0 <= delta < 1:
        raise ValueError(f"delta must be 0 or more and less than 1, not {delta!r}")
    if not rho.any():
        return 0.0
    if delta == 0:
        return math.inf
    orders = _orders()
    terms = (rho, np.log1p(-1 / orders), -np.log(delta * orders) / (orders - 1))
    epsilons = sum(terms) + _UP * sum(np.abs(term) for term in terms)
    return max(0.0, float(np.min(epsilons)))


def delta_from_rdp(curve: NDArray[np.float64], epsilon: float) -> float:
    """The smallest delta at `epsilon` (0 or more) that a curve over `ORDERS` proves, rounded up, at most 1."""
    rho = _checked(curve)
    if not epsilon >= 0:
        raise ValueError(f"epsilon must be 0 or more, not {epsilon!r}")
    if not rho.any() or math.isinf(epsilon):
        return 0.0
    orders = _orders()
    terms = ((orders - 1) * rho, -(orders - 1) * epsilon, (orders - 1) * np.log1p(-1 / orders), -np.log(orders))
    logs = sum(terms) + _UP * sum(np.abs(term) for term in terms)
    return min(1.0, math.exp(min(0.0, float(np.min(logs)))) * (1 + _UP))
