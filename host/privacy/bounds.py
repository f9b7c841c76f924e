"""Basic, advanced, zCDP and Rényi composition beside the exact one, each with its theorem: for comparison tables.

All are upper bounds of the epsilon of the same pre-declared releases at the same delta, rounded up; the exact one is
the smallest. Budgets are charged by `Accountant`, never by this table.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

import numpy as np

from spikeveil.host.privacy.binomial import check_delta, float_up, log_ratio, precise
from spikeveil.host.privacy.composition import Composition, compose
from spikeveil.host.privacy.events import Event
from spikeveil.host.privacy.rdp import ORDERS, epsilon_from_rdp

_UP = 1 + 1e-12  # over the few roundings of 1.1e-16 in each closed form


@dataclass(frozen=True)
class Bound:
    """One line of the table: `epsilon` at the delta asked for, by `theorem`, under `conditions`."""

    name: str
    epsilon: float
    theorem: str
    conditions: str


def basic(releases: Composition) -> float:
    """Sum of the epsilons; holds at delta = 0."""
    return releases.pure_epsilon


def advanced(releases: Composition, delta: float) -> float:
    """sqrt(2 ln(1/delta) sum e^2) + sum e (exp(e) - 1) over the epsilons e of all releases; infinite at delta = 0."""
    check_delta(delta)
    if delta == 0 or not releases.dominating_groups:
        return math.inf if releases.dominating_groups else 0.0
    counts = np.array([float(n) for _, n in releases.dominating_groups])
    epsilons = np.array([float_up(log_ratio(p)) * _UP for p, _ in releases.dominating_groups])
    spread = math.sqrt(-2 * math.log(delta) * float(np.sum(counts * epsilons**2)))
    return (spread + float(np.sum(counts * epsilons * np.expm1(epsilons)))) * _UP


def zcdp(releases: Composition, delta: float) -> float:
    """From rho = sum e^2 / 2: the best a rho + ln(1 - 1/a) - ln(a delta) / (a - 1) over a fine set of orders a > 1."""
    check_delta(delta)
    if delta == 0 or not releases.dominating_groups:
        return math.inf if releases.dominating_groups else 0.0
    rho = sum(float(n) * (float_up(log_ratio(p)) * _UP) ** 2 / 2 for p, n in releases.dominating_groups)
    orders = 1 + np.geomspace(1e-6, 1e6, 4001)
    terms = np.stack([orders * rho, np.log1p(-1 / orders), -np.log(delta * orders) / (orders - 1)])
    return max(0.0, float(np.min(np.sum(terms, axis=0) + 1e-12 * np.sum(np.abs(terms), axis=0))))


def renyi(releases: Composition, delta: float) -> float:
    """From the exact Rényi curve of randomised response at the orders of `rdp.ORDERS`."""
    check_delta(delta)
    curve = sum(
        (n * np.array([response_rdp(p, a) for a in ORDERS]) for p, n in releases.dominating_groups),
        np.zeros(len(ORDERS)),
    )
    return epsilon_from_rdp(curve * _UP, delta)


def response_rdp(p: Fraction, order: float) -> float:
    """Rényi divergence of order `order` (above 1, finite) of one randomised response of flip probability p, rounded up.

    ln(q (q/p)^(a-1) + p (p/q)^(a-1)) / (a - 1) with q = 1 - p: exact for randomised response and an upper bound for
    every mechanism of the same pure epsilon (Steinke 2024, "Sharp RDP & zCDP from Pure DP", theorem 4).
    """
    return pure_rdp(log_ratio(p), order)


def pure_rdp(epsilon: Decimal, order: float) -> float:
    """The same for a pure `epsilon`, where q/p = exp(epsilon)."""
    if not 1 < order < math.inf:
        raise ValueError(f"order must be above 1 and finite, not {order!r}")
    with precise():
        above, odds = Decimal(order) - 1, epsilon.exp()
        tilt = (above * epsilon).exp()
        mean = (odds * tilt + 1 / tilt) / (1 + odds)
        return float_up(max(Decimal(0), mean.ln() / above * (1 + Decimal("1e-30"))) + Decimal("1e-40") * (epsilon > 0))


def comparison(events: Iterable[Event], delta: float) -> tuple[Bound, ...]:
    """The table, loosest theorem first. delta: at least 0, under 1 (ValueError otherwise)."""
    releases = compose(events)
    fixed = "mechanisms and counts fixed beforehand"
    exact = "optimal composition (Kairouz, Oh, Viswanath 2015, theorem 3.3)"
    if releases.decisions:
        exact = "the distribution of the privacy loss"
    return (
        Bound(
            "basic", basic(releases), "basic composition (Dwork, Roth 2014, theorem 3.16)", "delta = 0; also adaptive"
        ),
        Bound(
            "advanced",
            advanced(releases, delta),
            "advanced composition (Dwork, Rothblum, Vadhan 2010; Dwork, Roth 2014, theorem 3.20)",
            f"delta > 0; {fixed}; unequal epsilons by the same martingale bound with one range a step",
        ),
        Bound(
            "zcdp",
            zcdp(releases, delta),
            "pure epsilon gives epsilon^2/2-zCDP (Bun, Steinke 2016, proposition 1.4), which adds up; converted by "
            "Canonne, Kamath, Steinke 2020, proposition 12",
            f"delta > 0; {fixed}",
        ),
        Bound(
            "renyi",
            renyi(releases, delta),
            "exact Rényi curve of randomised response (Steinke 2024, theorem 4); converted by Canonne, Kamath, "
            "Steinke 2020, proposition 12",
            f"delta > 0; {fixed}",
        ),
        Bound(
            "exact",
            releases.epsilon(delta),
            f"{exact}; several groups on a grid (Doroshenko et al. 2022)",
            f"delta >= 0; {fixed}",
        ),
    )
