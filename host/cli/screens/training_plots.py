"""The plots of `spikeveil train`: loss, accuracy and epsilon over the epochs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any


def draw(path: Path, log: Sequence[dict[str, Any]], name: str) -> None:
    """One PNG with a panel for each of test loss, test accuracy and, under DP-SGD, epsilon."""
    from matplotlib.figure import Figure

    private = "privacy" in log[-1]
    epochs = [evaluation["epochs"] for evaluation in log]
    figure = Figure(figsize=(4.2 * (2 + private), 3.4), layout="constrained")
    axes = figure.subplots(1, 2 + private)
    axes[0].plot(epochs, [evaluation["test_loss"] for evaluation in log], "k.-", linewidth=1)
    axes[0].set(title="loss on the test records", xlabel="epoch")
    axes[1].plot(epochs, [100 * evaluation["test_accuracy"] for evaluation in log], "k.-", linewidth=1)
    axes[1].set(title="accuracy on the test records, %", xlabel="epoch")
    if private:
        curves = (("pld", "PLD, bound", "k-"), ("rdp", "Rényi, bound", "k--"))
        for method, label, style in curves:
            axes[2].plot(epochs, [evaluation["privacy"][f"epsilon_{method}"] for evaluation in log], style, label=label)
        approximate = [evaluation["privacy"]["epsilon_clt_approximation"] for evaluation in log]
        axes[2].plot(epochs, approximate, color="#E69F00", linestyle=":", label="CLT, approximate: no bound")
        delta = log[-1]["privacy"]["delta"]
        axes[2].set(title=f"epsilon of all steps at delta {delta:g}", xlabel="epoch", ylim=(0, None))
        axes[2].legend(frameon=False, fontsize=8)
    figure.suptitle(f"{name}: weights of every epoch; the last one is the result", fontsize=10)
    figure.savefig(path, dpi=110)
