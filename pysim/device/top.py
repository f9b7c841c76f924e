"""Model of the complete device at the level of messages; it computes with the golden model.

Twin of hdl/device/top.py, of hdl/device/commands.py and of hdl/device/request_check.py.
"""

from collections.abc import Callable

from spikeveil.pysim.device import wire
from spikeveil.pysim.device.core import LeaseRun, word_source
from spikeveil.pysim.device.guard import Guard, Offer
from spikeveil.pysim.device.identity import Identity, ModelPlan, identity
from spikeveil.pysim.device.loader import Loader
from spikeveil.pysim.device.messages import (
    Message,
    MessageKind,
    ResultCode,
    StatusFlag,
    Trait,
    max_data,
    pack,
    unpack,
)
from spikeveil.pysim.device.outbox import Outbox
from spikeveil.pysim.device.pack import pack as pack_steps
from spikeveil.pysim.device.status import Status
from spikeveil.pysim.device.unpack import Unpacker
from spikeveil.pysim.model.spec import NetworkSpec

PIPELINE_RELEASES = 4  # computed releases that may wait for the outbox, as in the gateware's pipeline


class DeviceModel:
    """Model of a device that is built for `spec`; `device_identity` is by default that of a device with 16 lanes.

    `receive` takes the body of a request and returns the bodies of the answers. The model has no notion of time: steps
    are computed as soon as their input is complete and the outbox has space. The gateware gives the same results and
    output bytes, but until it has computed them its positions are lower.
    """

    def __init__(self, spec: NetworkSpec, device_identity: Identity | None = None) -> None:
        self.spec = spec
        self.identity = identity(ModelPlan(spec)) if device_identity is None else device_identity
        self.power_cycle()

    def power_cycle(self) -> None:
        """Return to the state after configuration: no image, no lease, lease number 0."""
        self._loader = Loader(self.spec, self.identity)
        source = "lfsr" if self._lfsr else "trivium"
        self._guard = Guard(source, self.identity.word_sources, decision_steps=self.identity.record_steps or None)
        self._damaged = 0
        self._clear(wire.FIXED_FORMAT)

    def _clear(self, input_format: int) -> None:
        """Clear the buffers and positions of a lease."""
        self._unpacker = Unpacker(self.identity.inputs, input_format, self.identity.indices)
        self._outbox = Outbox(self.identity.outbox)
        self._run: LeaseRun | None = None
        self._input_position = 0
        self._pending = bytearray()  # output of computed steps that waits for space in the outbox

    def count_damaged(self, frames: int = 1) -> None:
        """Add to the number of damaged frames in the status."""
        self._damaged = min(wire.MAX_DAMAGED, self._damaged + frames)

    def receive(self, body: bytes) -> list[bytes]:
        """Execute one request body of 2 to 250 bytes; returns the bodies of the answers, in order."""
        tag = body[1]
        if body[0] not in _REQUESTS or (body[0] in _LOADING and Trait.LOADABLE not in self.identity.flags):
            return [self.status(ResultCode.UNKNOWN).pack(tag)]
        try:
            message = unpack(body)
        except ValueError:
            return [self.status(ResultCode.MALFORMED).pack(tag)]
        if message.kind is MessageKind.IDENTIFY:
            return [self.identity.pack(tag)]
        result = _HANDLERS[message.kind](self, message)
        self._advance()
        answer = self.status(result).pack(tag)
        output = self._output()
        optional = message.kind is MessageKind.INPUT and result is ResultCode.OK
        return output if output and optional else [answer, *output]

    def status(self, result: ResultCode = ResultCode.OK) -> Status:
        """The state of the device as a STATUS message, with the result of a request."""
        flags = StatusFlag.OPEN * self._guard.open | StatusFlag.LOADED * (self._loader.network is not None)
        return Status(
            result=result,
            flags=StatusFlag(flags),
            lease=self._guard.lease,
            nonce=self._guard.nonce,
            quota=self._guard.quota,
            input_position=self._input_position % wire.POSITION_MODULUS,
            input_room=self._input_room,
            output_position=self._outbox.written % wire.POSITION_MODULUS,
            confirmed=self._outbox.confirmed % wire.POSITION_MODULUS,
            image_position=self._loader.position,
            damaged=self._damaged,
        )

    @property
    def _input_room(self) -> int:
        """Bytes that fit into the input buffer."""
        return max(0, self.identity.window - self._unpacker.buffered)

    @property
    def _releases_out(self) -> int:
        """Releases that have begun to leave the guard."""
        return -(-self._outbox.written // self.identity.output_bytes)

    @property
    def _busy(self) -> bool:
        """Whether a lease is open or the rest of its last release waits, so that the network is not in reset."""
        return self._guard.open or bool(self._pending)

    @property
    def _lfsr(self) -> bool:
        return Trait.LFSR in self.identity.flags

    def _poll(self, message: Message) -> ResultCode:
        return ResultCode.OK

    def _load(self, message: Message) -> ResultCode:
        return ResultCode.LOCKED if self._busy else self._loader.load(message["position"], message.data)

    def _seal(self, message: Message) -> ResultCode:
        return ResultCode.LOCKED if self._busy else self._loader.seal(message["length"], message["crc"])

    def _open_lease(self, message: Message) -> ResultCode:
        highest_format = wire.FIXED_FORMAT if Trait.BITMAPS in self.identity.flags else wire.TAGGED_FORMAT
        if message["format"] > highest_format:
            return ResultCode.MALFORMED
        offer = Offer(*(message[name] for name in ("lease", "nonce", "quota", "record_steps")))
        network = self._loader.network
        result = self._guard.open_lease(offer, message.data, loaded=network is not None)
        if result is ResultCode.OK and network is not None:
            self._clear(message["format"])
            source = word_source(self._guard.secret, lfsr=self._lfsr)
            self._run = LeaseRun(network, source, offer.lease, offer.record_steps)
        return result

    def _input(self, message: Message) -> ResultCode:
        nonce_matches = message["nonce"] == self._guard.nonce
        if nonce_matches:
            self._outbox.confirm(message["confirmed"])
        if not (nonce_matches and self._guard.open):
            return ResultCode.CLOSED
        if message["position"] != self._input_position % wire.POSITION_MODULUS:
            return ResultCode.GAP
        if len(message.data) > self._input_room:
            return ResultCode.FULL
        self._unpacker.take(message.data, 0)
        self._input_position += len(message.data)
        return ResultCode.OK

    def _take(self, message: Message) -> ResultCode:
        if self._guard.lease == 0 or message["nonce"] != self._guard.nonce:
            return ResultCode.CLOSED
        self._outbox.confirm(message["confirmed"])
        if message["resend"] & 1:
            self._outbox.resend()
        return ResultCode.OK

    def _close(self, message: Message) -> ResultCode:
        if not self._guard.open or message["nonce"] != self._guard.nonce:
            return ResultCode.CLOSED
        self._guard.close()
        unfinished = self._releases_out * self.identity.output_bytes - self._outbox.written
        del self._pending[unfinished:]  # a release that has begun to leave is completed
        return ResultCode.OK

    def _advance(self) -> None:
        """Compute and output as much as input, quota and outbox allow."""
        count = 1
        while self._run is not None and count:
            free = self._outbox.free
            self._compute(self._run, free)
            count = min(free, len(self._pending))
            releases_before = self._releases_out
            self._outbox.write(bytes(self._pending[:count]))
            del self._pending[:count]
            for _ in range(self._releases_out - releases_before):
                self._guard.leave()

    def _compute(self, run: LeaseRun, free: int) -> None:
        """Compute the steps whose releases fit into `free` bytes of the outbox and the pipeline."""
        size = self.identity.output_bytes
        releases = max(0, free + PIPELINE_RELEASES * size - len(self._pending)) // size
        steps = self._unpacker.take(b"", self._admit(run.steps_for(releases)))
        if len(steps):
            self._pending += pack_steps(run.feed(steps), self.identity.output_bits)

    def _admit(self, limit: int) -> int:
        """Admit at most `limit` complete input steps; returns their number."""
        count = 0
        for _ in range(self._unpacker.complete_steps(limit)):
            if self._guard.admits:
                self._guard.enter()
                count += 1
        return count

    def _output(self) -> list[bytes]:
        """The unsent output as bodies of OUTPUT messages."""
        bodies = []
        while self._outbox.sent < self._outbox.written:
            position = self._outbox.sent % wire.POSITION_MODULUS
            body = pack(
                MessageKind.OUTPUT,
                0,
                self._outbox.send(max_data(MessageKind.OUTPUT)),
                nonce=self._guard.nonce,
                position=position,
                input_position=self._input_position % wire.POSITION_MODULUS,
                input_room=self._input_room,
            )
            bodies.append(body)
        return bodies


_REQUESTS = frozenset(kind for kind in MessageKind if kind < MessageKind.IDENTITY)
_LOADING = (MessageKind.LOAD, MessageKind.SEAL)
_HANDLERS: dict[MessageKind, Callable[[DeviceModel, Message], ResultCode]] = {
    MessageKind.POLL: DeviceModel._poll,
    MessageKind.LOAD: DeviceModel._load,
    MessageKind.SEAL: DeviceModel._seal,
    MessageKind.OPEN: DeviceModel._open_lease,
    MessageKind.INPUT: DeviceModel._input,
    MessageKind.TAKE: DeviceModel._take,
    MessageKind.CLOSE: DeviceModel._close,
}
