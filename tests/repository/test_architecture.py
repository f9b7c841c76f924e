"""The rules of docs/architecture.md: who may import whom, and which gateware has a model."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.paths import ROOT
from support.scripts import load_script

GRAPH = load_script("architecture")
MODULES = GRAPH.modules()

MOST_IMPORTS_IN_FUNCTIONS = 60

#: circles of imports that are known and allowed: none
ALLOWED_CIRCLES: list[set[str]] = []

#: gateware and the model that it is held to
TWINS = [
    ("hdl/engine/decision.py", "pysim/model/decision.py"),
    ("hdl/engine/flipper.py", "pysim/model/flipper.py"),
    ("hdl/engine/layer.py", "pysim/model/layer.py"),
    ("hdl/engine/lfsr.py", "pysim/model/lfsr.py"),
    ("hdl/engine/network.py", "pysim/model/network.py"),
    ("hdl/engine/neuron.py", "pysim/model/neuron.py"),
    ("hdl/engine/source.py", "pysim/model/source.py"),
    ("hdl/engine/trivium.py", "pysim/model/trivium.py"),
    ("hdl/device/commands.py", "pysim/device/top.py"),
    ("hdl/device/commands.py", "pysim/device/messages.py"),
    ("hdl/device/core.py", "pysim/device/core.py"),
    ("hdl/device/frames.py", "host/device/frames.py"),
    ("hdl/device/guard.py", "pysim/device/guard.py"),
    ("hdl/device/loader.py", "pysim/device/loader.py"),
    ("hdl/device/outbox.py", "pysim/device/outbox.py"),
    ("hdl/device/pack.py", "pysim/device/pack.py"),
    ("hdl/device/replies.py", "pysim/device/messages.py"),
    ("hdl/device/reply_fields.py", "pysim/device/status.py"),
    ("hdl/device/top.py", "pysim/device/top.py"),
    ("hdl/device/unpack.py", "pysim/device/unpack.py"),
]

WIRE = ROOT / "pysim" / "device" / "wire.py"


def modules_below(*prefixes: str) -> set[str]:
    """Every module that is one of the packages, or inside one."""
    return {name for name in MODULES if any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)}


def circles(graph: dict[str, set[str]]) -> list[set[str]]:
    """Every largest group of modules that import each other, directly or through others."""
    reachable = {name: set(targets) for name, targets in graph.items()}
    for middle in graph:
        for targets in reachable.values():
            if middle in targets:
                targets |= reachable[middle]
    groups = {
        frozenset(other for other in graph if other in reachable[name] and name in reachable[other]) for name in graph
    }
    return sorted((set(group) for group in groups if group), key=sorted)


def private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__")


def test_circles_are_found() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}, "e": {"e"}}
    assert circles(graph) == [{"b", "c"}, {"e"}]


def test_no_file_imports_itself_through_others() -> None:
    assert circles({name: GRAPH.imported_modules(name) for name in MODULES}) == ALLOWED_CIRCLES


def test_packages_stand_in_one_order() -> None:
    assert len(GRAPH.order(GRAPH.room_imports())) > 10


def test_a_circle_of_packages_is_refused() -> None:
    with pytest.raises(ValueError, match="import each other in a circle: a, b"):
        GRAPH.order({"a": {"b"}, "b": {"a"}})


def test_picture_is_of_today() -> None:
    assert GRAPH.page_with(GRAPH.draw(GRAPH.room_imports())) == GRAPH.PAGE.read_text(), (
        "run python scripts/architecture.py --write"
    )


def test_picture_of_three_packages() -> None:
    drawn = GRAPH.draw({"command": {"model", "files"}, "files": set(), "model": {"files"}})
    assert drawn == (
        "command ──●──●\n"
        "model   ──▼──●\n"
        "files   ─────▼\n"
    )  # fmt: skip


def test_every_package_is_explained() -> None:
    page = GRAPH.PAGE.read_text()
    assert [name for name in GRAPH.room_imports() if f"| `{name}`" not in page] == []


@pytest.mark.parametrize(
    ("package", "importers"),
    [
        ("spikeveil.host.cli", ["spikeveil.host.cli", "spikeveil.__main__"]),
        ("spikeveil.host.training", ["spikeveil.host.training", "spikeveil.host.cli.commands"]),
    ],
)
def test_package_is_imported_only_by(package: str, importers: list[str]) -> None:
    allowed = modules_below(*importers)
    found = {
        f"{MODULES[name].relative_to(ROOT)}:{statement.line}"
        for name in sorted(set(MODULES) - allowed)
        for statement in GRAPH.imports(name)
        if statement.full == package or statement.full.startswith(f"{package}.")
    }
    assert found == set()


@pytest.mark.parametrize(
    ("package", "imported"),
    [
        ("spikeveil.hdl.engine", ["spikeveil.hdl.engine", "spikeveil.pysim.model"]),
        ("spikeveil.pysim.model", ["spikeveil.pysim.model"]),
    ],
)
def test_package_imports_only(package: str, imported: list[str]) -> None:
    allowed = modules_below(*imported)
    found = {name: GRAPH.imported_modules(name) - allowed for name in modules_below(package)}
    assert {name: targets for name, targets in found.items() if targets} == {}


def private_imports() -> Iterator[str]:
    """Every import of a private name of another file, and every use of one through an imported module."""
    for name, path in MODULES.items():
        aliases = set()
        for statement in GRAPH.imports(name):
            if statement.module.startswith("spikeveil"):
                if private(statement.name) and statement.full not in MODULES:
                    yield f"{path.relative_to(ROOT)}:{statement.line}: {statement.full}"
                if statement.full in MODULES:
                    aliases.add(statement.name)
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Attribute(value=ast.Name(id=owner), attr=attribute) if owner in aliases and private(attribute):
                    yield f"{path.relative_to(ROOT)}:{node.lineno}: {owner}.{attribute}"


def test_private_names_stay_in_their_file() -> None:
    assert list(private_imports()) == []


def test_private_modules_stay_in_their_folder() -> None:
    found = []
    for name in MODULES:
        for target in GRAPH.imported_modules(name):
            parts = target.split(".")
            for depth, part in enumerate(parts):
                if private(part) and not name.startswith(".".join(parts[:depth]) + "."):
                    found.append((name, target))
    assert found == []


def test_few_imports_stand_inside_functions() -> None:
    inside = Counter(
        str(MODULES[name].relative_to(ROOT))
        for name in MODULES
        for line in {statement.line for statement in GRAPH.imports(name) if statement.in_function}
    )
    assert inside.total() <= MOST_IMPORTS_IN_FUNCTIONS, inside.most_common()


def module_constants(path: Path) -> set[str]:
    """The names in capitals that a file binds at its top level."""
    bound = set()
    for node in ast.parse(path.read_text()).body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        for target in targets:
            bound |= {leaf.id for leaf in ast.walk(target) if isinstance(leaf, ast.Name) and leaf.id.isupper()}
    return bound


def test_wire_constants_are_bound_once() -> None:
    wire = module_constants(WIRE)
    assert wire
    elsewhere = {
        str(path.relative_to(ROOT)): wire & module_constants(path) for path in MODULES.values() if path != WIRE
    }
    assert {path: names for path, names in elsewhere.items() if names} == {}


def module_docstring(path: Path) -> str:
    return ast.get_docstring(ast.parse(path.read_text())) or ""


@pytest.mark.parametrize(("gateware", "model"), TWINS)
def test_twins_name_each_other(gateware: str, model: str) -> None:
    assert model in module_docstring(ROOT / gateware)
    assert gateware in module_docstring(ROOT / model)


def test_twin_of_is_answered() -> None:
    claims = [
        (str(path.relative_to(ROOT)), other)
        for path in MODULES.values()
        for other in re.findall(r"[Tt]win of [^.]*?([\w/]+\.py)", module_docstring(path))
    ]
    assert len(claims) > 10
    assert [(one, other) for one, other in claims if one not in module_docstring(ROOT / other)] == []
