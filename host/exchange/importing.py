"""From a NIR file to a network file: lowered, quantised on data, reported layer by layer."""

import json
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeveil.host.data.spike_files import binary_spikes
from spikeveil.host.exchange.lowering import Lowered, lower_graph
from spikeveil.host.exchange.reference import FloatGraph
from spikeveil.host.networks import scales
from spikeveil.host.networks.float_model import FloatLayer
from spikeveil.pysim import LayerSpec, Leak, Network, NetworkSpec


@dataclass(frozen=True)
class Formats:
    """Integer formats to import to.

    Bits of weights (2 to 8), of potentials (2 to 32), and of the fraction that stands for a decay (1 to 16, see
    `scales.closest_leak`); one scale a layer, or one a neuron.
    """

    weight_bits: int = 8
    state_bits: int = 16
    per_neuron: bool = False
    leak_bits: int = scales.LEAK_BITS

    def leak(self, layer: FloatLayer) -> Leak:
        """The leak that stands for a layer's decay."""
        return scales.closest_leak(layer.decay, self.leak_bits)


@dataclass(frozen=True, eq=False)
class Imported:
    """An integer network and how it came about.

    `reports` is None where no data were given: then scales come from the weights alone, and nothing was measured.
    `agreement`: per layer, the share of (record, step, neuron) where the integer network spikes as the file's own float
    network does, each fed by its own layers before; None for a readout.
    """

    spec: NetworkSpec
    lowered: Lowered
    exponents: tuple[scales.Exponent, ...]
    reports: tuple[scales.LayerReport, ...] | None
    agreement: tuple[float | None, ...] | None

    def origin(self, graph: FloatGraph, source: str, formats: Formats) -> dict[str, Any]:
        """The note for the network file: where it is from and what was chosen."""
        return {
            "made_by": "spikeveil import",
            "source": source,
            "source_sha256": graph.file.sha256,
            "nir_version": graph.file.version,
            "choices": graph.choices.to_dict(),
            "formats": asdict(formats),
            "exponents": [np.asarray(exponent).tolist() for exponent in self.exponents],
            "deviations": list(self.lowered.deviations),
        }


def import_graph(graph: FloatGraph, formats: Formats, inputs: NDArray[Any] | None = None) -> Imported:
    """Quantise a graph; `inputs` (records, steps, ...) of 0 and 1 choose each layer's power of two and are measured.

    ValueError, one sentence, for what `lower_graph`, the specification or the scales refuse.
    """
    lowered = lower_graph(graph)
    if inputs is None:
        tries = [_unmeasured(layer, formats) for layer in lowered.network.layers]
        spec = NetworkSpec([layer for layer, _ in tries])
        return Imported(spec, lowered, tuple(exponent for _, exponent in tries), None, None)
    flat = binary_spikes(inputs, lowered.network.layers[0].inputs)
    result = scales.quantise_network(
        lowered.network,
        flat,
        weight_bits=formats.weight_bits,
        state_bits=formats.state_bits,
        per_neuron=formats.per_neuron,
        leaks=[formats.leak(layer) for layer in lowered.network.layers],
    )
    return Imported(result.spec, lowered, result.exponents, result.reports, _agreement(graph, result.spec, flat))


def _unmeasured(layer: FloatLayer, formats: Formats) -> tuple[LayerSpec, scales.Exponent]:
    """The finest scale at which no weight is cut and the threshold fits the potentials."""
    exponent = int(np.max(scales.fitting_exponent(layer.weights, formats.weight_bits)))
    top = 1 << (formats.state_bits - 1)
    for candidate in range(exponent, scales.MIN_EXPONENT - 1, -1):
        spec = scales.integer_layer(
            layer,
            candidate,
            weight_bits=formats.weight_bits,
            state_bits=formats.state_bits,
            leak=formats.leak(layer),
        )
        if spec.threshold is None or int(np.max(spec.threshold)) < top:
            return spec, candidate
    raise ValueError(f"threshold must fit {formats.state_bits} state bits at some scale, and none was found")


def _agreement(graph: FloatGraph, spec: NetworkSpec, spikes: NDArray[np.bool_]) -> tuple[float | None, ...]:
    raw = Network(spec).run(spikes).raw
    return tuple(
        None if layer.readout else float(np.mean(trace.spikes == raw_spikes))
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
            "exponent": np.asarray(imported.exponents[index]).tolist(),
            "leak": str(layer.leak),
        }
        if imported.reports is not None and imported.agreement is not None:
            row |= _measured(imported.reports[index], imported.agreement[index])
        rows.append(row)
    return rows


def _measured(result: scales.LayerReport, agreement: float | None) -> dict[str, Any]:
    names = ("float_range", "integer_range", "clipped", "threshold", "decay", "potential_range", "saturated")
    measured = {name: getattr(result, name) for name in (*names, "float_rate", "integer_rate")}
    plain: dict[str, Any] = json.loads(json.dumps(measured))
    return plain | {"agreement": agreement, "agreement_of_scales": result.agreement}
