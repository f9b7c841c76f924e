"""The guard: opens leases, admits steps and releases steps within the quota. Twin of pysim/device/guard.py."""

from typing import Any

from amaranth.hdl import Assert, Cat, Format, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from spikeveil.hdl.device.lease_control import LeaseControl
from spikeveil.hdl.device.secret import SecretRegister
from spikeveil.hdl.engine.plan import INPUT_LANES, Plan
from spikeveil.hdl.engine.spikes import SpikeRow, index_bits
from spikeveil.pysim.device.messages import ResultCode
from spikeveil.pysim.device.wire import RECORD_STEPS_BITS
from spikeveil.pysim.model.source import LEASE_BITS


def steps_inside_bits(plan: Plan) -> int:
    """Bits of a count of the steps inside the network, of which there are always far fewer."""
    return (64 * (1 + len(plan.spec.layers))).bit_length()


class Guard(wiring.Component):
    """Gate around a network: lets steps in and out only under an open lease and within its quota.

    | port | width | direction | meaning |
    |---|---|---|---|
    | `control` | `LeaseControl` | in | opens and closes leases |
    | `i` | stream, `SpikeRow` | in | rows from outside; their markers are ignored |
    | `network_i` | stream, `SpikeRow` | out | rows to the network, `step_end` and `record_end` set |
    | `network_o` | stream, `plan.o_row` | in | rows from the network |
    | `o` | stream, `plan.o_row` | out | released rows; the payload is 0 while not valid |
    | `reset` | 1 | out | holds the network in reset: no lease is open and no step is leaving |
    | `key`, `lease`, `record` or `seeds` | `plan.lease_ports` | out | to the network, stable while `reset` is low |

    **Rows.** A step of `plan.i_rows` rows enters while fewer steps are inside than may still leave. A step counts
    against the quota when the first of its `plan.o_rows` rows leaves; the last step of the quota is completed, and
    nothing follows it. No row is delayed. `o` withdraws its offer when a lease ends.

    **Commands** take one cycle. Of several in one cycle only the first in this order counts.

    - `close` ends the lease; a step that has begun to leave is completed.
    - `check` results in the first that applies of MALFORMED (quota or record steps are 0, the lease is 2^39 or more,
      which belongs to simulations, the secret has a wrong length, or an LFSR seed is 0), UNLOADED, STALE (the number
      is not above `lease`, or a `check` in the cycle before was granted) and OK. Only OK changes anything: the lease
      before ends at once, `lease` and `nonce` are those of the offer, and the secret rewinds.
    - `begin`, after a granted `check` and the whole secret once more, opens the lease (OK). Otherwise it results in
      MALFORMED, and no lease is opened.
    - `rewind` precedes an offer.

    `reset` is high in at least one cycle before each `start`. The stored secret is 0 while it is high, except after a
    granted `check`. No command reads the secret, raises `quota` while a lease is open, or lowers `lease`. Reset is for
    power-on only: it clears the highest lease number.
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
        self.step_leaving = Signal()  # a step has begun to leave
        self.offered_lease = Signal(LEASE_BITS)  # one cycle before
        self.newer = Signal()  # it was above the highest number, one cycle before
        self.in_range = Signal()  # the offer's numbers were valid, one cycle before
        self.o_row = Signal(index_bits(plan.o_rows))  # of the step that leaves
        self.last_step = Signal()  # quota is 1, while a lease is open
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
        steps_inside = Signal(steps_inside_bits(self.plan))
        record_steps = Signal(RECORD_STEPS_BITS)
        step_entered = self._enter(m, steps_inside, record_steps)
        step_left = self._leave(m)
        with m.If(step_entered ^ step_left):
            m.d.sync += steps_inside.eq(steps_inside + Cat(1, step_left.replicate(len(steps_inside) - 1)))
        with m.If(self.reset):
            m.d.sync += steps_inside.eq(0)
        m.d.comb += [
            self.reset.eq(~(control.open | self.step_leaving)),
            secret.store.eq(self.granted),
            secret.clear.eq(self.reset & ~self.granted),
        ]
        m.d.sync += [
            control.start.eq(0),
            self.offered_lease.eq(control.offer.lease),
            self.newer.eq(control.lease < control.offer.lease),
            self.in_range.eq((control.offer.quota != 0) & (control.offer.record_steps != 0) & ~control.offer.lease[-1]),
        ]
        self._execute(m, secret, record_steps, step_left)
        self._open_network(m, secret)
        consistent = (control.quota != 0) & ~self.granted
        message = Format("a lease is open with {} steps to leave", control.quota)
        m.d.sync += Assert(~control.open | consistent, message)
        return m

    def _execute(self, m: Module, secret: SecretRegister, record_steps: Signal, step_left: Signal) -> None:
        """Execute the command of this cycle."""
        control = self.control
        verdict = Signal(ResultCode)
        grant = Signal()  # the quota becomes that of the offer
        end_lease = Signal()  # the quota becomes 0
        m.d.comb += verdict.eq(self._judge(secret.valid))
        with m.If(grant | step_left):
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
                    self.step_leaving.eq(0),
                    self.granted.eq(1),
                    control.lease.eq(self.offered_lease),
                    control.nonce.eq(control.offer.nonce),
                    record_steps.eq(control.offer.record_steps),
                    self.newer.eq(0),
                ]
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

    def _enter(self, m: Module, steps_inside: Signal, record_steps: Signal) -> Signal:
        """Let rows in, in records of `record_steps` steps. Returns: a step has entered completely."""
        control = self.control
        row = Signal(index_bits(self.plan.i_rows))
        remaining = Signal(RECORD_STEPS_BITS)  # steps of the record that have not entered
        last_of_record = Signal()
        last_row = Signal()
        admit = Signal()
        step_entered = Signal()
        quota_left = Signal()  # there was quota for one more step in the cycle before, and it is the same now
        quota_low = control.quota[: len(steps_inside)]
        quota_high = control.quota[len(steps_inside) :].any()
        counts = [(steps_inside + added)[: len(steps_inside)] for added in (0, 1)]
        unchanged, with_step = ((quota_high | (quota_low != count)) & ~count.all() for count in counts)
        m.d.sync += quota_left.eq(Mux(step_entered, with_step, unchanged))
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
        return step_entered

    def _leave(self, m: Module) -> Signal:
        """Let rows out: the first of a step only in an open lease, the others always. Returns: a first row has left."""
        control = self.control
        last_row = Signal()
        step_left = Signal()
        m.d.sync += self.last_step.eq(control.quota == Mux(step_left, 2, 1))
        m.d.comb += [
            step_left.eq(self.o.valid & self.o.ready & ~self.step_leaving),
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
            m.d.sync += [self.o_row.eq(Mux(last_row, 0, self.o_row + 1)), self.step_leaving.eq(~last_row)]
        with m.If(step_left):
            m.d.sync += control.open.eq(~self.last_step)
        return step_left

    def _open_network(self, m: Module, secret: SecretRegister) -> None:
        """Drive the lease ports of the network."""
        ports: Any = self
        m.d.comb += [getattr(ports, name).eq(getattr(secret, name)) for name in secret.ports]
        if "lease" in self.plan.lease_ports:
            m.d.comb += [ports.lease.eq(self.control.lease), ports.record.eq(0)]
