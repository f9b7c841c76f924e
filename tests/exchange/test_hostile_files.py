"""Crafted NIR files: what lies elsewhere, claims too much or has many names is refused in one sentence."""

import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from support.paths import DATA

from spikeveil.host.exchange.nodes import read_nir
from spikeveil.pysim.model.array_file import NETWORK_BYTES, raised_limit

GOOD = DATA / "nir" / "snntorch_if.nir"


@pytest.fixture
def crafted(tmp_path: Path) -> Callable[[Callable[[h5py.File], None]], Path]:
    def craft(change: Callable[[h5py.File], None]) -> Path:
        path = tmp_path / "crafted.nir"
        path.write_bytes(GOOD.read_bytes())
        with h5py.File(path, "r+") as file:
            change(file)
        return path

    return craft


def weights(file: h5py.File) -> tuple[h5py.Group, str]:
    """The group and name of some weights."""
    for node in file["node/nodes"].values():
        if "weight" in node:
            return node, "weight"
    raise LookupError("no weights")


def refusal(path: Path) -> str:
    start = time.monotonic()
    with pytest.raises(ValueError) as refused:
        read_nir(path)
    assert time.monotonic() - start < 20  # hangs, on a busy machine too
    assert "\n" not in str(refused.value)
    return str(refused.value).replace(str(path), "FILE")


def test_external_storage_is_refused(crafted: Callable[..., Path], tmp_path: Path) -> None:
    """The weights would be the bytes of another file."""
    (tmp_path / "secret").write_bytes(bytes(range(256)) * 64)

    def change(file: h5py.File) -> None:
        group, name = weights(file)
        shape = group[name].shape
        del group[name]
        group.create_dataset(name, shape, np.float32, external=[(str(tmp_path / "secret"), 0, h5py.h5f.UNLIMITED)])

    assert "must hold its own data" in refusal(crafted(change))


@pytest.mark.parametrize("link", [h5py.SoftLink("/node/nodes"), h5py.ExternalLink("other.nir", "/node")])
def test_links_to_elsewhere_are_refused(crafted: Callable[..., Path], link: object) -> None:
    def change(file: h5py.File) -> None:
        group, name = weights(file)
        del group[name]
        group[name] = link

    assert "is a link to elsewhere" in refusal(crafted(change))


def test_a_link_in_place_of_the_graph_is_refused(crafted: Callable[..., Path]) -> None:
    def change(file: h5py.File) -> None:
        del file["node"]
        file["node"] = h5py.SoftLink("/node")  # a link to itself

    assert "is a link to elsewhere" in refusal(crafted(change))


def test_a_virtual_data_set_is_refused(crafted: Callable[..., Path], tmp_path: Path) -> None:
    def change(file: h5py.File) -> None:
        group, name = weights(file)
        shape = group[name].shape
        del group[name]
        layout = h5py.VirtualLayout(shape, np.float32)
        layout[...] = h5py.VirtualSource(str(tmp_path / "other.h5"), "x", shape)
        group.create_virtual_dataset(name, layout)

    assert "must hold its own data" in refusal(crafted(change))


def test_declared_sizes_are_refused_before_they_are_read(crafted: Callable[..., Path]) -> None:
    def change(file: h5py.File) -> None:
        group, name = weights(file)
        del group[name]
        group.create_dataset(name, (1 << 17, 1 << 17), np.float64, chunks=(1024, 1024), compression="gzip")

    assert f"must be at most {NETWORK_BYTES:,} bytes" in refusal(crafted(change))


def test_hard_links_of_hard_links_are_refused(crafted: Callable[..., Path]) -> None:
    """Ten names each for ten levels: 10^10 paths to one object."""

    def change(file: h5py.File) -> None:
        level = file["node/nodes"].create_group("a")
        for _ in range(10):
            below = level.create_group("0")
            for name in range(1, 10):
                level[str(name)] = below
            level = below

    assert "must hold every object once" in refusal(crafted(change))


def test_text_counts_as_much_as_numbers(crafted: Callable[..., Path]) -> None:
    """A megabyte of numbers that take no room in the file, and 2.6 of text."""

    def change(file: h5py.File) -> None:
        node = next(iter(file["node/nodes"].values()))
        node.create_dataset("zeros", (1 << 20,), np.uint8, compression="gzip")
        node.create_dataset("text", (40,), h5py.string_dtype(), data=["x" * (1 << 16)] * 40)

    with (
        raised_limit(3_000_000),
        pytest.raises(ValueError, match=r"what it declares up to .*(zeros|text) must be at most 3,000,000 bytes"),
    ):
        read_nir(crafted(change))


def test_edges_of_another_shape_are_refused(crafted: Callable[..., Path]) -> None:
    def change(file: h5py.File) -> None:
        del file["node/edges"]
        file["node/edges"] = np.zeros((4, 3))

    assert "edges must be pairs of names" in refusal(crafted(change))


def test_a_good_file_is_read_as_before() -> None:
    assert read_nir(GOOD).nodes
