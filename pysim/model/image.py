"""The image: the numbers of a network as the bytes that a loadable device takes (`hdl/device/loader.py`).

docs/protocol.md, "The image", defines the order of the bytes. The rest of a specification, which an image does not
carry, is its structure.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeveil.pysim.model import checks
from spikeveil.pysim.model.lanes import LayerLanes, rows
from spikeveil.pysim.model.layer_spec import MAX_POTENTIAL_BITS, LayerSpec, signed_bits
from spikeveil.pysim.model.spec import NetworkSpec

POTENTIALS = ("initial", "reset_potential")
FACTORS = "leak_factors"


@dataclass(frozen=True)
class Section:
    """The part of an image that fills one memory.

    | field | meaning |
    |---|---|
    | `layer` | index of the layer |
    | `name` | `weights`, `bias`, `threshold` or one of POTENTIALS and FACTORS, as in `LayerSpec` |
    | `words` | words of the memory |
    | `fields` | numbers in a word, the first in the low bits |
    | `bits` | width of a number: two's complement, but that factors of a leak are unsigned |
    """

    layer: int
    name: str
    words: int
    fields: int
    bits: int

    @property
    def word_bytes(self) -> int:
        """Bytes of a word in the image: padded with zeros to whole bytes, the lowest byte first."""
        return -(-self.fields * self.bits // 8)

    @property
    def bytes(self) -> int:
        """Bytes of the section."""
        return self.words * self.word_bytes


def number_bits(layer: LayerSpec) -> int:
    """Two's complement width of a bias and of a threshold in an image."""
    return layer.state_bits + 1


def sections(spec: NetworkSpec, layer_lanes: Sequence[LayerLanes]) -> tuple[Section, ...]:
    """The sections, in order, of an image for a device with these lanes, one entry a layer."""
    return tuple(
        section
        for index, (layer, lanes) in enumerate(zip(spec.layers, layer_lanes, strict=True))
        for section in _layer_sections(index, layer, lanes)
    )


def _layer_sections(index: int, layer: LayerSpec, lanes: LayerLanes) -> Iterator[Section]:
    """Weights in rows of `lanes` neurons; everything else in rows of `scan` neurons."""
    bits, scan_rows = number_bits(layer), rows(layer.neurons, lanes.scan)
    yield Section(index, "weights", rows(layer.neurons, lanes.lanes) * layer.inputs, lanes.lanes, layer.weight_bits)
    if layer.bias is not None:
        yield Section(index, "bias", scan_rows, lanes.scan, bits)
    if isinstance(layer.threshold, np.ndarray):
        yield Section(index, "threshold", scan_rows, lanes.scan, bits)
    elif layer.threshold is not None:
        yield Section(index, "threshold", 1, 1, bits)
    for name in POTENTIALS:
        if getattr(layer, name) is not None:
            yield Section(index, name, scan_rows, lanes.scan, layer.state_bits)
    if layer.leak_factors is not None:
        yield Section(index, FACTORS, scan_rows, lanes.scan, factor_bits(layer))


def section_names(layer: LayerSpec) -> tuple[str, ...]:
    """The names of a layer's sections, in order."""
    return tuple(section.name for section in _layer_sections(0, layer, LayerLanes(1, 1)))


def factor_bits(layer: LayerSpec) -> int:
    """Width of a leak's factor in an image, unsigned; a factor whose top bit is set counts as 2^shift_by."""
    return layer.leak.shift_by + 1


def size(spec: NetworkSpec, layer_lanes: Sequence[LayerLanes]) -> int:
    """Bytes of an image."""
    return sum(section.bytes for section in sections(spec, layer_lanes))


def structure(spec: NetworkSpec) -> str:
    """SHA-256, as 64 hexadecimal digits, of the specification without the numbers that an image carries.

    It covers the network file's header as canonical JSON: arrays as their shapes, a threshold for the whole layer as
    the shape [].
    """
    header, _ = spec.describe()
    for entry in header["layers"]:
        if isinstance(entry["threshold"], int):
            entry["threshold"] = []
        if FACTORS in entry:
            entry["leak"]["factor"] = []  # the largest of them
    header["format"] = "spikeveil-structure"
    return hashlib.sha256(json.dumps(header, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def widest_network(spec: NetworkSpec) -> NetworkSpec:
    """A network of the same structure whose numbers need the widest sums and potentials of any image.

    ValueError, one sentence, where `spec` itself does not fit an image, or where the potentials of any image might
    need more than 32 bits.
    """
    _check(spec)
    return replace_numbers(spec, [_widest(index, layer) for index, layer in enumerate(spec.layers)])


def _widest(index: int, layer: LayerSpec) -> dict[str, Any]:
    """Weights, biases, thresholds and leak factors of the largest magnitude that an image can carry."""
    least_weight, least_number = -(1 << (layer.weight_bits - 1)), -(1 << (number_bits(layer) - 1))
    active_inputs = min(layer.input_cap or layer.inputs, layer.inputs)
    current = (active_inputs * least_weight) << layer.fraction_bits
    low = layer.state_range[0] + current + (0 if layer.bias is None else least_number)
    if signed_bits(low, 0) > MAX_POTENTIAL_BITS:
        raise ValueError(
            f"layer {index} potentials must fit {MAX_POTENTIAL_BITS} bits under any image, and need "
            f"{signed_bits(low, 0)} where all {layer.inputs} weights are {least_weight}"
        )
    threshold: Any = layer.threshold
    if isinstance(threshold, np.ndarray):
        threshold = np.full_like(threshold, -1 - least_number)
    elif threshold is not None:
        threshold = -1 - least_number
    return {
        "weights": np.full_like(layer.weights, least_weight),
        "bias": None if layer.bias is None else np.full_like(layer.bias, least_number),
        "threshold": threshold,
        FACTORS: None if layer.leak_factors is None else np.full_like(layer.leak_factors, 1 << layer.leak.shift_by),
    }


def replace_numbers(spec: NetworkSpec, numbers: list[dict[str, Any]]) -> NetworkSpec:
    """The same structure with other numbers, a dictionary of `LayerSpec` fields for each layer."""
    return replace(
        spec, layers=tuple(replace(layer, **values) for layer, values in zip(spec.layers, numbers, strict=True))
    )


def _check(spec: NetworkSpec) -> None:
    """Raise ValueError where a bias or a threshold does not fit an image's numbers; weights always fit."""
    for index, layer in enumerate(spec.layers):
        highest = (1 << (number_bits(layer) - 1)) - 1
        if layer.bias is not None:
            checks.integers(f"layer {index} bias in an image", layer.bias, ("neurons",), -highest - 1, highest)
        if layer.threshold is not None:
            thresholds = np.atleast_1d(np.asarray(layer.threshold))
            checks.integers(f"layer {index} threshold in an image", thresholds, ("neurons",), 1, highest)


def to_bytes(spec: NetworkSpec, layer_lanes: Sequence[LayerLanes]) -> bytes:
    """The image of `spec` for a device with these lanes; ValueError where a number does not fit."""
    _check(spec)
    return b"".join(_packed(spec.layers[section.layer], section) for section in sections(spec, layer_lanes))


def _packed(layer: LayerSpec, section: Section) -> bytes:
    values = np.atleast_1d(np.asarray(getattr(layer, section.name), np.int64))
    fill = 1 if section.name == "threshold" else 0  # lanes without a neuron never fire
    count = rows(len(values), section.fields)
    padded = np.full((count * section.fields, *values.shape[1:]), fill, np.int64)
    padded[: len(values)] = values
    words = padded.reshape(count, section.fields, -1).swapaxes(1, 2).reshape(section.words, section.fields, 1)
    planes = (words >> np.arange(section.bits)) & 1
    return np.packbits(planes.reshape(section.words, -1).astype(np.uint8), axis=1, bitorder="little").tobytes()


def from_bytes(spec: NetworkSpec, layer_lanes: Sequence[LayerLanes], content: bytes) -> NetworkSpec:
    """The network that a device of `spec`'s structure computes after `content` was loaded; the inverse of `to_bytes`.

    A device does not check numbers, so a threshold may be below 1, as in no other specification. ValueError where
    `content` has another length.
    """
    if len(content) != size(spec, layer_lanes):
        raise ValueError(f"image must have {size(spec, layer_lanes)} bytes, not {len(content)}")
    numbers: list[dict[str, Any]] = [{} for _ in spec.layers]
    start = 0
    for section in sections(spec, layer_lanes):
        part = content[start : start + section.bytes]
        numbers[section.layer][section.name] = _unpacked(spec.layers[section.layer], section, part)
        start += section.bytes
    return _unchecked(spec, numbers)


def _unchecked(spec: NetworkSpec, numbers: list[dict[str, Any]]) -> NetworkSpec:
    """As `replace_numbers`, with thresholds below 1 allowed; every other number of `from_bytes` is in its range."""
    thresholds = [values.get("threshold", 1) for values in numbers]
    valid_numbers = [
        values | ({"threshold": np.maximum(threshold, 1)} if "threshold" in values else {})
        for values, threshold in zip(numbers, thresholds, strict=True)
    ]
    loaded = replace_numbers(spec, valid_numbers)
    for layer, threshold in zip(loaded.layers, thresholds, strict=True):
        if np.min(threshold) < 1:
            object.__setattr__(layer, "threshold", threshold)  # `replace` made this layer: nothing else refers to it
    return loaded


def _unpacked(layer: LayerSpec, section: Section, part: bytes) -> Any:
    planes = np.unpackbits(
        np.frombuffer(part, np.uint8).reshape(section.words, -1),
        axis=1,
        count=section.fields * section.bits,
        bitorder="little",
    ).reshape(section.words, section.fields, section.bits)
    scale: NDArray[np.int64] = np.int64(1) << np.arange(section.bits, dtype=np.int64)
    if section.name == FACTORS:
        return np.minimum(planes @ scale, scale[-1]).reshape(-1)[: layer.neurons]
    scale[-1] = -scale[-1]
    values = planes @ scale  # (words, fields)
    if section.name == "threshold" and isinstance(layer.threshold, int):
        return int(values[0, 0])
    if section.name != "weights":
        return values.reshape(-1)[: layer.neurons]
    return values.reshape(-1, layer.inputs, section.fields).swapaxes(1, 2).reshape(-1, layer.inputs)[: layer.neurons]
