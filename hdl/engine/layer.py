"""One layer in gateware: spike events in, rows of released spikes or potentials out. Twin of pysim/model/layer.py."""

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
from spikeveil.pysim.model.layer_spec import LayerSpec

MIN_QUEUED_ROWS = 16


class Layer(wiring.Component):
    """Computes one layer: accumulation, neuron update, contribution bounding and randomised response.

    | port | width | direction | meaning |
    |---|---|---|---|
    | `i` | stream of SpikeEvent(inputs) | in | input spikes, steps in order |
    | `o` | stream of SpikeRow(scan) | out | released spikes; of a readout PotentialRow(scan, state_bits) |
    | `words` | stream, words_per_beat * flip.bits | in | random words; only where the layer has a flipper |
    | `next_record` | 1 | out | one cycle, with `rekey`: the last row of a record is flipped, its words are used up |
    | `flush` | 1 | in | one cycle: discards all masks; only while the layer holds no step |
    | `load` | ImageWrite | in | writes weights, biases, thresholds, in this order; only where `load` is given |

    | parameter | type | meaning |
    |---|---|---|
    | `spec` | LayerSpec | the layer; of a loadable one only the sizes and widths are used |
    | `layer_lanes` | LayerLanes | neurons summed and neurons updated in parallel |
    | `words_per_beat` | int | words in one beat of `words` |
    | `rekey` | bool | each record has a stream of words of its own |
    | `buffered_steps` | int | full steps of events that can be buffered, and steps of rows in the output queue |
    | `queued_steps` | int | steps of any size that can be buffered |
    | `mask_depth` | int or None | rows in the mask queue, as `depth` of `Flipper` |
    | `load` | ImageWrite or None | layout of the write port; None builds the numbers in |
    | `in_spram` | bool | weights in single-port RAM, as in `BankedMemory` |

    Timing: with R = ceil(neurons / lanes) and f = lanes / scan, a step of s input spikes takes R * max(f, s) +
    max(1, `neuron.MIN_REVISIT_CYCLES` - R * f) cycles. Events of later steps are accepted meanwhile. A scan row is on
    `o` about 16 cycles after its last event, the other rows of the same lanes in the cycles after it.

    A row of neurons starts only when the output queue and the mask queue have all the entries it will use, so the
    pipeline needs no back-pressure and loses nothing. With a flipper, nothing is computed before `words` delivers. With
    `rekey`, the masks on hand are discarded at `next_record`, and no row of the next record starts before the first
    masks of its own stream are ready.

    Reset discards all steps and starts a new record; loaded memories keep their contents.
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
        mask_depth: int | None = None,
        load: ImageWrite | None = None,
        in_spram: bool = False,
    ) -> None:
        self.spec, self.layer_lanes, self.words_per_beat, self.rekey = spec, layer_lanes, words_per_beat, rekey
        self.queued_steps, self.mask_depth = queued_steps, mask_depth
        self.load_layout, self.in_spram = load, in_spram
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
        spec, lanes = self.spec, self.layer_lanes
        m.submodules.sum_folder = folder = SumFolder(
            neurons=spec.neurons, inputs=spec.inputs, layer_lanes=lanes, bits=spec.accumulator_bits
        )
        m.submodules.sequencer = sequencer = Sequencer(
            inputs=spec.inputs,
            rows=folder.rows,
            capacity=self.capacity,
            revisit_cycles=neuron.MIN_REVISIT_CYCLES,
            min_row_cycles=lanes.fold,
            queued_steps=self.queued_steps,
        )
        m.submodules.accumulator = accumulator = Accumulator(
            spec, lanes=lanes.lanes, load=self.load_layout, in_spram=self.in_spram, multi_cycle_rows=lanes.fold > 1
        )
        m.submodules.neurons = neurons = neuron.Neurons(spec, lanes=lanes.scan, load=self.load_layout)
        wiring.connect(m, wiring.flipped(self.i), sequencer.i)
        m.d.comb += [
            accumulator.work.eq(sequencer.o),
            folder.work.eq(sequencer.o),
            folder.sums.eq(accumulator.sums),
            neurons.i.eq(folder.o),
            neurons.sums.eq(folder.part),
        ]
        if self.load_layout is not None:
            m.d.comb += [accumulator.load.eq(self.load), neurons.load.eq(self.load)]
        flow = self._limit(m, neurons.o)
        credit = _RowCredit(sequencer.row_started, sequencer.last_row, lanes.fold, folder.last_fold)
        masks_ready, released = self._flip(m, flow, sequencer, credit)
        queue_ready = self._queue(m, flow, neurons.o.potentials if spec.readout else released, credit)
        m.d.comb += sequencer.grant.eq(masks_ready & queue_ready)
        return m

    def _limit(self, m: Module, scanned: Any) -> Any:
        """The rows of spikes after the layer's spike limits."""
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
        m.submodules.limiter = limiter = Limiter(
            lanes=lanes, per_record=spec.spike_limit, per_step=spec.step_spike_limit
        )
        m.d.comb += limiter.i.eq(flow)
        return limiter.o

    def _flip(self, m: Module, flow: Any, sequencer: Sequencer, credit: "_RowCredit") -> tuple[Any, Any]:
        """Flip the rows; returns whether the next row's masks are ready, and the released spikes."""
        if self.spec.flip is None:
            return 1, flow.bits
        m.submodules.flipper = flipper = Flipper(
            self.spec.flip,
            neurons=self.spec.neurons,
            lanes=self.layer_lanes.scan,
            words_per_beat=self.words_per_beat,
            depth=self.mask_depth,
        )
        wiring.connect(m, wiring.flipped(self.words), flipper.words)
        m.d.comb += [
            flipper.masks.ready.eq(flow.valid),
            flipper.flush.eq(self.flush | self.next_record),
        ]
        mask_credit = Signal(range(flipper.depth + 2))
        ready = credit.count(m, mask_credit, flipper.row_added, flipper.flush)
        awaiting_rekey = Signal()  # the record's last row is in progress; the masks on hand belong to that record
        if self.rekey:
            m.d.comb += self.next_record.eq(flow.valid & flow.record_end)
            with m.If(self.next_record):
                m.d.sync += awaiting_rekey.eq(0)
            with m.Elif(sequencer.row_started & sequencer.record_end):
                m.d.sync += awaiting_rekey.eq(1)
        return ready & ~awaiting_rekey, flow.bits ^ flipper.masks.payload

    def _queue(self, m: Module, flow: Any, bits: Any, credit: "_RowCredit") -> Value:
        """Send the rows through the output queue; returns whether it has space for the next row of neurons."""
        m.submodules.queue = queue = SyncFIFOBuffered(width=len(self.o.payload.as_value()), depth=self.queued_rows)
        queue_credit = Signal(range(self.queued_rows + 1), init=self.queued_rows)
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
        return credit.count(m, queue_credit, queue.r_rdy & queue.r_en)


class _RowCredit:
    """Credit counters: reserve the queue entries that a row of neurons will use before it starts.

    A row uses one entry for each of its parts: `fold`, or `last_fold` in the last row of a step.
    """

    def __init__(self, row_started: Signal, last_row: Signal, fold: int, last_fold: int) -> None:
        self.row_started, self.last_row, self.fold, self.last_fold = row_started, last_row, fold, last_fold

    def count(self, m: Module, credit: Signal, returned: Value, clear: Value | None = None) -> Value:
        """Make `credit` a counter: `returned` adds one entry, a row that starts takes its own, `clear` sets it to 0.

        Returns whether the credit suffices for the next row, decoded from a register, as row starts depend on it.
        """
        sufficient: Value = self._sufficient(m, credit, returned, self.fold, clear)
        entries_used: Value = Const(self.fold)
        if self.last_fold != self.fold:
            sufficient_for_last = self._sufficient(m, credit, returned, self.last_fold, clear)
            sufficient = Mux(self.last_row, sufficient_for_last, sufficient)
            entries_used = Mux(self.last_row, self.last_fold, self.fold)
        m.d.sync += credit.eq(credit + returned - Mux(self.row_started, entries_used, 0))
        if clear is not None:
            with m.If(clear):
                m.d.sync += credit.eq(0)
        return sufficient

    def _sufficient(self, m: Module, credit: Signal, returned: Value, entries: int, clear: Value | None) -> Signal:
        """A register equal to `credit >= entries`, computed from the counter's next value."""

        def reaches(count: int) -> Value:
            return (credit >= count) | (returned & (credit == count - 1))

        sufficient = Signal(init=credit.init >= entries, name=f"{credit.name}_reaches_{entries}")
        after_start = reaches(entries + self.fold)
        if self.last_fold != self.fold:
            after_start = Mux(self.last_row, reaches(entries + self.last_fold), after_start)
        m.d.sync += sufficient.eq(Mux(self.row_started, after_start, reaches(entries)))
        if clear is not None:
            with m.If(clear):
                m.d.sync += sufficient.eq(0)
        m.d.sync += Assert(
            sufficient == (credit >= entries),
            Format("{} entries of credit, marked as sufficient: {}", credit, sufficient),
        )
        return sufficient
