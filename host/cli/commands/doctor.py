"""`spikeveil doctor`: the tools that building and running need, and the fix for each that is missing."""

from dataclasses import asdict

import click

from spikeveil.host.bitstream.diagnostics import BUILDING, examine
from spikeveil.host.cli.options.common import json_option
from spikeveil.host.cli.screens.doctor import print_findings
from spikeveil.host.cli.screens.tables import print_json


@click.command(epilog="Example: spikeveil doctor")
@json_option
def doctor(as_json: bool) -> None:
    """Check tools, caches and ports; name the fix for what is missing.

    The exit code is 0 where a bitstream can be built for every family of chips, else 1.
    """
    findings = examine()
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        print_findings(findings)
    raise SystemExit(int(any(not finding.present for finding in findings if finding.purpose == BUILDING)))
