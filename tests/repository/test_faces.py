"""Faces of packages: `import spikeveil` is light, its example runs, and every public name is what it says."""

import ast
import doctest
import subprocess
import sys
from importlib import import_module, metadata
from pathlib import Path

import pytest
from support.paths import DOCS

import spikeveil

ROOT = DOCS.parent
FACES = [
    "spikeveil.boards",
    "spikeveil.host.bitstream",
    "spikeveil.host.device",
    "spikeveil.host.exchange",
    "spikeveil.host.networks",
    "spikeveil.host.privacy",
    "spikeveil.host.virtual",
]


def run(*arguments: str) -> str:
    command = [sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_import_spikeveil_imports_no_library_and_no_other_module() -> None:
    code = (
        "import sys, spikeveil\n"
        "print(sorted({'numpy', 'amaranth', 'click'} & set(sys.modules)))\n"
        "print([name for name in sys.modules if name.startswith('spikeveil')])"
    )
    assert run("-c", code).splitlines() == ["[]", "['spikeveil']"]


def test_the_example_in_the_docstring_runs() -> None:
    result = doctest.testmod(spikeveil)
    assert result.attempted >= 5
    assert result.failed == 0


def test_python_m_spikeveil_is_the_command() -> None:
    assert run("-m", "spikeveil", "--version") == f"spikeveil, version {metadata.version('spikeveil')}\n"
    assert "Usage: spikeveil [OPTIONS] COMMAND" in run("-m", "spikeveil", "--help")


def test_names_of_daily_use_are_there() -> None:
    assert {"Claim", "FlipSpec", "LayerSpec", "Ledger", "Network", "NetworkSpec", "RandomizedResponse", "load"} <= set(
        spikeveil.__all__
    )
    assert spikeveil.__version__ == metadata.version("spikeveil")
    for name in spikeveil.__all__:
        assert getattr(spikeveil, name) is not None
    assert dir(spikeveil) == sorted(spikeveil.__all__)
    with pytest.raises(AttributeError, match=r"^No spikeveil attribute nonsense$"):
        _ = spikeveil.nonsense


@pytest.mark.parametrize("name", FACES)
def test_a_lazy_face_gives_each_name_that_it_lists(name: str) -> None:
    face = import_module(name)
    assert dir(face)
    for public in dir(face):
        found = getattr(face, public)
        assert getattr(found, "__name__", public) == public
    with pytest.raises(AttributeError, match=f"^No {name} attribute nonsense$"):
        _ = face.nonsense


@pytest.mark.parametrize("name", ["spikeveil", *FACES])
def test_type_checkers_see_the_names_that_are_given(name: str) -> None:
    module = import_module(name)
    assert module.__file__ is not None
    tree = ast.parse(Path(module.__file__).read_text())
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    declared = {alias.asname for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert declared == set(dir(module))
