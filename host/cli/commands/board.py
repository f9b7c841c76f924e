"""`spikeveil board`: the device of a network in simulation, behind a pseudo-terminal."""

import json
import os
import select
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.live import Live

from spikeveil.host.cli.errors import usage_errors
from spikeveil.host.cli.options.common import json_option
from spikeveil.host.cli.options.device import DEFAULT_BAUD
from spikeveil.host.cli.options.network import network_argument, plan_options, read_plan
from spikeveil.host.cli.screens.board import board_report, board_text, counters_text
from spikeveil.host.networks import catalogue
from spikeveil.host.virtual.build import MIN_DIVISOR, BoardSpec
from spikeveil.host.virtual.process import Counters, VirtualBoard
from spikeveil.pysim.model import checks

END_SIGNALS = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
HANDLED = END_SIGNALS | {signal.SIGUSR1, signal.SIGUSR2}
TICK = 0.5  # seconds between two updates of the counters
DEFAULT_CLOCK = 12_000_000


@click.command(epilog="Example: spikeveil board digits --fast --link /tmp/spikeveil")
@network_argument
@plan_options
@click.option("--clock", type=int, default=DEFAULT_CLOCK, show_default=True, help="Clock of the device, in Hz.")
@click.option("--baud", type=int, help=f"Bits a second of its UART.  [default: {DEFAULT_BAUD}]")
@click.option("--divisor", type=int, help="Clock cycles per bit, 4 or more, instead of --baud.")
@click.option("--fast", is_flag=True, help="No UART: a byte-wide port, with the same protocol.")
@click.option("--link", type=click.Path(), help="A symbolic link to make to the pseudo-terminal.")
@json_option
def board(network: str, **options: Any) -> None:
    """Simulate the device of a network behind a pseudo-terminal.

    Verilator simulates the gateware; any serial client can use the terminal. It runs until Ctrl-C or SIGTERM. SIGUSR1
    is a power cycle: the device loses its state. SIGUSR2 unplugs the terminal and plugs in another. While nothing can
    change, the simulation sleeps.

    NETWORK is a file that `NetworkSpec.save` wrote, or `digits` for the trained network of the example.
    """
    spec = _board_spec(network, options)
    link = Path(options["link"]) if options["link"] else None
    with Console(stderr=True).status("building the board (half a minute, once for each network and its options)"):
        device = VirtualBoard(spec, link=link)
    with device, _signals() as next_signal:  # before the port is printed: whoever reads it may send a signal
        _print_board(device, options["as_json"])
        last = _serve(device, next_signal, options["as_json"])
    if options["as_json"]:
        click.echo(json.dumps({**asdict(last), "cycles_per_second": round(last.rate)}))
    else:
        click.echo(counters_text(last, last.rate))


def _board_spec(network: str, options: dict[str, Any]) -> BoardSpec:
    clock, baud, divisor = (options[name] for name in ("clock", "baud", "divisor"))
    if divisor is not None and baud is not None:
        raise click.UsageError("give either --baud or --divisor")
    with usage_errors():
        if divisor is not None:
            baud = clock // checks.integer("divisor", divisor, MIN_DIVISOR, max(MIN_DIVISOR, clock))
        plan = read_plan(catalogue.load(network), options)
        baud = DEFAULT_BAUD if baud is None else baud
        return BoardSpec(plan, clock, baud, "bytes" if options["fast"] else "uart")


def _print_board(device: VirtualBoard, as_json: bool) -> None:
    click.echo(json.dumps(board_report(device)) if as_json else board_text(device))
    sys.stdout.flush()


@contextmanager
def _signals() -> Iterator[Callable[[], int | None]]:
    """Catch the HANDLED signals in the block; the function returns the next one, or None after TICK seconds.

    Handlers and a pipe, not a mask: a mask is per thread, and a signal to another thread, such as NumPy's, would end
    the process.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    handlers = {number: signal.signal(number, lambda *_: None) for number in HANDLED}
    before_fd = signal.set_wakeup_fd(writer)

    def next_signal() -> int | None:
        ready, _, _ = select.select([reader], [], [], TICK)
        number = os.read(reader, 1)[0] if ready else None
        return number if number in HANDLED else None

    try:
        yield next_signal
    finally:
        signal.set_wakeup_fd(before_fd)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        os.close(reader)
        os.close(writer)


def _serve(device: VirtualBoard, next_signal: Callable[[], int | None], as_json: bool) -> Counters:
    """Handle signals and show the counters until a signal in END_SIGNALS; returns the final counters."""
    console = Console(stderr=True)
    with Live(console=console, auto_refresh=False, transient=True) as live:
        last = device.counters()
        while (number := next_signal()) not in END_SIGNALS:
            if number == signal.SIGUSR1:
                device.power_cycle()
            elif number is not None:
                click.echo(json.dumps({"terminal": device.replug()}) if as_json else f"port {device.replug()}")
                sys.stdout.flush()
            current = device.counters()
            if console.is_terminal:
                live.update(counters_text(current, _rate(last, current)), refresh=True)
            last = current
        return device.counters()


def _rate(previous: Counters, current: Counters) -> float:
    """Cycles a second between two readings; 0 where the simulation slept."""
    seconds = current.seconds - previous.seconds
    return (current.cycles - previous.cycles) / seconds if seconds > 0 else 0.0
