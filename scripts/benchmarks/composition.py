"""Exact composition of 10^6 and 10^9 randomised responses (p = 1/4, delta = 1e-6) beside dp-accounting's accountants.

The baselines get their best case: the privacy-loss distribution has a grid whose step is the loss itself (another step
costs it minutes and gigabytes), composed with itself once; the Rényi accountant has one event. The distribution took
a minute for 10^8 bits and had not ended after four for 10^9, so it is shown up to 10^7. The value rows show what
epsilon came out: both are upper bounds here, and the smaller is the tighter.
"""

import math
from collections.abc import Iterator
from functools import partial

from benchmarks import Row, best_seconds
from spikeveil.host.privacy import RandomizedResponse

MECHANISM = RandomizedResponse(1, 2)
DELTA = 1e-6
LIMITS = {10**6: 0.1, 10**7: None, 10**9: 2.0}  # seconds that we allow ourselves
DISTRIBUTION_LIMIT = 10**7  # bits


def distribution(count: int) -> float:
    """dp-accounting's privacy-loss distribution."""
    from dp_accounting.pld import privacy_loss_distribution

    step = math.log(0.75) - math.log(0.25)
    one = privacy_loss_distribution.from_randomized_response(0.5, 2, value_discretization_interval=step)
    return float(one.self_compose(count).get_epsilon_for_delta(DELTA))


def renyi(count: int) -> float:
    """dp-accounting's Rényi accountant."""
    import dp_accounting
    from dp_accounting.rdp import RdpAccountant

    accountant = RdpAccountant(neighboring_relation=dp_accounting.NeighboringRelation.REPLACE_ONE)
    accountant.compose(dp_accounting.RandomizedResponseDpEvent(0.5, 2), count)
    return float(accountant.get_epsilon(DELTA))


def ours(count: int) -> float:
    return MECHANISM.epsilon_composed(count, DELTA)


def rows() -> Iterator[Row]:
    """Seconds against the limit and against each baseline, then the epsilons."""
    for count, limit in LIMITS.items():
        bits = f"10^{round(math.log10(count))} bits"
        seconds, mine = best_seconds(partial(ours, count)), ours(count)
        if limit is not None:
            yield Row(f"exact composition, {bits}", "s", seconds, limit, "limit", limit / seconds, 1.0)
        for name, accountant in (("dp-accounting PLD", distribution), ("dp-accounting RDP", renyi)):
            if accountant is distribution and count > DISTRIBUTION_LIMIT:
                continue
            theirs, other = best_seconds(partial(accountant, count), repeats=2), accountant(count)
            yield Row(f"epsilon of {bits}, time", "s", seconds, theirs, name, theirs / seconds)
            yield Row(f"epsilon of {bits}, value", "epsilon", mine, other, name, other / mine)
