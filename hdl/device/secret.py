"""Receives, checks and stores the secret of a lease."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from spikeveil.hdl.engine.plan import Plan
from spikeveil.pysim.device.guard import secret_bytes
from spikeveil.pysim.device.wire import SEED_BYTES
from spikeveil.pysim.model.lfsr import SEED_BITS
from spikeveil.pysim.model.trivium import KEY_BYTES

SECRET_PORTS = ("key", "seeds")


class SecretRegister(wiring.Component):
    """Receives a secret byte by byte, checks it and, in a second pass, stores it for the network.

    | port | width | direction | meaning |
    |---|---|---|---|
    | `i` | stream, 8 | in | bytes of the secret, as OPEN carries them; always ready |
    | `store` | 1 | in | bytes are stored, not only checked |
    | `rewind` | 1 | in | one cycle, dominant: the next byte is the first of the secret |
    | `clear` | 1 | in | sets the stored secret to 0 |
    | `valid` | 1 | out | since `rewind` exactly the bytes of a secret were received, and no LFSR seed is 0 |
    | `key` or `seeds` | as in `plan.lease_ports` | out | the stored secret, as the network takes it |

    Reset clears the stored secret and is `rewind`.
    """

    i: stream.Interface
    store: Signal
    rewind: Signal
    clear: Signal
    valid: Signal

    def __init__(self, plan: Plan) -> None:
        self.source = plan.source
        self.word_sources = len(plan.spec.randomised)
        self.bytes = secret_bytes(plan.source, self.word_sources)
        self.ports = tuple(name for name in SECRET_PORTS if name in plan.lease_ports)
        super().__init__(
            {
                "i": In(stream.Signature(8)),
                "store": In(1),
                "rewind": In(1),
                "clear": In(1),
                "valid": Out(1),
                **{name: Out(plan.lease_ports[name]) for name in self.ports},
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        remaining = Signal(range(self.bytes + 1), init=self.bytes)
        stored = Signal(8 * self.bytes)
        surplus = Signal()
        seed_nonzero = Signal()  # the current seed has a bit set
        zero_seed = Signal()
        byte = self.i.payload
        m.d.comb += [self.i.ready.eq(1), self.valid.eq((remaining == 0) & ~surplus & ~zero_seed)]
        with m.If(self.i.valid):
            with m.If(remaining == 0):
                m.d.sync += surplus.eq(1)
            with m.Else():
                m.d.sync += remaining.eq(remaining - 1)
                if self.bytes:
                    m.d.sync += stored.eq(Mux(self.store, Cat(stored, byte)[8:], stored))
        if self.source == "lfsr":
            seed_end = Signal()
            nonzero = Signal()
            m.d.comb += [
                seed_end.eq(remaining % SEED_BYTES == 1),
                nonzero.eq(seed_nonzero | Mux(seed_end, byte[:7], byte).any()),  # a seed's top bit is ignored
            ]
            with m.If(self.i.valid):
                m.d.sync += [
                    seed_nonzero.eq(nonzero & ~seed_end),
                    zero_seed.eq(zero_seed | (seed_end & ~nonzero)),
                ]
        with m.If(self.clear):
            m.d.sync += stored.eq(0)
        with m.If(self.rewind):
            m.d.sync += [remaining.eq(self.bytes), surplus.eq(0), seed_nonzero.eq(0), zero_seed.eq(0)]
        self._drive_ports(m, stored)
        return m

    def _drive_ports(self, m: Module, stored: Signal) -> None:
        """A Trivium key in print order; LFSR seeds side by side, the first in the low bits."""
        ports: Any = self
        if "seeds" in self.ports:
            seeds = [stored.word_select(index, 8 * SEED_BYTES)[:SEED_BITS] for index in range(self.word_sources)]
            m.d.comb += ports.seeds.eq(Cat(seeds))
        if "key" in self.ports:
            m.d.comb += ports.key.eq(Cat(stored.word_select(index, 8)[::-1] for index in range(KEY_BYTES)))
