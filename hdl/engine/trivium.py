"""Trivium stream cipher that produces `width` bits per cycle. Twin of pysim/model/trivium.py."""

from amaranth.hdl import Assert, Cat, Const, Format, Module, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from spikeveil.pysim.model import checks
from spikeveil.pysim.model.trivium import KEY_BITS, ONES, WARM_UP, A, B, C, Register, entry_bit

MAX_WIDTH = 64  # beyond 66, a new bit would depend on another one of the same cycle


def load_bits(width: int) -> int:
    """Bits to shift in: enough to fill the longest register, and such that the warm-up ends on a cycle boundary."""
    return C.length + -(C.length + WARM_UP) % width


class Trivium(wiring.Component):
    """Keystream of `pysim.model.trivium.Trivium(key, iv)`.

    | port | width | direction | meaning |
    |---|---|---|---|
    | `key`, `iv` | 80 | in | as `pysim.model.trivium.port_value` of their 10 bytes; stable from `start` to `o.valid` |
    | `start` | 1 | in | one cycle: loads both and clears `o.valid`; restarts a setup in progress |
    | `o` | stream, width | out | payload j holds keystream bits j * width to (j + 1) * width - 1, the first in bit 0 |

    | parameter | type | meaning |
    |---|---|---|
    | `width` | int, 1 to 64 | bits per cycle |
    | `parallel_load` | bool | load key and IV in one cycle; ignored unless `width` divides the warm-up of 1152 clocks |

    Timing: `o` is valid `setup_cycles` + 2 cycles after `start` (ceil(1263 / width) + 2, or 1152 / width + 2 with
    `parallel_load`), and then one payload per cycle. `o.payload` is a register.

    A parallel load needs a multiplexer in front of each bit of the state. It is free where the flip-flop's LUT is
    otherwise unused (iCE40) and expensive elsewhere. The serial load shifts in zeros, then key and IV, `width` bits
    per cycle; the number of zeros makes load and warm-up together a whole number of cycles. In the last cycle of the
    load the low bits may be loaded and the high bits computed. This is correct for every width, since a computed bit
    depends only on bits that entered at least 66 clocks earlier.

    Security: the same key and IV give the same keystream. The caller must never start twice with the same pair.

    `o` is not valid before the first `start` after reset, or during key setup. ValueError for any other width.
    """

    key: Signal
    iv: Signal
    start: Signal
    o: stream.Interface

    def __init__(self, width: int, *, parallel_load: bool = False) -> None:
        self.width = checks.integer("Trivium width", width, 1, MAX_WIDTH)
        self.parallel_load = parallel_load and WARM_UP % self.width == 0
        self.setup_cycles = ((0 if self.parallel_load else load_bits(self.width)) + WARM_UP) // self.width
        super().__init__(
            {"key": In(KEY_BITS), "iv": In(KEY_BITS), "start": In(1), "o": Out(stream.Signature(self.width))}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cycle = Signal(range(self.setup_cycles + 1))  # of the key setup, counted from 1
        setup = Signal()
        running = Signal()
        step = Signal()
        m.d.comb += step.eq(setup | (running & (self.o.ready | ~self.o.valid)))
        keystream = self._registers(m, step, setup, cycle)

        with m.If(self.start):
            m.d.sync += [cycle.eq(1), setup.eq(1), running.eq(0), self.o.valid.eq(0)]
        with m.Elif(setup):
            m.d.sync += cycle.eq(cycle + 1)
            with m.If(cycle == self.setup_cycles):
                m.d.sync += [setup.eq(0), running.eq(1)]
        with m.Elif(step):
            m.d.sync += [self.o.payload.eq(keystream), self.o.valid.eq(1)]
        return m

    def _registers(self, m: Module, step: Signal, setup: Signal, cycle: Signal) -> Value:
        """The registers a, b and c, bit 0 the oldest, clocked `width` times per `step`; returns the keystream."""
        a = Signal(A.length)
        b = Signal(B.length)
        c = Signal(C.length)
        load_mask = Const(0, self.width) if self.parallel_load else self._load_mask(m, setup, cycle)
        from_a = self._outputs(A, a)
        from_b = self._outputs(B, b)
        from_c = self._outputs(C, c)
        key = [self.key[entry_bit(index)] for index in range(KEY_BITS)]
        iv = [self.iv[entry_bit(index)] for index in range(KEY_BITS)]
        for state, register, (linear, product), initial in (
            (a, A, from_c, key),
            (b, B, from_a, iv),
            (c, C, from_b, list(Const(ONES, C.length))),
        ):
            new_bits = linear ^ product ^ state[register.length - register.feedback :][: self.width]
            if not self.parallel_load:
                new_bits = (load_mask & self._load_chunk(m, cycle, initial)) | (~load_mask & new_bits)
            with m.If(step):
                m.d.sync += state.eq(Cat(state, new_bits)[self.width :])
            if self.parallel_load:
                with m.If(self.start):
                    m.d.sync += state.eq(Cat(Const(0, register.length - len(initial)), initial))
        return from_a[0] ^ from_b[0] ^ from_c[0]

    def _outputs(self, register: Register, state: Signal) -> tuple[Value, Value]:
        """Inputs of the next register from this one: the linear part, also a term of the keystream, and the product."""
        tap = state[register.length - register.tap :][: self.width]
        return tap ^ state[: self.width], state[1:][: self.width] & state[2:][: self.width]

    def _load_mask(self, m: Module, setup: Signal, cycle: Signal) -> Value:
        """Mask of the entering bits that are loaded, not computed: all ones during the load, zero after it."""
        whole_cycles, extra_bits = divmod(load_bits(self.width), self.width)
        load_low = Signal()
        load_high = Signal()
        with m.If(self.start):
            m.d.sync += [load_low.eq(1), load_high.eq(1)]
        with m.Elif(setup):
            with m.If(cycle == whole_cycles):
                m.d.sync += load_high.eq(0)
            with m.If(cycle == (whole_cycles + 1 if extra_bits else whole_cycles)):
                m.d.sync += load_low.eq(0)
        m.d.sync += Assert(load_low | ~load_high, Format("Trivium loads high bits without the low ones"))
        return Cat(load_low.replicate(extra_bits), load_high.replicate(self.width - extra_bits))

    def _load_chunk(self, m: Module, cycle: Signal, initial: list[Value]) -> Signal:
        """The bits that enter in this cycle of the load: zeros, then `initial` in order. Registered."""
        chunk = Signal(self.width)
        end = load_bits(self.width)
        zeros: list[Value] = [Const(0, 1)]
        new_bits = Cat(zeros * (end - len(initial)), initial, zeros * (-end % self.width))
        last = (end - 1) // self.width
        with m.If(self.start):
            m.d.sync += chunk.eq(new_bits[: self.width])
        with m.Else(), m.Switch(cycle):
            for index in range(1, last + 1):
                with m.Case(index) if index < last else m.Default():
                    m.d.sync += chunk.eq(new_bits.word_select(index, self.width))
        return chunk
