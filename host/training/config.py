"""The configuration of a training run: a TOML file, or a preset that comes with the package."""

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

from spikeveil.host.data.catalogue import ENCODERS, NAMES
from spikeveil.host.privacy.dpsgd import DpSgd
from spikeveil.host.training.architecture import Architecture, architecture_of, built
from spikeveil.pysim.model import checks
from spikeveil.pysim.model.damage import DAMAGE

PRESETS = Path(__file__).with_name("presets")


def _number(name: str, value: object, low: float, high: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ValueError(f"{name} must be {low:g} to {high:g}, not {value!r}")


@dataclass(frozen=True)
class DataChoice:
    """Which data set, how it is encoded where the network takes spikes, and the side of the squares of pixels that
    become one (1: none). Nothing here may depend on the training records themselves: their privacy would be spent.
    """

    name: str
    encoder: Literal["rate", "latency", "direct"] = "rate"
    pool: int = 1

    def __post_init__(self) -> None:
        checks.choice("data name", self.name, NAMES)
        checks.choice("data encoder", self.encoder, tuple(ENCODERS))
        checks.integer("data pool", self.pool, 1, 255)


@dataclass(frozen=True)
class Optimiser:
    """`sgd` with momentum, or `adam`. The rate falls linearly to `final` times itself over the run. average: the share
    of the running mean of the weights that each step keeps, 0 for none; where it is above 0, the mean is the result
    (computed from the released weights alone, it costs no privacy).
    """

    kind: Literal["sgd", "adam"] = "sgd"
    rate: float = 0.5
    momentum: float = 0.9
    final: float = 1.0
    average: float = 0.0

    def __post_init__(self) -> None:
        checks.choice("optimiser kind", self.kind, ("sgd", "adam"))
        _number("optimiser rate", self.rate, 1e-9, 1e9)
        _number("optimiser momentum", self.momentum, 0, 0.9999)
        _number("optimiser final", self.final, 0, 1)
        _number("optimiser average", self.average, 0, 0.999999)


@dataclass(frozen=True)
class Privacy:
    """DP-SGD: every example's gradient is clipped to `clip` (L2), noise of noise_multiplier * clip is added to the sum.

    delta: at which epsilon is shown. epsilon_limit: the run stops before its epsilon by `method` (pld or rdp) would
    pass it. randomness: `os`, or `seeded` for a demonstration that protects nobody. secure: noise that resists being
    read from the gaps between floating-point numbers, for four times the random bytes. clipping: `ghost` or `hooks`.
    """

    noise_multiplier: float
    clip: float = 1.0
    delta: float = 1e-5
    epsilon_limit: float | None = None
    method: Literal["pld", "rdp"] = "pld"
    randomness: Literal["os", "seeded"] = "os"
    secure: bool = False
    clipping: Literal["ghost", "hooks"] = "ghost"

    def __post_init__(self) -> None:
        DpSgd(self.noise_multiplier, 1, 1)
        _number("privacy clip", self.clip, 1e-9, 1e9)
        if isinstance(self.delta, bool) or not isinstance(self.delta, int | float) or not 0 < self.delta < 1:
            raise ValueError(f"privacy delta must be above 0 and below 1, not {self.delta!r}")
        if self.epsilon_limit is not None:
            _number("privacy epsilon_limit", self.epsilon_limit, 1e-6, 1e6)
        checks.choice("privacy method", self.method, ("pld", "rdp"))
        checks.choice("privacy randomness", self.randomness, ("os", "seeded"))
        checks.flag("privacy secure", self.secure)
        checks.choice("privacy clipping", self.clipping, ("ghost", "hooks"))


@dataclass(frozen=True)
class Config:
    """A whole run. seed: of the initial weights, and of everything else where the run is not private or is seeded.

    batch_size: expected under DP-SGD, exact otherwise. epochs: passes of dataset_size / batch_size steps, rounded up.
    gain: of the initial weights. physical: examples in memory at once. checkpoint_every: steps from one checkpoint to
    the next, which a crash may waste. evaluate_every: epochs. privacy: None for ordinary training.
    """

    name: str
    data: DataChoice
    network: Architecture
    seed: int = 1
    batch_size: int = 250
    epochs: int = 10
    gain: float = 1.0
    loss: Literal["cross_entropy", "squared"] = "cross_entropy"
    physical: int = 512
    checkpoint_every: int = 10
    evaluate_every: int = 1
    optimiser: Optimiser = field(default_factory=Optimiser)
    privacy: Privacy | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise ValueError(f"configuration name must be a word, not {self.name!r}")
        checks.integer("configuration seed", self.seed, 0, (1 << 63) - 1)
        for name in ("batch_size", "epochs", "physical", "checkpoint_every", "evaluate_every"):
            checks.integer(f"configuration {name}", getattr(self, name), 1, 1 << 31)
        _number("configuration gain", self.gain, 1e-6, 1e6)
        checks.choice("configuration loss", self.loss, ("cross_entropy", "squared"))

    def steps(self, dataset_size: int) -> int:
        """Steps of the whole run over so many training examples."""
        return -(-self.epochs * dataset_size // self.batch_size)

    def mechanism(self, dataset_size: int) -> DpSgd | None:
        """What one step does to the data, for the accountant; None without privacy."""
        return None if self.privacy is None else DpSgd(self.privacy.noise_multiplier, self.batch_size, dataset_size)

    def to_dict(self) -> dict[str, Any]:
        """Ready for TOML and JSON, every default written out; `config_of` reads it."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        for name in ("data", "optimiser", "privacy"):
            values[name] = None if values[name] is None else _table(values[name])
        values["network"] = self.network.to_dict()
        return {name: value for name, value in values.items() if value is not None}

    @property
    def digest(self) -> str:
        """SHA-256 of everything in it, as 64 hexadecimal digits."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()

    def as_ann(self) -> "Config":
        """The ANN of the same structure (`Architecture.as_ann`), trained the same way."""
        return replace(self, name=f"{self.name}-ann", network=self.network.as_ann())

    def without_privacy(self) -> "Config":
        """The same network and data trained the ordinary way: no clipping, no noise, shuffled batches."""
        return replace(self, name=f"{self.name}-plain", privacy=None)


def _table(part: Any) -> dict[str, Any]:
    return {one.name: getattr(part, one.name) for one in fields(part) if getattr(part, one.name) is not None}


def config_of(content: Mapping[str, Any]) -> Config:
    """The configuration that a table describes; ValueError, one sentence, for what is unknown or out of bounds.

    A table [ran], which the echo of a run carries, is passed over.
    """
    values = {name: value for name, value in content.items() if name != "ran"}
    for name, kind in (("data", DataChoice), ("optimiser", Optimiser), ("privacy", Privacy)):
        if name in values:
            values[name] = built(kind, name, _is_table(name, values[name]))
    if "network" in values:
        values["network"] = architecture_of(_is_table("network", values["network"]))
    config: Config = built(Config, "configuration", values)
    return config


def _is_table(name: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"configuration {name} must be a table, not {value!r}")
    return value


def preset_names() -> list[str]:
    """The presets that come with the package."""
    return sorted(path.stem for path in PRESETS.glob("*.toml"))


def load_config(name: str) -> Config:
    """A preset by its name, or the TOML file at that path. Raises ValueError for one that says nonsense."""
    if name in preset_names():
        path = PRESETS / f"{name}.toml"
    elif name.endswith(".toml"):
        path = Path(name)
    else:
        raise ValueError(f"configuration must be a .toml file or one of {', '.join(preset_names())}, not {name!r}")
    try:
        return config_of(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError:
        raise
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from None
    except DAMAGE as error:
        raise ValueError(f"{path.name} has a value of the wrong type: {error}") from error
