"""Run every benchmark and print each as a ratio against its baseline, measured in the same run.

python scripts/bench.py [NAME ...] [--json FILE]
"""

import json
import pkgutil
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

import benchmarks
import click
from benchmarks import Row
from rich.console import Console
from rich.table import Table


def table(rows: list[Row]) -> Table:
    """Every row as a line: ours, the baseline, the ratio, and whether it reaches its target."""
    drawn = Table("benchmark", "ours", "baseline", "unit", "ratio", "target", title="spikeveil benchmarks")
    for row in rows:
        met = "" if row.target is None else f"{'≥' if row.ratio >= row.target else 'BELOW'} {row.target:g}"
        drawn.add_row(
            row.name, f"{row.ours:.4g}", f"{row.baseline:.4g} {row.baseline_name}", row.unit, f"{row.ratio:.2f}", met
        )
    return drawn


@click.command()
@click.argument("names", nargs=-1)
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Also write the rows to this file.")
def main(names: tuple[str, ...], json_path: Path | None) -> None:
    """Run the benchmarks NAMES, or all."""
    known = sorted(module.name for module in pkgutil.iter_modules(benchmarks.__path__))
    unknown = set(names) - set(known)
    if unknown:
        raise click.UsageError(f"no benchmark named {', '.join(sorted(unknown))}: there are {', '.join(known)}")
    rows: list[Row] = []
    console = Console()
    for name in names or known:
        console.print(f"[dim]{name} ...[/dim]")
        rows.extend(import_module(f"benchmarks.{name}").rows())
    console.print(table(rows))
    if json_path is not None:
        json_path.parent.mkdir(parents=True, exist_ok=True)
        json_path.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")


if __name__ == "__main__":
    main()
