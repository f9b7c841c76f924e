"""The whole device as messages: a body in, bodies out, with the golden model inside. Twin of hdl/device/top.py."""

import zlib
from collections.abc import Callable

from spikeveil.pysim.device import messages as link
from spikeveil.pysim.device.core import Run, words
from spikeveil.pysim.device.guard import Guard, Offer
from spikeveil.pysim.device.messages import Identity, Kind, Message, Result, State, Status, Trait, unpack
from spikeveil.pysim.device.pack import pack as pack_steps
from spikeveil.pysim.device.unpack import Unpacker
from spikeveil.pysim.model import image
from spikeveil.pysim.model.lanes import LayerLanes, uniform_lanes
from spikeveil.pysim.model.spec import NetworkSpec

DEPTH = 4  # steps that are computed and wait before the outbox, as in the gateware's pipeline


def describe(
    spec: NetworkSpec,
    *,
    lanes: int = 16,
    source: str = "trivium",
    private: bool = True,
    loadable: bool = False,
    window: int = 2048,
    outbox: int = 2048,
    clock: int = 12_000_000,
    cadence: int = 0,
    layers: tuple[LayerLanes, ...] | None = None,
    tagged: bool = True,
) -> Identity:
    """The identity of a device built from `spec`; without `layers`, all have `lanes` lanes."""
    readout = spec.layers[-1].readout
    layers = uniform_lanes(spec, lanes) if layers is None else layers
    traits = {
        Trait.LOADABLE: loadable,
        Trait.PRIVATE: private,
        Trait.LFSR: source == "lfsr",
        Trait.POTENTIALS: readout,
        Trait.BITMAPS: not tagged,
    }
    return Identity(
        fingerprint=bytes.fromhex(spec.fingerprint),
        structure=bytes.fromhex(image.structure(spec)),
        flags=Trait(sum(trait for trait, present in traits.items() if present)),
        lanes=lanes,
        flippers=len(spec.flipped),
        inputs=spec.inputs,
        outputs=spec.outputs,
        output_bits=spec.layers[-1].state_bits if readout else 1,
        window=window,
        outbox=outbox,
        clock=clock,
        cadence=cadence,
        image=image.size(spec, layers) if loadable else 0,
        layers=layers,
    )


class Device:
    """A device built from `spec` that says it is `identity`: `receive` takes a body and gives the bodies that answer.

    Steps are computed when their input is whole and the outbox has room, so nothing takes time. The gateware gives
    the same results, positions modulo its pace, and the same output bytes.
    """

    def __init__(self, spec: NetworkSpec, identity: Identity | None = None) -> None:
        self.spec, self.identity = spec, describe(spec) if identity is None else identity
        self.power_cycle()

    def power_cycle(self) -> None:
        """Forget everything but what the bitstream holds."""
        self._weights = None if Trait.LOADABLE in self.identity.flags else self.spec
        self._image = bytearray()
        self._guard = Guard("lfsr" if self._lfsr else "trivium", self.identity.flippers)
        self._damaged = 0
        self._clear(link.FIXED_FORMAT)

    def _clear(self, format: int) -> None:
        self._unpacker = Unpacker(self.identity.inputs, format)
        self._run: Run | None = None
        self._input_position = 0
        self._pending = bytearray()  # steps computed that wait for the outbox
        self._outbox = bytearray()  # what left the gate and is not confirmed
        self._taken = self._sent = self._shown = 0  # positions; the outbox begins at `_taken`, `_shown` was sent once

    def damaged(self, frames: int = 1) -> None:
        """Count frames that did not arrive whole."""
        self._damaged = min(0xFFFF, self._damaged + frames)

    def receive(self, body: bytes) -> list[bytes]:
        """Take one body of 2 to 250 bytes; the bodies that go out, in order."""
        tag = body[1]
        if body[0] not in KINDS or (body[0] in LOADING and Trait.LOADABLE not in self.identity.flags):
            return [self.status(Result.UNKNOWN).pack(tag)]
        try:
            message = unpack(body)
        except ValueError:
            return [self.status(Result.MALFORMED).pack(tag)]
        if message.kind is Kind.IDENTIFY:
            return [self.identity.pack(tag)]
        result = HANDLERS[message.kind](self, message)
        self._move()
        answer = self.status(result).pack(tag)
        output = self._output()
        return output if output and message.kind is Kind.INPUT and result is Result.OK else [answer, *output]

    def status(self, result: Result = Result.OK) -> Status:
        """Where the device stands."""
        flags = State.OPEN * self._guard.open | State.LOADED * (self._weights is not None)
        return Status(
            result=result,
            flags=State(flags),
            lease=self._guard.lease,
            session=self._guard.session,
            quota=self._guard.quota,
            input_position=self._input_position % link.WRAP,
            input_room=self._room,
            output_position=self._written % link.WRAP,
            taken=self._taken % link.WRAP,
            image_position=len(self._image),
            damaged=self._damaged,
        )

    @property
    def _room(self) -> int:
        """Input bytes that fit."""
        return max(0, self.identity.window - self._unpacker.held)

    @property
    def _written(self) -> int:
        """Output bytes that have left the gate."""
        return self._taken + len(self._outbox)

    @property
    def _begun(self) -> int:
        """Steps of which a bit has left the gate."""
        return -(-self._written // self.identity.output_bytes)

    @property
    def _busy(self) -> bool:
        """Whether the network still works for a lease, though it be only on the rest of its last step."""
        return self._guard.open or bool(self._pending)

    @property
    def _lfsr(self) -> bool:
        return Trait.LFSR in self.identity.flags

    def _status(self, message: Message) -> Result:
        return Result.OK

    def _load(self, message: Message) -> Result:
        if self._busy:
            return Result.LOCKED
        position, size = message["position"], len(message.data)
        if position not in (0, len(self._image)):
            return Result.GAP
        if position + size > self.identity.image:
            return Result.FULL
        if position == 0:
            self._image, self._weights = bytearray(), None
        self._image += message.data
        return Result.OK

    def _seal(self, message: Message) -> Result:
        if self._busy:
            return Result.LOCKED
        stated, content = (message["length"], message["crc"]), bytes(self._image)
        whole = stated == (self.identity.image, zlib.crc32(content)) and len(content) == self.identity.image
        self._weights = image.from_bytes(self.spec, self.identity.layers, content) if whole else None
        return Result.OK if whole else Result.MISMATCH

    def _open_lease(self, message: Message) -> Result:
        if message["format"] > (link.FIXED_FORMAT if Trait.BITMAPS in self.identity.flags else link.TAGGED_FORMAT):
            return Result.MALFORMED
        offer = Offer(*(message[name] for name in ("lease", "session", "quota", "record_steps")))
        result = self._guard.open_lease(offer, message.data, loaded=self._weights is not None)
        if result is Result.OK and self._weights is not None:
            self._clear(message["format"])
            source = words(self._guard.secret, lfsr=self._lfsr)
            self._run = Run(self._weights, source, offer.lease, offer.record_steps)
        return result

    def _input(self, message: Message) -> Result:
        own = message["session"] == self._guard.session
        if own:
            self._confirm(message["taken"])
        if not (own and self._guard.open):
            return Result.CLOSED
        if message["position"] != self._input_position % link.WRAP:
            return Result.GAP
        if len(message.data) > self._room:
            return Result.FULL
        self._unpacker.take(message.data, 0)
        self._input_position += len(message.data)
        return Result.OK

    def _take(self, message: Message) -> Result:
        if self._guard.lease == 0 or message["session"] != self._guard.session:
            return Result.CLOSED
        self._confirm(message["taken"])
        if message["again"] & 1:
            self._sent = self._taken
        return Result.OK

    def _close(self, message: Message) -> Result:
        if not self._guard.open or message["session"] != self._guard.session:
            return Result.CLOSED
        self._guard.close()
        del self._pending[self._begun * self.identity.output_bytes - self._written :]  # a step begun leaves whole
        return Result.OK

    def _confirm(self, taken: int) -> None:
        """Forget output that the host has, where `taken` is a position that it can have reached."""
        count = (taken - self._taken) % link.WRAP
        if count <= self._shown - self._taken:
            del self._outbox[:count]
            self._taken += count
            self._sent = max(self._sent, self._taken)

    def _move(self) -> None:
        """Let input through the network and the gate, as far as quota and outbox allow."""
        size, moved = self.identity.output_bytes, 1
        while self._run is not None and moved:
            room = self.identity.outbox - len(self._outbox)
            steps = self._unpacker.take(b"", self._admitted(max(0, room + DEPTH * size - len(self._pending)) // size))
            if len(steps):
                self._pending += pack_steps(self._run.feed(steps), self.identity.output_bits)
            moved, begun = min(room, len(self._pending)), self._begun
            self._outbox += self._pending[:moved]
            del self._pending[:moved]
            for _ in range(self._begun - begun):
                self._guard.leave()

    def _admitted(self, most: int) -> int:
        """How many of the steps that wait the guard lets in, `most` at the most."""
        count = 0
        for _ in range(min(most, self._unpacker.steps(most))):
            if self._guard.admits:
                self._guard.enter()
                count += 1
        return count

    def _output(self) -> list[bytes]:
        """What has not been sent, as bodies."""
        bodies = []
        while self._sent < self._written:
            start = self._sent - self._taken
            piece = bytes(self._outbox[start : start + link.room(Kind.OUTPUT)])
            bodies.append(self._output_body(piece))
            self._sent += len(piece)
        self._shown = max(self._shown, self._sent)
        return bodies

    def _output_body(self, piece: bytes) -> bytes:
        return link.pack(
            Kind.OUTPUT,
            0,
            piece,
            session=self._guard.session,
            position=self._sent % link.WRAP,
            input_position=self._input_position % link.WRAP,
            input_room=self._room,
        )


KINDS = frozenset(kind for kind in Kind if kind < Kind.IDENTITY)
LOADING = (Kind.LOAD, Kind.SEAL)
HANDLERS: dict[Kind, Callable[[Device, Message], Result]] = {
    Kind.STATUS: Device._status,
    Kind.LOAD: Device._load,
    Kind.SEAL: Device._seal,
    Kind.OPEN: Device._open_lease,
    Kind.INPUT: Device._input,
    Kind.TAKE: Device._take,
    Kind.CLOSE: Device._close,
}
