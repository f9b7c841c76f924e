"""The Poisson-sampled Gaussian mechanism: its Rényi divergence, exactly, at any order.

One step adds Gaussian noise of standard deviation sigma (in units of the clip norm) to a sum over a batch that each
example enters on its own with probability q. Between data sets that differ by one example, the worst pair is
(Mironov, Talwar and Zhang 2019; the loss depends on one coordinate only)

    P0 = N(0, sigma^2)    and    P1 = (1 - q) N(0, sigma^2) + q N(1, sigma^2)

With w(t) = (1 - q) + q exp(t/sigma - 1/(2 sigma^2)), the density ratio P1/P0 at t sigma,

    A = E[w^a]   = exp((a - 1) D_a(P1 || P0))       one example removed
    B = E[w^(1-a)] = exp((a - 1) D_a(P0 || P1))     one example added,      t ~ N(0, 1)

Both are integrals of an analytic function against a Gaussian, so the trapezoidal rule of step h converges geometrically
(Trefethen, Weideman 2014, section 5): on the strip |Im t| <= s, s <= pi sigma/2, 1 - q <= |w| <= w(Re t), so
the relative error is at most 2 exp(s^2/2 + (a - 1) ln(1/(1-q)) - 2 pi s/h), without the middle term for A, and h makes
that 1e-19. No order is interpolated and no series is cut; the result is raised by a bound on all roundings.
"""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from spikeveil.host.privacy.rdp import ORDERS

MIN_NOISE = 0.05  # below it one step costs over 200 in epsilon and the quadrature grows without use
_TAIL = 45.0  # -ln of the relative error left by the step and by each end of the integral
_ULP = float(np.finfo(np.float64).eps)


def _log_mean(power: float, order: float, rate: float, noise: float) -> float:
    """ln E[w^power], from above, for power = order or 1 - order; rate strictly between 0 and 1."""
    log_rest, log_rate = math.log1p(-rate), math.log(rate)
    lift = 0.0 if power > 0 else -(order - 1) * log_rest
    strip = min(math.pi * noise / 2, 6.0)
    step = 2 * math.pi * strip / (strip**2 / 2 + _TAIL + lift)
    left = math.sqrt(2 * (_TAIL + lift))
    right = order / noise + math.sqrt(2 * (_TAIL - order * log_rate))
    t = step * np.arange(-math.ceil(left / step), math.ceil(right / step) + 1)
    log_one = log_rate + t / noise - 0.5 / noise**2
    log_ratio = np.logaddexp(log_rest, log_one)
    logs = power * log_ratio - t**2 / 2
    total = float(logsumexp(logs))
    one = np.exp(log_one - log_ratio) * (np.abs(log_rate) + np.abs(t) / noise + 0.5 / noise**2)
    roundings = t**2 / 2 + abs(power) * (np.abs(log_ratio) + one)  # of each term's logarithm, in ulp
    raised = 1e-14 + 8 * _ULP * float(np.sum(np.exp(logs - total) * roundings))
    return total + math.log(step / math.sqrt(2 * math.pi)) + raised


@lru_cache(maxsize=65536)
def sampled_gaussian_rdp(order: float, rate: float, noise: float) -> float:
    """Rényi divergence of one step at `order` > 1, in nats, the larger of the two directions, rounded up.

    `rate` is the sampling probability q, 0 to 1, and `noise` is sigma over the clip norm, 0.05 or more.
    """
    if not 1 < order < math.inf:
        raise ValueError(f"Rényi order must be more than 1 and finite, not {order!r}")
    if not 0 <= rate <= 1:
        raise ValueError(f"sampling rate must be 0 to 1, not {rate!r}")
    if not MIN_NOISE <= noise < math.inf:
        raise ValueError(f"noise multiplier must be at least {MIN_NOISE} and finite, not {noise!r}")
    if rate == 0:
        return 0.0
    if rate == 1:
        return order / (2 * noise**2) * (1 + 4 * _ULP)
    removed = _log_mean(order, order, rate, noise)
    added = _log_mean(1 - order, order, rate, noise)
    return max(removed, added) / (order - 1) * (1 + 4 * _ULP)


@lru_cache(maxsize=256)
def _curve(rate: float, noise: float) -> tuple[float, ...]:
    return tuple(sampled_gaussian_rdp(order, rate, noise) for order in ORDERS)


def sampled_gaussian_curve(rate: float, noise: float) -> NDArray[np.float64]:
    """The divergence of one step at every order of `rdp.ORDERS`, float64, rounded up."""
    return np.asarray(_curve(rate, noise))
