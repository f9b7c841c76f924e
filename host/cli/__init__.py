"""The `spikeveil` command. A sub-command is imported when it is called, so that `spikeveil --help` imports none."""

from dataclasses import dataclass
from importlib import import_module, metadata
from typing import Any

import click

from spikeveil.host.cli.errors import reported_errors

__all__ = ["COMMANDS", "CommandEntry", "LazyGroup", "main"]


@dataclass(frozen=True)
class CommandEntry:
    """A sub-command: its module in `spikeveil.host.cli.commands`, which defines it under the same name, and a summary.

    `summary` must be the first line of the command's own help; a test checks this.
    """

    module: str
    summary: str

    def load(self) -> click.Command:
        """Import the command."""
        command: click.Command = getattr(import_module(f"{__name__}.commands.{self.module}"), self.module)
        return command


COMMANDS: dict[str, CommandEntry] = {
    "aggregate": CommandEntry("aggregate", "Estimate class shares from released decisions, with intervals."),
    "board": CommandEntry("board", "Simulate the device of a network behind a pseudo-terminal."),
    "boards": CommandEntry("boards", "List the supported boards: chip, clock, serial line and loader."),
    "budget": CommandEntry("budget", "Keep privacy budgets in a ledger, charged before each release."),
    "build": CommandEntry("build", "Build a bitstream and report its resources and speed."),
    "check": CommandEntry("check", "Simulate a built design and compare it with the golden model."),
    "compare": CommandEntry("compare", "Show the first difference of two networks, and how well their spikes match."),
    "demo": CommandEntry("demo", "Run the trained example: golden model against simulated gateware."),
    "devices": CommandEntry("devices", "List the serial ports; --probe identifies the devices at them."),
    "doctor": CommandEntry("doctor", "Check tools, caches and ports; name the fix for what is missing."),
    "dpsnn": CommandEntry(
        "dpsnn", "Print DPSNN's tables (arXiv 2205.12718), privacy columns as printed and as computed."
    ),
    "epsilon": CommandEntry("epsilon", "Print the epsilon of released spikes, or of decisions."),
    "estimate": CommandEntry("estimate", "Estimate a build's resources and speed without running a tool."),
    "export": CommandEntry("export", "Write a network as a NIR graph."),
    "fit": CommandEntry("fit", "Find a build that fits a board, by estimates."),
    "import": CommandEntry("import_", "Import a NIR graph, or weights, as an integer network."),
    "info": CommandEntry("info", "Show a network: layers, formats, fingerprint, timing and claim."),
    "plan": CommandEntry("plan", "Find the flip threshold, or the decision, for a target."),
    "privatise": CommandEntry("privatise", "Make a network private: a decision a record, or flipped spikes."),
    "program": CommandEntry("program", "Load a bitstream into a board with the board's own loader."),
    "quantise": CommandEntry("quantise", "Quantise a trained float network; report the loss by layer."),
    "report": CommandEntry("report", "Show the report of a build as tables."),
    "run": CommandEntry("run", "Run records through a device; show what was released and spent."),
    "simulate": CommandEntry("simulate", "Run records through the golden model or the simulated gateware."),
    "train": CommandEntry("train", "Train a spiking network, or its ANN, with DP-SGD or without."),
    "verilog": CommandEntry("verilog", "Generate the gateware of a network as one Verilog file."),
    "waves": CommandEntry("waves", "Write a waveform of the simulated gateware to a VCD file."),
}


class LazyGroup(click.Group):
    """A group that lists its sub-commands from COMMANDS and imports one when it is called.

    An error that a user can cause, a missing package at that import among them, ends the command with one sentence.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = COMMANDS.get(cmd_name)
        return None if entry is None else entry.load()

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name].summary) for name in self.list_commands(ctx)])

    def invoke(self, ctx: click.Context) -> Any:
        with reported_errors():
            return super().invoke(ctx)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(metadata.version("spikeveil"), prog_name="spikeveil")
@click.option(
    "--max-bytes",
    type=click.IntRange(1),
    help="What a file of arrays or a network may declare, instead of 256 MiB (data) and 64 MiB (networks).",
)
@click.pass_context
def main(context: click.Context, max_bytes: int | None) -> None:
    """Private spiking neural networks, from a trained network to an FPGA and the epsilon that it gives."""
    if max_bytes is not None:
        from spikeveil.pysim.model.array_file import raised_limit  # loads NumPy

        context.with_resource(raised_limit(max_bytes))
