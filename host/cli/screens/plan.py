"""What `spikeveil plan` prints."""

from typing import Any

from rich.console import Console
from rich.table import Table

from spikeveil.host.cli.screens.tables import facts_table
from spikeveil.host.privacy.decision_plan import DecisionPlan
from spikeveil.host.privacy.plan import PrivacyPlan
from spikeveil.host.privacy.wording import decision_text, mechanism_text, up


def print_plan(plan: PrivacyPlan, record: dict[str, Any]) -> None:
    """Print the threshold and what it gives: epsilon of a spike and of the releases, accuracy ceiling."""
    unit, delta = plan.unit.value, up(float(plan.delta))
    one_bits = plan.raster.bits(plan.unit)
    ceiling_one, ceiling_all = (record[f"accuracy_ceiling{part}"] for part in ("_one_release", ""))
    table = Table(title=f"Plan: epsilon {record['target_epsilon']} at {unit} level for all releases", show_header=False)
    table.add_column(style="bold")
    table.add_column()
    for name, value in (
        ("mechanism", mechanism_text(plan.mechanism)),
        (
            "epsilon of a record",
            f"{up(plan.record_epsilon)}  (record level, delta {delta}, all {plan.releases} releases)",
        ),
        (
            "one release",
            f"{up(plan.epsilon_one)}  ({unit} level, delta {delta}, {one_bits} bits)",
        ),
        (f"all {plan.releases} releases", f"{up(plan.epsilon)}  ({unit} level, delta {delta}, {plan.bits} bits)"),
        ("epsilon of ONE spike", f"{up(plan.mechanism.epsilon)}  (spike level, delta 0, 1 bit)"),
        ("neighbours differ in", plan.unit.relation),
        ("released", plan.raster.released),
        ("holds against", record["against"]),
        ("composition", "exact binomial of a session declared beforehand, rounded up"),
        (
            f"accuracy ceiling, {record['classes']} classes",
            f"one release: {up(100 * ceiling_one, 4)} % (record level epsilon {up(plan.record_epsilon_one)}); "
            f"all: {up(100 * ceiling_all, 4)} % ({up(plan.record_epsilon)})",
        ),
    ):
        table.add_row(name, value)
    console = Console()
    console.print(table)
    if record["epsilon_per_spike"] == 0:
        console.print(
            "At this target the flipper is a fair coin: the released spikes carry no information.", highlight=False
        )


def print_decision_plan(plan: DecisionPlan, report: dict[str, Any]) -> None:
    """Print the decision, its epsilon, the accuracy beside its ceiling, and the records for shares."""
    several = f", all {plan.releases} decisions about it" if plan.releases > 1 else ", one decision"
    ceiling_one, ceiling_all = (report[f"accuracy_ceiling{part}"] for part in ("_one_release", ""))
    facts = [
        ("epsilon of a record", f"{up(plan.epsilon)}, delta {up(report['delta'])}{several}"),
        ("epsilon of one decision", f"{up(plan.decision.epsilon)}, delta 0, at every unit"),
        ("mechanism", decision_text(plan.decision)),
        ("accuracy ceiling", f"one decision: {up(100 * ceiling_one, 4)} %; all: {up(100 * ceiling_all, 4)} %"),
    ]
    if report["expected_accuracy"] is not None:
        raw, expected = (100 * report[f"{name}_accuracy"] for name in ("raw", "expected"))
        facts.append(
            ("accuracy to expect", f"{expected:.1f} % of one decision, where {raw:.1f} % of raw winners are right")
        )
    if report["records"] is not None:
        facts.append(
            ("records for shares", f"{report['records']:,} for +-{100 * report['half_width']:g} points at 95 %")
        )
    facts.append(("holds against", report["against"]))
    console = Console(highlight=False)
    console.print(facts_table(facts, f"Plan: epsilon {report['target_epsilon']} at record level for all releases"))
