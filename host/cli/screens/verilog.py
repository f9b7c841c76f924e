"""What `spikeveil verilog` prints."""

from typing import Any

from rich.console import Console
from rich.table import Table


def print_verilog(report: dict[str, Any]) -> None:
    """Print the ports, the cadence and the hashes."""
    console = Console(highlight=False)
    table = Table(title=f"Verilog in {report['file']}: ports besides clk and rst", title_justify="left")
    for name in ("port", "direction", "bits"):
        table.add_column(name, justify="right" if name == "bits" else "left")
    for port in report["ports"]:
        table.add_row(port["name"], port["direction"], str(port["bits"]))
    console.print(table)
    cadence = report["cycles_per_step"]
    timing = "as soon as it is done" if cadence is None else f"every {cadence} cycles, whatever the spikes"
    console.print(
        f"{report['lines']:,} lines; source {report['source']}, {report['lanes']} lanes, schedule "
        f"{report['schedule']}: a step leaves {timing}"
    )
    if report["source"] == "lfsr":
        console.print("An LFSR is predictable and hides nothing: epsilon is infinite.", style="bold red")
    console.print(f"fingerprint {report['fingerprint']}\nsha256      {report['sha256']}", soft_wrap=True)
