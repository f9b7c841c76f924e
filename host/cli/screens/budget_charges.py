"""Words of charges: sessions, amounts, and what was composed."""

from collections.abc import Mapping
from typing import Any

from spikeveil.host.privacy.ledger import (
    shown_up,
)
from spikeveil.host.privacy.ledger.amounts import fraction_from_text, from_text
from spikeveil.host.privacy.wording import decision_text
from spikeveil.pysim.model.decision import from_description


def session_text(session: dict[str, Any]) -> str:
    if session["kind"] == "stated":
        return f"{session['mechanism']} (stated at {session['unit']} level)"
    if session["kind"] == "dp-sgd":
        noise = float(fraction_from_text(session["noise_multiplier"]))
        return (
            f"DP-SGD, all {session['steps']} steps of the run, noise {noise:g}, Poisson {session['batch_size']}/"
            f"{session['dataset_size']}, {session['method']} bound, one example added or removed"
        )
    if session["kind"] == "decision":
        count = f"{session['releases']} decision{'s' * (session['releases'] > 1)}"
        return f"{count}, {decision_text(from_description(session['decision']))}, {session['composition']}"
    limits = "".join(
        f", {name.replace('_', ' ')} {session[name]}" for name in ("spike_limit", "step_limit") if session[name]
    )
    return (
        f"randomised response {session['threshold']}/2^{session['bits']} on {session['steps']} x {session['neurons']} "
        f"bits{limits}, {session['releases']} releases, {session['composition']}"
    )


def charges_of_entry(content: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "unit": charge["unit"],
            "composed_bits": charge["bits"],
            **_charged(charge),
            "delta": shown_up(from_text(charge["delta"])),
        }
        for charge in content["charges"]
    ]


def composed_text(count: int, decides: bool) -> str:
    """How many bits or decisions were composed, in words; "stated" where nothing was."""
    if not count:
        return "stated"
    return f"{count} {'decision' if decides else 'bit'}{'s' * (count > 1)}"


def _charged(charge: Mapping[str, Any]) -> dict[str, str]:
    if "order" not in charge:
        return {"epsilon": shown_up(from_text(charge["epsilon"]))}
    order = float(fraction_from_text(charge["order"]))
    return {"divergence": shown_up(from_text(charge["divergence"])), "order": f"{order:g}"}


def charged_text(charge: Mapping[str, str]) -> str:
    """What was charged, with its quantity where that is not epsilon."""
    return charge["epsilon"] if "epsilon" in charge else f"divergence {charge['divergence']} of order {charge['order']}"
