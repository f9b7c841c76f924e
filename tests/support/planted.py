"""Planted bugs: one line of the gateware changed in memory, and every gateware module imported anew with it."""

import importlib
import importlib.abc
import importlib.machinery
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import spikeveil.hdl

FRESH = ("spikeveil.hdl", "spikeveil.host.cosim")  # imported anew for each bug


@dataclass(frozen=True)
class Bug:
    """`old`, which stands exactly once in hdl/`package`/`module`.py, becomes `new`."""

    name: str
    module: str
    old: str
    new: str
    package: str = "engine"


class Planted(importlib.abc.MetaPathFinder, importlib.machinery.SourceFileLoader):
    """Finds the one module that has the bug, and hands its changed text to the import system."""

    def __init__(self, bug: Bug) -> None:
        self.bug, self.file = bug, Path(spikeveil.hdl.__file__).parent / bug.package / f"{bug.module}.py"
        super().__init__(f"spikeveil.hdl.{bug.package}.{bug.module}", str(self.file))

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        return importlib.machinery.ModuleSpec(name, self, origin=str(self.file)) if name == self.name else None

    def get_code(self, fullname: str) -> Any:
        text = self.file.read_text()
        if text.count(self.bug.old) != 1:
            raise LookupError(f"{self.bug.old!r} stands {text.count(self.bug.old)} times in {self.file.name}, not once")
        return compile(text.replace(self.bug.old, self.bug.new), str(self.file), "exec")


@contextmanager
def planted(bug: Bug | None) -> Iterator[Callable[[str], ModuleType]]:
    """Imports in which the gateware has the bug; afterwards every module is what it was."""
    kept = {name: sys.modules.pop(name) for name in list(sys.modules) if name.startswith(FRESH)}
    finder = [Planted(bug)] if bug else []
    sys.meta_path[:0] = finder
    try:
        yield importlib.import_module
    finally:
        for item in finder:
            sys.meta_path.remove(item)
        for name in [name for name in sys.modules if name.startswith(FRESH)]:
            del sys.modules[name]
        sys.modules.update(kept)
        for name, module in kept.items():
            parent, _, child = name.rpartition(".")
            setattr(sys.modules[parent], child, module)
