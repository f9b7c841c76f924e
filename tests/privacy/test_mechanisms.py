"""Mechanisms: closed forms, and what released bits say about the raw ones."""

import math
from dataclasses import FrozenInstanceError
from fractions import Fraction

import mpmath
import numpy as np
import pytest

from spikeveil.host.privacy import KaryRandomizedResponse, RandomizedResponse, SpikeSubsampling
from spikeveil.pysim.model.flipper import FlipSpec, release

# ---- randomised response on a bit


def test_a_response_is_its_flip_specification():
    mechanism = RandomizedResponse(threshold=17626, bits=16)
    assert isinstance(mechanism, FlipSpec)
    assert mechanism.flip_probability == mechanism.flip_probability == Fraction(17626, 65536)
    assert mechanism == RandomizedResponse.for_epsilon(1.0)
    with pytest.raises(FrozenInstanceError):
        mechanism.threshold = 1


@pytest.mark.parametrize(("threshold", "bits", "ratio"), [(1, 2, 3), (1, 8, 255), (1, 16, 65535), (64, 8, 3)])
def test_epsilon_of_one_spike_is_the_log_odds_rounded_up(threshold, bits, ratio):
    with mpmath.workdps(40):
        truth = mpmath.log(ratio)
        assert truth <= RandomizedResponse(threshold, bits).epsilon <= truth * (1 + mpmath.mpf(2) ** -52)
    assert RandomizedResponse(threshold, bits).epsilon_composed(1, 0.0) == RandomizedResponse(threshold, bits).epsilon


def test_no_protection_is_asked_of_a_fair_coin():
    assert RandomizedResponse(1, 1).epsilon == RandomizedResponse(1, 1).epsilon_composed(10**9, 0.0) == 0.0


def test_composed_curve_and_its_inverse():
    mechanism = RandomizedResponse(1, 2)
    epsilon = mechanism.epsilon_composed(100, 1e-6)
    assert round(epsilon, 6) == 94.289868
    assert mechanism.delta_composed(100, epsilon) == pytest.approx(1e-6, rel=1e-9)


@pytest.mark.parametrize(("threshold", "bits"), [(0, 8), (129, 8), (1, 0), (1, 17), (1.5, 8)])
def test_a_flipper_that_hides_nothing_or_lies_is_refused(threshold, bits):
    with pytest.raises(ValueError, match=r"flip (threshold|bits) must be"):
        RandomizedResponse(threshold, bits)


# ---- debiasing


def test_estimates_by_hand():
    """p = 1/4: 40 of 100 released ones are (0.4 - 0.25) / 0.5 = 0.3 of raw ones."""
    estimate = RandomizedResponse(1, 2).debias(40, 100)
    assert estimate.rate == pytest.approx(0.3)
    assert estimate.count == pytest.approx(30)
    assert estimate.noise_error == pytest.approx(math.sqrt(0.25 * 0.75 / 100) / 0.5)
    assert estimate.sampling_error == pytest.approx(math.sqrt(0.3 * 0.7 / 100))
    assert estimate.standard_error == pytest.approx(math.sqrt(0.4 * 0.6 / 100) / 0.5)  # one binomial draw at y = 0.4


def test_interval_is_clopper_pearson_mapped():
    """0 of 10 and 10 of 10 have the closed form 1 - (tail)^(1/10)."""
    mechanism = RandomizedResponse(1, 3)
    bound = 1 - 0.025 ** (1 / 10)
    low, high = mechanism.debias(np.array([0, 10]), 10).interval(0.95)
    assert low == pytest.approx([0.0, (1 - bound - 0.125) / 0.75])
    assert high == pytest.approx([(bound - 0.125) / 0.75, 1.0])


def test_estimates_are_unbiased_and_their_errors_true():
    """4,000 simulated releases of 64 neurons' trains of 400 steps: mean, spread and coverage."""
    generator = np.random.default_rng(3)
    mechanism, steps, rate = RandomizedResponse(77, 8), 400, 0.1
    raw = generator.random((4000, steps)) < rate
    words = generator.integers(0, 256, size=raw.shape, dtype=np.uint8)
    ones = release(raw, mechanism.masks(words)).sum(axis=1)
    estimate = mechanism.debias(ones, steps)
    assert np.mean(estimate.rate) == pytest.approx(
        rate, abs=4 * float(np.mean(estimate.standard_error)) / math.sqrt(4000)
    )
    assert np.std(estimate.rate - raw.mean(axis=1)) == pytest.approx(float(estimate.noise_error[0]), rel=0.05)
    assert np.std(estimate.rate) == pytest.approx(float(np.mean(estimate.standard_error)), rel=0.05)
    low, high = estimate.interval(0.9)
    assert 0.9 <= np.mean((low <= rate) & (rate <= high)) < 0.93


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (
            lambda: RandomizedResponse(1, 1).debias(3, 10),
            "debiasing needs a flip probability under 1/2: at 1/2 the released bits carry no information",
        ),
        (lambda: RandomizedResponse(1, 2).debias(11, 10), "released ones must be 0 to 10, not 11 to 11"),
        (lambda: RandomizedResponse(1, 2).debias(np.array([1.5]), 10), "released ones must be integers, not float64"),
        (lambda: RandomizedResponse(1, 2).debias(1, 0), "bits must be an integer of 1 or more, not 0"),
        (
            lambda: RandomizedResponse(1, 2).debias(1, 10).interval(1.0),
            "confidence must be above 0 and under 1, not 1.0",
        ),
    ],
)
def test_impossible_counts_are_refused(call, sentence):
    with pytest.raises(ValueError) as caught:
        call()
    assert str(caught.value) == sentence


# ---- randomised response on a label


def test_two_classes_are_a_bit():
    label, bit = KaryRandomizedResponse(2, 77, 8), RandomizedResponse(77, 8)
    assert label.flip_probability == bit.flip_probability
    assert label.epsilon == bit.epsilon
    assert label.epsilon_composed(50, 1e-6) == bit.epsilon_composed(50, 1e-6)


def test_label_epsilon_is_the_largest_log_ratio():
    """10 classes, replaced with probability 1/4: 3/4 against 1/36."""
    with mpmath.workdps(40):
        assert mpmath.log(27) <= KaryRandomizedResponse(10, 1, 2).epsilon <= mpmath.log(27) * (1 + mpmath.mpf(2) ** -52)
    assert KaryRandomizedResponse(4, 3, 2).epsilon == 0.0  # 1/4 each: uniform


def test_one_label_reaches_its_delta():
    """delta(epsilon) = 1 - r - e^epsilon r / (c - 1) is under the dominating response's, equal at two classes."""
    label, epsilon = KaryRandomizedResponse(10, 1, 2), 2.0
    own = 0.75 - math.exp(epsilon) / 36
    assert own < label.delta_composed(1, epsilon) < 27 / 28


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((1, 1, 8), "label classes must be an integer from 2 to 65536, not 1"),
        ((10, 1, 17), "label bits must be an integer from 1 to 16, not 17"),
        ((10, 0, 8), "label threshold must be an integer from 1 to 230 for 10 classes and 8-bit words, not 0"),
        ((10, 231, 8), "label threshold must be an integer from 1 to 230 for 10 classes and 8-bit words, not 231"),
        ((10, 2.0, 8), "label threshold must be an integer from 1 to 230 for 10 classes and 8-bit words, not 2.0"),
    ],
)
def test_bad_label_mechanisms_are_refused(arguments, sentence):
    with pytest.raises(ValueError) as caught:
        KaryRandomizedResponse(*arguments)
    assert str(caught.value) == sentence


# ---- subsampling


def test_subsampling_is_not_private():
    thinning = SpikeSubsampling(0.25)
    assert thinning.epsilon == math.inf
    assert thinning.delta == 0.25
    assert thinning.delta_composed(2) == thinning.delta_composed(2, 50.0) == 1 - 0.75**2
    assert thinning.epsilon_composed(2, 0.4) == math.inf
    assert thinning.epsilon_composed(2, 0.4375) == 0.0


def test_delta_of_subsampling_is_rounded_up():
    for keep, count in ((1e-300, 1), (1e-12, 10**9), (Fraction(1, 3), 40)):
        with mpmath.workdps(700):
            chance = mpmath.mpf(Fraction(keep).numerator) / Fraction(keep).denominator
            truth = 1 - (1 - chance) ** count
            assert truth <= SpikeSubsampling(keep).delta_composed(count) <= truth * (1 + mpmath.mpf(10) ** -15)


@pytest.mark.parametrize("keep", [0, -0.1, 1.5, math.nan, True])
def test_impossible_keep_probabilities_are_refused(keep):
    with pytest.raises(ValueError, match="keep probability must be above 0 and at most 1, not "):
        SpikeSubsampling(keep)
