"""The host's driver: a device at a port that says what it is, takes a network and runs records under a ledger."""

import zlib
from collections.abc import Callable
from fractions import Fraction
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from spikeveil.host.device.campaign import Campaign, Progress, Released
from spikeveil.host.device.errors import DeviceOther, DeviceRefused, LineLost
from spikeveil.host.device.keys import Secrets
from spikeveil.host.device.line import DEFAULT_BAUD, Port, SerialPort
from spikeveil.host.device.link import Link, Timing
from spikeveil.host.device.payment import Payment
from spikeveil.host.device.results import Results
from spikeveil.host.privacy.claim import Claim, Wall
from spikeveil.host.privacy.ledger import Ledger, probability
from spikeveil.pysim.device.messages import Identity, Kind, Message, Result, State, Status, Trait, room
from spikeveil.pysim.model import checks, image
from spikeveil.pysim.model.spec import NetworkSpec

LOAD_TRIES = 3
PAUSE = 0.05  # seconds before a port that vanished again is looked for
MAX_RECORD_STEPS = (1 << 16) - 1  # the field of OPEN has two bytes
MAX_QUOTA = (1 << 32) - 1


class Device:
    """A device at an open port. Make it with `open`; it is a context manager that closes the port.

    Everything that talks to the device raises LineLost, DeviceSilent or another DeviceError, one sentence each.
    """

    def __init__(self, link: Link) -> None:
        self.link = link
        self.identity = self._identify()
        self.spec: NetworkSpec | None = None
        self.holds_image = False  # known for sure, see `load`

    @classmethod
    def open(cls, port: str | Port, *, baud: int = DEFAULT_BAUD, timing: Timing | None = None) -> "Device":
        """The device at a serial port, or at any other `Port`."""
        link = Link(SerialPort(port, baud) if isinstance(port, str) else port, timing or Timing())
        link.open()
        try:
            return cls(link)
        except BaseException:
            link.close()
            raise

    def close(self) -> None:
        """Close the port; an open lease stays open."""
        self.link.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def name(self) -> str:
        """The port's name."""
        return self.link.port.name

    @property
    def lfsr(self) -> bool:
        """Whether the flips come from an LFSR, which protects nothing; else from Trivium."""
        return Trait.LFSR in self.identity.flags

    @property
    def private_schedule(self) -> bool:
        """Whether steps leave on a fixed cadence."""
        return Trait.PRIVATE in self.identity.flags

    @property
    def bitmaps_only(self) -> bool:
        """Whether input steps may come as bitmaps alone."""
        return Trait.BITMAPS in self.identity.flags

    def identify(self) -> Identity:
        """What the device says it is, asked again. DeviceOther where it is not what it was."""
        found = self._identify()
        if found != self.identity:
            raise DeviceOther(f"the device at {self.name} is another one than before")
        return found

    def status(self) -> Status:
        """Where the device stands."""
        return self._status(Kind.STATUS)

    def load(self, spec: NetworkSpec) -> None:
        """Make sure that the device holds `spec`; DeviceOther where it was built from another.

        A baked network must have the fingerprint of `spec`. A loadable one must have its structure, and the image is
        loaded and sealed with its CRC: always, since nothing reads an image back. An open lease is closed for it.
        """
        image = self._image(spec)
        for attempt in range(LOAD_TRIES if image else 0):
            if self._loaded(image):
                break
            if attempt == LOAD_TRIES - 1:
                raise DeviceRefused(f"the device did not take the image in {LOAD_TRIES} attempts")
        self.spec, self.holds_image = spec, True

    def run(
        self,
        spikes: ArrayLike,
        *,
        ledger: Ledger,
        budget: str,
        delta: float | str | Fraction = "1e-6",
        lease_records: int = 64,
        demonstration: bool = False,
        secrets: Secrets | None = None,
        results: Results | None = None,
        progress: Callable[[Progress], None] = lambda state: None,
    ) -> Released:
        """Records (records, steps, inputs) through the network that `load` made sure of, each lease paid for first.

        budget: the data set in `ledger` whose budgets pay. delta: of each lease. lease_records: records of a lease,
        what a crash loses at the most; larger leases cost less. demonstration: run a device that protects nothing (an
        LFSR, the fast schedule) and book its nominal figures. secrets: by default fresh, and kept nowhere. results:
        what an earlier run received and where to write what this one does; what they hold is not run again.

        The port may vanish and come back, and the device may lose its power: the run goes on, under the same lease
        where the device still holds it, else under a new one. Raises LedgerError or BudgetRefused where the ledger does
        not lease, DeviceError, ValueError; `results` then hold what was received.
        """
        if self.spec is None:
            raise ValueError("a device runs nothing before `load` has made sure of its network")
        records = np.ascontiguousarray(checks.spikes(spikes, self.spec.inputs))
        steps = checks.integer("steps of a record", records.shape[1], 1, MAX_RECORD_STEPS)
        checks.integer("lease records", lease_records, 1, MAX_QUOTA)
        exact = probability("delta", delta if isinstance(delta, Fraction) else str(delta))
        if secrets is not None and secrets.public and not demonstration:
            raise ValueError("the key is published and protects nothing: it serves only an insecure demonstration")
        payment = Payment(
            ledger=ledger,
            data_set=budget,
            wall=self._wall(self.spec, steps, exact, demonstration),
            source="lfsr" if self.lfsr else "trivium",
            specification=self.spec.fingerprint,
            delta=exact,
            demonstration=demonstration,
        )
        campaign = Campaign(
            self,
            records,
            payment,
            secrets or Secrets.fresh(self.lfsr, len(self.spec.flipped)),
            results or Results(self.spec, records),
            min(lease_records, MAX_QUOTA // steps),
            progress,
        )
        return campaign.run()

    def reconnect(self) -> None:
        """Open the port again once it is back, and stays. DeviceOther where another device is there."""
        self.holds_image = False
        until = self.link.port.now() + self.link.timing.reconnect
        while True:
            self.link.reopen(until)
            try:
                self.identify()
                return
            except LineLost:
                self.link.port.wait(PAUSE)

    def ensure_loaded(self) -> None:
        """Load the network again where it is not known to be there."""
        if not self.holds_image and self.spec is not None:
            self.load(self.spec)

    # Inside

    def _wall(self, spec: NetworkSpec, steps: int, delta: Fraction, demonstration: bool) -> Wall:
        """The flipped layer that a lease pays for. DeviceOther where the device protects nothing."""
        why = "its flips come from an LFSR" if self.lfsr else "it is on the fast schedule"
        if not demonstration and (self.lfsr or not self.private_schedule):
            raise DeviceOther(
                f"the device at {self.name} protects nothing, because {why}: it runs only as an insecure demonstration"
            )
        wall = Claim.of(spec, steps, source="trivium", delta=delta).wall
        if wall is None:
            raise ValueError("a network without a flipper lets its input out: no budget can bear it")
        return wall

    def _identify(self) -> Identity:
        return Identity.of(self._answer(self.link.ask(Kind.IDENTIFY), Kind.IDENTITY))

    def _status(self, kind: Kind, data: bytes = b"", **values: int) -> Status:
        return Status.of(self._answer(self.link.ask(kind, data, **values), Kind.STATE))

    def _answer(self, message: Message, kind: Kind) -> Message:
        if message.kind is not kind:
            raise DeviceRefused(f"the device at {self.name} answered {message.kind.name}, not {kind.name}")
        return message

    def _image(self, spec: NetworkSpec) -> bytes:
        """The image that makes the device one of `spec`; empty where it is baked in."""
        loadable = Trait.LOADABLE in self.identity.flags
        if loadable:
            name, own, wanted = "structure", self.identity.structure.hex(), image.structure(spec)
        else:
            name, own, wanted = "fingerprint", self.identity.fingerprint.hex(), spec.fingerprint
        if own != wanted:
            raise DeviceOther(f"the device must have the network's {name}, {wanted[:16]}..., not {own[:16]}...")
        content = image.to_bytes(spec, self.identity.layers) if loadable else b""
        if len(content) != self.identity.image:
            raise DeviceOther(f"the device takes images of {self.identity.image} bytes, not {len(content)}")
        return content

    def _loaded(self, image: bytes) -> bool:
        """Load the image and seal it; whether it arrived whole."""
        self.holds_image = False
        self._unlock()
        position = 0
        while position < len(image):
            piece = image[position : position + room(Kind.LOAD)]
            status = self._status(Kind.LOAD, piece, position=position)
            if status.result not in (Result.OK, Result.GAP):
                raise DeviceRefused(f"the device did not take the image: {status.result.name}")
            position = status.image_position
        sealed = self._status(Kind.SEAL, length=len(image), crc=zlib.crc32(image))
        return sealed.result is Result.OK

    def _unlock(self) -> None:
        """Close the lease that is open, and let the rest of its last step out: until then nothing can be loaded."""
        until = self.link.port.now() + self.link.timing.silence
        while self._status(Kind.LOAD, position=0).result is Result.LOCKED:
            if self.link.port.now() > until:
                raise DeviceRefused("the device stays locked though its lease is closed: power it off and on")
            status = self.status()
            if State.OPEN in status.flags:
                self._status(Kind.CLOSE, session=status.session)
            self._status(Kind.TAKE, session=status.session, taken=status.output_position, again=0)
            self.link.port.wait(PAUSE / 10)
