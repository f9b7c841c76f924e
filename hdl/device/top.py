"""The whole device: link, loader, guarded network. Twin of pysim/device/top.py."""

from typing import Any, Literal

from amaranth.hdl import Cat, Module, Mux, ResetInserter, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from spikeveil.hdl.device.commands import Commands
from spikeveil.hdl.device.core import Core
from spikeveil.hdl.device.frames import FrameReceiver, FrameSender
from spikeveil.hdl.device.inbox import Inbox, depth_of
from spikeveil.hdl.device.loader import Loader
from spikeveil.hdl.device.outbox import Outbox
from spikeveil.hdl.device.pack import Packer
from spikeveil.hdl.device.replies import Replies
from spikeveil.hdl.device.uart import UartReceiver, UartTransmitter, idle, rate
from spikeveil.hdl.device.unpack import Unpacker
from spikeveil.hdl.engine.plan import Plan
from spikeveil.pysim.device.guard import secret_bytes
from spikeveil.pysim.device.identity import DEFAULT_BUFFER, identity
from spikeveil.pysim.model import checks

Port = Literal["uart", "bytes"]
PORTS: tuple[Port, ...] = ("uart", "bytes")
UNHURRIED_CLOCKS = 8  # a bit, from which on a frame is made in a tenth of the time in which it is sent
POWER_ON_CYCLES = 255  # in reset after power-on, until clock and block RAMs are there


def check(*, clock_hz: int, baud: int, port: Port, window: int, outbox: int) -> None:
    """ValueError where `Top` cannot be built so."""
    checks.choice("port", port, PORTS)
    checks.integer("clock_hz", clock_hz, 1, (1 << 32) - 1)
    if port == "uart":
        rate(clock_hz, baud)
    depth_of("window", window)
    depth_of("outbox", outbox)


class Top(wiring.Component):
    """The device that `plan` describes, as docs/protocol.md says, at a clock of `clock_hz`.

    - `port="uart"`: pins `rx` and `tx` at `baud`, at most a quarter of the clock. `port="bytes"`: streams `i` and `o`,
      for a simulation or another path for bytes; `baud` says nothing.
    - `window`, `outbox`: bytes of the input and of the output buffer, powers of two.
    - `leds`: bit 0: a lease is open; bit 1: a frame came less than 1/4 s ago; bit 2: a frame was damaged less than 1/4
      s ago, or a step missed its slot.

    The first `POWER_ON_CYCLES` cycles, and as many after `reset` was high, it holds itself in reset and hears nothing.
    That, like the domain's own reset, is power-on: it forgets the lease, the numbers that were seen, and the image.
    """

    reset: Signal
    leds: Signal

    def __init__(
        self,
        plan: Plan,
        *,
        clock_hz: int,
        baud: int = 115_200,
        port: Port = "uart",
        window: int = DEFAULT_BUFFER,
        outbox: int = DEFAULT_BUFFER,
    ) -> None:
        plan.require_private()
        check(clock_hz=clock_hz, baud=baud, port=port, window=window, outbox=outbox)
        self.plan, self.clock_hz, self.baud, self.port = plan, clock_hz, baud, port
        self.identity = identity(plan, clock_hz=clock_hz, window=window, outbox=outbox)
        byte = stream.Signature(8)
        pins = {"i": In(byte), "o": Out(byte)} if port == "bytes" else {"rx": idle(In), "tx": idle(Out)}
        super().__init__({**pins, "reset": In(1), "leds": Out(3)})

    def elaborate(self, platform: object) -> Module:
        m, device = Module(), Module()
        up, starting = Signal(range(POWER_ON_CYCLES + 1)), Signal(init=1)
        m.d.sync += [up.eq(Mux(starting, up + 1, up)), starting.eq(starting & (up != POWER_ON_CYCLES))]
        with m.If(self.reset):
            m.d.sync += [up.eq(0), starting.eq(1)]
        m.submodules.device = ResetInserter(starting)(device)
        pin, fast = self.port == "uart", self.clock_hz < UNHURRIED_CLOCKS * self.baud
        device.submodules.receiver = receiver = FrameReceiver(
            pace=1 if pin else 8
        )  # a pin has 40 cycles a byte at least
        device.submodules.sender = sender = FrameSender(pace=8 if not pin else 4 if fast else 1)
        device.submodules.core = core = Core(self.plan)
        self._line(device, receiver, sender, starting)
        commands, replies = self._link(device, receiver, sender)
        self._path(device, commands, replies, core)
        self._guard(device, commands, core)
        self._load(device, commands, core)
        device.d.comb += [replies.state[name].eq(getattr(core, name)) for name in ("lease", "nonce", "quota")]
        device.d.comb += replies.state.image.eq(commands.image_position)
        device.d.comb += replies.state.flags.eq(Cat(core.open, commands.loaded, core.late))
        self._show(device, commands, core, receiver)
        return m

    def _line(self, m: Module, receiver: FrameReceiver, sender: FrameSender, starting: Signal) -> None:
        """Bytes, from and to the pins."""
        ports: Any = self
        if self.port == "bytes":
            wiring.connect(m, sender.o, wiring.flipped(ports.o))
            m.d.comb += [
                receiver.i.payload.eq(ports.i.payload),
                receiver.i.valid.eq(ports.i.valid & ~starting),
                ports.i.ready.eq(receiver.i.ready & ~starting),
            ]
            return
        m.submodules.rx = rx = UartReceiver(clock_hz=self.clock_hz, baud=self.baud)
        m.submodules.tx = tx = UartTransmitter(clock_hz=self.clock_hz, baud=self.baud)
        wiring.connect(m, rx.o, receiver.i)
        wiring.connect(m, sender.o, tx.i)
        m.d.comb += [rx.rx.eq(ports.rx), ports.tx.eq(tx.tx)]

    def _link(self, m: Module, receiver: FrameReceiver, sender: FrameSender) -> tuple[Commands, Replies]:
        """Bodies in and bodies out, one at a time."""
        m.submodules.replies = replies = Replies(self.identity)
        m.submodules.commands = commands = Commands(
            secret_bytes=secret_bytes(self.plan.source, len(self.plan.spec.flipped)),
            image_bytes=self.identity.image,
            window=self.identity.window,
            formats=2 if self.plan.tagged else 1,
        )
        wiring.connect(m, receiver.o, commands.i)
        wiring.connect(m, replies.o, sender.i)
        m.d.comb += [
            receiver.mark.eq(commands.mark),
            receiver.rewind.eq(commands.rewind),
            replies.answer.eq(commands.answer),
            replies.given.eq(commands.given),
            commands.busy.eq(replies.under_way),
            replies.state.damaged.eq(receiver.damaged),
        ]
        return commands, replies

    def _path(self, m: Module, commands: Commands, replies: Replies, core: Core) -> None:
        """Input to the guard's door and output from it; nothing moves while its numbers are being told."""
        m.submodules.inbox = inbox = Inbox(self.identity.window)
        m.submodules.unpacker = unpacker = Unpacker(self.plan)
        m.submodules.packer = packer = Packer(self.plan)
        m.submodules.outbox = outbox = Outbox(self.identity.outbox)
        wiring.connect(m, commands.input, inbox.i)
        wiring.connect(m, unpacker.o, core.i)
        wiring.connect(m, outbox.o, replies.outbox)
        for source, sink in ((inbox.o, unpacker.i), (core.o, packer.i), (packer.o, outbox.i)):
            m.d.comb += [
                sink.payload.eq(source.payload),
                sink.valid.eq(source.valid & ~replies.hold),
                source.ready.eq(sink.ready & ~replies.hold),
            ]
        m.d.comb += [part.clear.eq(core.start) for part in (inbox, unpacker, packer, outbox)]
        m.d.comb += [getattr(outbox, name).eq(getattr(commands, name)) for name in ("claim", "confirm", "again")]
        m.d.comb += [
            outbox.turn.eq(commands.turn | replies.turn),
            outbox.tell.eq(replies.tell),
            outbox.fix.eq(replies.under_way),
            replies.some.eq(outbox.some),
            replies.byte.eq(outbox.byte),
            replies.free.eq(commands.free & ~outbox.busy),
            replies.input_byte.eq(commands.input_byte),
            commands.turn_input.eq(replies.turn_input),
            commands.room.eq(inbox.room),
            unpacker.tagged.eq(commands.tagged),
            replies.state.input_room.eq(inbox.room),
        ]

    def _guard(self, m: Module, commands: Commands, core: Core) -> None:
        wiring.connect(m, commands.secret, core.secret)
        m.d.comb += [getattr(core, name).eq(getattr(commands, name)) for name in ("offer", "ask", "begin", "close")]
        m.d.comb += [getattr(commands, name).eq(getattr(core, name)) for name in ("open", "nonce", "start")]
        m.d.comb += commands.locked.eq(core.busy)
        m.d.comb += [core.rewind.eq(commands.forget), commands.verdict.eq(core.result), core.loaded.eq(commands.loaded)]

    def _load(self, m: Module, commands: Commands, core: Core) -> None:
        if not self.identity.image:
            m.d.comb += [commands.loaded.eq(1), commands.image.ready.eq(1)]
            return
        m.submodules.loader = loader = Loader(self.plan)
        wiring.connect(m, commands.image, loader.i)
        names = ("clear", "seal", "length", "crc")
        m.d.comb += [getattr(loader, name).eq(getattr(commands, name)) for name in names]
        m.d.comb += [
            loader.locked.eq(core.busy),
            core.load.eq(loader.load),
            commands.loaded.eq(loader.loaded),
            commands.image_position.eq(loader.position),
        ]

    def _show(self, m: Module, commands: Commands, core: Core, receiver: FrameReceiver) -> None:
        """The LEDs; what happened shows until the timer has run out once more."""
        timer, before = Signal((self.clock_hz >> 4).bit_length() + 1), Signal()
        frame, damage = Signal(), Signal()
        m.d.sync += [timer.eq(timer + 1), before.eq(receiver.damaged[0])]
        for shown, happened in ((frame, commands.given), (damage, before != receiver.damaged[0])):
            m.d.sync += shown.eq(happened | (shown & ~timer.all()))
        m.d.comb += self.leds.eq(Cat(core.open, frame, core.late | damage))
