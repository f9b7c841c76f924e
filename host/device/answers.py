"""Checks of what a device answers: it may be broken, or built to deceive. Every fault is a DeviceError."""

from collections.abc import Iterator
from contextlib import contextmanager

from spikeveil.host.device.errors import ProtocolViolation, WrongDevice
from spikeveil.pysim.device.identity import Identity, release_fields
from spikeveil.pysim.device.messages import Message, MessageKind, Trait
from spikeveil.pysim.device.status import Status
from spikeveil.pysim.device.unpack import fixed_indices
from spikeveil.pysim.model.spec import NetworkSpec

MAX_SLOT_SECONDS = 10.0  # of one step: 4096 neurons with 4096 inputs each take 1.4 s on one lane at 12 MHz


@contextmanager
def protocol_faults(name: str) -> Iterator[None]:
    """Raise the ValueError of an answer that no device may send as ProtocolViolation. name: of the port."""
    try:
        yield
    except ValueError as error:
        raise ProtocolViolation(f"the device at {name} sent what the protocol does not allow: {error}") from error


def read_status(name: str, message: Message) -> Status:
    """The fields of a STATUS from the port `name`. ProtocolViolation for another kind or an unknown result."""
    if message.kind is not MessageKind.STATUS:
        raise ProtocolViolation(f"the device at {name} answered {message.kind.name}, not STATUS")
    with protocol_faults(name):
        return Status.from_message(message)


def read_identity(name: str, message: Message) -> Identity:
    """The fields of an IDENTITY from the port `name`. ProtocolViolation for another kind, or lanes that cannot be."""
    if message.kind is not MessageKind.IDENTITY:
        raise ProtocolViolation(f"the device at {name} answered {message.kind.name}, not IDENTITY")
    with protocol_faults(name):
        return Identity.from_message(message)


def require_match(identity: Identity, spec: NetworkSpec, name: str) -> None:
    """WrongDevice where a figure of IDENTITY differs from what a device of `spec` has, or is beyond every device's."""
    expected = {"word_sources": len(spec.randomised), "inputs": spec.inputs, **release_fields(spec)}
    if Trait.PRIVATE in identity.flags and Trait.BITMAPS not in identity.flags:
        expected["indices"] = fixed_indices(spec)
    stated = {field: getattr(identity, field) for field in expected} | {"layers": len(identity.layers)}
    for field, value in (expected | {"layers": len(spec.layers)}).items():
        if stated[field] != value:
            needed = field.replace("_", " ") + f" {value}"
            raise WrongDevice(f"the device at {name} must have {needed}, as the network does, not {stated[field]}")
    _require_timing(identity, spec, name)
    for field in ("window", "outbox"):
        if getattr(identity, field) < 1:
            raise WrongDevice(f"the device at {name} must have {field} of 1 byte or more, not 0")


def _require_timing(identity: Identity, spec: NetworkSpec, name: str) -> None:
    if identity.clock < 1:
        raise WrongDevice(f"the device at {name} must have a clock of 1 Hz or more, not 0")
    if identity.cadence and spec.cadence not in (None, identity.cadence):
        raise WrongDevice(f"the device at {name} must have cadence {spec.cadence}, not {identity.cadence}")
    if slot_seconds(identity) > MAX_SLOT_SECONDS:
        raise WrongDevice(
            f"the device at {name} must take at most {MAX_SLOT_SECONDS:g} s for a step, not {slot_seconds(identity):g}"
        )


def slot_seconds(identity: Identity) -> float:
    """Seconds between two released steps on the private schedule; 0 on the fast one."""
    return identity.cadence / max(1, identity.clock)
