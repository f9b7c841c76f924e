"""`spikeveil epsilon`: every figure with its unit, bits, delta and observer; plots; refusals."""

import json
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import mpmath
import pytest
from click.testing import Result
from support.commands import invoke


def run(arguments: str, code: int = 0) -> Result:
    return invoke("epsilon", *arguments.split(), code=code)


def record(arguments: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(run(arguments + " --json").stdout)
    return loaded


def true_epsilon(p: Fraction, count: int, delta: float) -> Any:
    """The root of the binomial sum for delta, by bisection in 60-digit arithmetic."""
    with mpmath.workdps(60):
        q = mpmath.mpf(p.numerator) / p.denominator
        loss = mpmath.log((1 - q) / q)
        low, high = mpmath.mpf(0), count * loss
        weights = [mpmath.binomial(count, i) * q**i * (1 - q) ** (count - i) for i in range(count + 1)]
        for _ in range(150):
            middle = (low + high) / 2
            total = sum(
                weight * max(0, 1 - mpmath.exp(middle - (count - 2 * i) * loss)) for i, weight in enumerate(weights)
            )
            low, high = (middle, high) if total > delta else (low, middle)
        return high


def test_every_unit_of_a_release_against_high_precision() -> None:
    found = record("-k 1 -w 2 -T 5 -N 4 --releases 2 --delta 1e-6")
    assert (found["flip_probability"], found["threshold"], found["bits"]) == ("1/4", 1, 2)
    assert 0 <= found["epsilon_per_spike"] - mpmath.log(3) < 1e-15
    assert [one["unit"] for one in found["units"]] == ["spike", "neuron", "step", "record"]
    for one, bits in zip(found["units"], (1, 5, 4, 20), strict=True):
        assert (one["composed_bits_one_release"], one["composed_bits"]) == (bits, 2 * bits)
        for count, epsilon in ((bits, one["epsilon_one_release"]), (2 * bits, one["epsilon"])):
            exact = true_epsilon(Fraction(1, 4), count, 1e-6)
            assert exact <= epsilon <= exact * (1 + 1e-6)


def test_the_published_figures() -> None:
    wish = record("--epsilon 1 -T 16 -N 10 --delta 1e-5")
    assert wish["epsilon_per_spike"] <= 1
    assert wish["compositions"]["exact"]["epsilon"] == pytest.approx(117.8, abs=0.05)
    names = ("exact", "renyi", "zcdp", "basic")
    epsilons = [wish["compositions"][name]["epsilon"] for name in names]
    assert epsilons == sorted(epsilons)
    assert record("-k 1 -w 2 -T 10 -N 10 --delta 1e-6")["units"][3]["epsilon"] == pytest.approx(94.289868, abs=5e-7)
    assert record("-k 1 -w 2 -T 10 -N 10 --delta 0")["units"][3]["epsilon"] == pytest.approx(100 * 1.0986122886681098)
    assert record("-k 1 -w 2 -T 10 -N 10 --delta 0")["compositions"]["advanced"]["epsilon"] == "inf"


def test_a_spike_limit_lowers_the_record_and_couples_the_rest() -> None:
    found = record("-k 29491 -T 100 -N 64 --spike-limit 16 --delta 1e-6")
    assert [one["composed_bits"] for one in found["units"]] == [2, 32, 32, 32]
    assert found["units"][3]["epsilon"] == pytest.approx(5.2, abs=0.05)  # p = 0.45, m = 16


def test_the_table_says_what_the_figures_mean() -> None:
    text = " ".join(run("-k 17626 -T 16 -N 10 --delta 1e-5").stdout.replace("│", " ").split())
    for part in (
        "p = 8813/32768",
        "epsilon of a record: 117.769 (record level, delta 1e-05, 160 bits) epsilon of ONE spike: 0.99995",
        "released: every flipped spike of one layer, 16 steps of 10 neurons a record",
        "holds against an adversary who neither has the secret 80-bit key",
        "epsilon at delta 1e-05, exact composition, rounded up",
        "epsilon at record level, 160 bits, delta 1e-05, by theorem",
        "117.769",
    ):
        assert part in text


def test_a_predictable_source_is_called_nominal_everywhere() -> None:
    result = run("-k 17626 -T 16 -N 10 --delta 1e-5 --source lfsr")
    text = " ".join(result.stdout.split())
    assert "nominal epsilon of ONE spike" in text
    assert "nominal epsilon at delta" in text
    assert "nominal epsilon at record level" in text
    assert "holds against no adversary who knows the LFSR's polynomial" in text
    assert record("-k 17626 -T 16 -N 10 --delta 1e-5 --source lfsr")["private"] is False


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("-T 16 -N 10 --delta 0", "give either -k/--threshold or --epsilon"),
        ("-k 1 --epsilon 1 -T 16 -N 10 --delta 0", "give either -k/--threshold or --epsilon"),
        ("-k 0 -T 16 -N 10 --delta 0", "flip threshold must be 1 to 32768 for 16-bit words, not 0"),
        ("--epsilon -1 -T 16 -N 10 --delta 0", "flip epsilon must be 0 or more, not -1.0"),
        ("--epsilon nan -T 16 -N 10 --delta 0", "flip epsilon must be 0 or more, not nan"),
        ("-k 1 -T 16 -N 10 --delta 2", "delta must be at least 0 and under 1, not '2'"),
        ("-k 1 -T 16 -N 10 --delta x", "delta must be a number, 0 or more, not 'x'"),
        ("-k 1 -T 0 -N 10 --delta 0", "0 is not in the range x>=1"),
        ("-k 1 -T 16 --delta 0", "Missing option '-N' / '--neurons'"),
    ],
)
def test_wrong_usage_is_one_sentence_and_exit_code_2(arguments: str, sentence: str) -> None:
    assert sentence in run(arguments, code=2).stderr


def test_plots_are_pictures_that_name_their_unit_and_bits(tmp_path: Path) -> None:
    svg, png = tmp_path / "delta.svg", tmp_path / "releases.png"
    run(f"-k 29491 -T 4 -N 4 --delta 1e-5 --plot-delta {svg} --plot-releases {png} --unit neuron")
    assert png.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert ElementTree.parse(svg).getroot().tag.endswith("svg")
    assert "4 bits at neuron level, exact composition" in svg.read_text()
    run(f"-k 29491 -T 4 -N 4 --delta 1e-5 --source lfsr --plot-delta {svg}")
    assert "NOMINAL" in svg.read_text()


def test_a_fair_coin_can_be_drawn(tmp_path: Path) -> None:
    pictures = tmp_path / "d.png", tmp_path / "r.png"
    run("-k 2 -w 2 -T 4 -N 4 --delta 1e-5 --plot-delta {} --plot-releases {}".format(*pictures))
    assert all(path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n") for path in pictures)


def test_a_plot_that_cannot_be_made_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start = "-k 29491 -T 4 -N 4 --delta 1e-5 --plot-delta "
    wrong = run(start + str(tmp_path / "curve.doc"), code=1)
    assert wrong.stderr == (
        "Error: the plot could not be written: its name must end in .png or .svg, not 'curve.doc'\n"
    )
    nowhere = run(start + str(tmp_path / "none" / "curve.svg"), code=1)
    assert nowhere.stderr.startswith("Error: the plot could not be written: [Errno 2]")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    missing = run(start + str(tmp_path / "curve.svg"), code=1)
    assert missing.stderr == "Error: matplotlib is not installed: pip install '.[plot]' in the checkout\n"
