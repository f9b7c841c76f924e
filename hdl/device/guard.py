"""The guard: the only door out of the chip. Twin of pysim/device/guard.py."""

from typing import Any

from amaranth.hdl import Assert, Cat, Format, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from spikeveil.hdl.engine.plan import INPUT_LANES, Plan
from spikeveil.hdl.engine.spikes import SpikeRow, index_bits
from spikeveil.pysim.device.guard import secret_bytes
from spikeveil.pysim.device.messages import ResultCode
from spikeveil.pysim.device.wire import SEED_BYTES
from spikeveil.pysim.model.lfsr import SEED_BITS
from spikeveil.pysim.model.trivium import KEY_BITS


class Offer(data.StructLayout):
    """A lease as the host offers it; the field names are those of the OPEN message."""

    def __init__(self) -> None:
        super().__init__(
            {"lease": unsigned(40), "nonce": unsigned(32), "quota": unsigned(32), "record_steps": unsigned(16)}
        )


def outer_ports(plan: Plan) -> dict[str, Any]:
    """The side of the guard that looks away from the network."""
    return {
        "i": In(stream.Signature(SpikeRow(INPUT_LANES))),
        "o": Out(stream.Signature(plan.o_row)),
        "offer": In(Offer()),
        "ask": In(1),
        "begin": In(1),
        "close": In(1),
        "rewind": In(1),
        "secret": In(stream.Signature(8)),
        "loaded": In(1),
        "result": Out(ResultCode),
        "open": Out(1),
        "lease": Out(40),
        "nonce": Out(32),
        "quota": Out(32),
        "start": Out(1),
    }


def inside_bits(plan: Plan) -> int:
    """Bits that count the steps inside the network, which are generously fewer than that."""
    return (64 * (1 + len(plan.spec.layers))).bit_length()


class Guard(wiring.Component):
    """Holds the lease and counts what leaves. While no lease is open nothing passes and the network is held in reset.

    **Rows.** `i` to `inside_i`: a step enters, `plan.i_rows` rows, while fewer are inside than may still leave; the
    guard sets `step_end` and `record_end` itself and ignores what came. `inside_o` to `o`: a step counts when
    its first of `plan.o_rows` rows leaves; the step that takes the quota to zero leaves whole, and nothing after it.
    The payload of `o` is zero while it is not valid. No row is delayed. `o` withdraws its offer when a lease ends.

    **Commands**, one cycle each; of several in one cycle only the first in this order counts.

    - `close`: ends the lease; a step that has begun to leave leaves whole.
    - `ask`: judges `offer`, which must have stood in the cycle before too, and the bytes that `secret` took since the
      last `rewind`. `result` is, one cycle later, the first that holds of MALFORMED (quota or record steps are 0, not
      exactly `secret_bytes` bytes, or an LFSR's seed is 0), UNLOADED (`loaded` is low), STALE (the number is not above
      `lease`, or the cycle before was an `ask` that was taken), OK. Only OK changes anything: the lease before ends at
      once, `lease` and `session` are the new ones, and `secret` rewinds.
    - `begin`, after an `ask` that was taken and all bytes of the secret once more, now to be kept: opens the lease.
      `result` is, one cycle later, OK; or MALFORMED, and no lease is open.
    - `rewind`, before an offer: forgets the bytes that `secret` took, and an `ask` that was taken.

    `secret` takes a byte in every cycle; one that comes with a `rewind` is lost. `open`: a lease is open, and `quota`,
    the steps that may still leave, is not zero. Else `quota` is zero, but between an `ask` that was taken and its
    `begin`: then it is what was offered. `start` is high in the first cycle of a lease,
    in which no row enters: it opens the network and clears every buffer outside. `reset` resets the network: it is
    high in at least one cycle before each `start`. The lease ports of the network (`key`, `lease`, `record`,
    `seeds`) stay as they are while `reset` is low; the secret is zero while it is high, but for an `ask` taken.

    No command reads the secret, raises `quota` while a lease is open, or lowers `lease`. Reset is for power-on only:
    it forgets which numbers were seen.
    """

    i: stream.Interface
    inside_i: stream.Interface
    inside_o: stream.Interface
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
    reset: Signal

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.secret_bytes = secret_bytes(plan.source, len(plan.spec.flipped))
        self.granted, self.leaving = Signal(), Signal()  # an ask was taken and not begun; a step has begun to leave
        self.number, self.above = Signal(40), Signal()  # offered in the cycle before, and whether above the highest
        self.filled = Signal()  # neither the quota nor the record that was offered in the cycle before was 0
        self.row = Signal(index_bits(plan.o_rows), name="o_row")  # of that step
        self.final = Signal()  # quota is 1, while a lease is open
        super().__init__(
            {
                **outer_ports(plan),
                "inside_i": Out(stream.Signature(SpikeRow(INPUT_LANES))),
                "inside_o": In(stream.Signature(plan.o_row)),
                "reset": Out(1),
                **{name: Out(width) for name, width in plan.lease_ports.items()},
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        granted, leaving = self.granted, self.leaving
        again, verdict = Signal(), Signal(ResultCode)
        sound = self._secret(m, granted, again)
        inside, record_steps = Signal(inside_bits(self.plan)), Signal(16)
        entered, left = self._enter(m, inside, record_steps), self._leave(m, leaving)
        with m.If(entered ^ left):
            m.d.sync += inside.eq(inside + Cat(1, left.replicate(len(inside) - 1)))
        with m.If(self.reset):
            m.d.sync += inside.eq(0)
        m.d.comb += [self.secret.ready.eq(1), self.reset.eq(~(self.open | leaving)), verdict.eq(self._judge(sound))]
        m.d.sync += [self.start.eq(0), self.number.eq(self.offer.lease), self.above.eq(self.lease < self.offer.lease)]
        m.d.sync += self.filled.eq((self.offer.quota != 0) & (self.offer.record_steps != 0))

        grants, ends = Signal(), Signal()  # the quota is what was offered; it is nothing
        with m.If(grants | left):
            m.d.sync += self.quota.eq(Mux(grants, self.offer.quota, self.quota - 1))
        with m.If(ends):
            m.d.sync += self.quota.eq(0)
        with m.If(self.close):
            m.d.comb += ends.eq(1)
            m.d.sync += [self.open.eq(0), granted.eq(0)]
        with m.Elif(self.ask):
            m.d.sync += self.result.eq(verdict)
            with m.If(verdict == ResultCode.OK):
                m.d.comb += [again.eq(1), grants.eq(1)]
                m.d.sync += [self.open.eq(0), leaving.eq(0), granted.eq(1), self.lease.eq(self.number)]
                m.d.sync += [self.nonce.eq(self.offer.nonce), record_steps.eq(self.offer.record_steps)]
                m.d.sync += self.above.eq(0)
        with m.Elif(self.begin):
            m.d.sync += [granted.eq(0), self.result.eq(ResultCode.MALFORMED)]
            with m.If(granted & sound & (self.quota != 0)):  # whatever stood in the cycle before
                m.d.sync += [self.result.eq(ResultCode.OK), self.open.eq(1), self.start.eq(1)]
            with m.Else():
                m.d.comb += ends.eq(~self.open)
        with m.Elif(self.rewind):
            m.d.comb += again.eq(1)
            m.d.comb += ends.eq(~self.open)
            m.d.sync += granted.eq(0)
        sane = (self.quota != 0) & ~granted
        m.d.sync += Assert(~self.open | sane, Format("a lease is open with {} steps to leave", self.quota))
        return m

    def _judge(self, sound: Value) -> Value:
        fresh = Mux(self.above, ResultCode.OK, ResultCode.STALE)
        return Mux(sound & self.filled, Mux(self.loaded, fresh, ResultCode.UNLOADED), ResultCode.MALFORMED)

    def _enter(self, m: Module, inside: Signal, record_steps: Signal) -> Signal:
        """Rows in, in records of `record_steps` steps. Whether a step has entered whole."""
        row, left = Signal(index_bits(self.plan.i_rows)), Signal(16)  # left: steps of the record that do not enter yet
        enters, last, whole, final = Signal(), Signal(), Signal(), Signal()  # final: the record's last step enters
        room = Signal()  # there was quota for one more step in the cycle before, and it is the same now
        low, high = self.quota[: len(inside)], self.quota[len(inside) :].any()
        after = [(inside + more)[: len(inside)] for more in (0, 1)]
        now, then = ((high | (low != count)) & ~count.all() for count in after)
        m.d.sync += room.eq(Mux(whole, then, now))
        m.d.comb += [
            enters.eq(self.open & ~self.start & room),
            whole.eq(self.i.valid & self.i.ready & last),
            last.eq(row == self.plan.i_rows - 1),
            self.inside_i.valid.eq(self.i.valid & enters),
            self.i.ready.eq(self.inside_i.ready & enters),
            self.inside_i.payload.bits.eq(self.i.payload.bits),
            self.inside_i.payload.step_end.eq(last),
            self.inside_i.payload.record_end.eq(last & final),
        ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += row.eq(row + 1)
        with m.If(self.reset | whole):
            m.d.sync += row.eq(0)
        with m.If(self.reset | (whole & final)):
            m.d.sync += [left.eq(record_steps), final.eq(record_steps == 1)]
        with m.Elif(whole):
            m.d.sync += [left.eq(left - 1), final.eq(left == 2)]
        return whole

    def _leave(self, m: Module, leaving: Signal) -> Signal:
        """Rows out: a step's first row only while a lease is open, its others always. Whether a first one has left."""
        row, last, first = self.row, Signal(), Signal()
        m.d.sync += self.final.eq(self.quota == Mux(first, 2, 1))
        m.d.comb += [
            first.eq(self.o.valid & self.o.ready & ~leaving),
            last.eq(row == self.plan.o_rows - 1),
            self.o.valid.eq(self.inside_o.valid & ~self.reset),
            self.inside_o.ready.eq(self.o.ready & ~self.reset),
        ]
        with m.If(self.o.valid):
            m.d.comb += [
                self.o.payload.bits.eq(self.inside_o.payload.bits),
                self.o.payload.step_end.eq(last),
                self.o.payload.record_end.eq(last & self.inside_o.payload.record_end),
            ]
        with m.If(self.reset):
            m.d.sync += row.eq(0)
        with m.Elif(self.o.valid & self.o.ready):
            m.d.sync += [row.eq(Mux(last, 0, row + 1)), leaving.eq(~last)]
        with m.If(first):
            m.d.sync += self.open.eq(~self.final)
        return first

    def _secret(self, m: Module, granted: Signal, again: Signal) -> Value:
        """Count the secret's bytes and look at them; keep them where an ask was taken. Whether they are all there."""
        left = Signal(range(self.secret_bytes + 1), init=self.secret_bytes)
        kept, byte = Signal(8 * self.secret_bytes), self.secret.payload
        surplus, some, zero = Signal(), Signal(), Signal()  # some: a bit is set in the seed that is under way
        with m.If(self.secret.valid):
            with m.If(left == 0):
                m.d.sync += surplus.eq(1)
            with m.Else():
                m.d.sync += left.eq(left - 1)
                if self.secret_bytes:
                    m.d.sync += kept.eq(Mux(granted, Cat(kept, byte)[8:], kept))
        if self.plan.source == "lfsr":
            ends, bits = Signal(), Signal()
            m.d.comb += [ends.eq(left % SEED_BYTES == 1), bits.eq(some | Mux(ends, byte[:7], byte).any())]
            with m.If(self.secret.valid):
                m.d.sync += [some.eq(bits & ~ends), zero.eq(zero | (ends & ~bits))]
        with m.If(self.reset & ~granted):
            m.d.sync += kept.eq(0)
        with m.If(again):
            m.d.sync += [left.eq(self.secret_bytes), surplus.eq(0), some.eq(0), zero.eq(0)]
        self._hand_over(m, kept)
        return (left == 0) & ~surplus & ~zero

    def _hand_over(self, m: Module, kept: Signal) -> None:
        """The secret to the network, as its ports take it: the key as its bytes are printed, the seeds side by side."""
        ports: Any = self
        if "seeds" in self.plan.lease_ports:
            seeds = [
                kept.word_select(place, 8 * SEED_BYTES)[:SEED_BITS] for place in range(len(self.plan.spec.flipped))
            ]
            m.d.comb += ports.seeds.eq(Cat(seeds))
        if "key" in self.plan.lease_ports:
            m.d.comb += [
                ports.key.eq(Cat(kept[8 * place : 8 * place + 8][::-1] for place in range(KEY_BITS // 8))),
                ports.record.eq(0),
            ]
