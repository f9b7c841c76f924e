"""What `spikeveil boards` prints."""

from typing import Any

from rich.console import Console

from spikeveil.host.cli.screens.tables import figures_table


def print_boards(reports: list[dict[str, Any]]) -> None:
    """Print the boards as a table."""
    table = figures_table("boards", "name", "chip", "LUT", "RAM", "MHz", "baud", "loader")
    for report in reports:
        table.add_row(
            *(report["name"], report["chip"], f"{report['lut']:,}", str(report["bram"])),
            *(f"{report['clock_hz'] / 1e6:g}", f"{report['baud']:,}"),
            report["loader"][0],
        )
    Console(highlight=False).print(table)
