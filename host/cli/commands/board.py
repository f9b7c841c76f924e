"""`spikeveil board`: a device of this network in simulation, behind a pseudo-terminal."""

import json
import os
import select
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from spikeveil.host.cli.options.network import make_plan, network_argument, plan_options
from spikeveil.host.cli.options.privacy import json_option
from spikeveil.host.cli.refusals import refusals
from spikeveil.host.networks.catalogue import load as load_network

if TYPE_CHECKING:
    from spikeveil.host.virtual.build import BoardSpec
    from spikeveil.host.virtual.process import Figures, VirtualBoard

ENDS = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
OBEYED = ENDS | {signal.SIGUSR1, signal.SIGUSR2}
TICK = 0.5  # seconds between two looks at the figures
DEFAULT_CLOCK = 12_000_000
DEFAULT_BAUD = 1_000_000  # what `spikeveil run` opens a port with
LEDS = ("lease open", "traffic", "fault")


@click.command(epilog="Example: spikeveil board digits --fast --link /tmp/spikeveil")
@network_argument
@plan_options
@click.option("--clock", type=int, default=DEFAULT_CLOCK, show_default=True, help="Clock of the device, in Hz.")
@click.option("--baud", type=int, help=f"Bits a second of its UART.  [default: {DEFAULT_BAUD}]")
@click.option("--divisor", type=int, help="Clock cycles a bit, 4 or more, in the place of --baud.")
@click.option("--fast", is_flag=True, help="No UART: a byte-wide port, with the same protocol.")
@click.option("--link", type=click.Path(), help="A symbolic link to make to the pseudo-terminal.")
@json_option
def board(network: str, **options: Any) -> None:
    """Build the device of a network in Verilator and offer it at a pseudo-terminal, for any serial client.

    It runs until Ctrl-C or SIGTERM. SIGUSR1 is a power cycle: the device forgets everything. SIGUSR2 unplugs the
    terminal and plugs in another. While nothing can move, the simulation sleeps.

    NETWORK is a file that `NetworkSpec.save` wrote, or `digits` for the trained network of the example.
    """
    from rich.console import Console

    from spikeveil.host.virtual.process import VirtualBoard

    spec = _board_spec(network, options)
    link = Path(options["link"]) if options["link"] else None
    with Console(stderr=True).status("building the board (half a minute, once for each network and its options)"):
        device = VirtualBoard(spec, link=link)
    with device, _signals() as came:  # before the port is named: whoever reads it may send one
        _announce(device, options["as_json"])
        last = _serve(device, came, options["as_json"])
    if options["as_json"]:
        click.echo(json.dumps({**asdict(last), "cycles_a_second": round(last.rate)}))
    else:
        click.echo(_words(last, last.rate))


def _board_spec(network: str, options: dict[str, Any]) -> "BoardSpec":
    from spikeveil.host.virtual.build import MIN_DIVISOR, BoardSpec
    from spikeveil.pysim.model import checks

    clock, baud, divisor = (options[name] for name in ("clock", "baud", "divisor"))
    if divisor is not None and baud is not None:
        raise click.UsageError("give either --baud or --divisor")
    with refusals():
        if divisor is not None:
            baud = clock // checks.integer("divisor", divisor, MIN_DIVISOR, max(MIN_DIVISOR, clock))
        plan = make_plan(load_network(network), options)
        baud = DEFAULT_BAUD if baud is None else baud
        return BoardSpec(plan, clock, baud, "bytes" if options["fast"] else "uart")


def _announce(device: "VirtualBoard", as_json: bool) -> None:
    spec, plan = device.board, device.board.plan
    port = str(device.link or device.port)
    line = "a byte-wide port" if spec.pins == "bytes" else f"{spec.baud} baud"
    if as_json:
        record = {
            "port": port,
            "terminal": device.port,
            "fingerprint": plan.spec.fingerprint,
            "source": plan.source,
            "schedule": plan.schedule,
            "lanes": plan.lanes,
            "clock": spec.clock,
            "baud": None if spec.pins == "bytes" else spec.baud,
        }
        click.echo(json.dumps(record))
    else:
        click.echo(f"port {port}")
        click.echo(
            f"{line}, clock {spec.clock:,} Hz, {plan.lanes} lanes, source {plan.source}, schedule {plan.schedule}; "
            "Ctrl-C ends it"
        )
    sys.stdout.flush()


@contextmanager
def _signals() -> Iterator[Callable[[], int | None]]:
    """Keep the signals that the command obeys from here on: the next one, or None after a while.

    Handlers and a pipe, not a mask: that is one thread's, and a signal to another, such as NumPy has, would end all.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    before = {number: signal.signal(number, lambda *_: None) for number in OBEYED}
    woken = signal.set_wakeup_fd(writer)

    def came() -> int | None:
        ready, _, _ = select.select([reader], [], [], TICK)
        number = os.read(reader, 1)[0] if ready else None
        return number if number in OBEYED else None

    try:
        yield came
    finally:
        signal.set_wakeup_fd(woken)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(reader)
        os.close(writer)


def _serve(device: "VirtualBoard", came: Callable[[], int | None], as_json: bool) -> "Figures":
    """Obey signals and show figures until one of the signals is the end; the last figures."""
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True)
    with Live(console=console, auto_refresh=False, transient=True) as live:
        last = device.figures()
        while (number := came()) not in ENDS:
            if number == signal.SIGUSR1:
                device.power_cycle()
            elif number is not None:
                click.echo(json.dumps({"terminal": device.replug()}) if as_json else f"port {device.replug()}")
                sys.stdout.flush()
            now = device.figures()
            if console.is_terminal:
                live.update(_words(now, _rate(last, now)), refresh=True)
            last = now
        return device.figures()


def _rate(before: "Figures", now: "Figures") -> float:
    """Cycles a second since the last look; of all of them where it slept."""
    seconds = now.seconds - before.seconds
    return (now.cycles - before.cycles) / seconds if seconds > 0 else 0.0


def _words(figures: "Figures", rate: float) -> str:
    lit = ", ".join(name for place, name in enumerate(LEDS) if figures.leds >> place & 1)
    pace = f"{rate:,.0f} a second" if rate else "asleep"
    broken = f", {figures.framing_errors} of them broken" if figures.framing_errors else ""
    return (
        f"{figures.cycles:,} clock cycles, {pace}; {figures.bytes_in:,} bytes in, {figures.bytes_out:,} out{broken}; "
        f"LEDs: {lit or 'none'}"
    )
