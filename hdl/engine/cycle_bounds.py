"""Worst-case cycles of each pipeline stage, and the smallest lane counts that do not slow a network down.

The private schedule's cadence must cover the slowest stage for any input. These bounds are what it is derived from.
"""

from collections.abc import Iterator

from spikeveil.hdl.engine import neuron
from spikeveil.hdl.engine.source import MAX_SOURCE_WIDTH, SourceKind
from spikeveil.pysim.model.decision import RandomisedDecision
from spikeveil.pysim.model.lanes import LayerLanes, rows, uniform_lanes
from spikeveil.pysim.model.layer_spec import LayerSpec
from spikeveil.pysim.model.lfsr import SEED_BITS
from spikeveil.pysim.model.spec import NetworkSpec

KEY_SETUP_BITS = 111 + 1152  # Trivium's longest register and its warm-up
PIPELINE_SLACK = 40  # cycles; covers all registers, queues and handshakes between two stages with a margin
ROW_CYCLES = 2  # an encoder's cycles for a row, in addition to one for each event
PACED_ROW_CYCLES = 5  # the same in the first layer, whose rows come from the pacer
CADENCE_TOLERANCE = 32  # fewer lanes may lengthen the cadence by one part in this many


def compute_cycles(layer: LayerSpec, layer_lanes: LayerLanes, source: SourceKind, words_per_beat: int) -> int:
    """Upper bound on the cycles in which a layer computes one step.

    | argument | type | meaning |
    |---|---|---|
    | `layer` | LayerSpec | sizes, input cap and flipper |
    | `layer_lanes` | LayerLanes | neurons summed and updated in parallel |
    | `source` | SourceKind | word source of its flipper |
    | `words_per_beat` | int | words that the source delivers a cycle |

    Key setup and all masks of the step are included, as if they were made only after the step arrived.
    """
    fold = layer_lanes.fold
    work = rows(layer.neurons, layer_lanes.lanes) * max(layer.input_cap or layer.inputs, fold)
    work += neuron.MIN_REVISIT_CYCLES + PIPELINE_SLACK + (fold if fold > 1 else 0)
    if layer.flip is None:
        return work
    width = words_per_beat * layer.flip.bits
    setup = -(-(KEY_SETUP_BITS if source == "trivium" else SEED_BITS) // width)
    return work + setup + -(-layer.neurons // words_per_beat) + rows(layer.neurons, layer_lanes.scan)


def encode_cycles(layer: LayerSpec, input_rows: int, row_cycles: int = ROW_CYCLES) -> int:
    """Upper bound on the cycles in which one step's input rows become events; `row_cycles` for each row."""
    return row_cycles * input_rows + (layer.input_cap or layer.inputs) + PIPELINE_SLACK


def max_words_per_beat(layer: LayerSpec, layer_lanes: LayerLanes) -> int:
    """Most words that the layer's source may deliver a cycle: one a lane, within the width of the source.

    1 for a layer without a flipper.
    """
    return 1 if layer.flip is None else min(MAX_SOURCE_WIDTH // layer.flip.bits, layer_lanes.lanes)


def stage_cycles(
    spec: NetworkSpec, layer_lanes: tuple[LayerLanes, ...], source: SourceKind, i_rows: int
) -> Iterator[int]:
    """Upper bounds of all stages in order: encode and compute of each layer, then the output of the last one.

    `i_rows` is the number of input rows of a step. Each source is taken to be as wide as it may be.
    """
    input_rows, row_cycles = i_rows, PACED_ROW_CYCLES
    for layer, lanes in zip(spec.layers, layer_lanes, strict=True):
        yield encode_cycles(layer, input_rows, row_cycles)
        yield compute_cycles(layer, lanes, source, max_words_per_beat(layer, lanes))
        input_rows, row_cycles = rows(layer.neurons, lanes.scan), ROW_CYCLES
    yield _output_cycles(spec, source, input_rows)


def decide_cycles(decision: RandomisedDecision, output_rows: int, source: SourceKind, beat_bits: int) -> int:
    """Upper bound on the cycles from a record's last step to its decision.

    `output_rows` rows of the last layer, and a source of `beat_bits` bits a cycle. Key setup and all words of the
    record are included, as if they were made only after the step arrived.
    """
    setup = -(-(KEY_SETUP_BITS if source == "trivium" else SEED_BITS) // beat_bits)
    words = decision.draws * (decision.bits // beat_bits + 1)
    return output_rows + setup + words + decision.classes + PIPELINE_SLACK


def _output_cycles(spec: NetworkSpec, source: SourceKind, output_rows: int) -> int:
    """Upper bound of the stage behind the last layer: its rows leave, or a decision is made about them."""
    if spec.decision is None:
        return output_rows + PIPELINE_SLACK
    return decide_cycles(spec.decision, output_rows, source, spec.decision.bits)


def fewest_lanes(spec: NetworkSpec, lanes: int, source: SourceKind, i_rows: int) -> tuple[LayerLanes, ...]:
    """For each layer the cheapest lane counts, up to `lanes`, that keep the cadence.

    The cost is the number of register bits. The limit on every stage is the slowest stage with `lanes` lanes in every
    layer, plus one part in `CADENCE_TOLERANCE`. Where the specification asks for a longer cadence, that is the limit.
    """
    all_lanes = uniform_lanes(spec, lanes)
    worst = max(stage_cycles(spec, all_lanes, source, i_rows))
    limit = max(spec.cadence or 0, worst if spec.cadence else worst + worst // CADENCE_TOLERANCE)
    chosen = []
    for index, (layer, most) in enumerate(zip(spec.layers, all_lanes, strict=True)):
        next_layers = spec.layers[index + 1 : index + 2]
        decides = spec.decision is not None and not next_layers
        options = [
            option
            for option in _lane_options(most.lanes)
            if not (decides and spec.class_neurons % option.scan)
            and compute_cycles(layer, option, source, max_words_per_beat(layer, option)) <= limit
            and max(_consumer_cycles(spec, source, layer, option, next_layers)) <= limit
        ]
        chosen.append(min(options, key=lambda option: _register_bits(layer, option), default=most))
    return tuple(chosen)


def _lane_options(most: int) -> Iterator[LayerLanes]:
    """All lane counts up to `most` with every scan that divides them, largest first."""
    for lanes in range(most, 0, -1):
        for scan in range(lanes, 0, -1):
            if lanes % scan == 0:
                yield LayerLanes(lanes, scan)


def _consumer_cycles(
    spec: NetworkSpec,
    source: SourceKind,
    layer: LayerSpec,
    layer_lanes: LayerLanes,
    next_layers: tuple[LayerSpec, ...],
) -> Iterator[int]:
    """Upper bounds of the stages that accept the layer's rows."""
    scan_rows = rows(layer.neurons, layer_lanes.scan)
    yield scan_rows + PIPELINE_SLACK if next_layers else _output_cycles(spec, source, scan_rows)
    for next_layer in next_layers:
        yield encode_cycles(next_layer, scan_rows)


def _register_bits(layer: LayerSpec, layer_lanes: LayerLanes) -> int:
    """Estimated register bits: the sums, twice where they are folded, and the stages of the neuron update."""
    sums = layer_lanes.lanes * layer.accumulator_bits * (2 if layer_lanes.fold > 1 else 1)
    return sums + layer_lanes.scan * (neuron.LATENCY - 1) * layer.state_bits
