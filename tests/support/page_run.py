"""Runs the blocks of a page (`support.pages`) in its order, in a clean copy of the checkout.

All Python blocks of a page share their names. `pip install` checks what it is asked for and installs nothing.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from support.pages import Block, PageError, masked
from support.paths import ROOT

TIMEOUT = 600  # seconds for a block
SOAK_TIMEOUT = 4 * 3600
START_TIMEOUT = 600  # for a program in the background: the first start compiles it
COLUMNS = "80"
LEFT_OUT = ("PYTEST", "COV", "XDG", "MAKE", "MFLAGS")  # a test run under make would show in the output of make

PIP = """\
pip() { python "$HOME/pip.py" "$@"; }
"""

#: stands for pip: fails unless what it is asked for exists, and installs nothing
PIP_SCRIPT = """\
import re, sys, tomllib
from pathlib import Path
command, *wanted = sys.argv[1:]
project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
extras = project["optional-dependencies"]
needed = [*project["dependencies"], *sum(extras.values(), []), *Path("requirements-train.txt").read_text().split()]
known = {re.split(r"[\\[<>=~!]", line)[0] for line in needed}
assert command == "install", f"a page may run pip install alone, not pip {command}"
for item in wanted:
    local = re.fullmatch(r"\\.(?:\\[([a-z,]+)\\])?", item)
    missing = set((local[1] or "").split(",")) - {""} - set(extras) if local else {item} - known
    assert not missing, f"{item}: nothing is called {', '.join(missing)}"
"""

DRIVER = """\
import contextlib, io, json, sys, traceback
names = {"__name__": "__main__"}
for line in sys.stdin:
    order, output, failure = json.loads(line), io.StringIO(), None
    try:
        with contextlib.redirect_stdout(output):
            exec(compile("\\n" * order["line"] + order["code"], order["page"], "exec"), names)
    except BaseException:
        failure = traceback.format_exc()
    print(json.dumps({"output": output.getvalue(), "failure": failure}), flush=True)
"""


def small_mnist(path: Path) -> None:
    """A Keras .npz in the format of MNIST with a few random images."""
    rng = np.random.default_rng(0)
    parts = {"train": 600, "test": 100}
    arrays = {f"x_{part}": rng.integers(0, 256, (count, 28, 28)).astype(np.uint8) for part, count in parts.items()}
    labels = {f"y_{part}": rng.integers(0, 10, count).astype(np.uint8) for part, count in parts.items()}
    np.savez(path, **arrays, **labels)


#: files that a reader of the pages has, by name
GIVEN = {"mnist.npz": small_mnist}


def clean_checkout(folder: Path) -> Path:
    """A copy of the checkout, with this environment as its `.venv` and nothing to set up."""
    checkout = folder / "spikeveil"
    left_out = shutil.ignore_patterns(".*", "__pycache__", "build", "out", "runs", "*.egg-info")
    shutil.copytree(ROOT, checkout, symlinks=True, ignore=left_out)
    environment = checkout / ".venv"
    environment.mkdir()
    (environment / "bin").symlink_to(Path(sys.prefix) / "bin")
    for stamp in (".ready", ".ready-train", ".ready-bench"):  # newer than all that was copied: make sets nothing up
        (environment / stamp).touch()
    return checkout


def _end_group(leader: int) -> None:
    """End a program in a session of its own, and everything that it started there."""
    for signal_number, wait in ((signal.SIGTERM, 20.0), (signal.SIGKILL, 0.0)):
        end = time.monotonic() + wait
        try:
            os.killpg(leader, signal_number)
            while time.monotonic() < end and _alive(leader):
                time.sleep(0.02)
        except ProcessLookupError:
            return


def _alive(group: int) -> bool:
    """Whether a process of the group is more than a zombie."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, own = stat.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if own == str(group) and state != "Z":
            return True
    return False


class PageRun:
    """The blocks of one page, run in order in `folder`. Leaving the context ends what runs in the background."""

    def __init__(self, page: Path, folder: Path) -> None:
        self.page = page
        self.checkout = clean_checkout(folder)
        self.home = folder / "home"
        self.home.mkdir()
        functions = self.home / "functions.sh"
        functions.write_text(PIP)
        (self.home / "pip.py").write_text(PIP_SCRIPT)
        cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(LEFT_OUT)}
        self.environment = kept | {
            "HOME": str(self.home),
            "XDG_CACHE_HOME": cache,
            "BASH_ENV": str(functions),
            "COLUMNS": COLUMNS,
            "PATH": f"{Path(sys.prefix) / 'bin'}:{os.environ['PATH']}",
        }
        self._background: list[subprocess.Popen[bytes]] = []
        self._python: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for program in self._background:
            _end_group(program.pid)
            program.communicate()
        if self._python is not None:
            self._python.kill()
            self._python.communicate()

    def run(self, block: Block) -> None:
        """Run one block. PageError where it fails, or prints something else than the page shows."""
        for name in block.given:
            GIVEN[name](self.checkout / name)
        if block.refused is not None:
            return
        if block.file is not None:
            (self.checkout / block.file).write_text(block.text)
        elif block.until is not None:
            self._start(block, block.until)
        else:
            printed = self._shell(block) if block.language == "sh" else self._execute(block)
            self._compare(block, printed)

    def _fail(self, block: Block, sentence: str) -> PageError:
        return PageError(f"{self.page.relative_to(ROOT)}:{block.line}: {sentence}\n{block.text}")

    def _shell(self, block: Block) -> str:
        limit = SOAK_TIMEOUT if block.soak else TIMEOUT
        with (self.home / "stdout").open("w+") as stdout, (self.home / "stderr").open("w+") as stderr:
            shell = subprocess.Popen(
                ["bash", "-e", "-o", "pipefail", "-c", block.text],
                cwd=self.checkout,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )
            try:
                status = shell.wait(limit)
            except subprocess.TimeoutExpired:
                raise self._fail(block, f"not done after {limit} s") from None
            finally:
                _end_group(shell.pid)
            printed, errors = (file.seek(0) or file.read() for file in (stdout, stderr))
        if status != block.status:
            raise self._fail(block, f"exit code {status}, not {block.status}\n{printed}{errors}")
        return str(printed)

    def _execute(self, block: Block) -> str:
        if self._python is None:
            self._python = subprocess.Popen(
                [sys.executable, "-c", DRIVER],
                cwd=self.checkout,
                env=self.environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        assert self._python.stdin is not None
        assert self._python.stdout is not None
        order = {"code": block.text, "page": str(self.page), "line": block.line}
        self._python.stdin.write(json.dumps(order) + "\n")
        self._python.stdin.flush()
        answer: dict[str, Any] = json.loads(self._python.stdout.readline())
        if answer["failure"] is not None:
            raise self._fail(block, answer["failure"])
        return str(answer["output"])

    def _start(self, block: Block, ready: str) -> None:
        log = self.home / f"background-{len(self._background)}.log"
        with log.open("wb") as output:
            program = subprocess.Popen(
                ["bash", "-e", "-c", block.text],
                cwd=self.checkout,
                env=self.environment,
                stdin=subprocess.PIPE,  # open and silent, like a terminal
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._background.append(program)
        end = time.monotonic() + START_TIMEOUT
        while not os.path.lexists(self.checkout / ready):
            if program.poll() is not None or time.monotonic() > end:
                raise self._fail(block, f"{ready} did not appear\n{log.read_text()}")
            time.sleep(0.05)

    def _compare(self, block: Block, printed: str) -> None:
        if block.output is None:
            return
        shown, actual = masked(block.output, block.masks), masked(printed, block.masks)
        actual = actual[: len(shown)] if block.beginning else actual
        if shown != actual:
            differing = next((n for n, (a, b) in enumerate(zip(shown, actual, strict=False)) if a != b), len(actual))
            raise self._fail(
                block, f"the output differs in line {differing + 1} of what is shown; it printed:\n{printed}"
            )
