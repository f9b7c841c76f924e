"""Rules that hold for any device and any host, checked on a transcript without the device's model."""

from dataclasses import dataclass, field

import numpy as np
from support.exchanges import Answers, Chunk, frames_of, parse_answers

from spikeveil.pysim import LfsrSource, Network, NetworkSpec, TriviumSource
from spikeveil.pysim.device.identity import Identity
from spikeveil.pysim.device.messages import Message, MessageKind, ResultCode, StatusFlag, Trait, reverse_key
from spikeveil.pysim.device.pack import pack
from spikeveil.pysim.device.status import Status
from spikeveil.pysim.device.unpack import Unpacker
from spikeveil.pysim.device.wire import FIXED_FORMAT, SEED_BYTES, TAGGED_FORMAT

WINDOW = 6  # consecutive bytes of a secret that no answer may contain


@dataclass
class Lease:
    """A lease that the device accepted, as the wire shows it."""

    opening: Message
    quota: int  # last reported
    inputs: bytearray = field(default_factory=bytearray)
    outputs: dict[int, int] = field(default_factory=dict)  # position -> byte


@dataclass
class Counts:
    """Counts of what was watched."""

    commands: int = 0
    answers: int = 0
    leases: int = 0
    releases: int = 0
    resent: int = 0  # bytes sent again
    power_cycles: int = 0
    exhausted: int = 0  # leases whose quota was used up

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(**{name: count + getattr(other, name) for name, count in vars(self).items()})


class Watch:
    """Watches a device that holds the network `spec`, built in or loaded."""

    def __init__(self, spec: NetworkSpec, identity: Identity) -> None:
        self.spec, self.identity = spec, identity
        self.counts = Counts()
        self._highest = 0
        self._lease: Lease | None = None
        self._secrets: list[set[bytes]] = []  # windows of the latest ones

    def run(self, chunks: list[Chunk], answers: list[bytes]) -> Counts:
        """Check a transcript that begins at power-on; AssertionError at the first violation."""
        for number, (chunk, sent, answer) in enumerate(zip(chunks, frames_of(chunks), answers, strict=True)):
            try:
                if chunk is None:
                    self._power_cycle()
                self._exchange(sent.messages, answer)
            except AssertionError as error:
                raise AssertionError(f"chunk {number}, {[body.hex() for body in sent.bodies]}: {error}") from error
        self._settle()
        return self.counts

    def _power_cycle(self) -> None:
        self._settle()
        self._highest = 0
        self.counts.power_cycles += 1

    def _exchange(self, messages: list[Message], answer: bytes) -> None:
        answers = parse_answers(answer)
        self.counts.commands += len(messages)
        self.counts.answers += len(answers.order)
        begun = self._sent(messages, answers)
        for message in answers.order:
            self._no_secret(message)
            while begun and self._is_later(message):
                self._settle()
                self._lease = begun.pop(0)
                self.counts.leases += 1
            if message.kind is MessageKind.STATUS:
                self._status(Status.from_message(message))
            elif message.kind is MessageKind.OUTPUT:
                self._output(message)
        assert not begun, "no answer shows a lease that was accepted"

    def _is_later(self, message: Message) -> bool:
        """Whether a message belongs to a later lease than the current one."""
        opening = None if self._lease is None else self._lease.opening
        if message.kind is MessageKind.STATUS:
            return bool(message["lease"] > (0 if opening is None else opening["lease"]))
        return message.kind is MessageKind.OUTPUT and (opening is None or message["nonce"] != opening["nonce"])

    def _sent(self, messages: list[Message], answers: Answers) -> list[Lease]:
        """Record what the device accepted of the messages; the leases that it opened.

        In a burst not everything is answered. An unanswered OPEN was accepted if it is valid and the highest lease is
        not below its number afterwards; an unanswered INPUT if it begins at the position reached. Its lease may have
        ended before, but then no output can result. Where the burst contains a SEAL, an OPEN before it may have been
        refused because weights were missing, and a later one with the same number accepted: the nonce decides.
        """
        results, begun, current = dict(answers.results), list[Lease](), self._lease
        highest = max((status.lease for _, status in answers.statuses), default=self._highest)
        sealed = answers.statuses and any(message.kind is MessageKind.SEAL for message in messages)
        last = answers.statuses[-1][1] if sealed and Trait.LOADABLE in self.identity.flags else None
        for message in messages:
            result = results.get(message.tag)
            if message.kind is MessageKind.OPEN:
                self._secrets = [*self._secrets[-6:], windows(message.data) | windows(reverse_key(message.data))]
                known = self._highest if current is None else current.opening["lease"]
                right = result is None and self._right(message) and known < message["lease"] <= highest
                right &= last is None or message["lease"] != last.lease or message["nonce"] == last.nonce
                if result is ResultCode.OK or right:
                    current = Lease(message, message["quota"])
                    begun.append(current)
            elif message.kind is MessageKind.INPUT and result in (ResultCode.OK, None) and current is not None:
                right = (message["nonce"], message["position"]) == (current.opening["nonce"], len(current.inputs))
                assert right or result is None, "input with another nonce or at another position was accepted"
                current.inputs += message.data if right else b""
            elif message.kind is MessageKind.INPUT:
                assert result is not ResultCode.OK, "input was accepted before any lease"
        return begun

    def _right(self, message: Message) -> bool:
        """Whether an OPEN is not MALFORMED."""
        lfsr, secret = Trait.LFSR in self.identity.flags, message.data
        seeds = [secret[at : at + SEED_BYTES] for at in range(0, len(secret), SEED_BYTES)]
        zero = lfsr and any(int.from_bytes(seed, "little") & (1 << 127) - 1 == 0 for seed in seeds)
        fixed = self.identity.record_steps
        steps_allowed = message["record_steps"] == fixed if fixed else message["record_steps"] > 0
        highest_format = FIXED_FORMAT if Trait.BITMAPS in self.identity.flags else TAGGED_FORMAT
        counts = message["quota"] and steps_allowed and message["format"] <= highest_format
        return bool(counts) and len(secret) == self.identity.secret_bytes and not zero

    def _no_secret(self, message: Message) -> None:
        shown = windows(message.data) | windows(b"".join(v for v in message.values.values() if isinstance(v, bytes)))
        assert not any(shown & secret for secret in self._secrets), "a piece of a secret came back"

    def _status(self, status: Status) -> None:
        assert status.lease >= self._highest, f"the highest lease fell from {self._highest} to {status.lease}"
        self._highest = status.lease
        assert StatusFlag.LATE not in status.flags, "a step was late"
        assert (StatusFlag.OPEN in status.flags) == (status.quota > 0), (
            "flag and quota disagree on whether a lease is open"
        )
        lease = self._lease
        if lease is None:
            assert status.lease == status.quota == status.output_position == 0, "a lease that nobody opened"
            return
        assert (status.lease, status.nonce) == (lease.opening["lease"], lease.opening["nonce"])
        assert status.quota <= lease.quota, f"the quota rose from {lease.quota} to {status.quota}"
        lease.quota = status.quota
        released = -(-status.output_position // self.identity.output_bytes)
        assert released + status.quota <= lease.opening["quota"], "releases and quota exceed the lease"
        assert status.input_position <= len(lease.inputs), "refused input was accepted"
        assert status.confirmed <= status.output_position

    def _output(self, message: Message) -> None:
        lease = self._lease
        assert lease is not None, "output before any lease"
        assert message["nonce"] == lease.opening["nonce"], "output with another nonce"
        end = message["position"] + len(message.data)
        assert end <= lease.opening["quota"] * self.identity.output_bytes, "more was released than was leased"
        for index, byte in enumerate(message.data, message["position"]):
            self.counts.resent += index in lease.outputs
            assert lease.outputs.setdefault(index, byte) == byte, f"two values at output position {index}"

    def _settle(self) -> None:
        """End the lease: its output must be what the model releases for the input that was accepted."""
        lease, self._lease = self._lease, None
        if lease is None or not lease.outputs:
            return
        count = 1 + max(lease.outputs)
        output = bytes(lease.outputs[index] for index in range(count) if index in lease.outputs)
        assert len(output) == count, "output was released and never sent"
        releases = -(-count // self.identity.output_bytes)
        expected = golden_bytes(self.spec, self.identity, lease.opening, bytes(lease.inputs), releases)
        assert output == expected[:count], (
            f"lease {lease.opening['lease']} released {output.hex()}, not {expected.hex()}"
        )
        self.counts.releases += releases
        self.counts.exhausted += count == lease.opening["quota"] * self.identity.output_bytes


def golden_bytes(spec: NetworkSpec, identity: Identity, opening: Message, inputs: bytes, count: int) -> bytes:
    """The model's output bytes for the first `count` releases of a lease; of fewer where the input has fewer."""
    steps = Unpacker(spec.inputs, opening["format"], identity.indices).take(inputs, count * (spec.steps or 1))
    record_steps = opening["record_steps"]
    if spec.steps is not None:
        records = steps[: len(steps) // spec.steps * spec.steps].reshape(-1, spec.steps, spec.inputs)
        decisions = Network(spec, source_of(opening.data, identity)).run(records, lease=opening["lease"]).decisions
        return pack(np.asarray(decisions).reshape(-1, identity.outputs), identity.output_bits)
    if len(steps) < record_steps:  # one record; missing steps change nothing
        records = steps[None]
    else:
        records = np.zeros((-(-len(steps) // record_steps), record_steps, spec.inputs), np.bool_)
        records.reshape(-1, spec.inputs)[: len(steps)] = steps
    result = Network(spec, source_of(opening.data, identity)).run(records, lease=opening["lease"])
    rows = result.readout if result.released is None else result.released
    return pack(np.asarray(rows).reshape(-1, spec.outputs)[: len(steps)], identity.output_bits)


def source_of(secret: bytes, identity: Identity) -> LfsrSource | TriviumSource:
    """The word source of the secret in an OPEN."""
    if Trait.LFSR not in identity.flags:
        return TriviumSource(reverse_key(secret))
    seeds = [secret[at : at + SEED_BYTES] for at in range(0, len(secret), SEED_BYTES)]
    return LfsrSource([int.from_bytes(seed, "little") & (1 << 127) - 1 for seed in seeds])


def windows(content: bytes) -> set[bytes]:
    """Every piece of `WINDOW` bytes, except those of few distinct bytes."""
    pieces = {content[at : at + WINDOW] for at in range(len(content) - WINDOW + 1)}
    return {piece for piece in pieces if len(set(piece)) >= WINDOW - 1}
