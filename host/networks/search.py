"""Scales by spikes: the format of each layer whose integer spikes match the float network's best."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeveil.host.networks import losses
from spikeveil.host.networks.canonical_layer import canonical, is_grid, is_whole
from spikeveil.host.networks.float_model import FloatLayer, FloatNetwork
from spikeveil.host.networks.scales import (
    LEAK_BITS,
    MAX_EXPONENT,
    MIN_EXPONENT,
    TIE,
    Exponent,
    LayerFormat,
    Scale,
    fitting_exponent,
    formatted_layer,
    halves_away,
    state_range,
    weight_range,
)
from spikeveil.host.networks.spike_match import SpikeMatch
from spikeveil.pysim import LayerSpec, Leak, NetworkSpec
from spikeveil.pysim.model import checks, layer
from spikeveil.pysim.model.leak import ROUNDINGS, Rounding

MULTIPLES = tuple(2.0 ** (quarter / 4) for quarter in (-4, -2, 0, 1, 2, 3, 4, 6, 8, 10, 12))  # of the unclipped scale
LEAK_BITS_TRIED = (LEAK_BITS, 12)
HEADROOM = 4  # thresholds that potentials may reach, where no data show it
MAX_FRACTION_BITS = 4  # more gained nothing in any measurement
SLACK = 0.05  # of what is missing to a score of 1: what a simpler format may lose
LOSS_LIMIT = 0.1  # of the spikes: a scale that loses more is taken only where the unclipped one does too
TRIAL_PRODUCTS = 1 << 34  # weights times inputs in one trial of a layer; a larger layer is tried on fewer records


@dataclass(frozen=True, eq=False)
class LayerReport:
    """One layer in integers, compared with the float layer on the data that its format was chosen by.

    | field | meaning |
    |---|---|
    | `scale` | integer weights are floats times this; lowest and highest, equal where the layer has one |
    | `float_range`, `integer_range` | smallest and largest weight |
    | `clipped` | share of the weights that were cut to fit their bits |
    | `threshold` | integers, lowest and highest; None for a readout |
    | `decay`, `leak` | decay of the floats (the highest), and the leak that approximates it |
    | `dead_band` | the potentials that never decay, `Leak.dead_band` |
    | `potential_range` | smallest and largest potential on the data |
    | `saturated` | share of the potentials at a limit of `state_bits` |
    | `match` | spikes of both networks, each fed by its own previous layers; None for a readout |
    | `correlation` | of the last potentials of a readout; None for a layer that fires |
    | `float_rate`, `integer_rate` | spikes per neuron and step |
    """

    scale: tuple[float, float]
    float_range: tuple[float, float]
    integer_range: tuple[int, int]
    clipped: float
    threshold: tuple[int, int] | None
    decay: float
    leak: Leak
    dead_band: tuple[int, int]
    potential_range: tuple[int, int]
    saturated: float
    match: SpikeMatch | None
    correlation: float | None
    float_rate: float
    integer_rate: float

    @property
    def score(self) -> float:
        """The correlation of a readout; else the mean of the F1 within a step and in the same step."""
        if self.match is None:
            return self.correlation or 0.0
        return (self.match.f1 + self.match.exact_f1) / 2


@dataclass(frozen=True, eq=False)
class Quantised:
    """An integer network, with a format and a report for each layer, and sentences about silent layers."""

    spec: NetworkSpec
    formats: tuple[LayerFormat, ...]
    reports: tuple[LayerReport, ...]
    notes: tuple[str, ...] = ()

    @property
    def exponents(self) -> tuple[Exponent, ...]:
        """The scales as powers of two. ValueError where one is none."""
        return tuple(_exponent(layer_format.scale) for layer_format in self.formats)


@dataclass(frozen=True)
class Search:
    """What may be chosen for each layer; None is chosen, any other value is kept.

    `powers_of_two`: scales are 2^-24 to 2^24. `per_neuron`: each neuron has a scale of its own.
    """

    fraction_bits: int | None = None
    leak_bits: int | None = None
    rounding: Rounding | None = None
    per_neuron: bool = False
    powers_of_two: bool = False


def quantise_network(
    network: FloatNetwork,
    spikes: NDArray[np.bool_],
    *,
    weight_bits: int | Sequence[int] = 8,
    state_bits: int | Sequence[int] = 16,
    exponents: Sequence[Exponent | None] | None = None,
    formats: Sequence[LayerFormat | None] | None = None,
    per_neuron: bool = False,
    leaks: Sequence[Leak | None] | None = None,
    search: Search | None = None,
    allow_loss: bool = False,
    max_loss: float = losses.MAX_LOSS,
) -> Quantised:
    """The network as integers, layer by layer, with formats chosen on input spikes (records, steps, inputs).

    Where a layer's exponent is given, its scale is that power of two, its leak rounds down and its potential has no
    fraction bits, unless `search` says otherwise; a layer whose format is given has that one. Else scales from a half
    to eight times the one that clips no weight are tried, then leaks and fraction bits (see `Search`). The best by
    spikes is kept (`LayerReport.score`), and of equally good ones the simplest. Each layer is fed by the integer layers
    before it. A layer in other units (all its numbers times one factor) gives the same integers.

    Raises SpikeLossError where a layer falls silent or loses more than `max_loss` of its spikes, unless `allow_loss`;
    ValueError as LayerSpec, or where a length does not fit.
    """
    count = len(network.layers)
    wanted = replace(search or Search(), per_neuron=per_neuron or (search is not None and search.per_neuron))
    per_layer: dict[str, list[Any]] = {
        "weight bits": _per_layer(weight_bits, count),
        "state bits": _per_layer(state_bits, count),
        "exponents": list(exponents or [None] * count),
        "leaks": list(leaks or [None] * count),
        "formats": list(formats or [None] * count),
    }
    for name, values in per_layer.items():
        if len(values) != count:
            raise ValueError(f"{name} must be {count}, one a layer, not {len(values)}")
    done: list[Trial] = []
    notes: list[str] = []
    x = truth = checks.spikes(spikes, network.layers[0].inputs)
    rows = zip(network.layers, *per_layer.values(), strict=True)
    for index, (floats, weight_width, state_width, exponent, leak, given) in enumerate(rows):
        layer_search = LayerSearch(floats, x, truth, weight_width, state_width, exponent, leak, wanted)
        trial = layer_search.solve(index) if given is None else layer_search.given(given)
        done.append(trial)
        if trial.report.match is not None:
            notes += losses.silence(index, floats, trial.report.match)
            if not allow_loss:
                losses.check_loss(index, trial.spec, trial.report.match, trial.report.saturated, max_loss)
        x, truth = trial.sent, layer_search.spikes
    return Quantised(
        NetworkSpec([trial.spec for trial in done]),
        tuple(trial.layer_format for trial in done),
        tuple(trial.report for trial in done),
        tuple(notes),
    )


@dataclass(frozen=True, eq=False)
class Trial:
    """A layer in one format, its report, and its spikes on the data."""

    spec: LayerSpec
    layer_format: LayerFormat
    report: LayerReport
    sent: NDArray[np.bool_]


class LayerSearch:
    """The formats of one layer.

    | argument | meaning |
    |---|---|
    | `floats` | the float layer |
    | `x`, `truth` | its inputs (records, steps, inputs) in the integer network and in the float network |
    | `weight_bits`, `state_bits` | bits of its integers |
    | `exponent`, `leak` | where given, kept |
    | `search` | what else is kept |
    """

    def __init__(
        self,
        floats: FloatLayer,
        x: NDArray[np.bool_],
        truth: NDArray[np.bool_],
        weight_bits: int,
        state_bits: int,
        exponent: Exponent | None,
        leak: Leak | None,
        search: Search,
    ) -> None:
        self.weight_bits, self.state_bits, self.exponent, self.leak, self.search = (
            weight_bits, state_bits, exponent, leak, search,
        )  # fmt: skip
        self.by_exponent = exponent is not None or search.powers_of_two
        self.floats, self.factor = (floats, 1.0) if self.by_exponent else canonical(floats)
        self.x = x
        self.spikes, self.potentials = self.floats.trace(truth)
        self.float_range = (float(floats.weights.min()), float(floats.weights.max()))
        products = max(1, x.shape[1] * floats.weights.size)
        self.tried = slice(max(1, min(len(x), TRIAL_PRODUCTS // products)))
        levels = [np.abs(self.potentials).max(initial=0), np.abs(self.floats.initial).max()]
        if not floats.readout:
            levels += [np.max(self.floats.threshold), np.abs(self.floats.reset_potential).max()]
        self.highest = float(max(levels))

    def solve(self, index: int) -> Trial:
        """The best format, run on all records, its scale that of the file's floats.

        Raises ValueError where the threshold fits the state bits at no scale.
        """
        if self.exponent is not None:
            chosen = self._format(np.ldexp(1.0, np.asarray(self.exponent)), self._kept(LEAK_BITS, "floor", 0))
        else:
            scales = [scale for scale in self._scales() if self._threshold_fits(scale)]
            if not scales:
                raise ValueError(
                    f"layer {index} threshold must fit {self.state_bits} state bits at some scale; none was found"
                )
            chosen = self._simplest(*self._best_scale(scales))
        trial = self.run(chosen, slice(None))
        scale = np.asarray(chosen.scale) * self.factor
        return replace(trial, layer_format=replace(chosen, scale=scale if scale.ndim else float(scale)))

    def given(self, layer_format: LayerFormat) -> Trial:
        """A format whose scale is that of the file's floats, run on all records."""
        trial = self.run(replace(layer_format, scale=layer_format.scale / self.factor), slice(None))
        return replace(trial, layer_format=layer_format)

    def run(self, layer_format: LayerFormat, records: slice) -> Trial:
        """The layer in this format, whose scale is that of `self.floats`, on some of the records."""
        spec = formatted_layer(self.floats, layer_format, np.rint if self.by_exponent else halves_away)
        trace = layer.run(self.x[records], spec)
        report = self._report(spec, layer_format, trace, records)
        return Trial(spec, layer_format, report, np.ascontiguousarray(trace.raw))

    def by_weights(self) -> LayerFormat:
        """See `format_by_weights`."""
        leakless = bool(np.all(np.asarray(self.floats.decay) == 1))
        scale, finer = self._scales()[:2]
        if not leakless and not self.by_exponent and is_grid(self.floats):
            scale = finer
        most = state_range(self.state_bits)[1]
        if not self._threshold_fits(scale):
            scale = np.asarray(scale) * 2.0 ** np.floor(np.log2(most / (self.highest * float(np.max(scale)))))
        self.highest *= HEADROOM
        room = self._room(scale)
        fewest = next((bits for bits in range(room) if self._holds(scale, bits)), room)
        fraction_bits, leak_bits, rounding = self._kept(LEAK_BITS_TRIED[-1], "nearest", fewest)
        chosen = self._format(scale, (fraction_bits, leak_bits, "floor" if leakless else rounding))
        wide = np.asarray(scale) * self.factor
        return replace(chosen, scale=wide if wide.ndim else float(wide))

    def _holds(self, scale: Scale, fraction_bits: int) -> bool:
        """Whether biases and thresholds are integers without a leak: more fraction bits would change nothing."""
        unit = np.asarray(scale) * 2.0**fraction_bits
        numbers = (self.floats.bias * unit, np.asarray(self.floats.threshold) * unit)
        return bool(np.all(np.asarray(self.floats.decay) == 1)) and all(map(is_whole, numbers))

    def _format(self, scale: Scale, options: "_LeakOptions") -> LayerFormat:
        return LayerFormat(scale, self.weight_bits, self.state_bits, *options, self.leak)

    def _kept(self, leak_bits: int, rounding: Rounding, fraction_bits: int) -> "_LeakOptions":
        """These options, but for those that the search must keep."""
        search = self.search
        return (
            fraction_bits if search.fraction_bits is None else search.fraction_bits,
            leak_bits if search.leak_bits is None else search.leak_bits,
            rounding if search.rounding is None else search.rounding,
        )

    def _scales(self) -> list[Scale]:
        """Scales to try, those of equal score in this order: the exact one, the unclipped one, others."""
        rows = self.floats.weights if self.search.per_neuron and not self.floats.readout else [self.floats.weights]
        if self.by_exponent:
            exponents = np.array([fitting_exponent(row, self.weight_bits) for row in rows])
            tries = [np.clip(exponents + step, MIN_EXPONENT, MAX_EXPONENT) for step in (0, 3, 2, 1, -1)]
            return [_one_or_more(np.ldexp(1.0, exponents)) for exponents in tries]
        unclipped = np.array([unclipped_scale(row, self.weight_bits) for row in rows])
        scales = [unclipped] + [unclipped * multiple for multiple in MULTIPLES]
        if is_grid(self.floats) and (unclipped >= 1).all():
            scales = [np.ones(1), np.floor(unclipped), *scales]  # multiples of the weights round nothing either
        most = state_range(self.state_bits)[1]
        if (unclipped * self.highest > most).any():
            scales += [np.minimum(unclipped, most / self.highest * share) for share in (0.99, 0.7, 0.5)]
        return [_one_or_more(scale) for scale in scales]

    def _threshold_fits(self, scale: Scale) -> bool:
        """Whether the threshold is within the range of the state."""
        return self.floats.readout or bool(
            np.max(np.asarray(self.floats.threshold) * scale) < state_range(self.state_bits)[1]
        )

    def _room(self, scale: Scale) -> int:
        """The fraction bits, MAX_FRACTION_BITS at most, at which every potential still fits its state."""
        highest = self.highest * float(np.max(scale))
        room = state_range(self.state_bits)[1] / highest if highest >= 1 else state_range(self.state_bits)[1]
        return int(np.clip(np.floor(np.log2(max(room, 1))), 0, MAX_FRACTION_BITS))

    def _best_scale(self, scales: list[Scale]) -> tuple[Trial, Trial]:
        """The best score of the scales that lose and match as well as the first one, and that one."""
        finest = [
            self._format(scale, self._kept(LEAK_BITS_TRIED[-1], "nearest", self._room(scale))) for scale in scales
        ]
        best = first = self.run(finest[0], self.tried)
        for layer_format in finest[1:]:
            if best.report.score >= 1:
                break
            trial = self.run(layer_format, self.tried)
            if trial.report.score > best.report.score and _no_worse(trial.report, first.report):
                best = trial
        return best, first

    def _simplest(self, best: Trial, first: Trial) -> LayerFormat:
        """The simplest leak and the fewest fraction bits at the same scale that score as well."""
        least = best.report.score - SLACK * (1 - best.report.score) - 1e-9
        room = best.layer_format.fraction_bits
        for options in self._options(room):
            trial = self.run(self._format(best.layer_format.scale, options), self.tried)
            if trial.report.score >= least and _no_worse(trial.report, first.report):
                return trial.layer_format
        return best.layer_format

    def _options(self, room: int) -> "list[_LeakOptions]":
        """Fraction bits, leak bits and roundings to try, the simplest first."""
        fixed = self.leak is not None or bool(np.all(np.asarray(self.floats.decay) == 1))
        roundings = ROUNDINGS[:1] if fixed else ROUNDINGS
        leak_bits = LEAK_BITS_TRIED[:1] if fixed else LEAK_BITS_TRIED
        tries = product(roundings, sorted({0, room // 2, room}), leak_bits)
        kept = [self._kept(bits, rounding, fraction) for rounding, fraction, bits in tries]
        return list(dict.fromkeys(kept))

    def _report(
        self, spec: LayerSpec, layer_format: LayerFormat, trace: layer.LayerTrace, records: slice
    ) -> LayerReport:
        potentials, (low, high) = trace.potentials, spec.state_range
        expected, expected_potentials = self.spikes[records], self.potentials[records]
        scale = np.asarray(layer_format.scale)
        wide = self.floats.weights * (scale[:, None] if scale.ndim else scale)
        thresholds = None if spec.threshold is None else (int(np.min(spec.threshold)), int(np.max(spec.threshold)))
        readout = self.floats.readout
        return LayerReport(
            scale=(float(scale.min()) * self.factor, float(scale.max()) * self.factor),
            float_range=self.float_range,
            integer_range=(int(spec.weights.min()), int(spec.weights.max())),
            clipped=float(np.mean(np.abs(wide - spec.weights) > 0.5 + TIE)),
            threshold=thresholds,
            decay=float(np.max(self.floats.decay)),
            leak=spec.leak,
            dead_band=spec.leak.dead_band,
            potential_range=(int(potentials.min()), int(potentials.max())),
            saturated=float(np.mean((potentials == low) | (potentials == high))),
            match=None if readout else SpikeMatch.of(expected, trace.raw),
            correlation=_correlation(expected_potentials[:, -1], potentials[:, -1]) if readout else None,
            float_rate=float(expected.mean()),
            integer_rate=float(trace.raw.mean()),
        )


_LeakOptions = tuple[int, int, Rounding]  # fraction bits, leak bits, rounding


def format_by_weights(
    floats: FloatLayer, weight_bits: int = 8, state_bits: int = 16, search: Search | None = None
) -> LayerFormat:
    """The format of a layer of which no data are known: no weight is cut, and potentials have room.

    The scale is the exact one where the weights are multiples of one number, else the unclipped one, or the largest at
    which the threshold fits the state. Fraction bits leave room for potentials of HEADROOM thresholds. The leak rounds
    to nearest. `search`: what is kept. ValueError where it asks for a power of two and there is none from -24 to 24.
    """
    silence = np.zeros((1, 1, floats.inputs), np.bool_)
    return LayerSearch(floats, silence, silence, weight_bits, state_bits, None, None, search or Search()).by_weights()


def unclipped_scale(weights: NDArray[np.floating[Any]], bits: int) -> float:
    """The largest scale at which every weight fits `bits` bits; 1 where all weights are 0."""
    low, high = weight_range(bits)
    limits = [
        high / np.max(weights) if np.max(weights) > 0 else np.inf,
        low / np.min(weights) if np.min(weights) < 0 else np.inf,
    ]
    return float(min(limits)) if np.isfinite(min(limits)) else 1.0


def _no_worse(report: LayerReport, other: LayerReport) -> bool:
    """Whether the layer matches no fewer spikes than `other`, and loses no more of them, or few."""
    if report.match is None or other.match is None:
        return True
    few = max(LOSS_LIMIT, other.match.lost)
    return report.match.lost <= few and report.match.f1 >= other.match.f1


def _one_or_more(scale: NDArray[np.float64]) -> Scale:
    """One number for the layer where there is one, else (neurons,)."""
    return float(scale[0]) if scale.size == 1 else scale


def _exponent(scale: Scale) -> Exponent:
    mantissas, exponents = np.frexp(scale)
    if (mantissas != 0.5).any():
        raise ValueError(f"scale must be a power of two to have an exponent, not {scale}")
    return int(exponents - 1) if np.ndim(scale) == 0 else np.asarray(exponents, np.int64) - 1


def _per_layer(value: int | Sequence[int], count: int) -> list[Any]:
    return [value] * count if isinstance(value, int) else list(value)


def _correlation(a: NDArray[Any], b: NDArray[Any]) -> float:
    x, y = (np.asarray(values, np.float64).ravel() - np.mean(values) for values in (a, b))
    norm = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / norm if norm else 0.0
