"""The whole device: link, buffers, loader, guarded network. Twin of pysim/device/top.py."""

from typing import Any, Literal

from amaranth.hdl import Cat, Module, Mux, ResetInserter, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from spikeveil.hdl.device.commands import Commands
from spikeveil.hdl.device.core import Core
from spikeveil.hdl.device.frames import FrameReceiver, FrameSender
from spikeveil.hdl.device.inbox import Inbox, check_depth
from spikeveil.hdl.device.loader import Loader
from spikeveil.hdl.device.outbox import Outbox
from spikeveil.hdl.device.pack import Packer
from spikeveil.hdl.device.replies import Replies
from spikeveil.hdl.device.uart import UartReceiver, UartTransmitter, idle_high, rate
from spikeveil.hdl.device.unpack import Unpacker
from spikeveil.hdl.engine.plan import Plan
from spikeveil.pysim.device.identity import DEFAULT_BUFFER, identity
from spikeveil.pysim.device.messages import Trait
from spikeveil.pysim.device.wire import MAX_CLOCK_HZ
from spikeveil.pysim.model import checks

Port = Literal["uart", "bytes"]
PORTS: tuple[Port, ...] = ("uart", "bytes")
UNHURRIED_CLOCKS = 8  # a bit; from here on a frame is encoded in a tenth of the time that it takes on the line
POWER_ON_CYCLES = 255  # in reset after power-on, until clock and block RAMs are stable


def check(*, clock_hz: int, baud: int, port: Port, window: int, outbox: int) -> None:
    """Raise ValueError where `Top` cannot be built with these arguments."""
    checks.choice("port", port, PORTS)
    checks.integer("clock_hz", clock_hz, 1, MAX_CLOCK_HZ)
    if port == "uart":
        rate(clock_hz, baud)
    check_depth("window", window)
    check_depth("outbox", outbox)


class Top(wiring.Component):
    """The device of `plan` with the protocol of docs/protocol.md.

    | argument | meaning |
    |---|---|
    | `clock_hz` | frequency of the clock |
    | `port` | "uart": pins `rx` and `tx`; "bytes": streams `i` and `o`, for simulation or another channel for bytes |
    | `baud` | bits a second at the pins, at most a quarter of the clock |
    | `window`, `outbox` | bytes of the input buffer and of the output buffer, powers of two |

    | port | width | direction | meaning |
    |---|---|---|---|
    | `rx`, `tx` | 1 | in, out | the pins of a UART |
    | `i`, `o` | stream, 8 | in, out | bytes from and to the host |
    | `reset` | 1 | in | power-on reset, also for `POWER_ON_CYCLES` cycles after it falls |
    | `leds` | 3 | out | a lease is open; a frame was received; a frame was damaged or a step missed its slot |

    The second and third LED are on for less than 1/4 s after the event; a missed slot keeps the third on.

    Reset: for the first `POWER_ON_CYCLES` cycles the device holds itself in reset and ignores its input. This reset,
    that of the port and that of the clock domain clear everything, the highest lease number and the image included.
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
        self.plan = plan
        self.clock_hz = clock_hz
        self.baud = baud
        self.port = port
        self.identity = identity(plan, clock_hz=clock_hz, window=window, outbox=outbox)
        byte = stream.Signature(8)
        pins = {"i": In(byte), "o": Out(byte)} if port == "bytes" else {"rx": idle_high(In), "tx": idle_high(Out)}
        super().__init__({**pins, "reset": In(1), "leds": Out(3)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        device = Module()
        power_on_cycles = Signal(range(POWER_ON_CYCLES + 1))
        power_on = Signal(init=1)
        m.d.sync += [
            power_on_cycles.eq(Mux(power_on, power_on_cycles + 1, power_on_cycles)),
            power_on.eq(power_on & (power_on_cycles != POWER_ON_CYCLES)),
        ]
        with m.If(self.reset):
            m.d.sync += [power_on_cycles.eq(0), power_on.eq(1)]
        m.submodules.device = ResetInserter(power_on)(device)
        device.submodules.receiver = receiver = FrameReceiver(pace=self._receiver_pace)
        device.submodules.sender = sender = FrameSender(pace=self._sender_pace)
        device.submodules.core = core = Core(self.plan)
        self._line(device, receiver, sender, power_on)
        commands, replies = self._link(device, receiver, sender)
        self._path(device, commands, replies, core)
        self._load(device, commands, core)
        wiring.connect(device, commands.guard, core.control)
        status = replies.status
        device.d.comb += [
            commands.locked.eq(core.busy),
            status.lease.eq(core.control.lease),
            status.nonce.eq(core.control.nonce),
            status.quota.eq(core.control.quota),
            status.image_position.eq(commands.loader.position),
            status.damaged.eq(receiver.damaged),
            status.flags.eq(Cat(core.control.open, commands.loader.loaded, core.late)),
        ]
        self._show(device, commands, core, receiver)
        return m

    @property
    def _receiver_pace(self) -> int:
        """Bits of the CRC a cycle; at a pin a byte takes at least 40 cycles."""
        return 1 if self.port == "uart" else 8

    @property
    def _sender_pace(self) -> int:
        """Bits of the CRC a cycle; nothing is sent while a frame is encoded."""
        if self.port == "bytes":
            return 8
        return 4 if self.clock_hz < UNHURRIED_CLOCKS * self.baud else 1

    def _line(self, m: Module, receiver: FrameReceiver, sender: FrameSender, power_on: Signal) -> None:
        """Connect pins or byte streams."""
        ports: Any = self
        if self.port == "bytes":
            wiring.connect(m, sender.o, wiring.flipped(ports.o))
            m.d.comb += [
                receiver.i.payload.eq(ports.i.payload),
                receiver.i.valid.eq(ports.i.valid & ~power_on),
                ports.i.ready.eq(receiver.i.ready & ~power_on),
            ]
            return
        m.submodules.rx = rx = UartReceiver(clock_hz=self.clock_hz, baud=self.baud)
        m.submodules.tx = tx = UartTransmitter(clock_hz=self.clock_hz, baud=self.baud)
        wiring.connect(m, rx.o, receiver.i)
        wiring.connect(m, sender.o, tx.i)
        m.d.comb += [rx.rx.eq(ports.rx), ports.tx.eq(tx.tx)]

    def _link(self, m: Module, receiver: FrameReceiver, sender: FrameSender) -> tuple[Commands, Replies]:
        """Bodies to commands, bodies from replies."""
        m.submodules.replies = replies = Replies(self.identity)
        m.submodules.commands = commands = Commands(
            secret_bytes=self.identity.secret_bytes,
            image_bytes=self.identity.image,
            window=self.identity.window,
            formats=1 if Trait.BITMAPS in self.identity.flags else 2,
        )
        wiring.connect(m, receiver.o, commands.i)
        wiring.connect(m, replies.o, sender.i)
        wiring.connect(m, replies.input_position, commands.input_position)
        m.d.comb += [
            receiver.mark.eq(commands.mark),
            receiver.rewind.eq(commands.rewind),
            replies.answer.eq(commands.answer),
            replies.answer_valid.eq(commands.answer_valid),
            commands.busy.eq(replies.busy),
        ]
        return commands, replies

    def _path(self, m: Module, commands: Commands, replies: Replies, core: Core) -> None:
        """Input to the guard and output from it; nothing moves while the fields of a reply are read."""
        m.submodules.inbox = inbox = Inbox(self.identity.window)
        m.submodules.unpacker = unpacker = Unpacker(self.plan)
        m.submodules.packer = packer = Packer(self.plan)
        m.submodules.outbox = outbox = Outbox(self.identity.outbox)
        wiring.connect(m, commands.input, inbox.i)
        wiring.connect(m, unpacker.o, core.i)
        wiring.connect(m, outbox.o, replies.outbox)
        wiring.connect(m, commands.confirmation, outbox.confirmation)
        wiring.connect(m, replies.positions, outbox.readout)
        for source, sink in ((inbox.o, unpacker.i), (core.o, packer.i), (packer.o, outbox.i)):
            m.d.comb += [
                sink.payload.eq(source.payload),
                sink.valid.eq(source.valid & ~replies.hold),
                source.ready.eq(sink.ready & ~replies.hold),
            ]
        m.d.comb += [part.clear.eq(core.control.start) for part in (inbox, unpacker, packer, outbox)]
        m.d.comb += [
            outbox.snapshot.eq(replies.busy),
            replies.available.eq(outbox.available),
            replies.enable.eq(commands.idle & ~outbox.busy),
            replies.status.input_room.eq(inbox.free),
            commands.input_room.eq(inbox.free),
            unpacker.tagged.eq(commands.tagged),
        ]

    def _load(self, m: Module, commands: Commands, core: Core) -> None:
        """Connect the loader; without one the weights are always loaded."""
        if not self.identity.image:
            m.d.comb += [commands.loader.loaded.eq(1), commands.loader.image.ready.eq(1)]
            return
        m.submodules.loader = loader = Loader(self.plan)
        wiring.connect(m, commands.loader, loader.control)
        m.d.comb += [loader.locked.eq(core.busy), core.load.eq(loader.load)]

    def _show(self, m: Module, commands: Commands, core: Core, receiver: FrameReceiver) -> None:
        """Drive the LEDs: an event is shown until the timer has wrapped once more."""
        timer = Signal((self.clock_hz >> 4).bit_length() + 1)
        damaged_before = Signal()
        show_frame = Signal()
        show_damage = Signal()
        damage = damaged_before != receiver.damaged[0]
        m.d.sync += [
            timer.eq(timer + 1),
            damaged_before.eq(receiver.damaged[0]),
            show_frame.eq(commands.answer_valid | (show_frame & ~timer.all())),
            show_damage.eq(damage | (show_damage & ~timer.all())),
        ]
        m.d.comb += self.leds.eq(Cat(core.control.open, show_frame, core.late | show_damage))
