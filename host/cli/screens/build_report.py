"""The report of a build as tables."""

import re
from itertools import groupby
from typing import Any

from rich.console import Console

from spikeveil.host.cli.screens.tables import figures_table

LABELS = {"lut": "LUT", "ff": "flip-flop", "bram": "block RAM", "spram": "SPRAM", "dsp": "multiplier"}


def print_report(console: Console, report: dict[str, Any]) -> None:
    """One build, in full."""
    resources = figures_table(f"{report['board']}: {report['chip']}", "resource", "used", "available", "%")
    for name, figure in report["resources"].items():
        if figure["available"]:
            share = 100 * figure["used"] / figure["available"]
            resources.add_row(LABELS[name], str(figure["used"]), str(figure["available"]), f"{share:.0f}")
    console.print(resources)
    parts = figures_table("where they are", "part", "LUT", "flip-flop", "block RAM")
    for name, counts in report["parts"].items():
        parts.add_row(name, *(str(counts[key]) for key in ("lut", "ff", "bram")))
    console.print(parts)
    print_timing(console, report["timing"], report["clock_hz"])
    for clock in report["clocks"]:
        verdict = "met" if clock["met"] else "NOT met"
        console.print(
            f"clock {clock['net']}: {clock['fmax_mhz']:.1f} MHz at most, {clock['asked_mhz']:g} asked: {verdict}"
        )
    print_path(console, report["critical_path"])
    console.print(f"bitstream {report['bitstream']['sha256']} (seed {report['seed']})", soft_wrap=True)


def print_timing(console: Console, timing: dict[str, Any], clock_hz: int) -> None:
    """Speed on both schedules."""
    title = (
        f"an inference of {timing['steps']} steps at {clock_hz / 1e6:g} MHz, {timing['activity']:.0%} of inputs spiking"
    )
    speed = figures_table(title, "schedule", "cycles a step", "cycles", "us", "a second", "synaptic op/s")
    for schedule in ("private", "fast"):
        figures = timing[schedule]
        speed.add_row(
            schedule,
            str(figures["cycles_per_step"]),
            str(figures["cycles_per_inference"]),
            f"{figures['microseconds_per_inference']:.1f}",
            f"{figures['inferences_per_second']:,.0f}",
            f"{figures['synaptic_operations_per_second']:.3g}",
        )
    console.print(speed)


def print_path(console: Console, path: dict[str, Any]) -> None:
    """The critical path: the signals that it runs through, and their source lines."""
    console.print(f"critical path, {path['nanoseconds']:.2f} ns:")
    for signal, elements in groupby(path["elements"], key=lambda element: signal_of(element["cell"])):
        group = list(elements)
        cells = len({element["cell"] for element in group})
        sources = ", ".join(dict.fromkeys(source for element in group for source in element["sources"]))
        nanoseconds = sum(element["nanoseconds"] for element in group)
        console.print(f"  {nanoseconds:6.2f} ns, {cells} cell{'s'[: cells > 1]}, {signal}  {sources}", soft_wrap=True)


def signal_of(cell: str) -> str:
    """The signal of the design that a cell is named after."""
    return re.sub(r"_(SB|LUT4|TRELLIS|CCU2C|PFUMX|L6MUX21|DFF|ALU|MUX2)[_0-9A-Z].*|_(LC|DFFLC|RAM)$", "", cell)


def print_sweep(console: Console, reports: list[dict[str, Any]]) -> None:
    """fmax of several seeds, and their median."""
    speeds = sorted(min(clock["fmax_mhz"] for clock in report["clocks"]) for report in reports)
    for report in reports:
        console.print(f"seed {report['seed']}: {min(clock['fmax_mhz'] for clock in report['clocks']):.1f} MHz")
    middle = (speeds[(len(speeds) - 1) // 2] + speeds[len(speeds) // 2]) / 2
    console.print(f"{len(speeds)} seeds: {speeds[0]:.1f} to {speeds[-1]:.1f} MHz, median {middle:.1f}")
