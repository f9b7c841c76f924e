"""Plays whole records into a network and collects what it releases: the bench that every simulator runs."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Shape, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from spikeveil.hdl.engine.network import Network
from spikeveil.hdl.engine.plan import INPUT_LANES, Plan
from spikeveil.hdl.engine.spikes import index_bits

STALL_BITS = 64


def row_bits(plan: Plan) -> int:
    """Spikes or potential bits in one output row, its markers left out."""
    return Shape.cast(plan.o_row["bits"].shape).width


class Player(wiring.Component):
    """A network between two whole-record registers, so that a simulator meets Python twice a record and not every
    cycle.

    - `stimulus`: the record's spikes, `plan.i_rows * INPUT_LANES` bits a step, step 0 lowest; `steps`: how many
      steps it has (1 to `most_steps`). Toggle `given` to hand it over; `taken` follows `given` when the next may be
      given.
    - `response`: the rows of `o` in the order they came, `row_bits(plan)` each, the last one highest; `returned`
      toggles when a record is whole, `stamp` is then the cycle of its last row and `wrong` whether a
      marker stood where it should not. Let `accepted` follow `returned` to take it.
    - `stall_i`, `stall_o`: patterns of `STALL_BITS` cycles, repeated; in a cycle whose bit is one the player
      offers, or takes, nothing.
    - The network's `open`, `key`, `lease`, `record`, `seeds` and `late` go straight through. `cycle` counts clock
      cycles from reset.
    """

    def __init__(self, plan: Plan, *, most_steps: int) -> None:
        self.plan = plan
        super().__init__(
            {
                "open": In(1),
                "late": Out(1),
                "stimulus": In(most_steps * plan.i_rows * INPUT_LANES),
                "steps": In(range(most_steps + 1)),
                "stimulus_request": In(1),
                "stimulus_ack": Out(1),
                "response": Out(most_steps * plan.o_rows * row_bits(plan)),
                "response_request": Out(1),
                "response_ack": In(1),
                "marker_error": Out(1),
                "response_cycle": Out(48),
                "cycle": Out(48),
                "stall_i": In(STALL_BITS),
                "stall_o": In(STALL_BITS),
                **{name: In(width) for name, width in plan.lease_ports.items()},
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.network = network = Network(self.plan)
        ports: Any = self
        m.d.comb += [network.open.eq(ports.open), ports.late.eq(network.late)]
        m.d.comb += [getattr(network, name).eq(getattr(self, name)) for name in self.plan.lease_ports]
        beat = Signal(range(STALL_BITS))
        m.d.sync += [ports.cycle.eq(ports.cycle + 1), beat.eq(beat + 1)]
        self._feed(m, network, ports.stall_i.bit_select(beat, 1))
        self._collect(m, network, ports.stall_o.bit_select(beat, 1))
        return m

    def _feed(self, m: Module, network: Network, stall: Any) -> None:
        ports: Any = self
        rest, steps_left = Signal.like(ports.stimulus), Signal.like(ports.steps)
        row = Signal(index_bits(self.plan.i_rows))
        offer, sent = Signal(), Signal()  # an offer stands until it is taken, as streams demand
        last_row = row == self.plan.i_rows - 1
        m.d.comb += [
            network.i.valid.eq(offer),
            network.i.payload.bits.eq(rest),
            network.i.payload.step_end.eq(last_row),
            network.i.payload.record_end.eq(last_row & (steps_left == 1)),
            sent.eq(offer & network.i.ready),
        ]
        last = sent & last_row & (steps_left == 1)
        m.d.sync += offer.eq((offer & ~sent) | ((steps_left != 0) & ~last & ~stall))
        with m.If(sent):
            m.d.sync += [rest.eq(rest >> INPUT_LANES), row.eq(Mux(last_row, 0, row + 1))]
            m.d.sync += steps_left.eq(steps_left - last_row)
        with m.If((ports.stimulus_request != ports.stimulus_ack) & ((steps_left == 0) | last)):
            m.d.sync += [
                rest.eq(ports.stimulus),
                steps_left.eq(ports.steps),
                ports.stimulus_ack.eq(ports.stimulus_request),
            ]

    def _collect(self, m: Module, network: Network, stall: Any) -> None:
        ports: Any = self
        gathered, row = Signal.like(ports.response), Signal(index_bits(self.plan.o_rows))
        held, whole = Signal(), Signal()
        payload = network.o.payload
        came = network.o.valid & network.o.ready
        m.d.comb += network.o.ready.eq(~stall & ~whole)
        with m.If(came):
            m.d.sync += gathered.eq(Cat(gathered, payload.bits) >> row_bits(self.plan))
            m.d.sync += row.eq(Mux(row == self.plan.o_rows - 1, 0, row + 1))
            m.d.sync += whole.eq(payload.record_end)
            with m.If((payload.step_end != (row == self.plan.o_rows - 1)) | (payload.record_end & ~payload.step_end)):
                m.d.sync += ports.marker_error.eq(1)
        m.d.comb += held.eq(ports.response_request != ports.response_ack)
        with m.If(whole & ~held):
            m.d.sync += [
                ports.response.eq(gathered),
                ports.response_request.eq(~ports.response_request),
                ports.response_cycle.eq(ports.cycle),
            ]
            m.d.sync += whole.eq(0)
