"""A network as data: its kind, its layers, its window and how images enter, before any weight exists."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from math import prod
from typing import Any, Literal

from spikeveil.host.training.neurons import Neuron
from spikeveil.host.training.surrogates import surrogate_dict, surrogate_of
from spikeveil.pysim.model import checks

LARGEST = 1 << 20
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Dense:
    """A fully connected layer of `neurons` firing neurons; its input must be flat."""

    neurons: int
    neuron: Neuron = field(default_factory=Neuron)
    bias: bool = True

    def __post_init__(self) -> None:
        checks.integer("dense neurons", self.neurons, 1, LARGEST)
        checks.instance("dense neuron", self.neuron, Neuron)
        checks.flag("dense bias", self.bias)

    def out(self, shape: Shape) -> Shape:
        if len(shape) != 1:
            raise ValueError(f"dense input must be flat, not {shape}: put a Flatten before it")
        return (self.neurons,)


@dataclass(frozen=True)
class Conv:
    """A two-dimensional convolution with `channels` maps of firing neurons; square kernel, input (C, H, W)."""

    channels: int
    kernel: int
    stride: int = 1
    padding: int = 0
    neuron: Neuron = field(default_factory=Neuron)
    bias: bool = True

    def __post_init__(self) -> None:
        checks.integer("conv channels", self.channels, 1, LARGEST)
        checks.integer("conv kernel", self.kernel, 1, 255)
        checks.integer("conv stride", self.stride, 1, 255)
        checks.integer("conv padding", self.padding, 0, self.kernel - 1)
        checks.instance("conv neuron", self.neuron, Neuron)
        checks.flag("conv bias", self.bias)

    def out(self, shape: Shape) -> Shape:
        return (self.channels, *_slid("conv", shape, self.kernel, self.stride, self.padding))


@dataclass(frozen=True)
class Pool:
    """Pooling over squares of each map: `average` or `sum` (both linear: they fold into the next layer's weights), or
    `max`, which for spikes is their OR. No padding, no neurons of its own.
    """

    kernel: int
    stride: int | None = None
    mode: Literal["average", "sum", "max"] = "average"

    def __post_init__(self) -> None:
        checks.integer("pool kernel", self.kernel, 1, 255)
        checks.optional_integer("pool stride", self.stride, 255)
        checks.choice("pool mode", self.mode, ("average", "sum", "max"))

    @property
    def step(self) -> int:
        """The stride: the kernel's size where none is given."""
        return self.kernel if self.stride is None else self.stride

    def out(self, shape: Shape) -> Shape:
        return (shape[0], *_slid("pool", shape, self.kernel, self.step, 0))


@dataclass(frozen=True)
class Flatten:
    """(C, H, W) to (C*H*W,), in that order."""

    def out(self, shape: Shape) -> Shape:
        return (prod(shape),)


Layer = Dense | Conv | Pool | Flatten
LAYERS: dict[str, type[Layer]] = {"dense": Dense, "conv": Conv, "pool": Pool, "flatten": Flatten}


@dataclass(frozen=True)
class Readout:
    """The last weights and how a class is read from them.

    `membrane`: one neuron a class that never fires; its potential after the window, divided by the number of steps, is
    the class's score (DPSNN eq. 7, accumulated membrane potential); only `neuron.decay` counts. `counts`: `group`
    firing neurons a class, class c at neurons c*group to (c+1)*group - 1; the score is their firing rate, 0 to 1.
    `gain` multiplies the scores before the softmax of the loss and changes no class.
    """

    kind: Literal["membrane", "counts"] = "membrane"
    group: int = 1
    neuron: Neuron = field(default_factory=Neuron)
    bias: bool = True
    gain: float = 1.0

    def __post_init__(self) -> None:
        checks.choice("readout kind", self.kind, ("membrane", "counts"))
        checks.integer("readout group", self.group, 1, LARGEST)
        checks.instance("readout neuron", self.neuron, Neuron)
        checks.flag("readout bias", self.bias)
        if self.kind == "membrane" and self.group != 1:
            raise ValueError(f"readout group must be 1 for kind 'membrane', not {self.group}")
        if not isinstance(self.gain, int | float) or not 0 < self.gain < float("inf"):
            raise ValueError(f"readout gain must be above 0 and finite, not {self.gain!r}")


NEURAL = Dense | Conv | Readout


@dataclass(frozen=True)
class Architecture:
    """A chain of layers over a window of `steps` steps.

    - `shape`: of one input, (features,) or (C, H, W);
    - `coding`: `direct` feeds the input's intensities (floats, 0 to 1) as the same current at every step; `spikes`
      takes spikes (steps, *shape) made by `spikeveil.host.data.encoders`;
    - `kind`: `snn`, or `ann` for an artificial neural network of the same structure. Its layers apply tanh in place of
      their neurons, its readout is linear. It takes intensities, has one step and no neuron parameters.

    Raises ValueError where a layer does not fit its input, or an ANN has what only an SNN can have.
    """

    shape: Shape
    classes: int
    steps: int
    layers: tuple[Layer, ...]
    readout: Readout = field(default_factory=Readout)
    coding: Literal["direct", "spikes"] = "spikes"
    kind: Literal["snn", "ann"] = "snn"

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(self.shape))
        object.__setattr__(self, "layers", tuple(self.layers))
        if len(self.shape) not in (1, 3):
            raise ValueError(f"architecture shape must have 1 or 3 lengths, not {len(self.shape)}")
        for length in self.shape:
            checks.integer("architecture shape", length, 1, LARGEST)
        checks.integer("architecture classes", self.classes, 2, LARGEST)
        checks.integer("architecture steps", self.steps, 1, 1 << 16)
        checks.choice("architecture coding", self.coding, ("direct", "spikes"))
        checks.choice("architecture kind", self.kind, ("snn", "ann"))
        checks.instance("architecture readout", self.readout, Readout)
        if self.kind == "ann":
            self._check_ann()
        if len(self.shapes[-1]) != 1:
            raise ValueError(f"readout input must be flat, not {self.shapes[-1]}: put a Flatten before it")

    def _check_ann(self) -> None:
        for name, value, needed in (
            ("coding", self.coding, "direct"),
            ("steps", self.steps, 1),
            ("readout kind", self.readout.kind, "membrane"),
        ):
            if value != needed:
                raise ValueError(f"architecture {name} must be {needed!r} for kind 'ann', not {value!r}")
        if any(part.neuron != Neuron() for part in (*self.layers, self.readout) if isinstance(part, NEURAL)):
            raise ValueError("architecture neuron must be left out for kind 'ann', whose layers apply tanh")

    def as_ann(self) -> "Architecture":
        """The ANN of the same structure: same weights, pooling and readout, tanh in place of neurons, one step."""
        layers = (replace(layer, neuron=Neuron()) if isinstance(layer, NEURAL) else layer for layer in self.layers)
        readout = Readout(bias=self.readout.bias, gain=self.readout.gain)
        return replace(self, kind="ann", steps=1, coding="direct", layers=tuple(layers), readout=readout)

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """The input's shape and that of every layer's output, the readout left out."""
        found = [self.shape]
        for index, layer in enumerate(self.layers):
            if not isinstance(layer, Layer):
                raise ValueError(f"architecture layer {index} must be Dense, Conv, Pool or Flatten, not {layer!r}")
            try:
                found.append(layer.out(found[-1]))
            except ValueError as error:
                raise ValueError(f"architecture layer {index}: {error}") from None
        return tuple(found)

    @property
    def exportable(self) -> bool:
        """Whether its dynamics are the specification's, so that a dense one becomes a `NetworkSpec`."""
        neurons = [layer.neuron for layer in self.layers if isinstance(layer, Dense | Conv)]
        return (
            self.kind == "snn"
            and self.coding == "spikes"
            and all(neuron.exportable for neuron in (*neurons, self.readout.neuron))
        )

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON or TOML; `architecture_of` reads it."""
        names = {kind: name for name, kind in LAYERS.items()}
        layers = [{"kind": names[type(layer)], **_plain(layer)} for layer in self.layers]
        whole: dict[str, Any] = {
            "shape": list(self.shape),
            "classes": self.classes,
            "steps": self.steps,
            "coding": self.coding,
            "layers": layers,
            "readout": _plain(self.readout),
        }
        if self.kind == "snn":  # left out, so that digests of configurations from before there were ANNs stay
            return whole
        for part in (*layers, whole["readout"]):
            part.pop("neuron", None)
        return {"kind": self.kind, **whole}


def architecture_of(content: Mapping[str, Any]) -> Architecture:
    """The architecture that a configuration describes.

    A table [neuron] gives the neuron of every layer that has none of its own; a layer's own table changes single
    fields of it. Raises ValueError for an unknown or missing word.
    """
    values = dict(content)
    shared = dict(values.pop("neuron", {}))
    layers = [_layer_of(layer, shared) for layer in values.pop("layers", ())]
    readout = built(Readout, "readout", values.pop("readout", {}), shared)
    whole: Architecture = built(Architecture, "architecture", {**values, "layers": layers, "readout": readout})
    return whole


def _layer_of(content: Mapping[str, Any], shared: dict[str, Any]) -> Layer:
    values = dict(content)
    kind = checks.choice("layer kind", values.pop("kind", None), tuple(LAYERS))
    layer: Layer = built(LAYERS[kind], kind, values, shared)
    return layer


def _neuron_of(content: Mapping[str, Any]) -> Neuron:
    values = dict(content)
    if "surrogate" in values:
        values["surrogate"] = surrogate_of(values["surrogate"])
    neuron: Neuron = built(Neuron, "neuron", values)
    return neuron


def built(kind: Any, name: str, values: Mapping[str, Any], shared: dict[str, Any] | None = None) -> Any:
    """A dataclass from a table of its fields; `shared` fills the neuron of one that has a neuron.

    Raises ValueError for a word that is none of its fields, or a field that is missing.
    """
    known = {one.name for one in fields(kind)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise ValueError(f"{name} takes {', '.join(sorted(known)) or 'no words'}, not {unknown[0]!r}")
    arguments = dict(values)
    if shared is not None and "neuron" in known:
        arguments["neuron"] = _neuron_of({**shared, **arguments.get("neuron", {})})
    try:
        return kind(**arguments)
    except TypeError as error:
        missing = sorted(known - set(values))
        raise ValueError(f"{name} lacks one of {', '.join(missing)}: {error}") from None


def _plain(part: Any) -> dict[str, Any]:
    values = {one.name: getattr(part, one.name) for one in fields(part)}
    neuron = values.get("neuron")
    if isinstance(neuron, Neuron):
        values["neuron"] = {**asdict(neuron), "surrogate": surrogate_dict(neuron.surrogate)}
    return {name: value for name, value in values.items() if value is not None}


def _slid(name: str, shape: Shape, kernel: int, stride: int, padding: int) -> Shape:
    if len(shape) != 3:
        raise ValueError(f"{name} input must be (channels, height, width), not {shape}")
    lengths = tuple((length + 2 * padding - kernel) // stride + 1 for length in shape[1:])
    if min(lengths) < 1:
        raise ValueError(f"{name} kernel must fit the input {shape[1:]}, not {kernel}")
    return lengths
