"""A network behind its guard: nothing else is connected to the network. Twin of pysim/device/core.py."""

from typing import Any

from amaranth.hdl import Module, ResetInserter, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from spikeveil.hdl.device.guard import Guard
from spikeveil.hdl.device.lease_control import LeaseControl
from spikeveil.hdl.engine.network import Network
from spikeveil.hdl.engine.plan import INPUT_LANES, Plan
from spikeveil.hdl.engine.spikes import SpikeRow


class Core(wiring.Component):
    """A network and its guard.

    | port | width | direction | meaning |
    |---|---|---|---|
    | `control` | `LeaseControl` | in | opens and closes leases |
    | `i` | stream, `SpikeRow` | in | input rows |
    | `o` | stream, `plan.o_row` | out | released rows |
    | `busy` | 1 | out | a lease is open, or its last release is leaving |
    | `late` | 1 | out | a step missed its slot; nothing more leaves until the next lease |
    | `load` | `plan.image_write` | in | words of an image, only while `busy` is low; only where the plan is loadable |

    While `busy` is low the network is held in reset, so each lease begins with record 0 and keeps nothing of the lease
    before. Reset as in `Guard`.
    """

    control: Any
    i: stream.Interface
    o: stream.Interface
    busy: Signal
    late: Signal
    load: Any

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        load = {"load": In(plan.image_write)} if plan.loadable else {}
        super().__init__(
            {
                "control": In(LeaseControl()),
                "i": In(stream.Signature(SpikeRow(INPUT_LANES))),
                "o": Out(stream.Signature(plan.o_row)),
                "busy": Out(1),
                "late": Out(1),
                **load,
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.guard = guard = Guard(self.plan)
        network = Network(self.plan)
        m.submodules.network = ResetInserter(guard.reset)(network)
        wiring.connect(m, wiring.flipped(self.control), guard.control)
        wiring.connect(m, wiring.flipped(self.i), guard.i)
        wiring.connect(m, guard.network_i, network.i)
        wiring.connect(m, network.o, guard.network_o)
        wiring.connect(m, guard.o, wiring.flipped(self.o))
        m.d.comb += [getattr(network, name).eq(getattr(guard, name)) for name in self.plan.lease_ports]
        m.d.comb += [
            network.open.eq(guard.control.start),
            self.busy.eq(~guard.reset),
            self.late.eq(network.late),
        ]
        if self.plan.loadable:
            m.d.comb += network.load.eq(self.load)
        return m
