"""A layer engine: events in, rows of released spikes (or potentials) out. Twin of pysim/model/layer.py."""

from typing import Any

from amaranth.hdl import Assert, Const, Format, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from spikeveil.hdl.engine import neuron
from spikeveil.hdl.engine.accumulator import Accumulator
from spikeveil.hdl.engine.flipper import Flipper
from spikeveil.hdl.engine.limiter import FlowRow, Limiter
from spikeveil.hdl.engine.memories import ImageWrite
from spikeveil.hdl.engine.sequencer import Sequencer
from spikeveil.hdl.engine.spikes import PotentialRow, SpikeEvent, SpikeRow
from spikeveil.hdl.engine.sum_folder import SumFolder
from spikeveil.pysim.model.lanes import LayerLanes, rows
from spikeveil.pysim.model.spec import LayerSpec

MIN_QUEUED_ROWS = 16


class Layer(wiring.Component):
    """The neurons of one layer: sums of `layer_lanes.lanes` grow at a time, and `layer_lanes.scan` of them are updated
    at a time.

    Throughput: a step of s input spikes takes R * max(f, s) + max(1, `neuron.MIN_REVISIT_CYCLES` - R * f) cycles for f
    = lanes /
    scan and R = ceil(neurons / lanes); later steps' events are taken in meanwhile. Latency: a row of `scan` neurons is
    on `o` some 16 cycles after its last event, the other rows of its lanes in the cycles after it. It waits, without
    losing anything, for room at `o` and for masks: with a flipper, nothing is computed before `words` delivers. With
    `rekey`, the words of each record are a stream of their own: after a record's last row, `next_record` is high for
    one cycle, and words offered before it are dropped. `flush` (one cycle, only while no step is inside) drops the
    masks made ahead, `ahead` rows of them as in `Flipper`. Events of `buffered_steps` full steps, and of `queued_steps`
    of any size, fit inside, and rows of as many wait at `o`. Reset drops everything and starts a new record. With
    `load`, weights, biases and thresholds are written through that port, in this order of memories, and reset leaves
    them; `in_spram` as in `hdl.engine.memories.BankedMemory`.
    """

    i: stream.Interface
    o: stream.Interface
    words: stream.Interface
    next_record: Signal
    flush: Signal
    load: Any

    def __init__(
        self,
        spec: LayerSpec,
        *,
        layer_lanes: LayerLanes,
        words_per_beat: int = 1,
        rekey: bool = False,
        buffered_steps: int = 1,
        queued_steps: int = 4,
        ahead: int | None = None,
        load: ImageWrite | None = None,
        in_spram: bool = False,
    ) -> None:
        self.layout, self.in_spram = load, in_spram
        self.queued_steps, self.ahead = queued_steps, ahead
        self.spec, self.layer_lanes, self.words_per_beat, self.rekey = spec, layer_lanes, words_per_beat, rekey
        self.capacity = buffered_steps * (spec.input_cap or spec.inputs)
        self.queued_rows = max(MIN_QUEUED_ROWS, buffered_steps * rows(spec.neurons, layer_lanes.scan))
        row = PotentialRow(layer_lanes.scan, spec.state_bits) if spec.readout else SpikeRow(layer_lanes.scan)
        ports: dict[str, Any] = {
            "i": In(stream.Signature(SpikeEvent(spec.inputs))),
            "o": Out(stream.Signature(row)),
            "next_record": Out(1),
            "flush": In(1),
        }
        if spec.flip is not None:
            ports["words"] = In(stream.Signature(words_per_beat * spec.flip.bits))
        if load is not None:
            ports["load"] = In(load)
        super().__init__(ports)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        spec, layer_lanes = self.spec, self.layer_lanes
        m.submodules.fold = fold = SumFolder(
            neurons=spec.neurons, inputs=spec.inputs, layer_lanes=layer_lanes, bits=spec.accumulator_bits
        )
        m.submodules.sequencer = sequencer = Sequencer(
            inputs=spec.inputs,
            rows=fold.rows,
            capacity=self.capacity,
            revisit_cycles=neuron.MIN_REVISIT_CYCLES,
            min_row_cycles=layer_lanes.fold,
            queued_steps=self.queued_steps,
        )
        m.submodules.accumulator = accumulator = Accumulator(
            spec,
            lanes=layer_lanes.lanes,
            load=self.layout,
            in_spram=self.in_spram,
            multi_cycle_rows=layer_lanes.fold > 1,
        )
        m.submodules.neurons = neurons = neuron.Neurons(spec, lanes=layer_lanes.scan, load=self.layout)
        wiring.connect(m, wiring.flipped(self.i), sequencer.i)
        m.d.comb += [
            accumulator.work.eq(sequencer.o),
            fold.work.eq(sequencer.o),
            fold.sums.eq(accumulator.sums),
            neurons.i.eq(fold.o),
            neurons.sums.eq(fold.part),
        ]
        if self.layout is not None:
            m.d.comb += [accumulator.load.eq(self.load), neurons.load.eq(self.load)]
        flow = self._limit(m, neurons.o)
        starts = Starts(sequencer.row_started, sequencer.last_row, layer_lanes.fold, fold.last_fold)
        masks_ready, released = self._flip(m, flow, sequencer, starts)
        room = self._queue(m, flow, neurons.o.potentials if spec.readout else released, starts)
        m.d.comb += sequencer.grant.eq(masks_ready & room)
        return m

    def _limit(self, m: Module, scanned: Any) -> Any:
        """The rows of spikes, with no more of them than the layer's limits let pass."""
        spec, lanes = self.spec, self.layer_lanes.scan
        flow: Any = Signal(FlowRow(lanes))
        m.d.comb += [
            flow.valid.eq(scanned.valid),
            flow.bits.eq(scanned.spikes),
            flow.step_end.eq(scanned.step_end),
            flow.record_end.eq(scanned.record_end),
        ]
        if spec.spike_limit is None and spec.step_spike_limit is None:
            return flow
        m.submodules.limiter = bound = Limiter(lanes=lanes, per_record=spec.spike_limit, per_step=spec.step_spike_limit)
        m.d.comb += bound.i.eq(flow)
        return bound.o

    def _flip(self, m: Module, flow: Any, sequencer: Sequencer, starts: "Starts") -> tuple[Any, Any]:
        """Flip the rows: (whether there are masks for all that starts next, the released spikes)."""
        if self.spec.flip is None:
            return 1, flow.bits
        m.submodules.flipper = flipper = Flipper(
            self.spec.flip,
            neurons=self.spec.neurons,
            lanes=self.layer_lanes.scan,
            words_per_beat=self.words_per_beat,
            depth=self.ahead,
        )
        wiring.connect(m, wiring.flipped(self.words), flipper.words)
        m.d.comb += [
            flipper.masks.ready.eq(flow.valid),
            flipper.flush.eq(self.flush | self.next_record),
        ]
        free = Signal(range(flipper.depth + 2))  # masks in the queue that nothing started counts on
        ready = starts.count(m, free, flipper.row_added, flipper.flush)
        over = Signal()  # the record's last row is under way: the next row needs masks of the next record
        if self.rekey:
            m.d.comb += self.next_record.eq(flow.valid & flow.record_end)
            with m.If(self.next_record):
                m.d.sync += over.eq(0)
            with m.Elif(sequencer.row_started & sequencer.record_end):
                m.d.sync += over.eq(1)
        return ready & ~over, flow.bits ^ flipper.masks.payload

    def _queue(self, m: Module, flow: Any, bits: Any, starts: "Starts") -> Any:
        """Rows out through a queue in which all that started has its place: whether there is one for the next."""
        m.submodules.queue = queue = SyncFIFOBuffered(width=len(self.o.payload.as_value()), depth=self.queued_rows)
        free = Signal(range(self.queued_rows + 1), init=self.queued_rows)
        row = Signal.like(self.o.payload)
        m.d.comb += [
            row.bits.eq(bits),
            row.step_end.eq(flow.step_end),
            row.record_end.eq(flow.record_end),
            queue.w_data.eq(row),
            queue.w_en.eq(flow.valid),
            queue.r_en.eq(self.o.ready | ~self.o.valid),
        ]
        with m.If(queue.r_en):
            m.d.sync += [self.o.valid.eq(queue.r_rdy), self.o.payload.eq(queue.r_data)]
        return starts.count(m, free, queue.r_rdy & queue.r_en)


class Starts:
    """What a row that starts will take of something that is counted, each of its parts one: `fold`, in a step's last
    row `last_fold`.
    """

    def __init__(self, started: Signal, last_row: Signal, fold: int, last_fold: int) -> None:
        self.started, self.last_row, self.fold, self.last_fold = started, last_row, fold, last_fold

    def count(self, m: Module, free: Signal, more: Value, none: Value | None = None) -> Value:
        """Count `free`, which `none` sets to 0. Whether there is enough for the next row, out of registers of their
        own: what starts a row waits for it.
        """
        enough: Value = self._enough(m, free, more, self.fold, none)
        less: Value = Const(self.fold)
        if self.last_fold != self.fold:
            enough = Mux(self.last_row, self._enough(m, free, more, self.last_fold, none), enough)
            less = Mux(self.last_row, self.last_fold, self.fold)
        m.d.sync += free.eq(free + more - Mux(self.started, less, 0))
        if none is not None:
            with m.If(none):
                m.d.sync += free.eq(0)
        return enough

    def _enough(self, m: Module, free: Signal, more: Value, need: int, none: Value | None) -> Signal:
        """Whether `free` is at least `need`, out of a register."""

        def reaches(count: int) -> Value:
            return (free >= count) | (more & (free == count - 1))

        enough = Signal(init=free.init >= need, name=f"enough_{need}")
        after = reaches(need + self.fold)
        if self.last_fold != self.fold:
            after = Mux(self.last_row, reaches(need + self.last_fold), after)
        m.d.sync += enough.eq(Mux(self.started, after, reaches(need)))
        if none is not None:
            with m.If(none):
                m.d.sync += enough.eq(0)
        m.d.sync += Assert(enough == (free >= need), Format("{} free, and that is enough: {}", free, enough))
        return enough
