"""From a NIR file to a network file: lowered, quantised on data, reported layer by layer."""

import json
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeveil.host.data.spike_files import binary_spikes
from spikeveil.host.exchange.lowering import Lowered, lower_graph
from spikeveil.host.exchange.reference import FloatGraph
from spikeveil.host.networks import losses
from spikeveil.host.networks.scales import LayerFormat, formatted_layer
from spikeveil.host.networks.search import LayerReport, Search, format_by_weights, quantise_network
from spikeveil.host.networks.spike_match import SpikeMatch
from spikeveil.pysim import Network, NetworkSpec
from spikeveil.pysim.model.leak import Rounding


@dataclass(frozen=True)
class Formats:
    """Integer formats to import to; None is chosen, by the spikes where there are data.

    | field | meaning |
    |---|---|
    | `weight_bits`, `state_bits` | bits of weights (2 to 8) and potentials (2 to 32) |
    | `per_neuron` | one scale a neuron instead of one a layer |
    | `leak_bits` | bits of the fraction that stands for a decay, 1 to 16 (`scales.closest_leak`) |
    | `fraction_bits` | of the potential, 0 to 16 |
    | `rounding` | of the leak, `floor` or `nearest` |
    | `allow_loss`, `max_loss` | whether a layer may fall silent, or lose more than this share of its spikes |
    """

    weight_bits: int = 8
    state_bits: int = 16
    per_neuron: bool = False
    leak_bits: int | None = None
    fraction_bits: int | None = None
    rounding: Rounding | None = None
    allow_loss: bool = False
    max_loss: float = losses.MAX_LOSS

    @property
    def search(self) -> Search:
        """What is kept in the search for formats."""
        return Search(self.fraction_bits, self.leak_bits, self.rounding, self.per_neuron)


@dataclass(frozen=True, eq=False)
class Imported:
    """An integer network and how it came about.

    `reports` is None where no data were given: then formats come from the weights alone, and nothing was measured.
    `matches`: per layer, spikes of the file's own float network and of the integers, each network fed by its own
    layers; None for a readout. `notes`: sentences about silent layers.
    """

    spec: NetworkSpec
    lowered: Lowered
    formats: tuple[LayerFormat, ...]
    reports: tuple[LayerReport, ...] | None
    matches: tuple[SpikeMatch | None, ...] | None
    notes: tuple[str, ...] = ()

    def origin(self, graph: FloatGraph, source: str, formats: Formats) -> dict[str, Any]:
        """The note for the network file: where it is from and what was chosen."""
        return {
            "made_by": "spikeveil import",
            "source": source,
            "source_sha256": graph.file.sha256,
            "nir_version": graph.file.version,
            "choices": graph.choices.to_dict(),
            "formats": asdict(formats),
            "losses": losses.sentences(self.reports) if formats.allow_loss else [],
            "scales": [np.asarray(layer_format.scale).tolist() for layer_format in self.formats],
            "deviations": list(self.lowered.deviations),
        }


def import_graph(graph: FloatGraph, formats: Formats, inputs: NDArray[Any] | None = None) -> Imported:
    """Quantise a graph; `inputs` (records, steps, ...) of 0 and 1 choose each layer's format and are measured.

    ValueError, one sentence, for what `lower_graph`, the specification or the scales refuse; SpikeLossError where a
    layer falls silent or loses too many spikes, unless `formats` allows it.
    """
    lowered = lower_graph(graph)
    if inputs is None:
        return _unmeasured(lowered, formats)
    flat = binary_spikes(inputs, lowered.network.layers[0].inputs)
    result = quantise_network(
        lowered.network,
        flat,
        weight_bits=formats.weight_bits,
        state_bits=formats.state_bits,
        search=formats.search,
        allow_loss=formats.allow_loss,
        max_loss=formats.max_loss,
    )
    matches = _matches(graph, result.spec, flat)
    return Imported(result.spec, lowered, result.formats, result.reports, matches, result.notes)


def _unmeasured(lowered: Lowered, formats: Formats) -> Imported:
    """Formats from the weights alone. SpikeLossError where a layer of integers can never spike and its floats can."""
    chosen = [
        format_by_weights(layer, formats.weight_bits, formats.state_bits, formats.search)
        for layer in lowered.network.layers
    ]
    layers = [
        formatted_layer(floats, layer_format)
        for floats, layer_format in zip(lowered.network.layers, chosen, strict=True)
    ]
    notes: list[str] = []
    for index, (floats, layer) in enumerate(zip(lowered.network.layers, layers, strict=True)):
        if not layer.readout:
            notes += losses.silence(index, floats)
            if not formats.allow_loss:
                losses.check_reachable(index, layer, floats)
    return Imported(NetworkSpec(layers), lowered, tuple(chosen), None, None, tuple(notes))


def _matches(graph: FloatGraph, spec: NetworkSpec, spikes: NDArray[np.bool_]) -> tuple[SpikeMatch | None, ...]:
    raw = Network(spec).run(spikes).raw
    return tuple(
        None if layer.readout else SpikeMatch.of(trace.spikes, raw_spikes)
        for trace, raw_spikes, layer in zip(graph.run(spikes), raw, spec.layers, strict=True)
    )


def import_report(imported: Imported, graph: FloatGraph) -> list[dict[str, Any]]:
    """A row for each layer as plain data: its size, its integers, and, where data were given, what was measured."""
    rows = []
    for index, (stage, layer, size) in enumerate(
        zip(graph.stages, imported.spec.layers, imported.lowered.sizes, strict=True)
    ):
        row: dict[str, Any] = {
            "layer": index,
            "node": stage.name,
            "nodes": [node.name for node in stage.linear] + ([stage.name] if stage.neurons else []),
            "inputs": layer.inputs,
            "neurons": layer.neurons,
            "weights_in_file": size.written,
            "weights_dense": size.dense,
            "weights_not_zero": size.nonzero,
            "weight_memory_bits": size.memory_bits(layer.weight_bits),
            "multiplies_in_file": size.multiplies,
            "multiply_factor": size.factor if size.multiplies else None,
            "scale": np.asarray(imported.formats[index].scale).tolist(),
            "fraction_bits": layer.fraction_bits,
            "leak": layer.leak_text,
            "dead_band": list(layer.leak.dead_band),
        }
        if imported.reports is not None and imported.matches is not None:
            row |= _measured(imported.reports[index], imported.matches[index])
        rows.append(row)
    return rows


def _measured(result: LayerReport, match: SpikeMatch | None) -> dict[str, Any]:
    names = ("float_range", "integer_range", "clipped", "threshold", "decay", "potential_range", "saturated")
    measured = {name: getattr(result, name) for name in (*names, "float_rate", "integer_rate", "correlation")}
    plain: dict[str, Any] = json.loads(json.dumps(measured))
    return plain | {"match": None if match is None else match.to_dict(), "score_of_formats": result.score}
