"""Test bench around a network: plays whole records in and collects what it releases, in every simulator."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Shape, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from spikeveil.hdl.engine.network import Network
from spikeveil.hdl.engine.plan import INPUT_LANES, Plan
from spikeveil.hdl.engine.spikes import index_bits

STALL_BITS = 64
CYCLE_BITS = 48


def row_bits(plan: Plan) -> int:
    """Bits of one output row without its markers."""
    return Shape.cast(plan.o_row["bits"].shape).width


class Player(wiring.Component):
    """A network between two registers that each hold a whole record, so that Python runs twice a record.

    | port | width | direction | meaning |
    |---|---|---|---|
    | `stimulus` | max_steps * plan.i_rows * INPUT_LANES | in | spikes of a record, step 0 in the low bits |
    | `steps` | range(max_steps + 1) | in | steps of the record, at least 1 |
    | `stimulus_request` | 1 | in | toggles to hand over a record |
    | `stimulus_ack` | 1 | out | follows `stimulus_request` when the next record may be handed over |
    | `response` | max_steps * plan.o_rows * row_bits(plan) | out | rows of `o` in order, the last in the high bits |
    | `response_request` | 1 | out | toggles when `response` holds a record |
    | `response_ack` | 1 | in | must follow `response_request` to accept the record |
    | `response_cycle` | 48 | out | cycle of the record's last row |
    | `marker_error` | 1 | out | an end marker was missing or misplaced; stays high |
    | `cycle` | 48 | out | clock cycles since reset |
    | `stall_i`, `stall_o` | 64 | in | cyclic patterns: no row is offered, or accepted, in cycles whose bit is 1 |
    | `open`, `late`, `key`, `lease`, `record`, `seeds` | as in `Network` | | connected to the network |

    | parameter | type | meaning |
    |---|---|---|
    | `plan` | Plan | the network |
    | `max_steps` | int | steps of the longest record |

    Timing: an offer at the network's input is held until it is accepted. The next record may follow without a gap.

    Reset discards all records and restarts `cycle` at 0.
    """

    def __init__(self, plan: Plan, *, max_steps: int) -> None:
        self.plan = plan
        super().__init__(
            {
                "open": In(1),
                "late": Out(1),
                "stimulus": In(max_steps * plan.i_rows * INPUT_LANES),
                "steps": In(range(max_steps + 1)),
                "stimulus_request": In(1),
                "stimulus_ack": Out(1),
                "response": Out(max_steps * plan.o_rows * row_bits(plan)),
                "response_request": Out(1),
                "response_ack": In(1),
                "marker_error": Out(1),
                "response_cycle": Out(CYCLE_BITS),
                "cycle": Out(CYCLE_BITS),
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
        stall_index = Signal(range(STALL_BITS))
        m.d.sync += [ports.cycle.eq(ports.cycle + 1), stall_index.eq(stall_index + 1)]
        self._feed(m, network, ports.stall_i.bit_select(stall_index, 1))
        self._collect(m, network, ports.stall_o.bit_select(stall_index, 1))
        return m

    def _feed(self, m: Module, network: Network, stall: Any) -> None:
        """Shift the stimulus into the network, row by row."""
        ports: Any = self
        remaining_spikes = Signal.like(ports.stimulus)
        steps_remaining = Signal.like(ports.steps)
        row_index = Signal(index_bits(self.plan.i_rows))
        offered = Signal()
        accepted = Signal()
        last_row = row_index == self.plan.i_rows - 1
        m.d.comb += [
            network.i.valid.eq(offered),
            network.i.payload.bits.eq(remaining_spikes),
            network.i.payload.step_end.eq(last_row),
            network.i.payload.record_end.eq(last_row & (steps_remaining == 1)),
            accepted.eq(offered & network.i.ready),
        ]
        record_sent = accepted & last_row & (steps_remaining == 1)
        m.d.sync += offered.eq((offered & ~accepted) | ((steps_remaining != 0) & ~record_sent & ~stall))
        with m.If(accepted):
            m.d.sync += remaining_spikes.eq(remaining_spikes >> INPUT_LANES)
            m.d.sync += row_index.eq(Mux(last_row, 0, row_index + 1))
            m.d.sync += steps_remaining.eq(steps_remaining - last_row)
        with m.If((ports.stimulus_request != ports.stimulus_ack) & ((steps_remaining == 0) | record_sent)):
            m.d.sync += [remaining_spikes.eq(ports.stimulus), steps_remaining.eq(ports.steps)]
            m.d.sync += ports.stimulus_ack.eq(ports.stimulus_request)

    def _collect(self, m: Module, network: Network, stall: Any) -> None:
        """Shift the network's output rows into the response and check their markers."""
        ports: Any = self
        collected = Signal.like(ports.response)
        row_index = Signal(index_bits(self.plan.o_rows))
        record_complete = Signal()
        response_pending = Signal()
        payload = network.o.payload
        last_row = row_index == self.plan.o_rows - 1
        m.d.comb += network.o.ready.eq(~stall & ~record_complete)
        with m.If(network.o.valid & network.o.ready):
            m.d.sync += collected.eq(Cat(collected, payload.bits) >> row_bits(self.plan))
            m.d.sync += row_index.eq(Mux(last_row, 0, row_index + 1))
            m.d.sync += record_complete.eq(payload.record_end)
            with m.If((payload.step_end != last_row) | (payload.record_end & ~payload.step_end)):
                m.d.sync += ports.marker_error.eq(1)
        m.d.comb += response_pending.eq(ports.response_request != ports.response_ack)
        with m.If(record_complete & ~response_pending):
            m.d.sync += [ports.response.eq(collected), ports.response_cycle.eq(ports.cycle)]
            m.d.sync += ports.response_request.eq(~ports.response_request)
            m.d.sync += record_complete.eq(0)
