"""Load a file of scripts/ as a module: the folder is no package."""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from typing import Any

from support.paths import ROOT


def load_script(name: str) -> Any:
    """The module `scripts/NAME.py`, run once for the whole test session."""
    module_name = f"script_{name}"
    if module_name not in sys.modules:
        spec = spec_from_file_location(module_name, ROOT / "scripts" / f"{name}.py")
        if spec is None or spec.loader is None:
            raise ImportError(f"scripts/{name}.py is not a Python file")
        module = sys.modules[module_name] = module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[module_name]
