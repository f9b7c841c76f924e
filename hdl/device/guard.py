"""The guard: opens leases, admits steps and lets releases out within the quota. Twin of pysim/device/guard.py."""

from typing import Any

from amaranth.hdl import Assert, Cat, Const, Format, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from spikeveil.hdl.device.lease_control import LeaseControl
from spikeveil.hdl.device.secret import SecretRegister
from spikeveil.hdl.engine.plan import INPUT_LANES, Plan
from spikeveil.hdl.engine.spikes import SpikeRow, index_bits
from spikeveil.pysim.device.messages import ResultCode
from spikeveil.pysim.device.wire import RECORD_STEPS_BITS
from spikeveil.pysim.model.source import LEASE_BITS


def inside_bits(plan: Plan) -> int:
    """Bits of a count of the steps, or of the complete records, inside the network; there are always far fewer."""
    return (64 * (1 + len(plan.spec.layers))).bit_length()


class Guard(wiring.Component):
    """Gate around a network: lets steps in and releases out only under an open lease and within its quota.

    | port | width | direction | meaning |
    |---|---|---|---|
    | `control` | `LeaseControl` | in | opens and closes leases |
    | `i` | stream, `SpikeRow` | in | rows from outside; their markers are ignored |
    | `network_i` | stream, `SpikeRow` | out | rows to the network, `step_end` and `record_end` set |
    | `network_o` | stream, `plan.o_row` | in | rows from the network |
    | `o` | stream, `plan.o_row` | out | released rows; the payload is 0 while not valid |
    | `reset` | 1 | out | holds the network in reset: no lease is open and no release is leaving |
    | `key`, `lease`, `record` or `seeds` | `plan.lease_ports` | out | to the network, stable while `reset` is low |

    **Rows.** A release is what counts one against the quota: an output step of `plan.o_rows` rows; under a decision,
    the one row about a record. A step of `plan.i_rows` rows enters while fewer steps are inside than may still leave;
    under a decision a record enters, all its steps, while fewer complete records are inside than decisions may still
    leave. A release counts when its first row leaves; the last one of the quota is completed, and nothing follows it.
    No row is delayed. `o` withdraws its offer when a lease ends.

    **Commands** take one cycle. Of several in one cycle only the first in this order counts.

    - `close` ends the lease; a release that has begun to leave is completed.
    - `check` results in the first that applies of MALFORMED (quota or record steps are 0, under a decision record steps
      are not those of the specification, the lease is 2^39 or more, which belongs to simulations, the secret has a
      wrong length, or an LFSR seed is 0), UNLOADED, STALE (the number is not above `lease`, or a `check` in the cycle
      before was granted) and OK. Only OK changes anything: the lease before ends at once, `lease` and `nonce` are those
      of the offer, and the secret rewinds.
    - `begin`, after a granted `check` and the whole secret once more, opens the lease (OK). Otherwise it results in
      MALFORMED, and no lease is opened.
    - `rewind` precedes an offer.

    `reset` is high in at least one cycle before each `start`. The stored secret is 0 while it is high, from its second
    cycle on, except between a granted `check` and the command after it. No command reads the secret, raises `quota`
    while a lease is open, or lowers `lease`. Reset is for power-on only: it clears the highest lease number.
    """

    control: Any
    i: stream.Interface
    network_i: stream.Interface
    network_o: stream.Interface
    o: stream.Interface
    reset: Signal

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.granted = Signal()  # a `check` was granted and has not begun
        self.leaving = Signal()  # a release has begun to leave
        self.offered_lease = Signal(LEASE_BITS)  # one cycle before
        self.newer = Signal()  # it was above the highest number, one cycle before
        self.in_range = Signal()  # the offer's numbers were valid, one cycle before
        self.o_row = Signal(index_bits(plan.o_rows))  # of the release that leaves
        self.last_release = Signal()  # quota is 1, while a lease is open
        super().__init__(
            {
                "control": In(LeaseControl()),
                "i": In(stream.Signature(SpikeRow(INPUT_LANES))),
                "network_i": Out(stream.Signature(SpikeRow(INPUT_LANES))),
                "network_o": In(stream.Signature(plan.o_row)),
                "o": Out(stream.Signature(plan.o_row)),
                "reset": Out(1),
                **{name: Out(width) for name, width in plan.lease_ports.items()},
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        control = self.control
        m.submodules.secret = secret = SecretRegister(self.plan)
        wiring.connect(m, wiring.flipped(control.secret), secret.i)
        inside = Signal(inside_bits(self.plan))
        record_steps: Value = Signal(RECORD_STEPS_BITS)
        steps_allowed: Value = control.offer.record_steps != 0
        if self.plan.spec.steps is not None:  # under a decision: a record of fewer would be several decisions
            record_steps = Const(self.plan.spec.steps, RECORD_STEPS_BITS)
            steps_allowed = control.offer.record_steps == self.plan.spec.steps
        entered = self._enter(m, inside, record_steps)
        left = self._leave(m)
        with m.If(entered ^ left):
            m.d.sync += inside.eq(inside + Cat(1, left.replicate(len(inside) - 1)))
        with m.If(self.reset):
            m.d.sync += inside.eq(0)
        m.d.comb += [
            self.reset.eq(~(control.open | self.leaving)),
            secret.store.eq(self.granted),
            secret.clear.eq(self.reset & ~self.granted),
        ]
        m.d.sync += [
            control.start.eq(0),
            self.offered_lease.eq(control.offer.lease),
            self.newer.eq(control.lease < control.offer.lease),
            self.in_range.eq((control.offer.quota != 0) & steps_allowed & ~control.offer.lease[-1]),
        ]
        self._execute(m, secret, record_steps, left)
        self._open_network(m, secret)
        consistent = (control.quota != 0) & ~self.granted
        message = Format("a lease is open with {} releases to leave", control.quota)
        m.d.sync += Assert(~control.open | consistent, message)
        return m

    def _execute(self, m: Module, secret: SecretRegister, record_steps: Value, left: Signal) -> None:
        """Execute the command of this cycle."""
        control = self.control
        verdict = Signal(ResultCode)
        grant = Signal()  # the quota becomes that of the offer
        end_lease = Signal()  # the quota becomes 0
        m.d.comb += verdict.eq(self._judge(secret.valid))
        with m.If(grant | left):
            m.d.sync += control.quota.eq(Mux(grant, control.offer.quota, control.quota - 1))
        with m.If(end_lease):
            m.d.sync += control.quota.eq(0)
        with m.If(control.close):
            m.d.comb += end_lease.eq(1)
            m.d.sync += [control.open.eq(0), self.granted.eq(0)]
        with m.Elif(control.check):
            m.d.sync += control.result.eq(verdict)
            with m.If(verdict == ResultCode.OK):
                m.d.comb += [secret.rewind.eq(1), grant.eq(1)]
                m.d.sync += [
                    control.open.eq(0),
                    self.leaving.eq(0),
                    self.granted.eq(1),
                    control.lease.eq(self.offered_lease),
                    control.nonce.eq(control.offer.nonce),
                    self.newer.eq(0),
                ]
                if isinstance(record_steps, Signal):
                    m.d.sync += record_steps.eq(control.offer.record_steps)
        with m.Elif(control.begin):
            m.d.sync += [self.granted.eq(0), control.result.eq(ResultCode.MALFORMED)]
            with m.If(self.granted & secret.valid & (control.quota != 0)):  # independent of the cycle before
                m.d.sync += [control.result.eq(ResultCode.OK), control.open.eq(1), control.start.eq(1)]
            with m.Else():
                m.d.comb += end_lease.eq(~control.open)
        with m.Elif(control.rewind):
            m.d.comb += [secret.rewind.eq(1), end_lease.eq(~control.open)]
            m.d.sync += self.granted.eq(0)

    def _judge(self, secret_valid: Value) -> Value:
        """The result of `check` in this cycle."""
        control = self.control
        newer = Mux(self.newer, ResultCode.OK, ResultCode.STALE)
        loaded = Mux(control.loaded, newer, ResultCode.UNLOADED)
        return Mux(secret_valid & self.in_range, loaded, ResultCode.MALFORMED)

    def _enter(self, m: Module, inside: Signal, record_steps: Value) -> Value:
        """Let rows in, in records of `record_steps` steps. Returns: the input of a release has entered completely."""
        control = self.control
        row = Signal(index_bits(self.plan.i_rows))
        remaining = Signal(RECORD_STEPS_BITS)  # steps of the record that have not entered
        last_of_record = Signal()
        last_row = Signal()
        admit = Signal()
        step_entered = Signal()
        entered = step_entered & last_of_record if self.plan.spec.decision is not None else step_entered
        quota_left = Signal()  # there was quota for one more release in the cycle before, and it is the same now
        quota_low = control.quota[: len(inside)]
        quota_high = control.quota[len(inside) :].any()
        counts = [(inside + added)[: len(inside)] for added in (0, 1)]
        unchanged, with_one = ((quota_high | (quota_low != count)) & ~count.all() for count in counts)
        m.d.sync += quota_left.eq(Mux(entered, with_one, unchanged))
        m.d.comb += [
            admit.eq(control.open & ~control.start & quota_left),
            step_entered.eq(self.i.valid & self.i.ready & last_row),
            last_row.eq(row == self.plan.i_rows - 1),
            self.network_i.valid.eq(self.i.valid & admit),
            self.i.ready.eq(self.network_i.ready & admit),
            self.network_i.payload.bits.eq(self.i.payload.bits),
            self.network_i.payload.step_end.eq(last_row),
            self.network_i.payload.record_end.eq(last_row & last_of_record),
        ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += row.eq(row + 1)
        with m.If(self.reset | step_entered):
            m.d.sync += row.eq(0)
        with m.If(self.reset | (step_entered & last_of_record)):
            m.d.sync += [remaining.eq(record_steps), last_of_record.eq(record_steps == 1)]
        with m.Elif(step_entered):
            m.d.sync += [remaining.eq(remaining - 1), last_of_record.eq(remaining == 2)]
        return entered

    def _leave(self, m: Module) -> Signal:
        """Let rows out: the first of a release only in an open lease, the others always. Returns: a first one left."""
        control = self.control
        last_row = Signal()
        left = Signal()
        m.d.sync += self.last_release.eq(control.quota == Mux(left, 2, 1))
        m.d.comb += [
            left.eq(self.o.valid & self.o.ready & ~self.leaving),
            last_row.eq(self.o_row == self.plan.o_rows - 1),
            self.o.valid.eq(self.network_o.valid & ~self.reset),
            self.network_o.ready.eq(self.o.ready & ~self.reset),
        ]
        with m.If(self.o.valid):
            m.d.comb += [
                self.o.payload.bits.eq(self.network_o.payload.bits),
                self.o.payload.step_end.eq(last_row),
                self.o.payload.record_end.eq(last_row & self.network_o.payload.record_end),
            ]
        with m.If(self.reset):
            m.d.sync += self.o_row.eq(0)
        with m.Elif(self.o.valid & self.o.ready):
            m.d.sync += [self.o_row.eq(Mux(last_row, 0, self.o_row + 1)), self.leaving.eq(~last_row)]
        with m.If(left):
            m.d.sync += control.open.eq(~self.last_release)
        return left

    def _open_network(self, m: Module, secret: SecretRegister) -> None:
        """Drive the lease ports of the network."""
        ports: Any = self
        m.d.comb += [getattr(ports, name).eq(getattr(secret, name)) for name in secret.ports]
        if "lease" in self.plan.lease_ports:
            m.d.comb += [ports.lease.eq(self.control.lease), ports.record.eq(0)]
