"""Every surrogate against its formula by hand, its area, and snnTorch where both have it."""

import math
import warnings
from dataclasses import fields

import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from spikeveil.host.training.neurons import Neuron
from spikeveil.host.training.surrogates import (
    SURROGATES,
    Arctangent,
    ArctanhDerivative,
    FastSigmoid,
    Gate,
    GateTail,
    Gaussian,
    Normal,
    SnnTorchSpikeRateEscape,
    SnnTorchTriangular,
    SpikeRateEscape,
    StraightThrough,
    Surrogate,
    TanhDerivative,
    Triangular,
    surrogate_dict,
    surrogate_of,
)

#: surrogate -> its value at x = 0, at x = 1/4, and at x = -2, from the formulas by hand
VALUES: dict[Surrogate, tuple[float, float, float]] = {
    Gate(0.5): (2, 0, 0),
    GateTail(1.0, 0.2, 2.0): (1.2, 1 + 0.2 / 2.25, 0.2 / 25),
    TanhDerivative(): (1, 1 - math.tanh(0.25) ** 2, 1 - math.tanh(2) ** 2),
    Gaussian(2.0): (1, math.exp(-1 / 8), math.exp(-8)),
    ArctanhDerivative(0.9): (1, 16 / 15, 0),
    Normal(0.5): (2 / math.sqrt(2 * math.pi), 2 * math.exp(-1 / 8) / math.sqrt(2 * math.pi), 2.6766045e-4),
    FastSigmoid(4.0): (1, 1 / 4, 1 / 81),
    StraightThrough(): (1, 1, 1),
    Arctangent(2.0): (1, 1 / (1 + math.pi**2 / 16), 1 / (1 + 4 * math.pi**2)),
    SpikeRateEscape(2.0, 3.0): (3, 3 * math.exp(-0.5), 3 * math.exp(-4)),
    Triangular(0.5): (2, 1, 0),
    SnnTorchSpikeRateEscape(): (25 * math.exp(-1), 25 * math.exp(-0.75), 25 * math.exp(-3)),
    SnnTorchTriangular(): (-1, -1, 1),
}


@pytest.mark.parametrize("surrogate", VALUES, ids=str)
def test_values(surrogate: Surrogate) -> None:
    x = torch.tensor([0.0, 0.25, -2.0], dtype=torch.float64)
    assert_allclose(surrogate.derivative(x).numpy(), VALUES[surrogate], rtol=1e-7)
    assert_array_equal(x.numpy(), [0.0, 0.25, -2.0])  # nothing that was passed in is changed


def test_every_surrogate_has_its_values() -> None:
    assert {type(surrogate) for surrogate in VALUES} == set(SURROGATES.values())


@pytest.mark.parametrize(
    ("surrogate", "area"),
    [(Gate(0.7), 1), (Normal(0.3), 1), (Triangular(1.7), 1), (Arctangent(3.0), 1), (FastSigmoid(4.0), 2 / 4)],
    ids=str,
)
def test_area_under_the_curve(surrogate: Surrogate, area: float) -> None:
    """A surrogate of area 1 is the derivative of a soft step from 0 to 1."""
    ends = 400.0
    x = torch.linspace(-ends, ends, 800_001, dtype=torch.float64)
    assert float(torch.trapezoid(surrogate.derivative(x), x)) == pytest.approx(area, abs=2e-3)


#: DPSNN's equations 4 to 6, x = u - threshold, as printed but for the sign in the exponent of eq. 6
EQUATIONS = {
    4: (Gate(1.0), lambda x: 1.0 if abs(x) < 0.5 else 0.0),
    5: (TanhDerivative(), lambda x: 4 / (math.exp(-2 * x) + math.exp(2 * x) + 2)),
    6: (Gaussian(2.0), lambda x: math.exp(-2 * x**2)),
}


@pytest.mark.parametrize("equation", EQUATIONS)
def test_dpsnn_s_equations(equation: int) -> None:
    """Each at 2,001 points from -5 to 5, the edges of the gate among them."""
    surrogate, printed = EQUATIONS[equation]
    x = torch.linspace(-5, 5, 2001, dtype=torch.float64)
    x[[900, 1100]] = torch.tensor([-0.5, 0.5], dtype=torch.float64)
    assert_allclose(surrogate.derivative(x).numpy(), [printed(float(one)) for one in x], rtol=0, atol=1e-12)


def test_eq_5_at_the_point_where_arctanh_s_derivative_differs() -> None:
    """0.559 at x = 0.8, where 1 / (1 - x^2) is 2.78."""
    x = torch.tensor([0.8], dtype=torch.float64)
    assert float(TanhDerivative().derivative(x)) == pytest.approx(0.559, abs=5e-4)
    assert float(ArctanhDerivative().derivative(x)) == pytest.approx(2.78, abs=5e-3)


def test_eq_5_far_from_the_threshold_is_zero_and_finite() -> None:
    far = TanhDerivative().derivative(torch.tensor([-1e4, 50.0, 1e4]))
    assert far.tolist() == [0.0, 0.0, 0.0]


def test_the_sign_that_the_paper_prints_would_grow() -> None:
    """Eq. 6 as printed, exp(+2 x^2), is over 1,000 at x = 2; with the sign restored it is all but gone."""
    at = float(Gaussian(2.0).derivative(torch.tensor(2.0)))
    assert math.exp(2 * 2**2) > 1000 > 1 > at


def test_arctanh_is_what_it_is_the_derivative_of() -> None:
    x = torch.linspace(-0.85, 0.85, 101, dtype=torch.float64).requires_grad_()
    assert_allclose(
        ArctanhDerivative().derivative(x.detach()), torch.autograd.grad(torch.atanh(x).sum(), x)[0], rtol=1e-12
    )


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (FastSigmoid(25.0), "fast_sigmoid"),
        (Arctangent(2.0), "atan"),
        (StraightThrough(), "straight_through_estimator"),
        (SnnTorchSpikeRateEscape(), "spike_rate_escape"),
        (SnnTorchTriangular(), "triangular"),
    ],
    ids=str,
)
def test_snntorch_s_own(ours: Surrogate, theirs: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        surrogate = pytest.importorskip("snntorch.surrogate")
    x = torch.linspace(-3, 3, 601).requires_grad_()
    (wanted,) = torch.autograd.grad(getattr(surrogate, theirs)()(x).sum(), x)
    assert_allclose(ours.derivative(x.detach()), wanted, rtol=1e-6)


@pytest.mark.parametrize(("ours", "theirs"), [(SpikeRateEscape(), "spike_rate_escape"), (Triangular(), "triangular")])
def test_where_snntorch_s_is_not_what_its_name_says(ours: Surrogate, theirs: str) -> None:
    """Ours has its peak at the threshold and falls on both sides; snnTorch's does not, which is why there are two."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        surrogate = pytest.importorskip("snntorch.surrogate")
    x = torch.linspace(-3, 3, 601).requires_grad_()
    (wanted,) = torch.autograd.grad(getattr(surrogate, theirs)()(x).sum(), x)
    places = x.detach()
    assert float(places[ours.derivative(places).argmax()]) == pytest.approx(0, abs=1e-6)
    assert abs(float(places[wanted.argmax()])) > 0.9


def test_a_neuron_uses_its_surrogate() -> None:
    neuron = Neuron(0.0, 1.0, "subtract", Triangular(1.0))
    current = torch.tensor([[[0.5, 1.25, 3.0]]], requires_grad=True)
    (gradient,) = torch.autograd.grad(neuron.run(current, 1).sum(), current)
    assert_allclose(gradient.numpy(), [[[0.5, 0.75, 0.0]]])


@pytest.mark.parametrize("name", SURROGATES)
def test_a_surrogate_is_its_record(name: str) -> None:
    numbers = {field.name: 0.75 for field in fields(SURROGATES[name])}
    surrogate = surrogate_of({"name": name, **numbers})
    assert surrogate == SURROGATES[name](**numbers)
    assert surrogate_dict(surrogate) == {"name": name, **numbers}


@pytest.mark.parametrize(
    ("record", "sentence"),
    [
        ({"name": "gate", "width": 0.0}, "surrogate width must be above 0 and finite, not 0.0"),
        ({"name": "gate", "width": "1"}, "surrogate width must be a number, not '1'"),
        ({"name": "gate", "slope": 1.0}, "surrogate 'gate' takes width, not 'slope'"),
        ({"name": "straight_through", "slope": 1.0}, "surrogate 'straight_through' takes no parameters, not 'slope'"),
        ({"name": "arctanh", "cut": 1.5}, "surrogate cut must be below 1, where the curve has a pole, not 1.5"),
        (
            {"name": "relu"},
            "surrogate name must be one of 'gate', 'gate_tail', 'tanh_derivative', 'gaussian', 'arctanh', "
            "'normal', 'fast_sigmoid', 'straight_through', 'arctangent', 'spike_rate_escape', 'triangular', "
            "'snntorch_spike_rate_escape', 'snntorch_triangular', not 'relu'",
        ),
    ],
)
def test_a_refusal_is_one_sentence(record: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError) as refusal:
        surrogate_of(record)
    assert str(refusal.value) == sentence
