"""A network behind its guard, in one box: nothing else can reach the network."""

from typing import Any

from amaranth.hdl import Module, ResetInserter, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from spikeveil.hdl.device.guard import Guard, outer_ports
from spikeveil.hdl.engine.network import Network
from spikeveil.hdl.engine.plan import Plan


class Core(wiring.Component):
    """The ports are the guard's that look outwards, and some of the network's: `late`, and `load` where the plan is
    loadable: the words of an image (`hdl.engine.memories.ImageWrite`), only while `busy` is low.

    `busy` is high while a lease is open, and until the last of its steps has left; while it is low the network is held
    in reset. So each lease begins with record 0 and nothing of the one before it.
    """

    i: stream.Interface
    o: stream.Interface
    offer: Any
    ask: Signal
    begin: Signal
    close: Signal
    rewind: Signal
    secret: stream.Interface
    loaded: Signal
    result: Any
    open: Signal
    lease: Signal
    nonce: Signal
    quota: Signal
    start: Signal
    busy: Signal
    late: Signal
    load: Any

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        load = {"load": In(plan.image_write)} if plan.loadable else {}
        super().__init__({**outer_ports(plan), "busy": Out(1), "late": Out(1), **load})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.guard = guard = Guard(self.plan)
        network = Network(self.plan)
        m.submodules.network = ResetInserter(guard.reset)(network)
        for name, member in outer_ports(self.plan).items():
            port, own = getattr(guard, name), getattr(self, name)
            if member.is_signature:
                wiring.connect(m, wiring.flipped(own), port)
            else:
                m.d.comb += port.eq(own) if member.flow is In else own.eq(port)
        wiring.connect(m, guard.inside_i, network.i)
        wiring.connect(m, network.o, guard.inside_o)
        m.d.comb += [network.open.eq(guard.start), self.late.eq(network.late), self.busy.eq(~guard.reset)]
        m.d.comb += [getattr(network, name).eq(getattr(guard, name)) for name in self.plan.lease_ports]
        if self.plan.loadable:
            m.d.comb += network.load.eq(self.load)
        return m
