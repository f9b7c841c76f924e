"""Rényi differential privacy: the curve of a mechanism, and what it says about (epsilon, delta).

A mechanism has Rényi divergence rho at order a when E[exp((a - 1) L)] <= exp((a - 1) rho) for its privacy loss L
in either direction (Mironov 2017). Curves add up under composition, also when each mechanism is chosen after
seeing the results before it, provided the curve itself was fixed in advance.

**From rho to (epsilon, delta).** For every order a > 1 and every x,
(1 - exp(epsilon - x))_+ <= exp((a - 1)(x - epsilon)) (1 - 1/a)^(a - 1) / a, because the right side over the left has
its minimum, 1, at exp(x - epsilon) = a / (a - 1). Taking the mean over the loss gives

    ln delta = (a - 1) (rho - epsilon + ln(1 - 1/a)) - ln a
    epsilon  = rho + ln(1 - 1/a) - ln(delta a) / (a - 1)

and each order on its own is a valid bound, so the smallest one is. Where the smallest lies at an end of the grid of
orders, `least_epsilon` and `least_delta` add orders beyond it until it lies inside: little noise or many steps need
orders near 1, much noise or few steps need large ones.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

#: the orders at which curves are kept: 1.1 to 10.9 in tenths, then 12 to 63
ORDERS: tuple[float, ...] = (*(1 + tenth / 10 for tenth in range(1, 100)), *(float(order) for order in range(12, 64)))

LOWEST, HIGHEST = 1 + 1e-4, 1e6  # orders beyond which the grid does not grow
_GROWTH = 1.25  # of order - 1, from one added order to the next
_REFINEMENTS = 16  # golden sections around the best of the added orders; the bound is flat there

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
    return max(0.0, float(np.min(_epsilons(rho, _orders(), delta))))


def _epsilons(rho: NDArray[np.float64], orders: NDArray[np.float64], delta: float) -> NDArray[np.float64]:
    """The epsilon that each order proves, rounded up."""
    terms = (rho, np.log1p(-1 / orders), -np.log(delta * orders) / (orders - 1))
    return np.asarray(sum(terms) + _UP * sum(np.abs(term) for term in terms))


def delta_from_rdp(curve: NDArray[np.float64], epsilon: float) -> float:
    """The smallest delta at `epsilon` (0 or more) that a curve over `ORDERS` proves, rounded up, at most 1."""
    rho = _checked(curve)
    if not epsilon >= 0:
        raise ValueError(f"epsilon must be 0 or more, not {epsilon!r}")
    if not rho.any() or math.isinf(epsilon):
        return 0.0
    return _raised(float(np.min(_log_deltas(rho, _orders(), epsilon))))


def _log_deltas(rho: NDArray[np.float64], orders: NDArray[np.float64], epsilon: float) -> NDArray[np.float64]:
    """ln of the delta that each order proves, rounded up."""
    terms = ((orders - 1) * rho, -(orders - 1) * epsilon, (orders - 1) * np.log1p(-1 / orders), -np.log(orders))
    return np.asarray(sum(terms) + _UP * sum(np.abs(term) for term in terms))


def _raised(log_delta: float) -> float:
    return min(1.0, math.exp(min(0.0, log_delta)) * (1 + _UP))


def least_epsilon(curve: NDArray[np.float64], divergence: Callable[[float], float], delta: float) -> float:
    """`epsilon_from_rdp` of a curve over `ORDERS`, with orders added beyond an end where the best one lies there.

    divergence(order): the curve at any order, nats, rounded up.
    """
    least = epsilon_from_rdp(curve, delta)
    if least == 0 or math.isinf(least):
        return least
    values = _epsilons(_checked(curve), _orders(), delta)
    return max(0.0, _least(values, lambda order: float(_epsilons(*_at(divergence, order), delta)[0])))


def least_delta(curve: NDArray[np.float64], divergence: Callable[[float], float], epsilon: float) -> float:
    """`delta_from_rdp` of a curve over `ORDERS`; otherwise as `least_epsilon`."""
    if delta_from_rdp(curve, epsilon) == 0:
        return 0.0
    values = _log_deltas(_checked(curve), _orders(), epsilon)
    return _raised(_least(values, lambda order: float(_log_deltas(*_at(divergence, order), epsilon)[0])))


def _at(divergence: Callable[[float], float], order: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return np.array([divergence(order)]), np.array([order])


def _least(values: NDArray[np.float64], value: Callable[[float], float]) -> float:
    """The least of `values`, one for each of `ORDERS`, or of value(order) beyond the end where the least one lies."""
    best = int(np.argmin(values))
    if 0 < best < len(ORDERS) - 1:
        return float(values[best])
    factor = 1 / _GROWTH if best == 0 else _GROWTH
    orders, found = [ORDERS[best]], [float(values[best])]
    inner = ORDERS[1 if best == 0 else -2]
    while found[-1] == min(found) and LOWEST < 1 + (orders[-1] - 1) * factor < HIGHEST:
        orders.append(1 + (orders[-1] - 1) * factor)
        found.append(value(orders[-1]))
    before = orders[-3] if len(orders) > 2 else inner
    return min(*found, _golden(value, math.log(before - 1), math.log(orders[-1] - 1)))


def _golden(value: Callable[[float], float], left: float, right: float) -> float:
    """The least value(order) that golden-section search over ln(order - 1) meets; every one is a bound by itself."""
    ratio = (math.sqrt(5) - 1) / 2
    least = math.inf
    for _ in range(_REFINEMENTS):
        inside = (right - ratio * (right - left), left + ratio * (right - left))
        first, second = (value(1 + math.exp(one)) for one in inside)
        least = min(least, first, second)
        left, right = (left, inside[1]) if first <= second else (inside[0], right)
    return least
