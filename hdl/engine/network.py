"""A complete network in gateware: layers in a chain, their word sources, the pacer. Twin of pysim/model/network.py."""

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from spikeveil.hdl.engine.decision import Decider, ScoreCounter
from spikeveil.hdl.engine.encoder import Encoder
from spikeveil.hdl.engine.layer import Layer
from spikeveil.hdl.engine.pacer import Pacer
from spikeveil.hdl.engine.plan import INPUT_LANES, Plan
from spikeveil.hdl.engine.source import LfsrStream, TriviumStream
from spikeveil.hdl.engine.spikes import SpikeRow
from spikeveil.hdl.engine.ultraplus import is_chip
from spikeveil.pysim.model.decision import RandomisedDecision
from spikeveil.pysim.model.layer_spec import LayerSpec
from spikeveil.pysim.model.lfsr import SEED_BITS

MIN_MASK_ROWS = 4  # rows in a mask queue on the private schedule


class Network(wiring.Component):
    """The network that `plan` describes, without the guard that limits its use.

    | port | width | direction | meaning |
    |---|---|---|---|
    | `i` | stream of SpikeRow(INPUT_LANES) | in | input spikes, `plan.i_rows` rows a step |
    | `o` | stream of plan.o_row | out | spikes or potentials, `plan.o_rows` rows a step; or a decision a record |
    | `open` | 1 | in | one cycle: a lease begins; only while the network holds no step |
    | `key` | 80 | in | Trivium key |
    | `lease` | 40 | in | lease number, part of the IV |
    | `record` | 32 | in | number of the first record of the lease |
    | `seeds` | 127 a flipper | in | LFSR seeds in layer order, the first in the low bits |
    | `late` | 1 | out | a step missed its slot, as for `Pacer`; always 0 on the fast schedule |
    | `load` | plan.image_write | in | words of an image, only while the network holds no step; loadable plans only |

    `key`, `lease` and `record` exist with source `trivium`, `seeds` with `lfsr`, and none without a flipper
    (`plan.lease_ports`). They must be stable while the lease is open. Nothing that is flipped is computed before the
    first `open`.

    Timing: on the private schedule a step leaves `plan.slots` slots of `plan.cadence` cycles after it entered, whatever
    its spikes. On the fast schedule a step of s spikes takes R * max(f, s) + max(1, 8 - R * f) cycles in each layer,
    for R rows of lanes that are updated in f cycles each; the layers work on different steps in parallel.

    Reset ends the lease and discards all steps and potentials. Loaded weights stay.
    """

    i: stream.Interface
    o: stream.Interface
    open: Signal
    late: Signal
    key: Signal
    lease: Signal
    record: Signal
    seeds: Signal
    load: Any

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        super().__init__(
            {
                "i": In(stream.Signature(SpikeRow(INPUT_LANES))),
                "o": Out(stream.Signature(plan.o_row)),
                "open": In(1),
                "late": Out(1),
                **{name: In(width) for name, width in plan.lease_ports.items()},
                **({"load": In(plan.image_write)} if plan.loadable else {}),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        upstream: Any = wiring.flipped(self.i)
        sink: Any = wiring.flipped(self.o)
        if self.plan.schedule == "private":
            m.submodules.pacer = pacer = Pacer(self.plan)
            wiring.connect(m, upstream, pacer.i)
            wiring.connect(m, pacer.o, sink)
            m.d.comb += [pacer.open.eq(self.open), self.late.eq(pacer.late)]
            upstream, sink = pacer.layers_i, pacer.layers_o
        lanes = INPUT_LANES
        for index, spec in enumerate(self.plan.layers):
            encoder = Encoder(inputs=spec.inputs, lanes=lanes, cap=spec.input_cap)
            m.submodules[f"encoder_{index}"] = encoder
            layer = self._layer(m, index, spec, parallel_load=is_chip(platform, "iCE40"))
            wiring.connect(m, upstream, encoder.i)
            wiring.connect(m, encoder.o, layer.i)
            upstream, lanes = layer.o, layer.layer_lanes.scan
        if self.plan.spec.decision is not None:
            upstream = self._decide(m, self.plan.spec.decision, upstream, parallel_load=is_chip(platform, "iCE40"))
        wiring.connect(m, upstream, sink)
        return m

    def _decide(self, m: Module, decision: RandomisedDecision, rows: Any, *, parallel_load: bool) -> Any:
        """The decision about the last layer's rows, and its word source; returns the stream of decisions."""
        plan, last = self.plan, self.plan.spec.layers[-1]
        scan = plan.layer_lanes[-1].scan
        counter = ScoreCounter(
            classes=decision.classes,
            lanes=scan,
            rows_per_class=plan.spec.class_neurons // scan,
            steps=plan.spec.steps or 1,
            state_bits=last.state_bits if last.readout else 0,
            score=decision.by,
        )
        m.submodules.decider = decider = Decider(decision, counter, beat_bits=plan.decision_beat_bits)
        index = len(plan.spec.layers) - 1
        m.submodules[f"words_{index}"] = words = self._source(m, index, plan.decision_beat_bits, parallel_load)
        wiring.connect(m, rows, decider.i)
        wiring.connect(m, words.o, decider.words)
        m.d.comb += [
            words.open.eq(self.open),
            words.next_record.eq(decider.next_record),
            decider.flush.eq(self.open),
        ]
        return decider.o

    def _layer(self, m: Module, index: int, spec: LayerSpec, *, parallel_load: bool) -> Layer:
        """Layer `index` with its share of the image port and its word source."""
        plan = self.plan
        layer = Layer(
            spec,
            layer_lanes=plan.layer_lanes[index],
            words_per_beat=plan.words_per_beat(index),
            rekey=spec.flip is not None and plan.source == "trivium",
            **self._buffers(index),
            load=plan.layer_image_write(index) if plan.loadable else None,
            in_spram=index in plan.spram_layers,
        )
        m.submodules[f"layer_{index}"] = layer
        if plan.loadable:
            m.d.comb += [
                layer.load.to.eq(self.load.to[plan.layer_sections(index)]),
                layer.load.address.eq(self.load.address),
                layer.load.data.eq(self.load.data),
            ]
        if spec.flip is not None:
            width = plan.words_per_beat(index) * spec.flip.bits
            m.submodules[f"words_{index}"] = words = self._source(m, index, width, parallel_load)
            wiring.connect(m, words.o, layer.words)
            m.d.comb += [
                words.open.eq(self.open),
                words.next_record.eq(layer.next_record),
                layer.flush.eq(self.open),
            ]
        return layer

    def _buffers(self, index: int) -> dict[str, int]:
        """Buffer sizes of a layer: on the private schedule a stage holds at most two steps, and masks have time."""
        if self.plan.schedule == "fast":
            return {}
        mask_depth = max(MIN_MASK_ROWS, self.plan.layer_lanes[index].fold)
        return {"buffered_steps": 2, "queued_steps": 2, "mask_depth": mask_depth}

    def _source(self, m: Module, index: int, width: int, parallel_load: bool) -> LfsrStream | TriviumStream:
        """The word source of layer `index`, connected to its part of the lease ports."""
        if self.plan.source == "lfsr":
            lfsr = LfsrStream(width)
            m.d.comb += lfsr.seed.eq(self.seeds.word_select(self.plan.spec.randomised.index(index), SEED_BITS))
            return lfsr
        trivium = TriviumStream(width, layer=index, parallel_load=parallel_load)
        m.d.comb += [trivium.key.eq(self.key), trivium.lease.eq(self.lease), trivium.record.eq(self.record)]
        return trivium
