"""What `spikeveil run` prints."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from spikeveil.host.cli.screens.claim import print_claim
from spikeveil.host.device.record_run import RunProgress
from spikeveil.host.privacy.claim import Claim


@contextmanager
def progress_bar(total: int) -> Iterator[Callable[[RunProgress], None]]:
    """A bar on the error stream: records, steps a second, and the payload's share of the line."""
    columns = (
        TextColumn("records"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total)

        def show(state: RunProgress) -> None:
            elapsed = bar.tasks[task].elapsed or 0.0
            rate = f"{state.steps / elapsed:,.0f} steps a second" if elapsed else ""
            share = f", payload {100 * state.payload / state.line:.0f} % of the line" if state.line else ""
            bar.update(task, completed=state.records, description=f"lease {state.lease}: {rate}{share}")

        yield show


def print_run(record: dict[str, Any], claim: Claim, classes: int) -> None:
    """Print what was released, and the claim."""
    console = Console(highlight=False)
    leases = "1 lease" if record["leases"] == 1 else f"{record['leases']:,} leases"
    console.print(
        f"{record['records']:,} records of {record['steps']:,} steps under {leases}: "
        f"released {record['releases']} in {record['file']}"
    )
    if record["released_accuracy"] is not None:
        console.print(f"accuracy of what was released: {100 * record['released_accuracy']:.1f} %")
    print_claim(console, claim, "Claim for one of these records", classes)
