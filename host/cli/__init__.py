"""The `spikeveil` command: each sub-command lives in a module of its own, imported when it is called."""

from importlib import import_module, metadata
from keyword import iskeyword
from typing import Any

import click

from spikeveil.host.cli.refusals import failures

#: sub-command -> module that holds a click command of that name (dashes become underscores, keywords get one)
COMMANDS: dict[str, str] = {
    "board": "spikeveil.host.cli.commands.board",
    "boards": "spikeveil.host.cli.commands.boards",
    "budget": "spikeveil.host.cli.commands.budget",
    "build": "spikeveil.host.cli.commands.build",
    "check": "spikeveil.host.cli.commands.check",
    "compare": "spikeveil.host.cli.commands.compare",
    "demo": "spikeveil.host.cli.commands.demo",
    "devices": "spikeveil.host.cli.commands.devices",
    "doctor": "spikeveil.host.cli.commands.doctor",
    "dpsnn": "spikeveil.host.cli.commands.dpsnn",
    "epsilon": "spikeveil.host.cli.commands.epsilon",
    "estimate": "spikeveil.host.cli.commands.estimate",
    "export": "spikeveil.host.cli.commands.export",
    "import": "spikeveil.host.cli.commands.import_",
    "info": "spikeveil.host.cli.commands.info",
    "plan": "spikeveil.host.cli.commands.plan",
    "program": "spikeveil.host.cli.commands.program",
    "quantise": "spikeveil.host.cli.commands.quantise",
    "report": "spikeveil.host.cli.commands.report",
    "run": "spikeveil.host.cli.commands.run",
    "simulate": "spikeveil.host.cli.commands.simulate",
    "train": "spikeveil.host.cli.commands.train",
    "verilog": "spikeveil.host.cli.commands.verilog",
    "waves": "spikeveil.host.cli.commands.waves",
}


class LazyGroup(click.Group):
    """A group whose sub-commands are imported on use, so that `spikeveil --help` needs none of their libraries."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        name = cmd_name.replace("-", "_") + "_" * iskeyword(cmd_name)
        command: click.Command = getattr(import_module(COMMANDS[cmd_name]), name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        with failures():
            return super().invoke(ctx)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(metadata.version("spikeveil"), prog_name="spikeveil")
def main() -> None:
    """Private spiking neural networks, from a trained network to an FPGA and the epsilon it really gives."""
