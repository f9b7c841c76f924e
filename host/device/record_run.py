"""Runs records lease by lease, each paid for before it is opened, until every record is received."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from secrets import randbits
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from spikeveil.host.device.answers import read_status
from spikeveil.host.device.connection import Connection
from spikeveil.host.device.errors import DeviceRefused, DeviceStuck, LeaseAhead, LeaseLost, PortLost
from spikeveil.host.device.input_encoding import encode_input
from spikeveil.host.device.keys import Secrets
from spikeveil.host.device.lease_account import LeaseAccount
from spikeveil.host.device.lease_transfer import LeaseTransfer
from spikeveil.host.device.results import Results
from spikeveil.host.privacy.claim import Claim
from spikeveil.host.privacy.ledger import Lease, LedgerRolledBack
from spikeveil.pysim.device.messages import MessageKind, ResultCode, StatusFlag
from spikeveil.pysim.device.status import Status
from spikeveil.pysim.device.wire import NONCE_BITS

Answer = TypeVar("Answer")

MAX_EMPTY_LEASES = 6  # leases in a row that may be lost without a record received
MAX_OPENINGS = 20  # times that one lease may be offered to the device
MAX_RECONNECTIONS = 200  # without a byte of output in between
MAX_DEVICE_NAME = 200  # characters of the ledger's note on the device
SPARE_LEASES = 16  # beyond twice those of an undisturbed run, before the run ends


def max_leases(records: int, lease_records: int) -> int:
    """The most leases that one run of so many records pays for, whatever the device does."""
    return 2 * -(-records // lease_records) + SPARE_LEASES


@dataclass
class RunProgress:
    """State of a run.

    | attribute | meaning |
    |---|---|
    | `records`, `total` | records received, and all of them |
    | `steps` | steps whose output was received in this run; under a decision, those of the records |
    | `lease` | number of the lease that is open |
    | `payload` | bytes of input and output steps transferred, both directions together |
    | `line` | all bytes transferred, both directions together |
    """

    records: int
    total: int
    steps: int = 0
    lease: int = 0
    payload: int = 0
    line: int = 0


@dataclass(frozen=True)
class RunResult:
    """What a run released.

    | attribute | type | meaning |
    |---|---|---|
    | `released` | bool (records, steps, neurons) | released spikes, the potentials (int32) of a readout, or decisions |
    | `decisions` | (records,) or (records, classes) | class numbers (int64) or one-hot words (bool); None without |
    | `leases` | (records,) | number of the lease under which each record was received |
    | `lease_indices` | (records,) | index of each record within its lease |
    | `claim` | `Claim` | of one record, for as many releases as any record has had; `booked` has the charges |
    """

    released: NDArray[Any]
    leases: NDArray[np.int64]
    lease_indices: NDArray[np.int64]
    claim: Claim
    decisions: NDArray[Any] | None = None


@dataclass
class RecordRun:
    """One call of `Device.run`: arguments as there, `records` as (records, steps, inputs), `show` for the progress."""

    device: Connection
    records: NDArray[np.bool_]
    account: LeaseAccount
    secrets: Secrets
    results: Results
    lease_records: int
    show: Callable[[RunProgress], None]

    def __post_init__(self) -> None:
        self.granted: list[Lease] = []
        self._reconnections = 0
        self._deadline = 0.0  # of the port's clock, by which a lost port must have come back for the last time
        self.progress = RunProgress(int(self.results.received.sum()), len(self.records))

    def run(self) -> RunResult:
        """Lease, send and receive until nothing is pending."""
        empty_leases = 0  # each halves the next lease: less is at stake, and it completes sooner
        most = max_leases(len(self.results.pending(len(self.records))), self.lease_records)
        while len(pending := self.results.pending(max(1, self.lease_records >> empty_leases))):
            if len(self.granted) == most:
                raise DeviceStuck(
                    f"{most} leases were paid for, the most that a run of so many records takes, and records are still "
                    "missing: the device is unstable"
                )
            received = self._run_lease(pending)
            empty_leases = 0 if received else empty_leases + 1
            if empty_leases == MAX_EMPTY_LEASES:
                raise DeviceStuck(
                    f"{MAX_EMPTY_LEASES} leases in a row were lost and no record received: the device is unstable"
                )
        results = self.results
        return RunResult(results.released, results.leases, results.lease_indices, self.claim(), results.decisions)

    def claim(self) -> Claim:
        """The four parts for what has been sent so far."""
        charged = "nothing in this run, all of it in earlier ones"
        return Claim.of(
            self.results.spec,
            self.records.shape[1],
            source=self.account.source,
            delta=self.account.delta,
            releases=max(1, int(self.results.sent.max(initial=1))),
            schedule="private" if self.device.private_schedule else "fast",
            key_origin=self.secrets.origin,
            key_public=self.secrets.public,
            booked=self.account.booked(self.granted) if self.granted else charged,
        )

    def _run_lease(self, pending: NDArray[np.int64]) -> int:
        """Run the records under one new lease; how many were received before it ended or was lost."""
        device = self.device
        self._allow(device.identity.image)
        seen = self._status_when_loaded().lease
        try:
            self.account.ledger.check_device(seen)
        except LedgerRolledBack as error:
            raise LeaseAhead(str(error)) from error
        secret = self.secrets.next()
        note = f"{device.identity.lanes} lanes, {device.name}"[:MAX_DEVICE_NAME]
        lease = self.account.lease(pending, secret, note)
        self.granted.append(lease)
        self.results.sending(pending)
        input_format, data = encode_input(
            self.records[pending],
            self.results.spec,
            private=device.private_schedule,
            bitmaps_only=device.bitmaps_only,
        )
        output_size = len(pending) * self.results.record_bytes
        transfer = LeaseTransfer(device.link, device.identity, randbits(NONCE_BITS), data, output_size)
        self._allow(device.identity.image + len(data) + output_size)
        received = 0
        try:
            transfer.begin(self._open(lease, transfer.nonce, input_format, self.secrets.encode(secret)))
            self._transfer(transfer, lease)
        except LeaseLost:
            device.holds_image = False
        finally:
            received = self.results.receive(pending, lease.number, bytes(transfer.output))
            self.progress.records += received
            self.show(self.progress)
        return received

    def _status_when_loaded(self) -> Status:
        """Load the network unless the device holds it; the status after that."""
        while True:
            self._retry(self.device.ensure_loaded)
            status = self._status()
            if self.device.holds_image:
                return status

    def _open(self, lease: Lease, nonce: int, input_format: int, secret: bytes) -> Status:
        """Open the lease on the device; the status after that. It is offered again only while nothing was sent.

        Raises LeaseLost if the device accepts it in none of `MAX_OPENINGS` attempts.
        """
        values = {"lease": lease.number, "nonce": nonce, "quota": lease.quota, "record_steps": lease.session.steps}
        for _ in range(MAX_OPENINGS):
            if self.device.link.port.now() > self._deadline:
                break
            answer = self._offer(secret, **values, format=input_format)
            status = self._status() if answer is None else answer
            if _shows(status, lease, nonce):
                self._note_image(status)
                return status
            if answer is not None and answer.result not in (ResultCode.OK, ResultCode.UNLOADED):
                raise DeviceRefused(f"the device refused lease {lease.number}: {answer.result.name}")
            self.device.holds_image &= answer is None or answer.result is not ResultCode.UNLOADED
            self._retry(self.device.ensure_loaded)
        raise LeaseLost(f"the device did not keep lease {lease.number} in {MAX_OPENINGS} attempts")

    def _offer(self, secret: bytes, **values: int) -> Status | None:
        """Send one OPEN; the status that answers it, None where no answer arrived."""
        try:
            answer = self.device.link.ask_once(MessageKind.OPEN, secret, **values)
        except PortLost:
            self._reconnect()
            return None
        return None if answer is None else read_status(self.device.name, answer)

    def _status(self) -> Status:
        return self._retry(self.device.status)

    def _note_image(self, status: Status) -> None:
        """Note that the device holds our image, where our lease is open: loading is locked then."""
        self.device.holds_image |= StatusFlag.OPEN in status.flags

    def _transfer(self, transfer: LeaseTransfer, lease: Lease) -> None:
        """Transfer all input and output of the lease, reconnecting as often as needed. Raises LeaseLost."""
        link, start = self.device.link, replace(self.progress, lease=lease.number)
        line_start = link.sent + link.received
        steps_of_release = self.device.identity.record_steps or 1

        def show() -> None:
            payload = transfer.accepted + len(transfer.output)
            if payload > self.progress.payload - start.payload:
                self._reconnections = 0
            self.progress = replace(
                start,
                steps=start.steps + len(transfer.output) // self.device.identity.output_bytes * steps_of_release,
                payload=start.payload + payload,
                line=start.line + link.sent + link.received - line_start,
            )
            self.show(self.progress)

        while True:
            try:
                transfer.run(show)
                return
            except PortLost:
                self._reconnect()
                status = self._status()
                if _shows(status, lease, transfer.nonce):
                    self._note_image(status)

    def _retry(self, action: Callable[[], Answer]) -> Answer:
        """The return value of `action`, which is restarted whenever the port was lost and came back."""
        while True:
            try:
                return action()
            except PortLost:
                self._reconnect()

    def _allow(self, size: int) -> None:
        """Set the deadline for lost ports and repeated openings while `size` bytes are transferred."""
        self._deadline = self.device.link.port.now() + self.device.link.timing.transfer_limit(size)

    def _reconnect(self) -> None:
        self._reconnections += 1
        if self.device.link.port.now() > self._deadline:
            raise DeviceStuck(
                f"the port {self.device.name} is lost again and again, for longer than the transfer takes"
            )
        if self._reconnections > MAX_RECONNECTIONS:
            raise DeviceStuck(
                f"the port {self.device.name} was lost {MAX_RECONNECTIONS} times without a byte of output in between"
            )
        self.device.reconnect()


def _shows(status: Status, lease: Lease, nonce: int) -> bool:
    """Whether a status is of this lease, under this nonce."""
    return (status.lease, status.nonce) == (lease.number, nonce)
