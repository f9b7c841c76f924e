"""IDENTITY: the description that a device gives of itself, built the same way for gateware and model."""

from dataclasses import asdict, dataclass
from typing import Any, Protocol, Self

from spikeveil.pysim.device.messages import Message, MessageKind, Release, Trait, pack
from spikeveil.pysim.device.unpack import bitmap_bytes, fixed_indices, takes_indices
from spikeveil.pysim.device.wire import PROTOCOL_VERSION, SEED_BYTES
from spikeveil.pysim.model import image as images
from spikeveil.pysim.model.decision import Decision
from spikeveil.pysim.model.lanes import LayerLanes, uniform_lanes
from spikeveil.pysim.model.spec import NetworkSpec
from spikeveil.pysim.model.trivium import KEY_BYTES

DEFAULT_CLOCK_HZ = 12_000_000
DEFAULT_BUFFER = 2048  # bytes: four block RAMs of an iCE40, one of an ECP5
DECISION_FIELDS = ("record_steps", "classes", "word_bits", "winner_words", "other_words")


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
    | `word_sources` | layers with a word source: those that flip, and the last one under a decision |
    | `inputs` | spikes of an input step |
    | `outputs`, `output_bits` | numbers of a release, and bits of each: neurons of a step, or what a decision is |
    | `window`, `outbox` | bytes of the input buffer and of the output buffer |
    | `clock`, `cadence` | Hz; clock cycles between two released steps, 0 on the fast schedule |
    | `image` | bytes of an image, 0 where none can be loaded |
    | `indices` | private schedule: indices of every step in format 1; 0 where there is no format 1, or it has counts |
    | `release` | what leaves: spikes, potentials, k-ary or one-hot decisions |
    | `record_steps` | under a decision, the steps of a record; 0: any |
    | `classes`, `word_bits` | under a decision, its classes and the width w of its words; else 0 |
    | `winner_words`, `other_words` | of 2^w words, those that report the winner, and one given other class; else 0 |
    | `version` | version of the protocol |
    """

    fingerprint: bytes
    structure: bytes
    flags: Trait
    lanes: int
    word_sources: int
    inputs: int
    outputs: int
    output_bits: int
    window: int
    outbox: int
    clock: int
    cadence: int
    image: int
    indices: int
    release: Release
    record_steps: int
    classes: int
    word_bits: int
    winner_words: int
    other_words: int
    layers: tuple[LayerLanes, ...]
    version: int = PROTOCOL_VERSION

    @classmethod
    def from_message(cls, message: Message) -> Self:
        """Unpack an IDENTITY. ValueError for lanes that no device can have, and for an unknown kind of release."""
        pairs = zip(message.data[::2], message.data[1::2], strict=True)
        layers = tuple(LayerLanes(lanes, scan) for lanes, scan in pairs)
        flags, release = Trait(message["flags"]), Release(message["release"])
        return cls(**{**message.values, "flags": flags, "release": release, "layers": layers})

    def pack(self, tag: int) -> bytes:
        """The body of the IDENTITY that answers the request with this tag."""
        fields = asdict(self) | {"flags": self.flags}
        del fields["layers"]
        data = bytes(count for layer in self.layers for count in (layer.lanes, layer.scan))
        return pack(MessageKind.IDENTITY, tag, data, **fields)

    @property
    def secret_bytes(self) -> int:
        """Bytes of the secret in an OPEN."""
        return SEED_BYTES * self.word_sources if Trait.LFSR in self.flags else KEY_BYTES

    @property
    def input_bytes(self) -> int:
        """Bytes of an input step in format 0."""
        return bitmap_bytes(self.inputs)

    @property
    def output_bytes(self) -> int:
        """Bytes of a release: of an output step, or of a decision."""
        return -(-self.outputs * self.output_bits // 8)


def identity(
    plan: DevicePlan,
    *,
    clock_hz: int = DEFAULT_CLOCK_HZ,
    window: int = DEFAULT_BUFFER,
    outbox: int = DEFAULT_BUFFER,
) -> Identity:
    """The identity of a device that is built from `plan`, with buffers of `window` and `outbox` bytes."""
    spec, private = plan.spec, plan.schedule == "private"
    return Identity(
        fingerprint=bytes.fromhex(spec.fingerprint),
        structure=bytes.fromhex(images.structure(spec)),
        flags=_traits(plan),
        lanes=plan.lanes,
        word_sources=len(spec.randomised),
        inputs=spec.inputs,
        window=window,
        outbox=outbox,
        clock=clock_hz,
        cadence=plan.cadence if private else 0,
        image=images.size(spec, plan.layer_lanes) if plan.loadable else 0,
        indices=fixed_indices(spec) if private and plan.tagged else 0,
        layers=plan.layer_lanes,
        **release_fields(spec),
    )


def release_fields(spec: NetworkSpec) -> dict[str, Any]:
    """The fields of an IDENTITY that say what a network releases; a driver compares them with its own network's."""
    last, decision = spec.layers[-1], spec.decision
    if decision is None:
        release = Release.POTENTIALS if last.readout else Release.SPIKES
        sizes = {"outputs": spec.outputs, "output_bits": last.state_bits if last.readout else 1}
        return {"release": release, **sizes, **dict.fromkeys(DECISION_FIELDS, 0)}
    return {
        "release": Release.KARY if isinstance(decision, Decision) else Release.ONE_HOT,
        "outputs": decision.output_neurons,
        "output_bits": decision.output_bits,
        "record_steps": spec.steps,
        "classes": decision.classes,
        "word_bits": decision.bits,
        "winner_words": int(decision.winner_probability * (1 << decision.bits)),
        "other_words": int(decision.other_probability * (1 << decision.bits)),
    }


def _traits(plan: DevicePlan) -> Trait:
    traits = {
        Trait.LOADABLE: plan.loadable,
        Trait.PRIVATE: plan.schedule == "private",
        Trait.LFSR: plan.source == "lfsr",
        Trait.BITMAPS: not takes_indices(plan.spec, tagged=plan.tagged, private=plan.schedule == "private"),
    }
    return Trait(sum(trait for trait, enabled in traits.items() if enabled))
