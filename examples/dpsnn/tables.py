"""Tables of the finished rows of the study beside the paper's, in Markdown."""

import statistics
from collections.abc import Iterable, Mapping
from typing import Any

from rows import SEEDS, SIGMAS

from spikeveil.host.privacy.dpsnn import SETTINGS

Study = Mapping[str, Mapping[str, Any]]
#: heading of a table -> (prefix of its rows' names, what they are)
GROUPS = {
    "Digits, small network, 1,000 steps": "digits",
    "Fashion-MNIST, Net1, a tenth of the epochs": "tenth",
}
VARIANTS = {
    "gate": "SNN: IF, gate (eq. 4), T = 5",
    "tanh": "SNN: IF, sech^2 (eq. 5), T = 5",
    "gaussian": "SNN: IF, Gaussian (eq. 6), T = 5",
    "lif": "SNN: LIF 0.2, gate, T = 5",
    "T10": "SNN: IF, gate, T = 10",
    "T15": "SNN: IF, gate, T = 15",
    "V0.5": "SNN: IF, gate, T = 5, threshold 0.5",
    "V1.0": "SNN: IF, gate, T = 5, threshold 1",
    "ann": "ANN: tanh",
}


def tables(study: Study) -> str:
    """Every table that has a finished row."""
    parts = [full_length(study), *(by_sigma(study, prefix, heading) for heading, prefix in GROUPS.items())]
    return "\n\n".join(part for part in parts if part)


def full_length(study: Study) -> str:
    """MNIST at the paper's settings and length, Net2's printed accuracies beside both networks."""
    lines = []
    for net in ("net2", "net1"):
        for kind in ("snn", "snn-V0.3", "ann"):
            for sigma in (1.6, 1.0, 0.5):
                row = study.get(f"{net}-{kind}-{sigma}")
                if row is not None:
                    lines.append(_full_line(net, kind, sigma, row))
    head = "| network | sigma | epochs | test accuracy, last step, % | paper, Net2, best epoch, % | difference | PLD |"
    return _table("MNIST at full length", head, lines)


def _full_line(net: str, kind: str, sigma: float, row: Mapping[str, Any]) -> str:
    (setting,) = (one for one in SETTINGS if one.table == 1 and one.noise == sigma)
    printed = setting.ann if kind == "ann" else setting.snn
    accuracy, epochs = 100 * row["accuracy"], row["config"]["epochs"]
    difference = accuracy - float(printed or "nan")
    cost = row["privacy"]["epsilon_pld"]
    return (
        f"| {net.capitalize()} {kind.upper()} | {sigma} | {epochs} | {accuracy:.2f} | {printed} | {difference:+.2f} | "
        f"{cost:.3f} |"
    )


def by_sigma(study: Study, prefix: str, heading: str) -> str:
    """One line a variant, one column a sigma: mean, lowest and highest over the seeds, and what noise costs."""
    lines = []
    for variant, words in VARIANTS.items():
        cells = [accuracies(study, prefix, variant, sigma) for sigma in SIGMAS]
        if any(cells):
            texts = [spread(cell) for cell in cells]
            lines.append(f"| {words} | {' | '.join(texts)} | {spread(losses(study, prefix, variant))} |")
    sigmas = " | ".join(f"sigma {sigma}" for sigma in SIGMAS)
    return _table(heading, f"| | {sigmas} | loss from {SIGMAS[0]} to {SIGMAS[-1]} |", lines)


def accuracies(study: Study, prefix: str, variant: str, sigma: float) -> list[float]:
    """Test accuracies in per cent of the finished seeds."""
    names = [f"{prefix}-{variant}-{sigma}-seed{seed}" for seed in SEEDS]
    return [100 * study[name]["accuracy"] for name in names if name in study]


def losses(study: Study, prefix: str, variant: str) -> list[float]:
    """Points lost from the least to the most noise, for each seed that has both."""
    found = []
    for seed in SEEDS:
        ends = [f"{prefix}-{variant}-{sigma}-seed{seed}" for sigma in (SIGMAS[0], SIGMAS[-1])]
        if all(name in study for name in ends):
            found.append(100 * (study[ends[0]]["accuracy"] - study[ends[1]]["accuracy"]))
    return found


def spread(values: Iterable[float]) -> str:
    """Mean, lowest and highest; fewer than all seeds are said."""
    known = list(values)
    if not known:
        return "not run"
    if len(known) == 1:
        return f"{known[0]:.1f} (one seed)"
    count = "" if len(known) == len(SEEDS) else f", {len(known)} seeds"
    return f"{statistics.mean(known):.1f} ({min(known):.1f} to {max(known):.1f}{count})"


def _table(heading: str, head: str, lines: list[str]) -> str:
    if not lines:
        return ""
    rule = "|---" * (head.count("|") - 1) + "|"
    return "\n".join([f"**{heading}**", "", head, rule, *lines])
