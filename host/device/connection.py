"""The host's end of the protocol: identify a device, read its status, load its network, reopen its port."""

import zlib
from typing import Self

from spikeveil.host.device.answers import protocol_faults, read_identity, read_status, require_match
from spikeveil.host.device.errors import DeviceRefused, DeviceStuck, PortLost, WrongDevice
from spikeveil.host.device.link import Link, Timing
from spikeveil.host.device.port import DEFAULT_BAUD, Port, SerialPort
from spikeveil.pysim.device.identity import Identity
from spikeveil.pysim.device.messages import MessageKind, ResultCode, StatusFlag, Trait, max_data
from spikeveil.pysim.device.status import Status
from spikeveil.pysim.model import image
from spikeveil.pysim.model.spec import NetworkSpec

LOAD_ATTEMPTS = 3
LOAD_REPEATS = 64  # messages in a row after which the image has not advanced
REOPEN_PAUSE = 0.05  # seconds before a port that vanished again is looked for
UNLOCK_PAUSE = 0.005  # seconds between two attempts to unlock


class Connection:
    """A device at an open port. Make it with `open`; as a context manager it closes the port.

    | attribute | meaning |
    |---|---|
    | `link` | messages over the port |
    | `identity` | the device's IDENTITY, as it was when the port was first opened |
    | `spec` | the network that `load` was last called with |
    | `holds_image` | whether the device is certain to hold that network |

    Every method that exchanges messages raises a DeviceError: PortLost, DeviceSilent or another of `errors`.
    """

    def __init__(self, link: Link) -> None:
        self.link = link
        self.identity = self._identify()
        self.spec: NetworkSpec | None = None
        self.holds_image = False

    @classmethod
    def open(cls, port: str | Port, *, baud: int = DEFAULT_BAUD, timing: Timing | None = None) -> Self:
        """Connect to the device at a serial port, or at any other `Port`."""
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
        """Whether the flips come from an LFSR, which protects nothing; otherwise they come from Trivium."""
        return Trait.LFSR in self.identity.flags

    @property
    def private_schedule(self) -> bool:
        """Whether steps leave on a fixed cadence."""
        return Trait.PRIVATE in self.identity.flags

    @property
    def bitmaps_only(self) -> bool:
        """Whether input steps must be bitmaps."""
        return Trait.BITMAPS in self.identity.flags

    def identify(self) -> Identity:
        """Request the identity again. WrongDevice where it differs from `identity`."""
        answer = self._identify()
        if answer != self.identity:
            raise WrongDevice(f"the device at {self.name} is not the one that was connected before")
        return answer

    def status(self) -> Status:
        """Request the status."""
        return self._status(MessageKind.POLL)

    def load(self, spec: NetworkSpec) -> None:
        """Load `spec`, or check that the bitstream holds it; WrongDevice where the device was built from another.

        A baked network must have the fingerprint of `spec`. A loadable device must have its structure; the image is
        then always loaded and sealed with its CRC, since images cannot be read back. An open lease is closed first.
        """
        content = self._image(spec)
        if content and not any(self._load_once(content) for _ in range(LOAD_ATTEMPTS)):
            raise DeviceRefused(f"the device did not take the image in {LOAD_ATTEMPTS} attempts")
        self.spec, self.holds_image = spec, True

    def ensure_loaded(self) -> None:
        """Load the network again where the device is not certain to hold it."""
        if not self.holds_image and self.spec is not None:
            self.load(self.spec)

    def reconnect(self) -> None:
        """Open the port again once it is back and stays. WrongDevice where another device is there."""
        self.holds_image = False
        deadline = self.link.port.now() + self.link.timing.reconnect
        while True:
            self.link.reopen(deadline)
            try:
                self.identify()
                return
            except PortLost:
                if self.link.port.now() >= deadline:
                    raise
                self.link.port.wait(REOPEN_PAUSE)

    def _identify(self) -> Identity:
        return read_identity(self.name, self.link.ask(MessageKind.IDENTIFY))

    def _status(self, kind: MessageKind, data: bytes = b"", **values: int) -> Status:
        return read_status(self.name, self.link.ask(kind, data, **values))

    def _image(self, spec: NetworkSpec) -> bytes:
        """The image of `spec` for this device; empty where the weights are baked in."""
        loadable = Trait.LOADABLE in self.identity.flags
        if loadable:
            name, reported, required = "structure", self.identity.structure.hex(), image.structure(spec)
        else:
            name, reported, required = "fingerprint", self.identity.fingerprint.hex(), spec.fingerprint
        if reported != required:
            raise WrongDevice(f"the device must have the network's {name}, {required[:16]}..., not {reported[:16]}...")
        require_match(self.identity, spec, self.name)
        with protocol_faults(self.name):
            content = image.to_bytes(spec, self.identity.layers) if loadable else b""
        if len(content) != self.identity.image:
            raise WrongDevice(f"the device takes images of {self.identity.image} bytes, not {len(content)}")
        return content

    def _load_once(self, content: bytes) -> bool:
        """Load the image and seal it; whether its CRC was right. DeviceStuck where its position does not advance."""
        self.holds_image = False
        self._unlock()
        position, highest, repeats = 0, 0, 0
        deadline = self.link.port.now() + self.link.timing.transfer_limit(len(content))
        while position < len(content):
            piece = content[position : position + max_data(MessageKind.LOAD)]
            status = self._status(MessageKind.LOAD, piece, position=position)
            if status.result not in (ResultCode.OK, ResultCode.GAP):
                raise DeviceRefused(f"the device did not take the image: {status.result.name}")
            position = status.image_position
            repeats = 0 if position > highest else repeats + 1
            highest = max(highest, position)
            if repeats > LOAD_REPEATS or self.link.port.now() > deadline:
                raise DeviceStuck(f"the device answers, but stays at byte {position} of {len(content)} of the image")
        sealed = self._status(MessageKind.SEAL, length=len(content), crc=zlib.crc32(content))
        return sealed.result is ResultCode.OK

    def _unlock(self) -> None:
        """Close the open lease and drain the output of its last step; loading is locked until then."""
        deadline = self.link.port.now() + self.link.timing.silence
        while self._status(MessageKind.LOAD, position=0).result is ResultCode.LOCKED:
            if self.link.port.now() > deadline:
                raise DeviceRefused("the device stays locked though its lease is closed: power it off and on")
            status = self.status()
            if StatusFlag.OPEN in status.flags:
                self._status(MessageKind.CLOSE, nonce=status.nonce)
            self._status(MessageKind.TAKE, nonce=status.nonce, confirmed=status.output_position, resend=0)
            self.link.port.wait(UNLOCK_PAUSE)
