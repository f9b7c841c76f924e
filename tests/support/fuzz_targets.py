"""Fuzz targets: one for each parser of files that a user may be handed. A target returns what it read, or refuses.

A refusal is a ValueError of one line, OSError, or an error class of spikeveil. Anything else is a defect.
"""

import io
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from support.paths import DATA

from spikeveil.host.data.idx import read_idx
from spikeveil.host.data.images import read_pgm
from spikeveil.host.data.spike_files import load_data
from spikeveil.host.device.frames import Receiver
from spikeveil.host.device.results import Results
from spikeveil.host.exchange.choices import Choices
from spikeveil.host.exchange.nodes import read_nir
from spikeveil.host.exchange.reference import build_graph
from spikeveil.host.networks.float_model import FloatLayer, FloatNetwork
from spikeveil.host.privacy import report_files
from spikeveil.host.privacy.ledger import Ledger
from spikeveil.host.privacy.ledger.errors import LedgerError
from spikeveil.pysim import Decision, FlipSpec, LayerSpec, NetworkSpec
from spikeveil.pysim.device.identity import Identity
from spikeveil.pysim.device.messages import MessageKind, unpack
from spikeveil.pysim.device.status import Status

DICE = np.random.default_rng(5)
SPIKES = DICE.random((6, 4, 3)) < 0.5
SPEC = NetworkSpec([LayerSpec(DICE.integers(-9, 20, (5, 3)), 12, flip=FlipSpec(40, 8))])
NIR = Choices(dt=1e-6, decay="euler", reset="subtract", reset_timing="delayed", compare="gt")
REFUSALS = (ValueError, OSError, LedgerError)


@dataclass(frozen=True)
class Target:
    """A parser: the suffix of its files, valid contents to mutate, and what a file means, in comparable form.

    `checked`: the format has a checksum, so that a mutant that is accepted must mean what its original does.
    """

    suffix: str
    seeds: Callable[[Path], list[bytes]]
    parse: Callable[[Path], Any]
    checked: bool = False


def _saved(save: Callable[[Path], object], suffix: str) -> Callable[[Path], list[bytes]]:
    def seeds(folder: Path) -> list[bytes]:
        path = folder / f"seed{suffix}"
        save(path)
        return [path.read_bytes()]

    return seeds


def _npz(**arrays: Any) -> bytes:
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    return content.getvalue()


def _npy(array: Any) -> bytes:
    content = io.BytesIO()
    np.save(content, array)
    return content.getvalue()


def _data(path: Path) -> Any:
    return load_data(path).inputs.tobytes()


def _results(path: Path) -> Any:
    results = Results(SPEC, SPIKES, path)
    return results.released.tobytes()


def _nir(path: Path) -> Any:
    graph = build_graph(read_nir(path), NIR)
    return graph.run(np.zeros((1, 2, *graph.input_shape)))[-1].spikes.shape


def _message(path: Path) -> Any:
    for body in Receiver().feed(path.read_bytes()):
        message = unpack(body)
        if message.kind is MessageKind.IDENTITY:
            Identity.from_message(message)
        if message.kind is MessageKind.STATUS:
            Status.from_message(message)
    return None


def _ledger(path: Path) -> Any:
    with Ledger(path) as ledger:
        ledger.verify()
        return None


def _training(path: Path) -> Any:
    from spikeveil.host.training.config import load_config

    return load_config(str(path)).digest


def _presets(folder: Path) -> list[bytes]:
    from spikeveil.host.training.config import PRESETS

    contents = [path.read_bytes() for path in sorted(PRESETS.glob("*.toml"))]
    assert all(tomllib.loads(content.decode()) for content in contents)
    return contents


def _float_network() -> FloatNetwork:
    return FloatNetwork((FloatLayer(np.ones((2, 3)), np.zeros(2), 0.9, "zero"),))


def _ledger_seed(path: Path) -> None:
    with Ledger(path, create=True) as ledger:
        ledger.create_budget("data", "record", 10, "0.1")


TARGETS = {
    "network": Target(".snn", _saved(SPEC.save, ".snn"), lambda path: NetworkSpec.load(path).fingerprint, checked=True),
    "npz": Target(
        ".npz", lambda folder: [_npz(x=SPIKES, labels=np.arange(6)), _npz(spikes=SPIKES.astype(np.float32))], _data
    ),
    "npy": Target(".npy", lambda folder: [_npy(SPIKES), _npy(SPIKES.astype("<f4"))], _data),
    "nir": Target(
        ".nir", lambda folder: [path.read_bytes() for path in sorted((DATA / "nir").glob("*.nir"))[:4]], _nir
    ),
    "float_network": Target(".npz", _saved(lambda path: _float_network().save(path), ".npz"), FloatNetwork.load),
    "results": Target(".partial", _saved(lambda path: Results(SPEC, SPIKES, path), ".partial"), _results),
    "report_npz": Target(
        ".npz",
        _saved(lambda path: report_files.write_npz(path, np.arange(8) % 3, Decision(3, 40, 8)), ".npz"),
        report_files.count,
    ),
    "idx": Target(".idx", lambda folder: [bytes((0, 0, 8, 1, 0, 0, 0, 4)) + b"abcd"], lambda path: read_idx(path, 1)),
    "pgm": Target(".pgm", lambda folder: [b"P5\n# a\n2 3\n255\n" + bytes(6)], read_pgm),
    "frames": Target(".bin", lambda folder: [bytes(range(60)) + b"\0" + bytes(9)], _message),
    "ledger": Target(".ledger", _saved(_ledger_seed, ".ledger"), _ledger),
    "training": Target(".toml", _presets, _training),
}


def mutate(dice: Any, content: bytes, others: list[bytes]) -> bytes:
    """A mutant of a file: bits, bytes and pieces changed, cut, repeated or taken from another file."""
    mutant = bytearray(content)
    for _ in range(dice.choice((1, 1, 1, 2, 5))):
        if not mutant:
            return bytes(mutant)
        at, size = dice.randrange(len(mutant)), dice.choice((1, 1, 2, 4, 8, 64))
        kind = dice.randrange(7)
        if kind == 0:
            mutant[at] ^= 1 << dice.randrange(8)
        elif kind == 1:
            mutant[at] = dice.choice((0, 1, 0x7F, 0x80, 0xFF, 0x2D, 0x39))
        elif kind == 2:
            mutant[at : at + size] = dice.choice((b"\0", b"\xff")) * size
        elif kind == 3:
            del mutant[at : at + size]
        elif kind == 4:
            mutant[at:at] = mutant[at : at + size] * dice.choice((1, 2, 50))
        elif kind == 5:
            del mutant[at:]
        else:
            other = dice.choice(others)
            start = dice.randrange(max(1, len(other)))
            mutant[at : at + size] = other[start : start + size]
    return bytes(mutant)
