"""Gaussian differential privacy: exact for Gaussian noise, and the central-limit APPROXIMATION for DP-SGD.

A mechanism is mu-GDP when telling two neighbours apart is no easier than telling N(0, 1) from N(mu, 1). Then
(Dong, Roth and Su, duality of GDP and (epsilon, delta)-DP)

    delta(epsilon) = Phi(-epsilon/mu + mu/2) - e^epsilon Phi(-epsilon/mu - mu/2)

which is exact. That DP-SGD is mu-GDP with `clt_mu` below is a limit for many steps and small sampling rates: it
is not a bound. At DPSNN's settings it lies below the true epsilon in most rows. Nothing here gates a budget.
"""

import math
from itertools import repeat

from scipy.special import log_ndtr


def clt_mu(rate: float, noise: float, steps: int) -> float:
    """The central-limit mu of `steps` Poisson-sampled Gaussian steps: rate * sqrt(steps * (exp(1/noise^2) - 1))."""
    return rate * math.sqrt(steps * math.expm1(noise**-2))


def delta_from_mu(mu: float, epsilon: float) -> float:
    """delta of a mu-GDP mechanism at `epsilon`, by the duality; 0 where mu is 0."""
    if not (mu >= 0 and epsilon >= 0):
        raise ValueError(f"mu and epsilon must be 0 or more, not {mu!r} and {epsilon!r}")
    if mu == 0 or math.isinf(epsilon):
        return 0.0
    first, second = float(log_ndtr(-epsilon / mu + mu / 2)), float(log_ndtr(-epsilon / mu - mu / 2))
    return max(0.0, -math.exp(first) * math.expm1(min(0.0, epsilon + second - first)))


def epsilon_from_mu(mu: float, delta: float) -> float:
    """The smallest epsilon of a mu-GDP mechanism at `delta` in [0, 1), by bisection to the last bit, from above."""
    if not 0 <= delta < 1:
        raise ValueError(f"delta must be 0 or more and less than 1, not {delta!r}")
    if delta_from_mu(mu, 0.0) <= delta:
        return 0.0
    if delta == 0:
        return math.inf
    low, high = 0.0, 1.0
    while delta_from_mu(mu, high) > delta:
        low, high = high, 2 * high
    for _ in repeat(None, 80):
        middle = (low + high) / 2
        low, high = (middle, high) if delta_from_mu(mu, middle) > delta else (low, middle)
    return high
