"""A whole network: layers in a chain, their word sources, and the fixed cadence. Twin of pysim/network.py."""

from typing import Any, Literal

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from spikeveil.hdl import neuron
from spikeveil.hdl.encoder import Encoder
from spikeveil.hdl.layer import Layer
from spikeveil.hdl.pacer import Pacer
from spikeveil.hdl.source import (
    KEY_BITS,
    LEASE_BITS,
    RECORD_BITS,
    SEED_BITS,
    SOURCES,
    LfsrStream,
    SourceKind,
    TriviumStream,
    words_per_beat,
)
from spikeveil.hdl.spikes import PotentialRow, SpikeRow, rows
from spikeveil.pysim import checks
from spikeveil.pysim.spec import LayerSpec, NetworkSpec

Schedule = Literal["private", "fast"]
SCHEDULES: tuple[Schedule, ...] = ("private", "fast")
MAX_LANES = 64
INPUT_LANES = 16
PIPELINE_SLACK = 40  # cycles for every register, queue and handshake between two stages, generously


def encode_cycles(spec: LayerSpec, input_rows: int) -> int:
    """The most cycles in which one step's input rows become events."""
    return 3 * input_rows + (spec.input_cap or spec.inputs) + PIPELINE_SLACK


def compute_cycles(spec: LayerSpec, lanes: int, source: SourceKind) -> int:
    """The most cycles that one step of a layer takes, when its masks are made only after it began."""
    count = rows(spec.neurons, min(lanes, spec.neurons))
    work = count * (spec.input_cap or spec.inputs) + neuron.DISTANCE + PIPELINE_SLACK
    if spec.flip is None:
        return work
    per_beat = words_per_beat(source, spec.flip.bits, min(lanes, spec.neurons))
    width = per_beat * spec.flip.bits
    setup = -(-111 // width) + -(-1152 // width) if source == "trivium" else -(-127 // width)
    return work + setup + -(-spec.neurons // per_beat) + count


class Network(wiring.Component):
    """The gateware of `spec`, `lanes` neurons of each layer at a time.

    Ports:

    - `i`: spike rows of `INPUT_LANES` inputs, exactly ceil(inputs / INPUT_LANES) rows a step, the last with `step_end` and, at the
      end of a record, `record_end`.
    - `o`: rows of released spikes (or of the readout's potentials), `o_rows` rows a step, with the same markers.
    - `open`: for one cycle, while no step is inside, begins a lease: with source `trivium` under `key`, lease
      number `lease` and first record `record`; with `lfsr` from `seeds`, 127 bits a flipper in layer order, the first one lowest.
      They must stay as they are while the lease is open. Nothing flipped is computed before the first `open`.
    - `late`: a step missed its slot (see `Pacer`); always 0 on the fast schedule.

    Schedule `private` releases steps on a fixed cadence of `cadence` cycles, `slots` slots after they came in
    (`Pacer`); `fast` releases each as soon as it is done, so its timing tells how many spikes went in: for
    simulation and for networks that make no claim. ValueError where the network is not private and `unsafe` is
    not given, or where the specified cadence is shorter than the worst case of these lanes. Reset, which forgets
    the lease, starts a new record; the potentials and masks of before are gone.
    """

    i: "stream.Interface[Any]"
    o: "stream.Interface[Any]"
    open: Signal
    late: Signal
    key: Signal
    lease: Signal
    record: Signal
    seeds: Signal

    def __init__(
        self,
        spec: NetworkSpec,
        *,
        lanes: int,
        source: SourceKind = "trivium",
        schedule: Schedule = "private",
        unsafe: bool = False,
    ) -> None:
        spec.require_private(unsafe=unsafe)
        self.spec = spec
        self.lanes = checks.integer("lanes", lanes, 1, MAX_LANES)
        self.source: SourceKind = source
        checks.choice("source", source, SOURCES)
        checks.choice("schedule", schedule, SCHEDULES)
        self.schedule: Schedule = schedule
        self.i_rows = rows(spec.inputs, INPUT_LANES)
        self.o_lanes = min(lanes, spec.outputs)
        self.o_rows = rows(spec.outputs, self.o_lanes)
        self.slots = 2 * len(spec.layers)
        self.cadence = self._cadence()
        super().__init__(self._ports())

    def _ports(self) -> dict[str, Any]:
        ports: dict[str, Any] = {
            "i": In(stream.Signature(SpikeRow(INPUT_LANES))),
            "o": Out(stream.Signature(self.o_row)),
            "open": In(1),
            "late": Out(1),
        }
        if self.spec.flipped and self.source == "lfsr":
            ports["seeds"] = In(SEED_BITS * len(self.spec.flipped))
        elif self.spec.flipped:
            ports |= {"key": In(KEY_BITS), "lease": In(LEASE_BITS), "record": In(RECORD_BITS)}
        return ports

    @property
    def o_row(self) -> data.StructLayout:
        """The layout of one row of `o`."""
        last = self.spec.layers[-1]
        return PotentialRow(self.o_lanes, last.state_bits) if last.readout else SpikeRow(self.o_lanes)

    def _cadence(self) -> int:
        """Cycles of a slot: what the specification says, or the worst case of every stage."""
        input_rows, worst = self.i_rows, self.o_rows + PIPELINE_SLACK
        for layer in self.spec.layers:
            worst = max(worst, encode_cycles(layer, input_rows), compute_cycles(layer, self.lanes, self.source))
            input_rows = rows(layer.neurons, min(self.lanes, layer.neurons))
        if self.schedule == "fast" or self.spec.cadence is None:
            return worst
        if self.spec.cadence < worst:
            raise ValueError(
                f"network cadence must be {worst} cycles or more, the worst case with {self.lanes} lanes, "
                f"not {self.spec.cadence}"
            )
        return self.spec.cadence

    def elaborate(self, platform: object) -> Module:
        m = Module()
        head, tail = self.i, self.o
        if self.schedule == "private":
            m.submodules.pacer = pacer = Pacer(
                i_row=SpikeRow(INPUT_LANES),
                i_rows=self.i_rows,
                o_row=self.o_row,
                o_rows=self.o_rows,
                cadence=self.cadence,
                slots=self.slots,
            )
            wiring.connect(m, wiring.flipped(self.i), pacer.i)
            wiring.connect(m, pacer.o, wiring.flipped(self.o))
            m.d.comb += [pacer.open.eq(self.open), self.late.eq(pacer.late)]
            flow: Any = pacer.inside_i
        else:
            flow = wiring.flipped(self.i)
        lanes = INPUT_LANES
        for index, spec in enumerate(self.spec.layers):
            encoder = Encoder(inputs=spec.inputs, lanes=lanes, cap=spec.input_cap)
            m.submodules[f"encoder_{index}"] = encoder
            layer = self._layer(m, index, spec)
            wiring.connect(m, flow, encoder.i)
            wiring.connect(m, encoder.o, layer.i)
            flow, lanes = layer.o, layer.lanes
        wiring.connect(m, flow, pacer.inside_o if self.schedule == "private" else wiring.flipped(self.o))
        return m

    def _layer(self, m: Module, index: int, spec: LayerSpec) -> Layer:
        lanes = min(self.lanes, spec.neurons)
        per_beat = 1 if spec.flip is None else words_per_beat(self.source, spec.flip.bits, lanes)
        layer = Layer(
            spec,
            lanes=lanes,
            per_beat=per_beat,
            rekey=spec.flip is not None and self.source == "trivium",
            buffered_steps=2 if self.schedule == "private" else 1,
        )
        m.submodules[f"layer_{index}"] = layer
        if spec.flip is not None:
            words = self._words(index, per_beat * spec.flip.bits)
            m.submodules[f"words_{index}"] = words
            wiring.connect(m, words.o, layer.words)
            m.d.comb += [
                words.open.eq(self.open),
                words.next_record.eq(layer.next_record),
                layer.flush.eq(self.open),
            ]
            self._lease(m, index, words)
        return layer

    def _words(self, index: int, width: int) -> Any:
        return LfsrStream(width) if self.source == "lfsr" else TriviumStream(width, layer=index)

    def _lease(self, m: Module, index: int, words: Any) -> None:
        if isinstance(words, LfsrStream):
            m.d.comb += words.seed.eq(self.seeds.word_select(self.spec.flipped.index(index), SEED_BITS))
        else:
            m.d.comb += [words.key.eq(self.key), words.lease.eq(self.lease), words.record.eq(self.record)]
