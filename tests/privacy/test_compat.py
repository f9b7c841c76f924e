"""The tutorial's code with only its import line changed, and what is safer here."""

import contextlib
import io
import math
import warnings

import numpy as np
import pytest
from scipy.stats import beta, binomtest

from spikeveil.host.privacy import BudgetExceeded
from spikeveil.host.privacy.compat import (
    BudgetExhausted,
    MembershipAudit,
    NoPrivacy,
    PerSpikeCharge,
    PrivacyAccountant,
    SpikeLevelDP,
)

#: the statements of sc_neurocore's Tutorial 62 in order, without its comments; only the two import lines differ
TUTORIAL = """
import numpy as np
from spikeveil.host.privacy.compat import SpikeLevelDP, PrivacyAccountant

rng = np.random.default_rng(42)

dp = SpikeLevelDP(
    epsilon=1.0,
    mechanism="randomized_response",
)

raw_spikes = (rng.random((100, 64)) < 0.1).astype(np.int8)
private_spikes = dp.privatize(raw_spikes)

print(f"Original spikes: {raw_spikes.sum()}")
print(f"Private spikes:  {private_spikes.sum()}")
print(f"Changed:         {(raw_spikes != private_spikes).sum()}")

accountant = PrivacyAccountant(target_epsilon=10.0)

for epoch in range(100):
    accountant.record_step(dp.per_step_epsilon)

    if accountant.budget_exhausted:
        print(f"Budget exhausted at epoch {epoch}")
        break

print(accountant.summary())

from spikeveil.host.privacy.compat import MembershipAudit

def my_model(x):
    return np.random.rand(10)

audit = MembershipAudit(run_fn=my_model)

training_samples = rng.standard_normal((100, 784)).astype(np.float32)
holdout_samples = rng.standard_normal((100, 784)).astype(np.float32)

result = audit.audit(training_samples, holdout_samples)
print(f"Inference accuracy: {result['accuracy']:.2%}")
print(f"Vulnerable: {result['vulnerable']}")
"""


def test_the_tutorial_runs_with_only_its_import_lines_changed() -> None:
    printed, names = io.StringIO(), {}
    with contextlib.redirect_stdout(printed), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        exec(compile(TUTORIAL, "tutorial", "exec"), names)  # noqa: S102
    lines = printed.getvalue().splitlines()
    changed = int(lines[2].split()[-1])
    assert binomtest(changed, 6400, 1 / (1 + math.e)).pvalue > 1e-9
    assert names["private_spikes"].dtype == np.int8 and names["private_spikes"].shape == (100, 64)
    assert lines[3:8] == [
        "Budget exhausted at epoch 9",
        "Total ε consumed: 10.0 / 10.0",
        "Steps taken: 10",
        "ε per step: 1.0",
        "Budget status: EXHAUSTED",
    ]
    assert lines[8].startswith("Inference accuracy: ") and lines[9] in ("Vulnerable: True", "Vulnerable: False")
    assert [warning.category for warning in caught] == [PerSpikeCharge, BudgetExhausted]
    assert str(caught[0].message) == (
        "epsilon 1.0 covers one spike of the 6400 released together: the whole record costs up to 6400.0 "
        "(record_raster charges it)"
    )
    assert str(caught[1].message) == "privacy budget exhausted: 10.0 of 10.0 after 10 steps"


def test_two_instances_never_share_a_mask() -> None:
    zeros = np.zeros((100, 64), dtype=np.int8)
    masks = [SpikeLevelDP(epsilon=1.0).privatize(zeros) for _ in range(2)]
    differing = int((masks[0] != masks[1]).sum())
    p = 1 / (1 + math.e)
    assert binomtest(differing, 6400, 2 * p * (1 - p)).pvalue > 1e-9


def test_a_given_seed_repeats_warns_and_is_worth_nothing() -> None:
    zeros = np.zeros(1000, dtype=np.int8)
    with pytest.warns(NoPrivacy, match=r"^anyone who knows the seed can recompute .* \(epsilon is infinite\)$"):
        first = SpikeLevelDP(seed=42)
    with pytest.warns(NoPrivacy):
        second = SpikeLevelDP(seed=42)
    np.testing.assert_array_equal(first.privatize(zeros), second.privatize(zeros))
    assert first.per_step_epsilon == first.raster_epsilon((2, 2)) == math.inf
    with pytest.raises(ValueError, match=r"^step epsilon must be finite, not inf$"):
        PrivacyAccountant(10.0).record_step(first.per_step_epsilon)
    with pytest.raises(ValueError, match=r"^step epsilon must be finite: this mechanism is not differentially"):
        PrivacyAccountant(10.0).record_raster(first, (2, 2))


def test_subsampling_runs_makes_no_spike_and_is_not_private() -> None:
    with pytest.warns(NoPrivacy, match="^spike subsampling is not differentially private"):
        dp = SpikeLevelDP(epsilon=1.0, mechanism="subsampling")
    ones = np.ones(20_000, dtype=np.int8)
    kept = int(dp.privatize(ones).sum())
    assert binomtest(kept, 20_000, math.e / (1 + math.e)).pvalue > 1e-9
    assert not dp.privatize(0 * ones).any()
    assert dp.per_step_epsilon == math.inf and dp.subsampling.epsilon == math.inf
    assert float(dp.subsampling.keep) == pytest.approx(math.e / (1 + math.e), abs=2e-5)


@pytest.mark.parametrize("epsilon", [0.0, 0.1, 1.0, 10.0, 50.0])
def test_the_real_epsilon_is_at_or_under_the_charged_one(epsilon: float) -> None:
    dp = SpikeLevelDP(epsilon)
    assert math.log((1 - dp.flip_prob) / dp.flip_prob) <= dp.per_step_epsilon + 1e-12
    assert isinstance(dp.per_step_epsilon, float) and dp.per_step_epsilon == epsilon
    assert dp.raster_epsilon((10, 16)) == pytest.approx(160 * dp.response.epsilon, rel=1e-12)


def test_a_raster_is_charged_as_a_record() -> None:
    dp, accountant = SpikeLevelDP(1.0), PrivacyAccountant(target_epsilon=170.0)
    accountant.record_raster(dp, (10, 16))
    assert accountant.spent_epsilon == pytest.approx(160, abs=0.01)
    with pytest.raises(BudgetExceeded, match="record level"):
        accountant.record_raster(dp, (10, 16))
    assert dp.raster_epsilon((10, 16), 1e-5) == pytest.approx(117.8, abs=0.05)


def test_ten_tenths_exhaust_one_exactly_and_nothing_more_is_taken() -> None:
    accountant = PrivacyAccountant(target_epsilon=1.0)
    for _ in range(9):
        accountant.record_step(0.1)
        assert not accountant.budget_exhausted
    assert accountant.summary().splitlines()[3] == "Budget status: ACTIVE"
    with pytest.raises(BudgetExceeded, match=r"limit 1, spent 0\.9, asked 0\.11"):
        accountant.record_step(0.11)
    with pytest.warns(BudgetExhausted):
        accountant.record_step(0.1)
    assert (accountant.spent_epsilon, accountant.remaining_epsilon, accountant.budget_exhausted) == (1.0, 0.0, True)
    assert accountant.summary() == (
        "Total ε consumed: 1.0 / 1.0\nSteps taken: 10\nε per step: 0.1\nBudget status: EXHAUSTED"
    )


def leaky(x: np.ndarray) -> np.ndarray:
    """A model that is surer of the samples it was trained on: their first value is 1."""
    return np.array([0.1, 0.5 + 0.4 * float(x[0])])


def samples(value: float, count: int) -> np.ndarray:
    return np.full((count, 3), value)


def test_positive_control_a_leaking_model_is_found_either_way_round() -> None:
    for inside, outside in ((1.0, 0.0), (0.0, 1.0)):
        result = MembershipAudit(leaky).audit(samples(inside, 100), samples(outside, 100))
        assert result["accuracy"] == 1.0 and result["vulnerable"] is True and result["accuracy_high"] == 1.0
        low = float(beta.ppf(0.0125, 50, 1))
        assert result["accuracy_low"] == pytest.approx(low, rel=1e-12)
        assert result["epsilon_low"] == pytest.approx(math.log((low - 1e-5) / (1 - low)), rel=1e-9)
    assert result["member_confidence"] == pytest.approx(0.5) and result["non_member_confidence"] == pytest.approx(0.9)


def test_negative_control_bounds_cover_chance_and_prove_nothing() -> None:
    """200 audits of a model that knows nothing: the 95 % bounds must cover 1/2 nearly always, epsilon_low stay 0."""
    rng = np.random.default_rng(1)
    missed = proved = 0
    for _ in range(200):
        result = MembershipAudit(lambda x: rng.random(10)).audit(samples(0, 60), samples(0, 60))
        missed += not result["accuracy_low"] <= 0.5 <= result["accuracy_high"]
        proved += result["epsilon_low"] > 0
        assert result["vulnerable"] is (result["accuracy"] > 0.55) and result["tested"] == 60
    assert missed <= 10 and proved <= 10


def test_bounds_are_clopper_pearson() -> None:
    from spikeveil.host.privacy.membership import clopper_pearson

    for count, trials in ((0, 10), (3, 10), (10, 10), (57, 100)):
        theirs = binomtest(count, trials).proportion_ci(0.975, method="exact")
        assert clopper_pearson(count, trials, 0.95) == pytest.approx((theirs.low, theirs.high), rel=1e-9)


def test_bad_arguments_are_refused() -> None:
    audit = MembershipAudit(leaky)
    for call, sentence in (
        (lambda: SpikeLevelDP(-1.0), "epsilon must be 0 or more and finite, not -1.0"),
        (lambda: SpikeLevelDP(math.inf), "epsilon must be 0 or more and finite, not inf"),
        (
            lambda: SpikeLevelDP(1.0, "laplace"),
            "mechanism must be randomized_response or subsampling, not 'laplace'",
        ),
        (lambda: SpikeLevelDP().privatize(np.array([0, 2])), "spikes must be an array of 0 and 1 only"),
        (lambda: PrivacyAccountant(-1.0), "target epsilon must be 0 or more, not -1.0"),
        (lambda: PrivacyAccountant(1.0, 1.0), "target delta must be under 1, not 1.0"),
        (lambda: PrivacyAccountant(1.0).record_step(-0.5), "step epsilon must be 0 or more, not -0.5"),
        (lambda: PrivacyAccountant(1.0).record_step(math.nan), "step epsilon must be finite, not nan"),
        (lambda: MembershipAudit(None), "audit run_fn must be callable, not None"),  # type: ignore[arg-type]
        (lambda: audit.audit(samples(1, 1), samples(0, 9)), "audit needs at least 2 member samples, not 1"),
        (lambda: audit.audit(samples(1, 9), samples(0, 0)), "audit needs at least 2 non-member samples, not 0"),
        (
            lambda: MembershipAudit(lambda x: [math.nan]).audit(samples(1, 9), samples(0, 9)),
            "audit run_fn must return at least one number and only finite ones",
        ),
        (
            lambda: audit.audit(samples(1, 9), samples(0, 9), confidence=1.0),
            "audit confidence must be above 0 and under 1, not 1.0",
        ),
        (
            lambda: audit.audit(samples(1, 9), samples(0, 9), delta=1.0),
            "audit delta must be 0 or more and under 1, not 1.0",
        ),
    ):
        with pytest.raises(ValueError) as refusal:
            call()
        assert str(refusal.value) == sentence
