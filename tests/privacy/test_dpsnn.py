"""DPSNN's privacy columns: every row recomputed here by other means, and the command that prints them."""

import json
import math

import mpmath
import numpy as np
import pytest
from scipy.integrate import simpson
from support.commands import invoke

from spikeveil.host.cli.commands import dpsnn as command
from spikeveil.host.privacy import DpSgd, pld
from spikeveil.host.privacy.dpsnn import DELTA, SETTINGS, Row, rows


def moments_accountant(noise: float, steps: int, rate: float) -> float:
    """The least epsilon over orders, each divergence by Simpson's rule on the definition: nothing of ours."""
    best = math.inf
    for order in [1 + tenth / 10 for tenth in range(1, 100)] + list(range(12, 64)):
        z = np.linspace(-12 * noise, order + 12 * noise, 20001)
        logs = order * np.logaddexp(math.log1p(-rate), math.log(rate) + (2 * z - 1) / (2 * noise**2))
        logs += -(z**2) / (2 * noise**2) - math.log(noise * math.sqrt(2 * math.pi))
        divergence = (math.log(simpson(np.exp(logs - logs.max()), x=z)) + logs.max()) / (order - 1)
        epsilon = steps * divergence + math.log1p(-1 / order) - math.log(DELTA * order) / (order - 1)
        best = min(best, epsilon)
    return best


def central_mu(noise: float, steps: int, rate: float) -> mpmath.mpf:
    return mpmath.mpf(rate) * mpmath.sqrt(steps * mpmath.expm1(1 / mpmath.mpf(noise) ** 2))


def central_limit(mu: mpmath.mpf) -> mpmath.mpf:

    def excess(epsilon: mpmath.mpf) -> mpmath.mpf:
        tail = mpmath.ncdf(-epsilon / mu + mu / 2) - mpmath.exp(epsilon) * mpmath.ncdf(-epsilon / mu - mu / 2)
        return mpmath.log(tail) - mpmath.log(DELTA)

    return mpmath.findroot(excess, (mpmath.mpf("0.5"), mpmath.mpf(40)), solver="anderson", tol=1e-20, maxsteps=100)


def test_the_sixteen_rows_are_those_of_the_paper() -> None:
    """Table, sigma, SNN, ANN, MA, CLT, mu: copied from the paper's tables a second time."""
    printed = [
        "1 1.6 97.96 95.35 1.46 1.32 0.35", "1 1.3 98.19 96.57 1.93 1.74 0.44", "1 1.0 98.36 97.31 2.93 2.60 0.63",
        "1 0.7 98.55 97.95 6.55 5.31 1.18", "1 0.5 98.63 98.45 23.20 21.65 3.66",
        "2 1.6 87.31 83.82 1.61 1.46 0.38", "2 1.3 87.51 84.75 2.23 2.02 0.51", "2 1.0 87.93 85.90 3.55 3.18 0.76",
        "2 0.7 88.34 87.72 8.28 7.02 1.49", "2 0.5 88.37 88.33 24.98 23.77 3.93",
        "3 2.5 99.30 None 2.21 1.96 0.49", "3 2.0 99.58 None 3.05 2.71 0.66", "3 1.5 99.55 None 4.42 3.89 0.9",
        "4 1.0 87.93 None 3.55 3.18 0.76", "4 1.0 88.49 None 3.43 3.06 0.73", "4 1.0 89.0 None 3.45 3.09 0.74",
    ]  # fmt: skip
    found = [f"{s.table} {s.noise} {s.snn} {s.ann} {s.ma} {s.clt} {s.mu}" for s in SETTINGS]
    assert found == printed
    assert [s.window for s in SETTINGS[-3:]] == [5, 10, 15]
    assert all(s.steps == s.clt_steps == 240 * s.epochs for s in SETTINGS if s.table != 3)


def test_every_row_agrees_with_the_print_by_quadrature_and_duality() -> None:
    for row in rows(sound=False):
        setting = row.setting
        ma_rate, clt_rate = setting.batch / setting.images, setting.batch / setting.clt_images
        assert row.ma == pytest.approx(moments_accountant(setting.noise, setting.steps, ma_rate), rel=1e-6)
        mu = central_mu(setting.noise, setting.clt_steps, clt_rate)
        assert row.mu == pytest.approx(float(mu), rel=1e-12)
        assert row.clt == pytest.approx(float(central_limit(mu)), rel=1e-9)
        assert row.agrees


def test_table_3_agrees_at_no_single_n() -> None:
    """MA at 12,544 = 28 x 448 and 49 steps an epoch, CLT and mu at 12,992 = 29 x 448; never the other way round."""
    table = [setting for setting in SETTINGS if setting.table == 3]
    assert {(setting.images, setting.clt_images) for setting in table} == {(28 * 448, 29 * 448)}
    assert all(setting.steps == 49 * setting.epochs for setting in table)
    other = [DpSgd(s.noise, s.batch, s.clt_images).epsilon(s.clt_steps, DELTA, "rdp") for s in table]
    assert [f"{value:.2f}" for value in other] != [setting.ma for setting in table]
    mus = [s.mechanism.mu(s.steps) for s in table]
    assert [f"{value:.2f}" for value in mus[:2]] != [setting.mu for setting in table[:2]]


def test_a_wrong_figure_disagrees_with_the_print() -> None:
    assert Row(SETTINGS[4], 23.2020, 21.6514, 3.6605, None).agrees
    assert not Row(SETTINGS[4], 23.397, 21.6514, 3.6605, None).agrees
    assert not Row(SETTINGS[4], 23.2020, 21.6514, 3.67, None).agrees


@pytest.mark.xdist_group("dp_accounting")
def test_clt_lies_under_the_sound_bound_except_at_little_noise() -> None:
    """At noise 0.7 the approximation claims less than what holds; at 0.5 it happens to claim more."""
    chosen = {0.7: SETTINGS[3], 0.5: SETTINGS[4]}
    for noise, setting in chosen.items():
        sound = setting.mechanism.epsilon(setting.steps, DELTA)
        approximate = setting.mechanism.epsilon(setting.steps, DELTA, "clt")
        assert (approximate < sound) is (noise > 0.5)
        assert sound < setting.mechanism.epsilon(setting.steps, DELTA, "rdp")


def test_command_as_json_and_as_table(monkeypatch: pytest.MonkeyPatch) -> None:
    records = json.loads(invoke("dpsnn", "--json", "--no-sound").stdout)
    assert len(records) == 16
    assert (records[4]["printed_ma"], records[0]["printed_ann_accuracy"]) == ("23.20", "95.35")
    assert all("printed_ann_accuracy" not in record for record in records[10:])
    assert all("epsilon_pld" not in record and record["agrees"] for record in records)
    assert (records[10]["dataset_size"], records[10]["dataset_size_of_clt"]) == (12_544, 12_992)
    shown = invoke("dpsnn", "--no-sound").output
    for text in ("23.203", "24.98", "APPROXIMATION", "one training example", "99.30", "ANN accuracy: not printed",
                 "MA and PLD at N = 12,544, CLT and mu at N = 12,992", "Epochs are inferred"):  # fmt: skip
        assert text in " ".join(shown.split())
    for text in ("…", " - ", "None"):
        assert text not in shown

    def absent() -> None:
        raise pld.AccountingMissing("no dp-accounting")

    monkeypatch.setattr(pld, "_library", absent)
    pld.gaussian_pld.cache_clear()
    refused = invoke("dpsnn", code=1)
    assert "no dp-accounting; or use --no-sound" in refused.output
    assert "No such option" in invoke("dpsnn", "--nonsense", code=2).stderr
    assert command.dpsnn.name == "dpsnn"
