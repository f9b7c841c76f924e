"""How many cycles a step takes, and the fewest lanes that take no longer. Twin of pysim/model/lanes.py."""

from collections.abc import Iterator

from spikeveil.hdl.engine import neuron
from spikeveil.hdl.engine.source import MAX_SOURCE_WIDTH, SEED_BITS, SourceKind
from spikeveil.pysim.model.lanes import LayerLanes, rows, uniform_lanes
from spikeveil.pysim.model.spec import LayerSpec, NetworkSpec

KEY_SETUP_BITS = 111 + 1152  # Trivium's longest register and its warm-up
PIPELINE_SLACK = 40  # cycles for every register, queue and handshake between two stages, generously
PACED_ROW_CYCLES = 5  # cycles in which the pacer hands on an input row, at most
CADENCE_TOLERANCE = 32  # the fewest lanes may take one in so many cycles more than all lanes


def compute_cycles(layer: LayerSpec, each: LayerLanes, source: SourceKind, words: int) -> int:
    """The most cycles that a step of a layer takes, its masks made, `words` a cycle, only after it began."""
    work = rows(layer.neurons, each.lanes) * max(layer.input_cap or layer.inputs, each.fold)
    work += neuron.MIN_REVISIT_CYCLES + PIPELINE_SLACK + (each.fold if each.fold > 1 else 0)
    if layer.flip is None:
        return work
    width = words * layer.flip.bits
    setup = -(-(KEY_SETUP_BITS if source == "trivium" else SEED_BITS) // width)
    return work + setup + -(-layer.neurons // words) + rows(layer.neurons, each.scan)


def encode_cycles(layer: LayerSpec, input_rows: int, a_row: int = 2) -> int:
    """The most cycles in which one step's input rows, `a_row` cycles each beside their events, become events."""
    return a_row * input_rows + (layer.input_cap or layer.inputs) + PIPELINE_SLACK


def max_words_per_beat(layer: LayerSpec, each: LayerLanes) -> int:
    """The most words that a beat of the layer's source may carry: as many as there are lanes, or the source has bits
    for; 1 where it has no flipper.
    """
    return 1 if layer.flip is None else min(MAX_SOURCE_WIDTH // layer.flip.bits, each.lanes)


def stage_cycles(spec: NetworkSpec, each: tuple[LayerLanes, ...], source: SourceKind, i_rows: int) -> Iterator[int]:
    """The most cycles of each stage: every layer encodes and computes, and what leaves the last one is taken."""
    input_rows, a_row = i_rows, PACED_ROW_CYCLES
    for layer, own in zip(spec.layers, each, strict=True):
        yield encode_cycles(layer, input_rows, a_row)
        yield compute_cycles(layer, own, source, max_words_per_beat(layer, own))
        input_rows, a_row = rows(layer.neurons, own.scan), 2
    yield input_rows + PIPELINE_SLACK


def fewest_lanes(spec: NetworkSpec, lanes: int, source: SourceKind, i_rows: int) -> tuple[LayerLanes, ...]:
    """Lanes for a cadence that is fixed: in each layer those with the fewest bits in registers, up to `lanes`, with
    which no stage takes longer than the network's slowest would with all lanes in every layer, and a thirty-second of
    that.

    Where the specification asks for a longer cadence, that is the limit instead.
    """
    whole = uniform_lanes(spec, lanes)
    worst = max(stage_cycles(spec, whole, source, i_rows))
    limit = max(spec.cadence or 0, worst if spec.cadence else worst + worst // CADENCE_TOLERANCE)
    chosen = []
    for index, (layer, most) in enumerate(zip(spec.layers, whole, strict=True)):
        following = spec.layers[index + 1 : index + 2]
        options = [
            option
            for option in _divided(most.lanes)
            if compute_cycles(layer, option, source, max_words_per_beat(layer, option)) <= limit
            and max(_after(layer, option, following)) <= limit
        ]
        chosen.append(min(options, key=lambda option: _register_bits(layer, option), default=most))
    return tuple(chosen)


def _divided(most: int) -> Iterator[LayerLanes]:
    for lanes in range(most, 0, -1):
        for scan in range(lanes, 0, -1):
            if lanes % scan == 0:
                yield LayerLanes(lanes, scan)


def _after(layer: LayerSpec, each: LayerLanes, following: tuple[LayerSpec, ...]) -> Iterator[int]:
    """The cycles of the stages that take the layer's rows."""
    scanned = rows(layer.neurons, each.scan)
    yield scanned + PIPELINE_SLACK
    for after in following:
        yield encode_cycles(after, scanned)


def _register_bits(layer: LayerSpec, each: LayerLanes) -> int:
    """About how many: sums, caught once more where they are folded, and the stages of a neuron's update."""
    sums = each.lanes * layer.accumulator_bits * (2 if each.fold > 1 else 1)
    return sums + each.scan * (neuron.LATENCY - 1) * layer.state_bits
