"""What `spikeveil privatise` prints, and `import` and `quantise` where they make a network private."""

from rich.console import Console

from spikeveil.host.cli.privatisation import Accuracies, PrivateNetwork, released_text
from spikeveil.host.cli.screens.claim import print_claim


def print_privatised(console: Console, made: PrivateNetwork) -> None:
    """Print what is released, the accuracies, and the claims."""
    console.print(f"releases {released_text(made.spec)}", soft_wrap=True)
    if made.accuracies.raw is not None and made.accuracies.released is not None:
        console.print(_accuracy_text(made.accuracies), soft_wrap=True)
    print_claim(console, made.claim, "Claim for one record", made.classes)
    if made.origin.get("training_claim") is not None:
        console.print("trained under DP-SGD: the claim on its training data is kept in the file", soft_wrap=True)


def _accuracy_text(found: Accuracies) -> str:
    note = "" if found.expected is None else f" (expected {100 * found.expected:.1f} %)"
    released = 0.0 if found.released is None else found.released
    raw = 0.0 if found.raw is None else found.raw
    return f"accuracy on {found.records:,} records: raw {100 * raw:.1f} %, released {100 * released:.1f} %{note}"
