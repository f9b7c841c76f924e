"""A run of many records: lease by lease, each paid for before it is opened, until every record is received."""

import secrets as system
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from spikeveil.host.device.encoding import encode
from spikeveil.host.device.errors import DeviceRefused, DeviceStuck, LeaseLost, LineLost
from spikeveil.host.device.keys import Secrets
from spikeveil.host.device.payment import Payment
from spikeveil.host.device.results import Results
from spikeveil.host.device.stream import Stream
from spikeveil.host.privacy.claim import Claim
from spikeveil.host.privacy.ledger import Lease
from spikeveil.pysim.device.messages import Kind, Result, State, Status

if TYPE_CHECKING:
    from spikeveil.host.device.driver import Device

Found = TypeVar("Found")

BARREN = 6  # leases in a row that may be lost without a record received
OPENINGS = 20  # times that one lease may be offered to the device
LOSSES = 200  # times that the line may be lost and come back without a byte of output in between


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


@dataclass
class Campaign:
    """The run of `Device.run`; see there. `records` are (records, steps, inputs)."""

    device: "Device"
    records: NDArray[np.bool_]
    payment: Payment
    secrets: Secrets
    results: Results
    lease_records: int
    show: Callable[[Progress], None]

    def __post_init__(self) -> None:
        self.granted: list[Lease] = []
        self._losses = 0
        self.progress = Progress(int(self.results.received.sum()), len(self.records))

    def run(self) -> Released:
        """Lease, send and receive until nothing is pending."""
        barren = 0  # each lease that brought nothing halves the next: less is at stake, and it is sooner through
        while len(pending := self.results.pending(max(1, self.lease_records >> barren))):
            received = self._one_lease(pending)
            barren = 0 if received else barren + 1
            if barren == BARREN:
                raise DeviceStuck(
                    f"{BARREN} leases in a row were lost and no record received: the device is not steady"
                )
        return Released(self.results.rows, self.results.leases, self.results.places, self.claim())

    def claim(self) -> Claim:
        """The four parts for what has been sent so far."""
        booked = self.payment.booked(self.granted) if self.granted else "nothing in this run, all of it in earlier ones"
        return Claim.of(
            self.results.spec,
            self.records.shape[1],
            source=self.payment.source,
            delta=self.payment.delta,
            releases=max(1, int(self.results.sent.max(initial=1))),
            schedule="private" if self.device.private_schedule else "fast",
            key_origin=self.secrets.origin,
            key_public=self.secrets.public,
            booked=booked,
        )

    def _one_lease(self, pending: NDArray[np.int64]) -> int:
        """Run the records under one new lease; how many were received before it ended or was lost."""
        device, steps = self.device, self.records.shape[1]
        self.payment.ledger.check_device(self._ready().lease)
        secret = self.secrets.next()
        lease = self.payment.lease(len(pending), secret, f"{device.identity.lanes} lanes, {device.name}"[:200])
        self.granted.append(lease)
        self.results.sending(pending)
        how = {"private": device.private_schedule, "bitmaps_only": device.bitmaps_only}
        format, data = encode(self.records[pending], self.results.spec, **how)
        due = len(pending) * steps * device.identity.output_bytes
        stream = Stream(device.link, device.identity, system.randbits(32), data, due)
        received = 0
        try:
            stream.begin(self._open(lease, stream.session, format, self.secrets.wire(secret)))
            self._through(stream, lease)
        except LeaseLost:
            device.holds_image = False
        finally:
            received = self.results.receive(pending, lease.number, bytes(stream.output))
            self.progress.records += received
            self.show(self.progress)
        return received

    def _ready(self) -> Status:
        """Where the device stands, once it is known to hold the network on the line that is open."""
        while True:
            self._steady(self.device.ensure_loaded)
            status = self._standing()
            if self.device.holds_image:
                return status

    def _open(self, lease: Lease, session: int, format: int, secret: bytes) -> Status:
        """Open the lease on the device, and where it stands then; offered again only while nothing was sent under it.

        LeaseLost.
        """
        values = {"lease": lease.number, "session": session, "quota": lease.quota, "record_steps": lease.session.steps}
        for _ in range(OPENINGS):
            answer = self._offer(secret, **values, format=format)
            status = self._standing() if answer is None else answer
            if self._own(status, lease, session):
                return status
            if answer is not None and answer.result not in (Result.OK, Result.UNLOADED):
                raise DeviceRefused(f"the device refused lease {lease.number}: {answer.result.name}")
            self.device.holds_image &= answer is None or answer.result is not Result.UNLOADED
            self._steady(self.device.ensure_loaded)
        raise LeaseLost(f"the device did not keep lease {lease.number} in {OPENINGS} attempts")

    def _offer(self, secret: bytes, **values: int) -> Status | None:
        """Where the device stands after one OPEN, None where its answer did not come."""
        try:
            answer = self.device.link.ask_once(Kind.OPEN, secret, **values)
        except LineLost:
            self._reconnect()
            return None
        return None if answer is None else Status.of(answer)

    def _standing(self) -> Status:
        status: Status = self._steady(self.device.status)
        return status

    def _own(self, status: Status, lease: Lease, session: int) -> bool:
        """Whether the device's last lease is this one. An open lease locks loading: the image cannot be another."""
        own = (status.lease, status.session) == (lease.number, session)
        self.device.holds_image |= own and State.OPEN in status.flags
        return own

    def _through(self, stream: Stream, lease: Lease) -> None:
        """All of the lease's input and output, over as many lines as it takes. LeaseLost."""
        link, before = self.device.link, replace(self.progress, lease=lease.number)
        start = link.sent + link.received

        def show() -> None:
            if stream.accepted + len(stream.output) > self.progress.payload - before.payload:
                self._losses = 0
            self.progress = replace(
                before,
                steps=before.steps + len(stream.output) // self.device.identity.output_bytes,
                payload=before.payload + stream.accepted + len(stream.output),
                line=before.line + link.sent + link.received - start,
            )
            self.show(self.progress)

        while True:
            try:
                stream.run(show)
                return
            except LineLost:
                self._reconnect()
                self._own(self._standing(), lease, stream.session)

    def _steady(self, action: Callable[[], Found]) -> Found:
        """What `action` gives, begun anew whenever the line was lost and came back."""
        while True:
            try:
                return action()
            except LineLost:
                self._reconnect()

    def _reconnect(self) -> None:
        self._losses += 1
        if self._losses > LOSSES:
            raise DeviceStuck(f"the line to {self.device.name} was lost {LOSSES} times and nothing came in between")
        self.device.reconnect()
