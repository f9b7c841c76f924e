"""A whole network: layers in a chain, their word sources, and the fixed cadence. Twin of pysim/model/network.py."""

from typing import Any

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from spikeveil.hdl.engine.encoder import Encoder
from spikeveil.hdl.engine.layer import Layer
from spikeveil.hdl.engine.pacer import Pacer
from spikeveil.hdl.engine.plan import INPUT_LANES, Plan
from spikeveil.hdl.engine.source import SEED_BITS, LfsrStream, TriviumStream
from spikeveil.hdl.engine.spikes import SpikeRow
from spikeveil.hdl.engine.ultraplus import is_chip
from spikeveil.pysim.model.spec import LayerSpec

LEAST_AHEAD = 4  # rows of masks


class Network(wiring.Component):
    """The gateware of a plan.

    Ports:

    - `i`: spike rows of `INPUT_LANES` inputs, exactly `plan.i_rows` a step, the last one with `step_end` and, at the
      end of a record, `record_end`.
    - `o`: rows of released spikes (or of the readout's potentials), `plan.o_rows` a step, with the same markers.
    - `open`: for one cycle, while no step is inside, begins a lease: with source `trivium` under `key`, lease number
      `lease` and first record `record`; with `lfsr` from `seeds`, 127 bits a flipper in layer order, the first one
      lowest. They must stay as they are while the lease is open. Nothing flipped is computed before the first `open`.
    - `late`: a step missed its slot (see `Pacer`); always 0 on the fast schedule.
    - `load`, where the plan is loadable: the words of an image, only while no step is inside; reset leaves them.

    On the private schedule a step leaves `plan.slots` slots of `plan.cadence` cycles after it came in, whatever its
    spikes. On the fast one each layer takes R * max(f, s) + max(1, 8 - R * f) cycles for s spikes and R rows of lanes,
    each updated in f cycles, and the layers work on different steps at once. Reset forgets the lease, every step inside
    and all potentials.
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
        head: Any = wiring.flipped(self.i)
        tail: Any = wiring.flipped(self.o)
        if self.plan.schedule == "private":
            m.submodules.pacer = pacer = Pacer(self.plan)
            wiring.connect(m, head, pacer.i)
            wiring.connect(m, pacer.o, tail)
            m.d.comb += [pacer.open.eq(self.open), self.late.eq(pacer.late)]
            head, tail = pacer.layers_i, pacer.layers_o
        lanes = INPUT_LANES
        for index, spec in enumerate(self.plan.layers):
            encoder = Encoder(inputs=spec.inputs, lanes=lanes, cap=spec.input_cap)
            m.submodules[f"encoder_{index}"] = encoder
            layer = self._layer(m, index, spec, at_once=is_chip(platform, "iCE40"))
            wiring.connect(m, head, encoder.i)
            wiring.connect(m, encoder.o, layer.i)
            head, lanes = layer.o, layer.layer_lanes.scan
        wiring.connect(m, head, tail)
        return m

    def _layer(self, m: Module, index: int, spec: LayerSpec, *, at_once: bool) -> Layer:
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
            m.submodules[f"words_{index}"] = words = self._words(
                m, index, plan.words_per_beat(index) * spec.flip.bits, at_once
            )
            wiring.connect(m, words.o, layer.words)
            m.d.comb += [
                words.open.eq(self.open),
                words.next_record.eq(layer.next_record),
                layer.flush.eq(self.open),
            ]
        return layer

    def _buffers(self, index: int) -> dict[str, int]:
        """On the fixed cadence two steps are inside a stage at most, and masks have time."""
        if self.plan.schedule == "fast":
            return {}
        return {
            "buffered_steps": 2,
            "queued_steps": 2,
            "mask_depth": max(LEAST_AHEAD, self.plan.layer_lanes[index].fold),
        }

    def _words(self, m: Module, index: int, width: int, at_once: bool) -> LfsrStream | TriviumStream:
        """The word source of layer `index`, with its share of the lease."""
        if self.plan.source == "lfsr":
            lfsr = LfsrStream(width)
            m.d.comb += lfsr.seed.eq(self.seeds.word_select(self.plan.spec.flipped.index(index), SEED_BITS))
            return lfsr
        trivium = TriviumStream(width, layer=index, at_once=at_once)
        m.d.comb += [trivium.key.eq(self.key), trivium.lease.eq(self.lease), trivium.record.eq(self.record)]
        return trivium
