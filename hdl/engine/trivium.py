"""The stream cipher Trivium, `width` bits a cycle. Twin of pysim/model/trivium.py."""

from amaranth.hdl import Assert, Cat, Const, Format, Module, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from spikeveil.pysim.model import checks
from spikeveil.pysim.model.trivium import KEY_BITS, ONES, WARM_UP, A, B, C, Register, entry_bit

MAX_WIDTH = 64  # beyond 66, a fresh bit would depend on another of the same cycle


def load_bits(width: int) -> int:
    """How many bits to shift in so that they fill the longest register and end, with the warm-up, on a whole cycle."""
    return C.length + -(C.length + WARM_UP) % width


class Trivium(wiring.Component):
    """The keystream of `pysim.Trivium(key, iv)`: payload j of `o` is its bits from j*width on, the first one lowest.

    - `start` (one cycle, dominant) loads `key` and `iv`, which must stay as they are until `o` is valid. They are the
      numbers that the 10 bytes print as in the eSTREAM vectors (`pysim.model.trivium.port_value`). The payload that `o`
      offered is withdrawn.
    - `o` is valid `setup_cycles` + 2 cycles (ceil(1263 / width) + 2, or 1152 / width + 2) after `start` and offers a
      payload a cycle from then on, out of a register. Before the first `start`, after reset and during key setup it is
      not valid.

    Starting twice with one key and IV gives the same keystream twice: whoever starts must never do so.

    `width` is 1 to 64. Key and IV are shifted in through the registers' inputs, `width` bits a cycle, with as many
    zeros before them as make load and warm-up together a whole number of cycles; in a cycle that is both, the low
    bits are loaded and the high ones computed. That is exact for every width: no computed bit depends on one that
    entered less than 66 clocks before.

    `at_once`: load key and IV in one cycle instead, where `width` divides the warm-up. That is a choice before each bit
    of the state: free where a flip-flop has a table of its own to spare (iCE40), and dear where it has none.
    """

    key: Signal
    iv: Signal
    start: Signal
    o: stream.Interface

    def __init__(self, width: int, *, at_once: bool = False) -> None:
        self.width = checks.integer("Trivium width", width, 1, MAX_WIDTH)
        self.at_once = at_once and WARM_UP % self.width == 0
        self.setup_cycles = ((0 if self.at_once else load_bits(self.width)) + WARM_UP) // self.width
        super().__init__(
            {"key": In(KEY_BITS), "iv": In(KEY_BITS), "start": In(1), "o": Out(stream.Signature(self.width))}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cycle = Signal(range(self.setup_cycles + 1))  # the number of the setup's cycle to come
        setup, running, step = Signal(), Signal(), Signal()
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
        """The three registers, bit 0 the oldest, `width` clocks each `step`; what they add up to is the keystream."""
        a, b, c = (Signal(register.length, name=name) for name, register in (("a", A), ("b", B), ("c", C)))
        loading = Const(0, self.width) if self.at_once else self._loading(m, setup, cycle)
        from_a, from_b, from_c = (self._given(register, state) for register, state in ((A, a), (B, b), (C, c)))
        for state, register, (linear, product), bits in (
            (a, A, from_c, [self.key[entry_bit(place)] for place in range(KEY_BITS)]),
            (b, B, from_a, [self.iv[entry_bit(place)] for place in range(KEY_BITS)]),
            (c, C, from_b, list(Const(ONES, C.length))),
        ):
            own = state[register.length - register.feedback :][: self.width]
            entering = linear ^ product ^ own
            if not self.at_once:
                entering = (loading & self._chunk(m, cycle, bits)) | (~loading & entering)
            with m.If(step):
                m.d.sync += state.eq(Cat(state, entering)[self.width :])
            if self.at_once:
                with m.If(self.start):
                    m.d.sync += state.eq(Cat(Const(0, register.length - len(bits)), bits))
        return from_a[0] ^ from_b[0] ^ from_c[0]

    def _given(self, register: Register, state: Signal) -> tuple[Value, Value]:
        """What a register gives to the next one: the linear part, which is keystream too, and the product."""
        near = state[register.length - register.tap :][: self.width]
        return near ^ state[: self.width], state[1:][: self.width] & state[2:][: self.width]

    def _loading(self, m: Module, setup: Signal, cycle: Signal) -> Value:
        """Which of the bits that enter are loaded: all, in the load's last cycle perhaps only the low ones, none."""
        whole, rest = divmod(load_bits(self.width), self.width)
        low, high = Signal(), Signal()
        with m.If(self.start):
            m.d.sync += [low.eq(1), high.eq(1)]
        with m.Elif(setup):
            with m.If(cycle == whole):
                m.d.sync += high.eq(0)
            with m.If(cycle == (whole + 1 if rest else whole)):
                m.d.sync += low.eq(0)
        m.d.sync += Assert(low | ~high, Format("Trivium loads high bits without low ones"))
        return Cat(low.replicate(rest), high.replicate(self.width - rest))

    def _chunk(self, m: Module, cycle: Signal, bits: list[Value]) -> Signal:
        """What enters in each cycle of the load if `bits` enter last, in order, after zeros; chosen a cycle ahead."""
        chunk, end = Signal(self.width), load_bits(self.width)
        zeros: list[Value] = [Const(0, 1)]
        entering = Cat(zeros * (end - len(bits)), bits, zeros * (-end % self.width))
        last = (end - 1) // self.width
        with m.If(self.start):
            m.d.sync += chunk.eq(entering[: self.width])
        with m.Else(), m.Switch(cycle):
            for index in range(1, last + 1):
                with m.Case(index) if index < last else m.Default():
                    m.d.sync += chunk.eq(entering.word_select(index, self.width))
        return chunk
