"""A run of many records: lease by lease, each paid for before it is opened, until every record is received."""

import secrets as system
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from importlib import metadata
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spikeveil.host.device.encoding import encode
from spikeveil.host.device.errors import DeviceOther, DeviceRefused, DeviceStuck, LeaseLost, LineLost
from spikeveil.host.device.keys import Secrets
from spikeveil.host.device.results import Results
from spikeveil.host.device.stream import Stream
from spikeveil.host.privacy.claim import Claim, Wall
from spikeveil.host.privacy.ledger import Evidence, Lease, Ledger, Session, shown_down, shown_up
from spikeveil.host.privacy.ledger.amounts import probability
from spikeveil.pysim import checks
from spikeveil.pysim.link import Kind, Result, State, Status
from spikeveil.pysim.spec import NetworkSpec

if TYPE_CHECKING:
    from spikeveil.host.device.driver import Device

BARREN = 3  # leases in a row that may be lost without a record received
MAX_STEPS = (1 << 16) - 1  # of a record; the field has two bytes
MAX_QUOTA = (1 << 32) - 1


@dataclass
class Progress:
    """How far a run is; `payload` and `line` are bytes of steps, and all bytes, in both directions together."""

    records: int
    total: int
    steps: int = 0
    lease: int = 0
    payload: int = 0
    line: int = 0


@dataclass(frozen=True)
class Released:
    """What a run released: `spikes` (records, steps, neurons), bool, or the potentials of a readout, int32.

    `leases` and `places` (records,): under which lease each record was received, and its number in it. `claim` is for
    one record, as often as the most often released one was sent; what the ledger charged is in its `booked`.
    """

    spikes: NDArray[Any]
    leases: NDArray[np.int64]
    places: NDArray[np.int64]
    claim: Claim


class Campaign:
    """The run of `Device.run`; see there."""

    def __init__(
        self,
        device: "Device",
        spec: NetworkSpec,
        records: NDArray[np.bool_],
        *,
        ledger: Ledger,
        budget: str,
        delta: Fraction,
        lease_records: int,
        demonstration: bool,
        secrets: Secrets,
        results: Results,
        progress: Callable[[Progress], None],
    ) -> None:
        self.device, self.spec, self.records = device, spec, records
        self.ledger, self.budget, self.delta = ledger, budget, probability("delta", delta)
        self.demonstration, self.secrets, self.results, self.show = demonstration, secrets, results, progress
        self.steps = checks.integer("steps of a record", records.shape[1], 1, MAX_STEPS)
        self.lease_records = min(lease_records, MAX_QUOTA // self.steps)
        self.source = "lfsr" if device.lfsr else "trivium"
        self.wall = self._wall()
        self.granted: list[Lease] = []
        self.progress = Progress(int(results.received.sum()), len(records))

    def run(self) -> Released:
        """Lease, send and receive until nothing is pending."""
        barren = 0
        while len(pending := self.results.pending(self.lease_records)):
            received = self._one_lease(pending)
            barren = 0 if received else barren + 1
            if barren == BARREN:
                raise DeviceStuck(
                    f"{BARREN} leases in a row were lost and no record received: the device is not steady"
                )
        return Released(self.results.rows, self.results.leases, self.results.places, self.claim())

    def claim(self) -> Claim:
        """The four parts for what has been sent so far."""
        return Claim.of(
            self.spec,
            self.steps,
            source=self.source,
            delta=self.delta,
            releases=max(1, int(self.results.sent.max(initial=1))),
            schedule="private" if self.device.private_schedule else "fast",
            key_origin=self.secrets.origin,
            booked=self._booked(),
        )

    def _wall(self) -> Wall:
        """The flipped layer that the ledger charges for."""
        worthless = (
            "flips by an LFSR"
            if self.device.lfsr
            else "is on the fast schedule"
            if not self.device.private_schedule
            else ""
        )
        if worthless and not self.demonstration:
            raise DeviceOther(
                f"the device {worthless}, which protects nothing: it runs only as an insecure demonstration"
            )
        wall = Claim.of(self.spec, self.steps, source=self.source, delta=self.delta).wall
        if wall is None:
            raise ValueError("a network without a flipper releases its input: no budget can bear it")
        return wall

    def _one_lease(self, pending: NDArray[np.int64]) -> int:
        """Run the records under one new lease; how many were received before it ended or was lost."""
        self._steady(self.device.ensure_loaded)
        status = self._steady(self.device.status)
        self.ledger.check_device(status.lease)
        secret = self.secrets.next()
        lease = self._lease(len(pending), secret)
        self.results.sending(pending)
        self.progress.lease = lease.number
        format, data = encode(self.records[pending], self.spec, private=self.device.private_schedule)
        due = len(pending) * self.steps * self.device.identity.output_bytes
        stream = Stream(self.device.link, self.device.identity, system.randbits(32), data, due)
        received = 0
        try:
            self._open(lease, stream.session, format, self.secrets.wire(secret))
            self._through(stream, lease)
        except LeaseLost:
            self.device.holds_image = False
        finally:
            received = self.results.receive(pending, lease.number, bytes(stream.output))
            self.progress.records += received
            self.show(self.progress)
        return received

    def _steady(self, action: Callable[[], Any]) -> Any:
        """What `action` gives, begun anew whenever the line was lost and came back."""
        while True:
            try:
                return action()
            except LineLost:
                self.device.reconnect()

    def _lease(self, releases: int, secret: bytes) -> Lease:
        wall = self.wall
        session = Session(
            wall.mechanism,
            self.steps,
            wall.raster.neurons,
            releases,
            self.delta,
            wall.raster.spike_limit,
            wall.raster.step_limit,
        )
        lease = self.ledger.lease(
            self.budget,
            session,
            key=secret,
            specification=self.spec.fingerprint,
            source=self.source,
            device=f"{self.device.identity.lanes} lanes at {self.device.link.port.name}"[:200],
            evidence=Evidence(versions=f"spikeveil {metadata.version('spikeveil')}"),
            demonstration=self.demonstration,
        )
        self.granted.append(lease)
        return lease

    def _open(self, lease: Lease, session: int, format: int, secret: bytes) -> None:
        """Open the lease on the device: asked again only while nothing has been sent under it. LeaseLost."""
        link, values = self.device.link, {"lease": lease.number, "session": session, "quota": lease.quota}
        while True:
            try:
                answer = link.ask_once(Kind.OPEN, secret, **values, record_steps=self.steps, format=format)
            except LineLost:
                self.device.reconnect()
                answer = None
            status = self._steady(self.device.status) if answer is None else Status.of(answer)
            if (status.lease, status.session) == (lease.number, session):
                return
            if status.result is Result.UNLOADED:
                raise LeaseLost("the device has lost its weights")
            if answer is not None or status.lease >= lease.number:
                raise DeviceRefused(
                    f"the device refused lease {lease.number}: {status.result.name}, after lease {status.lease}"
                )

    def _through(self, stream: Stream, lease: Lease) -> None:
        """All of the lease's input and output, over as many lines as it takes. LeaseLost."""
        link = self.device.link
        before = Progress(**vars(self.progress))
        sent = link.sent + link.received

        def show() -> None:
            self.progress.steps = before.steps + len(stream.output) // self.device.identity.output_bytes
            self.progress.payload = before.payload + stream.accepted + len(stream.output)
            self.progress.line = before.line + link.sent + link.received - sent
            self.show(self.progress)

        while True:
            try:
                stream.run(show)
                return
            except LineLost:
                self.device.reconnect()
            status = self._steady(self.device.status)
            # an open lease locks loading: while it is ours, the image cannot be another
            own = (status.lease, status.session) == (lease.number, stream.session)
            self.device.holds_image = own and State.OPEN in status.flags

    def _booked(self) -> str:
        """What the ledger charged for this run, and what is left."""
        if not self.granted:
            return (
                f"nothing in this run; what earlier ones spent of {self.budget!r} stands in ledger {self.ledger.path}"
            )
        first, last = self.granted[0].number, self.granted[-1].number
        balances = {balance.unit: balance for balance in self.ledger.budgets(self.budget)[self.budget]}
        sums = []
        for charges in zip(*(lease.charges for lease in self.granted), strict=True):
            balance, epsilon = balances[charges[0].unit], sum(charge.epsilon for charge in charges)
            delta = sum((charge.delta for charge in charges), Fraction(0))
            left = balance.epsilon_limit - balance.epsilon_spent
            sums.append(
                f"{balance.unit.value} epsilon {shown_up(epsilon)}, delta {shown_up(delta)}, of which {shown_down(left)} and "
                f"{shown_down(balance.delta_limit - balance.delta_spent)} are left"
            )
        leases = f"lease {first}" if first == last else f"leases {first} to {last}"
        nominal = " (nominal: an insecure demonstration)" if self.demonstration else ""
        return f"{leases} of {self.budget!r} in ledger {self.ledger.path}{nominal}: {'; '.join(sums)}"
