"""The `spikeveil` command: each sub-command lives in a module of its own, imported when it is called."""

from importlib import import_module, metadata
from keyword import iskeyword
from typing import Any

import click

from spikeveil.host.cli.refusals import failures

#: sub-command -> module that holds a click command of that name (dashes become underscores, keywords get one)
COMMANDS: dict[str, str] = {
    "board": "spikeveil.host.cli.board",
    "boards": "spikeveil.host.cli.boards",
    "budget": "spikeveil.host.cli.budget",
    "build": "spikeveil.host.cli.build",
    "check": "spikeveil.host.cli.check",
    "compare": "spikeveil.host.cli.compare",
    "demo": "spikeveil.host.cli.demo",
    "devices": "spikeveil.host.cli.devices",
    "doctor": "spikeveil.host.cli.doctor",
    "dpsnn": "spikeveil.host.cli.dpsnn",
    "epsilon": "spikeveil.host.cli.epsilon",
    "estimate": "spikeveil.host.cli.estimate",
    "export": "spikeveil.host.cli.export",
    "import": "spikeveil.host.cli.import_",
    "info": "spikeveil.host.cli.info",
    "plan": "spikeveil.host.cli.plan",
    "program": "spikeveil.host.cli.program",
    "quantise": "spikeveil.host.cli.quantise",
    "report": "spikeveil.host.cli.report",
    "run": "spikeveil.host.cli.run",
    "simulate": "spikeveil.host.cli.simulate",
    "train": "spikeveil.host.cli.train",
    "verilog": "spikeveil.host.cli.verilog",
    "waves": "spikeveil.host.cli.waves",
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
