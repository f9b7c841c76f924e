"""Writing TOML, which the standard library only reads."""

import json
from collections.abc import Mapping
from typing import Any


def toml_text(record: Mapping[str, Any]) -> str:
    """`record` (strings, numbers, booleans, lists and tables of them) as TOML; `tomllib.loads` gives it back."""
    lines = [f"{name} = {_value(value)}" for name, value in record.items() if not isinstance(value, Mapping)]
    for name, value in record.items():
        if isinstance(value, Mapping):
            lines += ["", f"[{name}]", *(f"{key} = {_value(entry)}" for key, entry in value.items())]
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{json.dumps(key)} = {_value(entry)}" for key, entry in value.items()) + " }"
    if isinstance(value, list | tuple):
        inner = ", ".join(_value(entry) for entry in value)
        return f"[\n  {inner.replace('}, {', '},' + chr(10) + '  {')},\n]" if "{" in inner else f"[{inner}]"
    return json.dumps(value, ensure_ascii=False)
