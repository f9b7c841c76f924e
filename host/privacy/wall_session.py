"""What a ledger is charged for the releases that a wall bounds."""

from fractions import Fraction

from spikeveil.host.privacy.ledger.decision_session import DecisionSession
from spikeveil.host.privacy.ledger.session import ReleaseSession, Session
from spikeveil.host.privacy.walls import DecisionWall, Wall


def wall_session(wall: Wall, later: tuple[Wall, ...], releases: int, delta: Fraction) -> ReleaseSession:
    """The ledger's session of `releases` records through `wall` and the walls `later` behind it, at `delta`.

    Raises ValueError for a value out of range.
    """
    if isinstance(wall, DecisionWall):
        return DecisionSession(wall.mechanism, wall.steps, releases, delta, wall.layer)
    return Session(
        wall.mechanism,
        wall.raster.steps,
        wall.raster.neurons,
        releases,
        delta,
        wall.raster.spike_limit,
        wall.raster.step_spike_limit,
        wall.layer,
        tuple((one.mechanism, one.bits[1]) for one in later),
    )
