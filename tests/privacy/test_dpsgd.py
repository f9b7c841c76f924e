"""DP-SGD: its Rényi divergence against mpmath and closed forms, its bounds against the exact Gaussian."""

import math
import sys
from importlib import metadata

import mpmath
import numpy as np
import pytest

from spikeveil.host.privacy import DpSgd, gdp, pld
from spikeveil.host.privacy.gaussian import sampled_gaussian_rdp
from spikeveil.host.privacy.rdp import ORDERS, delta_from_rdp, epsilon_from_rdp

DELTA = 1e-5


def mp_divergence(order: float, rate: float, noise: float, added: bool) -> mpmath.mpf:
    """D_a by adaptive Gauss-Legendre quadrature at 25 digits, split between the modes: the definition, nothing else."""
    with mpmath.workdps(25):
        a, q, s = mpmath.mpf(order), mpmath.mpf(rate), mpmath.mpf(noise)

        def integrand(z: mpmath.mpf) -> mpmath.mpf:
            ratio = 1 - q + q * mpmath.exp((2 * z - 1) / (2 * s**2))
            return mpmath.npdf(z, 0, s) * ratio ** ((1 - a) if added else a)

        last = float(order) + 20 * noise
        cuts = [-20 * noise, *np.arange(-2, last, max(noise, last / 60)), last]
        return mpmath.log(mpmath.quad(integrand, sorted(cuts))) / (a - 1)


def closed_form(order: int, rate: float, noise: float) -> mpmath.mpf:
    """At a whole order the mean is a binomial sum of Gaussian moments (expand the power of the mixture)."""
    with mpmath.workdps(60):
        q, s = mpmath.mpf(rate), mpmath.mpf(noise)
        terms = (
            mpmath.binomial(order, k) * (1 - q) ** (order - k) * q**k * mpmath.exp(k * (k - 1) / (2 * s**2))
            for k in range(order + 1)
        )
        return mpmath.log(mpmath.fsum(terms)) / (order - 1)


@pytest.mark.parametrize("rate", [250 / 60000, 1e-6, 0.3, 0.999])
@pytest.mark.parametrize("noise", [0.3, 0.5, 1.0, 1.6, 12.0])
def test_whole_orders_equal_the_binomial_sum(noise: float, rate: float) -> None:
    for order in (2, 3, 7, 12, 33, 63):
        exact = closed_form(order, rate, noise)
        ours = mpmath.mpf(sampled_gaussian_rdp(float(order), rate, noise))
        assert exact <= ours <= exact * (1 + mpmath.mpf(10) ** -11) + mpmath.mpf("3e-14")


@pytest.mark.parametrize(
    ("order", "rate", "noise"),
    [(1.1, 250 / 60000, 1.6), (1.9, 250 / 60000, 0.5), (3.7, 0.1, 0.7), (6.4, 250 / 60000, 1.0), (10.9, 0.02, 1.3)],
)
def test_fractional_orders_equal_quadrature_in_both_directions(order: float, rate: float, noise: float) -> None:
    exact = max(mp_divergence(order, rate, noise, added) for added in (False, True))
    ours = sampled_gaussian_rdp(order, rate, noise)
    assert exact <= ours <= exact * (1 + 1e-11) + 2e-13


def test_the_full_batch_is_the_plain_gaussian() -> None:
    assert sampled_gaussian_rdp(5.5, 1.0, 2.0) == pytest.approx(5.5 / 8, rel=1e-14)
    nearly = sampled_gaussian_rdp(5.5, 1 - 1e-9, 2.0)
    assert nearly == pytest.approx(5.5 / 8, rel=1e-7)
    assert sampled_gaussian_rdp(5.5, 0.0, 2.0) == 0.0


def test_conversion_from_renyi_is_the_formula_and_its_inverse() -> None:
    curve = np.asarray(ORDERS) * 0.02
    with mpmath.workdps(40):
        exact = min(
            mpmath.mpf(float(rho)) + mpmath.log1p(-1 / mpmath.mpf(a)) - mpmath.log(mpmath.mpf(DELTA) * a) / (a - 1)
            for rho, a in zip(curve, map(mpmath.mpf, ORDERS), strict=True)
        )
    epsilon = epsilon_from_rdp(curve, DELTA)
    assert exact <= epsilon <= exact * (1 + 1e-11)
    assert delta_from_rdp(curve, epsilon) == pytest.approx(DELTA, rel=1e-9)
    assert epsilon_from_rdp(curve, 0) == math.inf
    assert epsilon_from_rdp(curve * 0, 0) == 0.0


def by_order(run: DpSgd, steps: int, order: float) -> float:
    """The epsilon that one order proves, by the conversion of rdp.py."""
    return steps * run.rdp(order) + math.log1p(-1 / order) - math.log(DELTA * order) / (order - 1)


@pytest.mark.parametrize(
    ("noise", "batch", "steps", "orders"),
    [
        (100.0, 250, 10, (1e3, 1e6)),  # the best order is near 20,000; the best of the grid, 63, gives 0.103
        (20.0, 60_000, 7, (10.0, 1e3)),
        (0.3, 60_000, 3000, (1 + 1e-4, 1.1)),  # near 1
        (1.0, 60, 1000, (2.0, 60.0)),  # inside: the Rényi curve itself rises steeply from order 13 on: looser than PLD
    ],
)
def test_the_grid_of_orders_grows_until_the_best_lies_inside(
    noise: float, batch: int, steps: int, orders: tuple[float, float]
) -> None:
    """Against 400 orders that are dense around the best one."""
    run = DpSgd(noise, batch, 60_000)
    epsilon = run.epsilon(steps, DELTA, "rdp")
    dense = min(by_order(run, steps, float(order)) for order in 1 + np.geomspace(*(o - 1 for o in orders), 400))
    assert dense * (1 - 2e-3) <= epsilon <= dense * (1 + 0.03)  # orders from 12 on are integers
    assert run.delta(steps, epsilon, "rdp") == pytest.approx(DELTA, rel=5e-3)


def test_much_noise_costs_little() -> None:
    """0.103 with orders up to 63 alone."""
    assert DpSgd(100.0, 250, 60_000).epsilon(10, DELTA, "rdp") == pytest.approx(1.908e-4, rel=1e-3)


def test_an_order_inside_the_grid_is_taken_as_it_is() -> None:
    run = DpSgd(0.5, 250, 60_000)
    assert run.epsilon(14_400, DELTA, "rdp") == epsilon_from_rdp(run.rdp_curve(14_400), DELTA)


@pytest.mark.parametrize(("order", "noise"), [(20_000.0, 100.0), (1.001, 0.3)])
def test_renyi_divergence_at_far_orders_against_quadrature(order: float, noise: float) -> None:
    rate = 250 / 60000
    with mpmath.workdps(30):
        q, s, a = mpmath.mpf(rate), mpmath.mpf(noise), mpmath.mpf(order)

        def power(exponent: mpmath.mpf) -> mpmath.mpf:
            peak = max(mpmath.mpf(0), exponent / s)
            density = lambda t: mpmath.npdf(t) * (1 - q + q * mpmath.exp(t / s - 1 / (2 * s * s))) ** exponent  # noqa: E731
            ends = [peak + step for step in range(-20, 21)]
            return mpmath.quad(density, [-25, *[end for end in sorted({*ends, *range(-20, 21)}) if end > -25]])

        exact = max(mpmath.log(power(a)), mpmath.log(power(1 - a))) / (a - 1)
        ours = mpmath.mpf(sampled_gaussian_rdp(order, rate, noise))
    assert exact * (1 - mpmath.mpf("1e-9")) <= ours <= exact * (1 + mpmath.mpf("1e-6")) + mpmath.mpf("1e-9")


def test_gaussian_duality_against_mpmath() -> None:
    for mu, epsilon in ((0.1, 0.2), (1.0, 3.0), (3.6, 21.0), (12.0, 150.0)):
        with mpmath.workdps(50):
            exact = mpmath.ncdf(-mpmath.mpf(epsilon) / mu + mpmath.mpf(mu) / 2) - mpmath.exp(epsilon) * mpmath.ncdf(
                -mpmath.mpf(epsilon) / mu - mpmath.mpf(mu) / 2
            )
        assert gdp.delta_from_mu(mu, epsilon) == pytest.approx(float(exact), rel=1e-9)
        assert gdp.epsilon_from_mu(mu, float(exact)) == pytest.approx(epsilon, rel=1e-9)
    assert gdp.epsilon_from_mu(0.5, 0) == math.inf
    assert gdp.epsilon_from_mu(1e-9, DELTA) == 0.0


def test_mu_is_the_central_limit_formula() -> None:
    with mpmath.workdps(30):
        exact = mpmath.mpf(250) / 60000 * mpmath.sqrt(13440 * mpmath.expm1(1))
    assert DpSgd(1.0, 250, 60000).mu(13440) == pytest.approx(float(exact), rel=1e-14)


@pytest.mark.xdist_group("dp_accounting")
@pytest.mark.parametrize(("noise", "steps"), [(1.0, 100), (4.0, 1), (20.0, 7)])
def test_bounds_are_above_the_exact_gaussian_composition(noise: float, steps: int) -> None:
    """Every example in every batch: the run is exactly sqrt(steps)/noise-GDP."""
    run, mu = DpSgd(noise, 50, 50), math.sqrt(steps) / noise
    for delta in (1e-2, 1e-5, 1e-8):
        exact = gdp.epsilon_from_mu(mu, delta)
        tight = run.epsilon(steps, delta, "pld")
        assert exact <= tight <= exact * 1.001 + 1e-4
        assert tight <= run.epsilon(steps, delta, "rdp") <= 2 * exact + 0.5
        assert gdp.delta_from_mu(mu, tight) <= run.delta(steps, tight) <= delta


@pytest.mark.xdist_group("dp_accounting")
def test_bounds_agree_with_dp_accounting() -> None:
    import dp_accounting
    from dp_accounting.pld import PLDAccountant
    from dp_accounting.rdp import RdpAccountant

    run = DpSgd(1.0, 250, 60000)
    step = dp_accounting.PoissonSampledDpEvent(250 / 60000, dp_accounting.GaussianDpEvent(1.0))
    library = PLDAccountant(value_discretization_interval=1e-4).compose(step, 13440).get_epsilon(DELTA)
    assert run.epsilon(13440, DELTA, "pld") == pytest.approx(library, rel=2e-3)
    whole = [float(order) for order in range(2, 64)]
    curve = [float(run.rdp(order)) for order in whole]
    theirs = RdpAccountant(whole).compose(step, 1)
    np.testing.assert_allclose(curve, theirs._rdp, rtol=1e-9, atol=3e-13)


@pytest.mark.xdist_group("dp_accounting")
def test_optimistic_estimate_lies_below() -> None:
    from dp_accounting.pld import privacy_loss_distribution as library

    optimistic = library.from_gaussian_mechanism(
        0.7, sampling_prob=250 / 60000, value_discretization_interval=1e-3, pessimistic_estimate=False,
        use_connect_dots=False,
    )  # fmt: skip
    below = optimistic.self_compose(2000).get_epsilon_for_delta(DELTA)
    ours = DpSgd(0.7, 250, 60000).epsilon(2000, DELTA)
    assert below < ours < DpSgd(0.7, 250, 60000).epsilon(2000, DELTA, "rdp")


@pytest.mark.xdist_group("dp_accounting")
def test_single_step_curve_is_within_its_stated_error() -> None:
    """delta of one step at grid points, where discretising adds nothing, against 40 digits."""
    q, s = 0.1, 0.8
    step = pld.gaussian_pld(q, s, 2.0**-10)
    for index in (1, 100, 700, 2000):
        epsilon = index * 2.0**-10
        with mpmath.workdps(40):
            cut = s**2 * mpmath.log((mpmath.exp(epsilon) - (1 - mpmath.mpf(q))) / q) + mpmath.mpf(1) / 2
            upper = (1 - mpmath.mpf(q)) * mpmath.ncdf(-cut / s) + q * mpmath.ncdf((1 - cut) / s)
            exact = upper - mpmath.exp(epsilon) * mpmath.ncdf(-cut / s)
        assert exact <= step.delta(epsilon) <= exact + mpmath.mpf("1e-11")


@pytest.mark.xdist_group("dp_accounting")
def test_library_fault_pessimistic_epsilon_below_the_truth_at_small_delta() -> None:
    """The fault that `slack` covers: FFT noise cuts the tail, so a Gaussian run's tiny delta is under-reported."""
    from dp_accounting.pld import privacy_loss_distribution as library

    step = library.from_gaussian_mechanism(10.0, value_discretization_interval=1e-3)
    composed = step.self_compose(400, tail_mass_truncation=0)
    truth = gdp.epsilon_from_mu(2.0, 1e-17)
    assert composed.get_epsilon_for_delta(1e-17) < truth
    with pytest.raises(ValueError, match=r'^delta must be more than \S+ here for method "pld", not 1e-17: use method'):
        DpSgd(10.0, 5, 5).epsilon(400, 1e-17)
    assert DpSgd(10.0, 5, 5).epsilon(400, 1e-17, "rdp") >= truth


@pytest.mark.xdist_group("dp_accounting")
def test_library_fault_a_small_distribution_composed_many_times() -> None:
    """Sparse distributions compute size ** count; ours are dense, so this returns at once."""
    assert DpSgd(2.0, 1, 10**9).delta(10**9, 1.0) < 1e-3


@pytest.mark.xdist_group("dp_accounting")
def test_more_steps_and_less_noise_never_cost_less() -> None:
    for method in ("pld", "rdp", "clt"):
        epsilons = [DpSgd(1.2, 100, 5000).epsilon(steps, DELTA, method) for steps in (0, 1, 100, 500)]
        assert epsilons == sorted(epsilons) and epsilons[0] == 0.0
        epsilons = [DpSgd(noise, 100, 5000).epsilon(200, DELTA, method) for noise in (4.0, 1.0, 0.6)]
        assert epsilons == sorted(epsilons)


@pytest.mark.xdist_group("dp_accounting")
def test_statement_says_everything() -> None:
    text = DpSgd(1.0, 250, 60000).statement(240, DELTA)
    for part in ("one training example, added or removed", "delta 1e-05", "all 240 steps", "sound bound", "Poisson",
                 "clipped", "every intermediate weight"):  # fmt: skip
        assert part in text
    assert "APPROXIMATION" in DpSgd(1.0, 250, 60000).statement(240, DELTA, "clt")


def test_missing_package_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(pld.metadata, "version", absent)
    pld.gaussian_pld.cache_clear()
    command = r"pip install '\.\[accounting\]' in the checkout"
    sentence = rf"^privacy-loss distributions need dp-accounting 0\.6\.0 \({command}\), found none$"
    with pytest.raises(pld.AccountingMissing, match=sentence):
        DpSgd(1.0, 10, 100).epsilon(10, DELTA)
    assert DpSgd(1.0, 10, 100).epsilon(10, DELTA, "rdp") > 0


def test_import_needs_no_heavy_library() -> None:
    import subprocess

    code = "import sys, spikeveil.host.privacy as p; p.DpSgd(1., 1, 2).epsilon(1, .1, 'rdp'); " \
        "assert not {'dp_accounting', 'torch', 'amaranth', 'scipy.stats'} & set(sys.modules)"  # fmt: skip
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((0.0, 1, 2), "noise multiplier must be at least 0.05 and finite, not 0.0"),
        ((math.inf, 1, 2), "noise multiplier must be at least 0.05 and finite, not inf"),
        ((math.nan, 1, 2), "noise multiplier must be at least 0.05 and finite, not nan"),
        (("1", 1, 2), "noise multiplier must be a number, not '1'"),
        ((1.0, 0, 2), "batch size must be at least 1, not 0"),
        ((1.0, 3, 2), "batch size must be at most the dataset size 2, not 3"),
        ((1.0, 1.5, 2), "batch size must be an integer, not 1.5"),
        ((1.0, 1, True), "dataset size must be an integer, not True"),
    ],
)
def test_bad_mechanisms_are_refused(arguments: tuple[float, int, int], sentence: str) -> None:
    with pytest.raises(ValueError) as refusal:
        DpSgd(*arguments)
    assert str(refusal.value) == sentence


def test_bad_questions_are_refused() -> None:
    run = DpSgd(1.0, 250, 60000)
    for call, sentence in (
        (lambda: run.epsilon(-1, DELTA), "steps must be at least 0, not -1"),
        (lambda: run.epsilon(1.0, DELTA), "steps must be an integer, not 1.0"),
        (lambda: run.epsilon(1, 1.0), "delta must be 0 or more and less than 1, not 1.0"),
        (lambda: run.epsilon(1, math.nan, "clt"), "delta must be 0 or more and less than 1, not nan"),
        (lambda: run.delta(1, -0.1), "epsilon must be 0 or more, not -0.1"),
        (lambda: run.epsilon(1, DELTA, "ma"), "method must be one of pld, rdp, clt, not 'ma'"),
        (lambda: run.rdp(1.0), "Rényi order must be more than 1 and finite, not 1.0"),
        (lambda: DpSgd(1.0, 7, 60000).steps(1), "steps in 1 epochs must be a whole number, not 8571.43: "
         "give the steps"),
        (lambda: epsilon_from_rdp(np.ones(3), DELTA), "Rényi curve must have one value for each of the 151 orders, "
         "not shape (3,)"),
    ):  # fmt: skip
        with pytest.raises(ValueError) as refusal:
            call()
        assert str(refusal.value) == sentence
    assert run.steps(60) == 14400
