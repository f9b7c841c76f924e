"""IDENTITY: the description that a device gives of itself, built the same way for gateware and model."""

from dataclasses import asdict, dataclass
from typing import Any, Protocol, Self

from spikeveil.pysim.device.messages import Message, MessageKind, Trait, pack
from spikeveil.pysim.device.wire import PROTOCOL_VERSION, SEED_BYTES
from spikeveil.pysim.model import image as images
from spikeveil.pysim.model.lanes import LayerLanes, uniform_lanes
from spikeveil.pysim.model.spec import NetworkSpec
from spikeveil.pysim.model.trivium import KEY_BYTES

DEFAULT_CLOCK_HZ = 12_000_000
DEFAULT_BUFFER = 2048  # bytes: four block RAMs of an iCE40, one of an ECP5


class DevicePlan(Protocol):
    """What an identity is derived from; `hdl.engine.plan.Plan` and `ModelPlan` have these attributes."""

    @property
    def spec(self) -> NetworkSpec:
        """The specification that the device is built from."""

    @property
    def lanes(self) -> int:
        """The most lanes of any layer."""

    @property
    def source(self) -> Any:
        """The word source: "trivium" or "lfsr"."""

    @property
    def schedule(self) -> Any:
        """The schedule: "private" or "fast"."""

    @property
    def loadable(self) -> bool:
        """Whether weights, biases and thresholds are loaded as an image."""

    @property
    def tagged(self) -> bool:
        """Whether input steps may come in format 1."""

    @property
    def cadence(self) -> int:
        """Clock cycles of a slot of the private schedule."""

    @property
    def layer_lanes(self) -> tuple[LayerLanes, ...]:
        """Lanes and scan of each layer."""


@dataclass(frozen=True)
class ModelPlan:
    """A device that no gateware is built for: a specification and the choices that its identity reports.

    The fields are those of `hdl.engine.plan.Plan` with the same names. Where `layer_lanes` is empty, every layer has
    `lanes` lanes, or as many as it has neurons.
    """

    spec: NetworkSpec
    lanes: int = 16
    source: str = "trivium"
    schedule: str = "private"
    loadable: bool = False
    tagged: bool = True
    cadence: int = 0
    layer_lanes: tuple[LayerLanes, ...] = ()

    def __post_init__(self) -> None:
        if not self.layer_lanes:
            object.__setattr__(self, "layer_lanes", uniform_lanes(self.spec, self.lanes))


@dataclass(frozen=True)
class Identity:
    """The fields of an IDENTITY.

    | field | meaning |
    |---|---|
    | `fingerprint`, `structure` | SHA-256 of the specification; of the part of it that an image does not carry |
    | `flags` | choices of the build |
    | `lanes`, `layers` | the most lanes of any layer; lanes and scan of each |
    | `flippers` | flipped layers |
    | `inputs`, `outputs`, `output_bits` | spikes of an input step, neurons of an output step, bits of a neuron |
    | `window`, `outbox` | bytes of the input buffer and of the output buffer |
    | `clock`, `cadence` | Hz; clock cycles between two released steps, 0 on the fast schedule |
    | `image` | bytes of an image, 0 where none can be loaded |
    | `version` | version of the protocol |
    """

    fingerprint: bytes
    structure: bytes
    flags: Trait
    lanes: int
    flippers: int
    inputs: int
    outputs: int
    output_bits: int
    window: int
    outbox: int
    clock: int
    cadence: int
    image: int
    layers: tuple[LayerLanes, ...]
    version: int = PROTOCOL_VERSION

    @classmethod
    def from_message(cls, message: Message) -> Self:
        """Unpack an IDENTITY. ValueError where a layer has lanes that no device can have."""
        pairs = zip(message.data[::2], message.data[1::2], strict=True)
        layers = tuple(LayerLanes(lanes, scan) for lanes, scan in pairs)
        return cls(**{**message.values, "flags": Trait(message["flags"]), "layers": layers})

    def pack(self, tag: int) -> bytes:
        """The body of the IDENTITY that answers the request with this tag."""
        fields = asdict(self) | {"flags": self.flags}
        del fields["layers"]
        data = bytes(count for layer in self.layers for count in (layer.lanes, layer.scan))
        return pack(MessageKind.IDENTITY, tag, data, **fields)

    @property
    def secret_bytes(self) -> int:
        """Bytes of the secret in an OPEN."""
        return SEED_BYTES * self.flippers if Trait.LFSR in self.flags else KEY_BYTES

    @property
    def input_bytes(self) -> int:
        """Bytes of an input step in format 0."""
        return -(-self.inputs // 8)

    @property
    def output_bytes(self) -> int:
        """Bytes of an output step."""
        return -(-self.outputs * self.output_bits // 8)


def require_spikes(spec: NetworkSpec) -> None:
    """Raise ValueError for a network with a decision, which no device has yet; to be called before a device is made."""
    if spec.decision is not None:
        raise ValueError(
            "network decision must be None for a device: its guard counts steps, and its protocol names no "
            "decision; a network with one runs in the model and as a bare network in simulation"
        )


def identity(
    plan: DevicePlan,
    *,
    clock_hz: int = DEFAULT_CLOCK_HZ,
    window: int = DEFAULT_BUFFER,
    outbox: int = DEFAULT_BUFFER,
) -> Identity:
    """The identity of a device that is built from `plan`, with buffers of `window` and `outbox` bytes.

    Raises ValueError for a network with a decision, which no device has yet.
    """
    spec = plan.spec
    require_spikes(spec)
    last = spec.layers[-1]
    private = plan.schedule == "private"
    return Identity(
        fingerprint=bytes.fromhex(spec.fingerprint),
        structure=bytes.fromhex(images.structure(spec)),
        flags=_traits(plan),
        lanes=plan.lanes,
        flippers=len(spec.flipped),
        inputs=spec.inputs,
        outputs=spec.outputs,
        output_bits=last.state_bits if last.readout else 1,
        window=window,
        outbox=outbox,
        clock=clock_hz,
        cadence=plan.cadence if private else 0,
        image=images.size(spec, plan.layer_lanes) if plan.loadable else 0,
        layers=plan.layer_lanes,
    )


def _traits(plan: DevicePlan) -> Trait:
    traits = {
        Trait.LOADABLE: plan.loadable,
        Trait.PRIVATE: plan.schedule == "private",
        Trait.LFSR: plan.source == "lfsr",
        Trait.POTENTIALS: plan.spec.layers[-1].readout,
        Trait.BITMAPS: not plan.tagged,
    }
    return Trait(sum(trait for trait, enabled in traits.items() if enabled))
