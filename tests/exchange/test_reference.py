"""NIR files against what their own libraries computed, and every linear node against torch."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support.paths import DATA

from spikeveil.host.data import load_data
from spikeveil.host.exchange import operations, reference
from spikeveil.host.exchange.choices import Choices
from spikeveil.host.exchange.neurons import population
from spikeveil.host.exchange.nodes import Node

torch = pytest.importorskip("torch")
pytest.importorskip("nir")

NIR = DATA / "nir"
SNNTORCH: dict[str, Any] = {"dt": 1e-4, "decay": "euler", "compare": "gt"}
#: file that another library's exporter wrote -> what that library means by it
MEANT = {
    "snntorch_delayed": Choices(reset="subtract", reset_timing="delayed", **SNNTORCH),
    "snntorch_immediate": Choices(reset="subtract", reset_timing="snntorch", **SNNTORCH),
    "snntorch_if": Choices(reset="subtract", reset_timing="delayed", **SNNTORCH),
    "snntorch_conv": Choices(reset="zero", reset_timing="delayed", **SNNTORCH),
    "spikingjelly_lif": Choices(1e-4, "euler", "zero", "immediate", "ge", initial="reset"),
    "sinabs_lif": Choices(1.0, "exp", "subtract", "immediate", "ge", gain="one-minus-beta"),
    "rockpool_lif": Choices(1e-3, "exp", "subtract", "immediate", "ge", gain="one"),
    "norse_lifbox": Choices(1e-6, "euler", "zero", "immediate", "gt"),
}


@pytest.mark.parametrize("name", MEANT)
def test_every_spike_is_the_one_that_the_exporting_library_computed(name: str) -> None:
    recorded = load_data(NIR / f"{name}.npz")
    graph = reference.load_graph(NIR / f"{name}.nir", MEANT[name])
    assert recorded.output_spikes is not None and recorded.output_spikes.any()
    np.testing.assert_array_equal(graph.run(recorded.inputs)[-1].spikes, recorded.output_spikes)


@pytest.mark.parametrize("name", ["snntorch_delayed", "snntorch_immediate", "sinabs_lif"])
def test_another_choice_gives_other_spikes(name: str) -> None:
    recorded = load_data(NIR / f"{name}.npz")
    other = Choices.of(MEANT[name].to_dict() | {"reset_timing": "immediate", "reset": "zero"})
    found = reference.load_graph(NIR / f"{name}.nir", other).run(recorded.inputs)[-1].spikes
    assert (found != recorded.output_spikes).any()


@pytest.mark.parametrize("timing", ["delayed", "snntorch"])
@pytest.mark.parametrize("reset", ["zero", "subtract"])
@pytest.mark.parametrize("beta", [0.0, 0.13, 0.9, 1.0])
def test_a_leaky_neuron_is_snntorchs_spike_for_spike(beta: float, reset: str, timing: str) -> None:
    snntorch = pytest.importorskip("snntorch")
    x = np.random.default_rng(2).normal(0.4, 1.0, (5, 60, 7)).astype(np.float32)
    leaky = snntorch.Leaky(beta=beta, reset_mechanism=reset, reset_delay=timing == "delayed")
    mem, spikes = leaky.init_leaky(), []
    for t in range(x.shape[1]):
        s, mem = leaky(torch.from_numpy(x[:, t]), mem)
        spikes.append(s.numpy() > 0)
    with np.errstate(divide="ignore"):  # as snnTorch's exporter computes tau and r, in float32
        tau = np.float32(1e-4) / (1 - np.full(7, beta, np.float32))
    fields = {"tau": tau, "r": tau / np.float32(1e-4), "v_leak": 0 * x[0, 0], "v_threshold": np.ones(7, np.float32)}
    neurons = population(Node("n", "LIF", fields), (7,), Choices(reset=reset, reset_timing=timing, **SNNTORCH))
    np.testing.assert_array_equal(neurons.beta, np.full(7, beta, np.float32))
    np.testing.assert_array_equal(neurons.gain, np.ones(7, np.float32))
    np.testing.assert_array_equal(neurons.run(x)[0], np.stack(spikes, axis=1))


def integers(shape: tuple[int, ...], seed: int) -> NDArray[np.float32]:
    """Small integers: products of them are exact, in whatever order they are added."""
    return np.random.default_rng(seed).integers(-8, 9, shape).astype(np.float32)


CONVOLUTIONS = [  # kind, weight shape, input, torch's own arguments
    ("Conv1d", (4, 3, 3), (3, 9), {}),
    ("Conv1d", (4, 3, 2), (3, 9), {"stride": 2, "padding": 1, "dilation": 3}),
    ("Conv1d", (4, 1, 3), (2, 8), {"groups": 2, "padding": "same", "dilation": 2}),
    ("Conv2d", (4, 3, 3, 3), (3, 7, 6), {"padding": 1, "stride": 2}),
    ("Conv2d", (4, 3, 3, 2), (3, 7, 6), {"padding": (0, 2), "stride": (2, 1), "dilation": (1, 2)}),
    ("Conv2d", (6, 2, 2, 3), (4, 5, 5), {"groups": 2, "padding": "valid"}),
    ("Conv2d", (4, 1, 4, 2), (4, 5, 5), {"groups": 4, "padding": "same"}),
]


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")  # torch copies; we compare
@pytest.mark.parametrize(("kind", "shape", "size", "options"), CONVOLUTIONS)
def test_convolutions_are_torchs(
    kind: str, shape: tuple[int, ...], size: tuple[int, ...], options: dict[str, Any]
) -> None:
    weight, bias, x = integers(shape, 1), integers(shape[:1], 2), integers((2, *size), 3)
    run = {"Conv1d": torch.nn.functional.conv1d, "Conv2d": torch.nn.functional.conv2d}[kind]
    expected = run(*map(torch.from_numpy, (x, weight, bias)), **options).numpy()
    defaults: dict[str, Any] = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1}
    fields = {"weight": weight, "bias": bias, **(defaults | options)}
    np.testing.assert_array_equal(operations.apply(Node("c", kind, fields), x), expected)


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(2, 2, 0), ((2, 3), (1, 2), (1, 1)), (3, 1, 1)])
def test_pools_are_torchs(kernel: Any, stride: Any, padding: Any) -> None:
    x = integers((2, 3, 6, 7), 4)
    fields = {"kernel_size": kernel, "stride": stride, "padding": padding}
    taps = np.prod(kernel) if np.ndim(kernel) else kernel * kernel
    average = torch.nn.functional.avg_pool2d(torch.from_numpy(x), kernel, stride, padding).numpy()
    np.testing.assert_array_equal(operations.apply(Node("p", "AvgPool2d", fields), x), average)
    np.testing.assert_array_equal(operations.apply(Node("p", "SumPool2d", fields), x), np.rint(average * taps))


@pytest.mark.parametrize(("start", "end"), [(0, -1), (1, -1), (0, 1), (-2, -1), (1, 2)])
def test_flatten_is_torchs_without_the_batch(start: int, end: int) -> None:
    x = integers((2, 3, 4, 5), 5)
    dims = [dim + 1 if dim >= 0 else dim for dim in (start, end)]
    expected = torch.flatten(torch.from_numpy(x), *dims).numpy()
    np.testing.assert_array_equal(
        operations.apply(Node("f", "Flatten", {"start_dim": start, "end_dim": end}), x), expected
    )


MISFITS = [
    ("Affine", {"weight": np.ones((2, 3))}, (3,), "node 'n' (Affine) must have the field 'bias', not only weight"),
    ("Linear", {"weight": np.ones((2, 3))}, (4,), "node 'n' (Linear) must be given 3 numbers, not shape (4,)"),
    ("Linear", {"weight": np.ones(3)}, (3,), "node 'n' (Linear) weight must have shape (outputs, inputs), not (3,)"),
    ("Scale", {"scale": np.ones(2)}, (3,), "node 'n' (Scale) scale must have shape (3,), that of its input, not (2,)"),
    (
        "Flatten",
        {"start_dim": 1, "end_dim": -1},
        (3,),
        "node 'n' (Flatten) must flatten dimensions of (3,), which has 1, not 1 to -1",
    ),
    (
        "SumPool2d",
        {"kernel_size": 2, "stride": 0, "padding": 0},
        (1, 4, 4),
        "node 'n' (SumPool2d) stride must be 2 whole numbers of 1 or more, not [0.0, 0.0]",
    ),
    (
        "AvgPool2d",
        {"kernel_size": 5, "stride": 1, "padding": 0},
        (1, 4, 4),
        "node 'n' (AvgPool2d) kernel must fit the padded input (4, 4), and it spans (5, 5)",
    ),
    (
        "Conv1d",
        {"weight": np.ones((2, 1, 3)), "stride": 2, "padding": "same", "dilation": 1, "groups": 1},
        (1, 8),
        "node 'n' (Conv1d) stride must be 1 where padding is 'same', not (2,)",
    ),
    (
        "Conv2d",
        {"weight": np.ones((2, 1, 3, 3)), "stride": 1, "padding": 0, "dilation": 1, "groups": 1},
        (2, 8, 8),
        "node 'n' (Conv2d) must be given (1 channels, 2 dimensions), not shape (2, 8, 8)",
    ),
]


@pytest.mark.parametrize(("kind", "fields", "shape", "sentence"), MISFITS)
def test_a_node_that_does_not_fit_its_input_says_so(
    kind: str, fields: dict[str, Any], shape: tuple[int, ...], sentence: str
) -> None:
    with pytest.raises(ValueError) as refusal:
        operations.apply(Node("n", kind, fields), np.zeros((1, *shape), np.float32))
    assert str(refusal.value) == sentence


def lif(**changes: Any) -> Node:
    fields: dict[str, Any] = {"tau": np.array(2.0), "r": np.array(1.0), "v_leak": np.array(0.0)}
    return Node("n", "LIF", fields | {"v_threshold": np.array(1.0), "v_reset": np.array(0.0)} | changes)


REST = ("zero", "immediate", "ge")
CHOICES = Choices(1.0, "euler", *REST)


def test_beta_and_gain_by_each_choice() -> None:
    by = {
        ("euler", "dt-over-tau"): (0.5, 0.5),
        ("euler", "r"): (0.5, 1.0),
        ("exp", "one"): (np.exp(-0.5), 1.0),
        ("exp", "dt-over-tau"): (np.exp(-0.5), 0.5),
        ("exp", "one-minus-beta"): (np.exp(-0.5), 1 - np.exp(-0.5)),
    }
    for (decay, gain), (beta, factor) in by.items():
        made = population(lif(), (3,), Choices(1.0, decay, "zero", "immediate", "ge", gain))
        np.testing.assert_array_equal(made.beta, np.full(3, beta, np.float32))
        np.testing.assert_allclose(made.gain, np.full(3, factor), rtol=1e-7)


@pytest.mark.parametrize(
    ("tau", "ratio"),
    [(0.0008, 0.125), (1e-4 / 0.87, 0.87), (3e-4, 1 / 3), (1.2e-3, 1 / 12), (2.718e-4, 1e-4 / 2.718e-4)],
)
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_what_somebody_typed_comes_back_from_the_files_precision(tau: float, ratio: float, kind: type) -> None:
    step = kind(1e-4)  # in float32 the exporter's dt is rounded too
    made = population(lif(tau=np.array(kind(tau)), r=np.array(kind(tau) / step)), (1,), Choices(1e-4, "euler", *REST))
    np.testing.assert_array_equal(made.gain, np.float32([1]))
    np.testing.assert_allclose(made.beta, np.float32([1 - ratio]), rtol=0 if ratio in (0.125, 0.87) else 2**-23)


def test_a_channels_numbers_are_not_taken_for_a_rows() -> None:
    with pytest.raises(ValueError) as refusal:
        population(lif(r=np.ones(3)), (3, 4, 3), CHOICES)
    assert str(refusal.value) == "node 'n' (LIF) r must have shape (3, 4, 3), that of its input, not (3,)"
    by_channel = population(lif(r=np.arange(1.0, 4).reshape(3, 1, 1)), (3, 4, 3), CHOICES)
    np.testing.assert_array_equal(by_channel.gain[:, 2, 1], np.float32([0.5, 1.0, 1.5]))
    assert population(lif(r=np.ones(3)), (1, 3), CHOICES).gain.shape == (1, 3)


def test_infinite_tau_and_r_mean_no_leak_and_gain_one() -> None:
    made = population(lif(tau=np.array(np.inf), r=np.array(np.inf)), (2,), CHOICES)
    np.testing.assert_array_equal([made.beta, made.gain], np.ones((2, 2), np.float32))


def test_potentials_start_rest_and_reset_where_the_file_and_the_choice_say() -> None:
    node = lif(v_leak=np.array(0.5), v_reset=np.array(-1.0), v_threshold=np.array(0.25))
    made = population(node, (1,), Choices(1.0, "euler", "zero", "immediate", "gt", initial="reset"))
    x = np.zeros((1, 5, 1), np.float32)
    spikes, u = made.run(x)  # -1 -> -.25 -> .125 -> .3125, a spike, -1 -> -.25
    np.testing.assert_array_equal(u.ravel(), np.array([-0.25, 0.125, 0.3125, -0.25, 0.125], np.float32))
    np.testing.assert_array_equal(spikes.ravel(), [False, False, True, False, False])


BAD_NEURONS = [
    (lif(tau=np.array(0.0)), CHOICES, "node 'n' (LIF) tau must be above 0, not 0.0"),
    (lif(tau=np.array(0.5)), CHOICES, "node 'n' (LIF) tau must be dt = 1 or more for euler steps, not 0.5"),
    (
        lif(tau=np.array(np.inf)),
        CHOICES,
        "node 'n' (LIF) tau and r must be infinite together (no leak), not one of them",
    ),
    (lif(v_threshold=np.array(np.nan)), CHOICES, "node 'n' (LIF) v_threshold must be finite, not nan"),
    (lif(r=np.ones(2)), CHOICES, "node 'n' (LIF) r must have shape (3,), that of its input, not (2,)"),
    (
        lif(v_reset=np.array(0.5)),
        Choices(1.0, "euler", "subtract", "immediate", "ge", initial="zero"),
        "node 'n' (LIF) v_reset must be 0 where a spike subtracts the threshold, not 0.5",
    ),
]


@pytest.mark.parametrize(("node", "choices", "sentence"), BAD_NEURONS)
def test_numbers_that_make_no_neuron_are_refused(node: Node, choices: Choices, sentence: str) -> None:
    with pytest.raises(ValueError) as refusal:
        population(node, (3,), choices)
    assert str(refusal.value) == sentence
