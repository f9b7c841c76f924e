"""How a network is laid out in gateware: data that every other part derives its sizes and its timing from."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from spikeveil.hdl.engine import cycle_bounds as cycles
from spikeveil.hdl.engine.memories import ImageWrite
from spikeveil.hdl.engine.source import KEY_BITS, LEASE_BITS, RECORD_BITS, SEED_BITS, SOURCES, SourceKind
from spikeveil.hdl.engine.spikes import PotentialRow, SpikeRow, index_bits
from spikeveil.hdl.engine.ultraplus import SPRAM_DEPTH, SPRAM_WIDTH
from spikeveil.pysim.model import checks
from spikeveil.pysim.model import image as images
from spikeveil.pysim.model.lanes import MAX_LANES, LayerLanes, rows, uniform_lanes
from spikeveil.pysim.model.spec import LayerSpec, NetworkSpec

Schedule = Literal["private", "fast"]
SCHEDULES: tuple[Schedule, ...] = ("private", "fast")
INPUT_LANES = 16
SPRAM_WORTH = 1 << 14  # bits: what fits four block RAMs of an iCE40 stays in them


@dataclass(frozen=True)
class Plan:
    """A specification and how to build it.

    - `lanes`: neurons of a layer computed in parallel, 1 to 64, or as many as it has. On the private schedule that is
      the most, and each layer gets the fewest with which the cadence stays (`hdl.engine.cycle_bounds.fewest_lanes`).
    - `source`: `trivium`, or `lfsr`, which keeps nothing from somebody who knows its polynomial.
    - `schedule`: `private` releases steps on a fixed cadence (`hdl.engine.pacer`); `fast` releases each as soon as it
      is done, so its timing tells how many spikes went in: for simulation, and for networks that make no claim.
    - `fold`: on the fast schedule, cycles in which the neurons of a row of lanes may be scanned, 1 to 64: with more
      there are fewer neuron units, and a step of fewer input spikes than that takes longer. The private schedule folds
      each layer as far as its cadence allows, and leaves it at 1.
    - `loadable`: weights, biases and thresholds come as an image (`pysim.model.image`) after power-on; of those in
      `spec` nothing is built in. Widths are those that any image might need.
    - `spram`: single-port RAMs (iCE40 UltraPlus) for the weights of a loadable network, the largest layer's first.
    - `tagged`: input steps may come as format 1 (docs/protocol.md), which takes a bitmap and an engine of its own.

    ValueError where the network is not private and `unsafe` is not set, where the specified cadence is shorter than
    the worst case of these lanes, or where a loadable network's numbers do not fit an image or its potentials 32 bits.
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
            images.worst_case(self.spec)
        if checks.integer("spram", self.spram, 0, 64) and not self.loadable:
            raise ValueError("spram must be 0 where no weights are loaded: such RAMs are empty after power-on")
        checks.flag("tagged", self.tagged)
        if checks.integer("fold", self.fold, 1, MAX_LANES) != 1 and self.schedule == "private":
            raise ValueError(
                f"fold must be 1 on the private schedule, which folds each layer as far as its cadence allows, "
                f"not {self.fold}"
            )
        asked = self.spec.cadence
        if self.schedule == "private" and asked is not None and asked < self.worst_case:
            raise ValueError(
                f"network cadence must be {self.worst_case} cycles or more, the worst case with {self.lanes} lanes, "
                f"not {asked}"
            )

    def require_private(self) -> None:
        """Raise ValueError where the network is private and its schedule is not, unless `unsafe`: for whoever builds
        it into a chip.
        """
        if self.spec.private and self.schedule == "fast" and not self.unsafe:
            raise ValueError(
                "schedule must be 'private' for a network with a flipper, not 'fast', whose timing tells what the "
                "flipper hides; building it all the same needs `unsafe`"
            )

    @cached_property
    def layers(self) -> tuple[LayerSpec, ...]:
        """The layers as they are built; in a loadable build only their sizes and widths mean anything."""
        return images.worst_case(self.spec).layers if self.loadable else self.spec.layers

    @property
    def structure(self) -> str:
        """SHA-256, in hexadecimal, of what an image does not carry."""
        return images.structure(self.spec)

    @property
    def sections(self) -> tuple[images.Section, ...]:
        """The memories that an image fills, in the order of its bytes; none where the numbers are built in."""
        return images.sections(self.spec, self.layer_lanes) if self.loadable else ()

    @property
    def image_bytes(self) -> int:
        """Bytes of an image; 0 where none can be loaded."""
        return sum(section.bytes for section in self.sections)

    def image(self, spec: NetworkSpec) -> bytes:
        """The image that makes the device compute `spec`; ValueError where it is not loadable, where the structures
        differ, or where a number does not fit.
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
        """The port through which an image is written, with a bit of `to` for each section."""
        return self._write(len(self.sections))

    def layer_sections(self, index: int) -> slice:
        """Which sections are those of a layer."""
        places = [place for place, section in enumerate(self.sections) if section.layer == index]
        return slice(places[0], places[-1] + 1)

    def layer_image_write(self, index: int) -> ImageWrite:
        """The part of `write` that a layer sees."""
        own = self.layer_sections(index)
        return self._write(own.stop - own.start)

    def _write(self, memories: int) -> ImageWrite:
        return ImageWrite(
            memories=memories,
            address_bits=index_bits(max(section.words for section in self.sections)),
            data_bits=8 * max(section.word_bytes for section in self.sections),
        )

    @cached_property
    def layer_lanes(self) -> tuple[LayerLanes, ...]:
        """Lanes and neurons scanned at once, of each layer."""
        if self.schedule == "fast":
            return uniform_lanes(self.spec, self.lanes, self.fold)
        return cycles.fewest_lanes(self.spec, self.lanes, self.source, self.i_rows)

    @cached_property
    def spram_layers(self) -> frozenset[int]:
        """The layers whose weights stand in single-port RAM."""
        left, chosen = self.spram, set()
        for index in sorted(range(len(self.layers)), key=lambda index: -self.layers[index].weights.size):
            needed = self._spram_of(index)
            if needed and needed <= left:
                left -= needed
                chosen.add(index)
        return frozenset(chosen)

    def _spram_of(self, index: int) -> int:
        """Single-port RAMs that the weights of a layer would take; 0 where they are too deep, or small."""
        layer, bits = self.layers[index], self.layer_lanes[index].lanes * self.layers[index].weight_bits
        deep = self.rows(index) * layer.inputs
        fits = deep <= SPRAM_DEPTH and deep * bits >= SPRAM_WORTH
        return -(-bits // SPRAM_WIDTH) if fits else 0

    def rows(self, index: int) -> int:
        """Rows of neurons whose sums grow together, of layer `index`."""
        return rows(self.spec.layers[index].neurons, self.layer_lanes[index].lanes)

    def words_per_beat(self, index: int) -> int:
        """Words that one beat of the source of layer `index` carries; 1 where it has no flipper.

        On the fast schedule one for each neuron that is scanned at once, or the most that fit. On the private one the
        fewest that are enough within the cadence: a source of fewer bits a cycle is smaller.
        """
        if self.spec.layers[index].flip is None:
            return 1
        layer, each = self.spec.layers[index], self.layer_lanes[index]
        most = cycles.max_words_per_beat(layer, each)
        if self.schedule == "fast":
            return min(most, each.scan)
        time = max(self.cadence, self.worst_case)
        enough = (words for words in range(1, most) if cycles.compute_cycles(layer, each, self.source, words) <= time)
        return next(enough, most)

    @property
    def i_rows(self) -> int:
        """Input rows of a step, `INPUT_LANES` spikes each."""
        return rows(self.spec.inputs, INPUT_LANES)

    @property
    def o_lanes(self) -> int:
        """Neurons in one output row."""
        return self.layer_lanes[-1].scan

    @property
    def o_rows(self) -> int:
        """Output rows of a step."""
        return rows(self.spec.outputs, self.o_lanes)

    @property
    def o_row(self) -> SpikeRow | PotentialRow:
        """The layout of one output row."""
        last = self.spec.layers[-1]
        return PotentialRow(self.o_lanes, last.state_bits) if last.readout else SpikeRow(self.o_lanes)

    @property
    def lease_ports(self) -> dict[str, int]:
        """The ports that a lease is opened with, and their widths in bits."""
        if not self.spec.flipped:
            return {}
        if self.source == "lfsr":
            return {"seeds": SEED_BITS * len(self.spec.flipped)}
        return {"key": KEY_BITS, "lease": LEASE_BITS, "record": RECORD_BITS}

    @property
    def slots(self) -> int:
        """Slots between a step's coming in and its release: each layer encodes in one and computes in one."""
        return 2 * len(self.spec.layers)

    @property
    def cadence(self) -> int:
        """Clock cycles of a slot of the private schedule."""
        return self.worst_case if self.spec.cadence is None else self.spec.cadence

    @cached_property
    def worst_case(self) -> int:
        """Clock cycles in which every stage finishes any step, if each source is as fast as it may be."""
        return max(cycles.stage_cycles(self.spec, self.layer_lanes, self.source, self.i_rows))
