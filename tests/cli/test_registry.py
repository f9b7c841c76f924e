"""The registry of commands: `--help` imports none of them, summaries match, and a missing package is one sentence."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from support.paths import DATA, DOCS

from spikeveil.host.cli import COMMANDS
from spikeveil.host.cli.errors import EXTRAS, REPORTED, sentence_of

ROOT = DOCS.parent
NIR = DATA / "nir" / "snntorch_conv.nir"


def run(code: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """A new interpreter, whose imports no other test has made."""
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_help_imports_no_command_and_no_heavy_library() -> None:
    code = (
        "import sys\nfrom spikeveil.host.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "parts = {name.split('.')[0] for name in sys.modules}\n"
        "heavy = 'numpy scipy rich matplotlib torch amaranth cocotb sklearn sqlite3'.split()\n"
        "assert not parts.intersection(heavy), parts\n"
        "ours = {name for name in sys.modules if name.startswith('spikeveil')}\n"
        "light = {'spikeveil', *(f'spikeveil.host{part}' for part in ('', '.cli', '.cli.errors', '.extras'))}\n"
        "assert ours == light, ours"
    )
    done = run(code)
    assert (done.returncode, done.stderr) == (0, "")
    shown = " ".join(done.stdout.split())
    assert all(f"{name} {entry.summary}" in shown for name, entry in COMMANDS.items())


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_the_summary_is_the_first_line_of_the_commands_help(name: str) -> None:
    command = COMMANDS[name].load()
    assert command.name == name
    assert command.help is not None
    assert command.help.splitlines()[0] == COMMANDS[name].summary


def test_every_file_of_commands_is_registered() -> None:
    files = {path.stem for path in (ROOT / "host/cli/commands").glob("*.py")} - {"__init__"}
    assert files == {entry.module for entry in COMMANDS.values()}


@pytest.mark.parametrize(
    ("package", "arguments"),
    [
        ("serial", ["devices"]),  # imported with the command
        ("cobs", ["run", "--help"]),
        ("torch", ["train", "digits-dpsgd", "--out", "run"]),  # imported when it is needed
        ("h5py", ["import", str(NIR), "--dt", "1"]),
        (
            "matplotlib",
            ["epsilon", "-k", "1", "-w", "2", "-T", "2", "-N", "2", "--delta", "0", "--plot-delta", "d.png"],
        ),
    ],
)
def test_a_missing_package_is_one_sentence_with_its_extra(package: str, arguments: list[str], tmp_path: Path) -> None:
    code = (
        f"import os, sys\nos.chdir({str(tmp_path)!r})\nsys.modules[{package!r}] = None\n"
        "from spikeveil.host.cli import main\nmain(sys.argv[1:])"
    )
    done = run(code, *arguments)
    assert done.returncode == 1
    assert done.stderr == f"Error: {package} is not installed: pip install '.[{EXTRAS[package]}]' in the checkout\n"
    assert list(tmp_path.iterdir()) == []


def test_reported_errors_are_classes_of_that_name() -> None:
    for name in REPORTED:
        module, _, kind = name.rpartition(".")
        found = getattr(import_module(module), kind)
        assert issubclass(found, Exception) and f"{found.__module__}.{found.__qualname__}" == name


def test_a_defect_has_no_sentence() -> None:
    assert sentence_of(ZeroDivisionError("a defect")) is None
    assert sentence_of(ModuleNotFoundError("no module", name="spikeveil.nonsense")) is None
    assert sentence_of(ValueError("lanes must be 1 to 64, not 99")) == "lanes must be 1 to 64, not 99"
