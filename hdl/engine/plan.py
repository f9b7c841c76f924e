"""Build parameters of a network in gateware, and every size and timing derived from them."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from spikeveil.hdl.engine import cycle_bounds
from spikeveil.hdl.engine.memories import ImageWrite
from spikeveil.hdl.engine.source import SOURCES, SourceKind
from spikeveil.hdl.engine.spikes import PotentialRow, SpikeRow, index_bits
from spikeveil.hdl.engine.ultraplus import SPRAM_DEPTH, SPRAM_WIDTH
from spikeveil.pysim.model import checks
from spikeveil.pysim.model import image as images
from spikeveil.pysim.model.lanes import MAX_LANES, LayerLanes, rows, uniform_lanes
from spikeveil.pysim.model.lfsr import SEED_BITS
from spikeveil.pysim.model.source import LEASE_BITS, RECORD_BITS
from spikeveil.pysim.model.spec import LayerSpec, NetworkSpec
from spikeveil.pysim.model.trivium import KEY_BITS

Schedule = Literal["private", "fast"]
SCHEDULES: tuple[Schedule, ...] = ("private", "fast")
INPUT_LANES = 16
MIN_SPRAM_BITS = 1 << 14  # smaller weight memories stay in block RAM: they fit four of an iCE40's


@dataclass(frozen=True)
class Plan:
    """A network specification and the choices with which it is built.

    | field | type | meaning |
    |---|---|---|
    | `spec` | NetworkSpec | what the network computes |
    | `lanes` | 1 to 64 | neurons of a layer that are summed in parallel, at most as many as it has |
    | `source` | `trivium` or `lfsr` | word source of the flippers; `lfsr` protects nothing |
    | `schedule` | `private` or `fast` | steps leave on a fixed cadence, or as soon as they are done |
    | `unsafe` | bool | accept a network without a flipper, and a private network on the fast schedule |
    | `loadable` | bool | weights, biases and thresholds are loaded as an image (`pysim.model.image`) |
    | `spram` | 0 to 64 | single-port RAMs (iCE40 UltraPlus) for weights of a loadable network, largest layer first |
    | `tagged` | bool | input steps may also come as format 1 of docs/protocol.md, which needs a decoder |
    | `fold` | 1 to 64 | fast schedule: most cycles in which a row of lanes is updated |

    Lanes: on the private schedule `lanes` is an upper limit, and each layer gets the fewest that keep the cadence
    (`cycle_bounds.fewest_lanes`), which also sets its fold; `fold` must be 1. On the fast schedule a larger `fold`
    needs fewer neuron units, but a step with fewer input spikes than that takes longer.

    Privacy: the timing of the fast schedule depends on the spikes. It is meant for simulation and for networks that
    make no claim.

    Loadable: none of the numbers in `spec` are built in, and all widths suit any image.

    ValueError if the network is not private and `unsafe` is not set, if the specified cadence is below the worst case
    of these lanes, or if a loadable network's numbers do not fit an image or its potentials 32 bits.
    """

    spec: NetworkSpec
    lanes: int = 16
    source: SourceKind = "trivium"
    schedule: Schedule = "private"
    unsafe: bool = False
    loadable: bool = False
    spram: int = 0
    tagged: bool = True
    fold: int = 1

    def __post_init__(self) -> None:
        checks.integer("lanes", self.lanes, 1, MAX_LANES)
        checks.choice("source", self.source, SOURCES)
        checks.choice("schedule", self.schedule, SCHEDULES)
        self.spec.require_private(unsafe=self.unsafe)
        if checks.flag("loadable", self.loadable):
            images.widest_network(self.spec)
        if checks.integer("spram", self.spram, 0, 64) and not self.loadable:
            raise ValueError("spram must be 0 where no weights are loaded: such RAMs are empty after power-on")
        checks.flag("tagged", self.tagged)
        if checks.integer("fold", self.fold, 1, MAX_LANES) != 1 and self.schedule == "private":
            raise ValueError(
                f"fold must be 1 on the private schedule, which folds each layer as far as its cadence allows, "
                f"not {self.fold}"
            )
        specified = self.spec.cadence
        if self.schedule == "private" and specified is not None and specified < self.worst_case:
            raise ValueError(
                f"network cadence must be {self.worst_case} cycles or more, the worst case with {self.lanes} lanes, "
                f"not {specified}"
            )

    def require_private(self) -> None:
        """Raise ValueError for a private network on the fast schedule, unless `unsafe`. To be called before building a
        device.
        """
        if self.spec.private and self.schedule == "fast" and not self.unsafe:
            raise ValueError(
                "schedule must be 'private' for a network with a flipper, not 'fast', whose timing reveals what the "
                "flipper hides; building it all the same needs `unsafe`"
            )

    @cached_property
    def layers(self) -> tuple[LayerSpec, ...]:
        """The layers to build. In a loadable plan only their sizes and widths are meaningful."""
        return images.widest_network(self.spec).layers if self.loadable else self.spec.layers

    @property
    def structure(self) -> str:
        """SHA-256 of the specification without the numbers that an image carries, in hexadecimal."""
        return images.structure(self.spec)

    @property
    def sections(self) -> tuple[images.Section, ...]:
        """The memories that an image fills, in the order of its bytes; empty for a plan that is not loadable."""
        return images.sections(self.spec, self.layer_lanes) if self.loadable else ()

    @property
    def image_bytes(self) -> int:
        """Size of an image; 0 for a plan that is not loadable."""
        return sum(section.bytes for section in self.sections)

    def image(self, spec: NetworkSpec) -> bytes:
        """The image that makes the device compute `spec`.

        ValueError if the plan is not loadable, if the structures differ, or if a number does not fit.
        """
        if not self.loadable:
            raise ValueError("loadable must be True for an image, not False: the numbers of this network are built in")
        if images.structure(spec) != self.structure:
            raise ValueError(
                f"image network must have the structure {self.structure[:16]}... of the device, "
                f"not {images.structure(spec)[:16]}..."
            )
        return images.to_bytes(spec, self.layer_lanes)

    @property
    def image_write(self) -> ImageWrite:
        """Layout of the port that writes an image; its field `to` has one bit for each section."""
        return self._write(len(self.sections))

    def layer_sections(self, index: int) -> slice:
        """The indices of a layer's sections."""
        indices = [number for number, section in enumerate(self.sections) if section.layer == index]
        return slice(indices[0], indices[-1] + 1)

    def layer_image_write(self, index: int) -> ImageWrite:
        """Layout of the write port of one layer."""
        sections = self.layer_sections(index)
        return self._write(sections.stop - sections.start)

    def _write(self, memories: int) -> ImageWrite:
        return ImageWrite(
            memories=memories,
            address_bits=index_bits(max(section.words for section in self.sections)),
            data_bits=8 * max(section.word_bytes for section in self.sections),
        )

    @cached_property
    def layer_lanes(self) -> tuple[LayerLanes, ...]:
        """Neurons summed and neurons updated in parallel, for each layer."""
        if self.schedule == "fast":
            return uniform_lanes(self.spec, self.lanes, self.fold)
        return cycle_bounds.fewest_lanes(self.spec, self.lanes, self.source, self.i_rows)

    @cached_property
    def spram_layers(self) -> frozenset[int]:
        """The layers whose weights are in single-port RAM."""
        remaining, chosen_layers = self.spram, set()
        for index in sorted(range(len(self.layers)), key=lambda index: -self.layers[index].weights.size):
            ram_count = self._spram_needed(index)
            if ram_count and ram_count <= remaining:
                remaining -= ram_count
                chosen_layers.add(index)
        return frozenset(chosen_layers)

    def _spram_needed(self, index: int) -> int:
        """Single-port RAMs for the weights of a layer; 0 if they are too deep for one, or too small to be worth one."""
        layer = self.layers[index]
        width = self.layer_lanes[index].lanes * layer.weight_bits
        depth = self.rows(index) * layer.inputs
        suitable = depth <= SPRAM_DEPTH and depth * width >= MIN_SPRAM_BITS
        return -(-width // SPRAM_WIDTH) if suitable else 0

    def rows(self, index: int) -> int:
        """Rows of neurons of layer `index`, each as wide as its lanes."""
        return rows(self.spec.layers[index].neurons, self.layer_lanes[index].lanes)

    def words_per_beat(self, index: int) -> int:
        """Words that the source of layer `index` delivers a cycle; 1 for a layer without a flipper.

        On the fast schedule one for each neuron that is updated in parallel, within the width of the source. On the
        private schedule the fewest that suffice within the cadence, as a narrower source is smaller.
        """
        if self.spec.layers[index].flip is None:
            return 1
        layer, lanes = self.spec.layers[index], self.layer_lanes[index]
        max_words = cycle_bounds.max_words_per_beat(layer, lanes)
        if self.schedule == "fast":
            return min(max_words, lanes.scan)
        limit = max(self.cadence, self.worst_case)
        for words in range(1, max_words):
            if cycle_bounds.compute_cycles(layer, lanes, self.source, words) <= limit:
                return words
        return max_words

    @property
    def decision_beat_bits(self) -> int:
        """Bits that the source of the decision delivers a cycle; they divide a word. 1 without a decision.

        On the fast schedule a whole word; on the private one the fewest that suffice within the cadence.
        """
        decision = self.spec.decision
        if decision is None:
            return 1
        if self.schedule == "private":
            limit = max(self.cadence, self.worst_case)
            output_rows = rows(self.spec.outputs, self.layer_lanes[-1].scan)
            for bits in (bits for bits in range(1, decision.bits) if decision.bits % bits == 0):
                if cycle_bounds.decide_cycles(decision, output_rows, self.source, bits) <= limit:
                    return bits
        return decision.bits

    @property
    def i_rows(self) -> int:
        """Input rows of a step, each of `INPUT_LANES` spikes."""
        return rows(self.spec.inputs, INPUT_LANES)

    @property
    def o_lanes(self) -> int:
        """Neurons in one output row; bits of a decision."""
        if self.spec.decision is not None:
            return self.spec.decision.output_neurons * self.spec.decision.output_bits
        return self.layer_lanes[-1].scan

    @property
    def o_rows(self) -> int:
        """Output rows of a step; 1 where a record releases one decision."""
        return 1 if self.spec.decision is not None else rows(self.spec.outputs, self.o_lanes)

    @property
    def o_row(self) -> SpikeRow | PotentialRow:
        """Layout of an output row."""
        last = self.spec.layers[-1]
        if last.readout and self.spec.decision is None:
            return PotentialRow(self.o_lanes, last.state_bits)
        return SpikeRow(self.o_lanes)

    @property
    def lease_ports(self) -> dict[str, int]:
        """The ports that open a lease, and their widths. None for a network without a flipper or a decision."""
        if not self.spec.randomised:
            return {}
        if self.source == "lfsr":
            return {"seeds": SEED_BITS * len(self.spec.randomised)}
        return {"key": KEY_BITS, "lease": LEASE_BITS, "record": RECORD_BITS}

    @property
    def slots(self) -> int:
        """Slots from a step's admission to its release: each layer encodes in one and computes in one, and a decision
        is made in one more.
        """
        return 2 * len(self.spec.layers) + (self.spec.decision is not None)

    @property
    def cadence(self) -> int:
        """Clock cycles of a slot on the private schedule."""
        return self.worst_case if self.spec.cadence is None else self.spec.cadence

    @cached_property
    def worst_case(self) -> int:
        """The bound of the slowest stage in clock cycles, with the widest word sources: the shortest cadence."""
        return max(cycle_bounds.stage_cycles(self.spec, self.layer_lanes, self.source, self.i_rows))
