"""Draw the packages and their imports, read from the import statements: the picture of docs/architecture.md.

python scripts/architecture.py [--write]

Without `--write` the picture is printed. Imports inside functions and under TYPE_CHECKING count like any other. A name
that a package's `__init__` re-exports counts as an import of the file that defines it.
"""

import argparse
import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "architecture.md"
FOLDERS = ("face", "hdl", "pysim", "host", "boards")
PACKAGE = "spikeveil"
FACE = "face"  # the folder of `spikeveil` itself
BEGIN, END = "<!-- drawn by scripts/architecture.py -->\n```text\n", "```\n<!-- end of the drawing -->"


@dataclass(frozen=True, slots=True)
class Import:
    """One name or module that a file imports: `name` is empty for `import module`."""

    module: str
    name: str
    line: int
    in_function: bool

    @property
    def full(self) -> str:
        return f"{self.module}.{self.name}" if self.name else self.module


@cache
def modules() -> Mapping[str, Path]:
    """Every module of the package by its import path."""
    found = {}
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            parts = parts[1:] if folder == FACE else parts
            found[".".join((PACKAGE, *parts)).removesuffix(".__init__")] = path
    return found


@cache
def imports(module: str) -> tuple[Import, ...]:
    """Every import statement of the module, wherever it stands."""
    return tuple(_statements(ast.parse(modules()[module].read_text()), False))


def _statements(node: ast.AST, in_function: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (Import(alias.name, "", child.lineno, in_function) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            yield from (Import(child.module or "", alias.name, child.lineno, in_function) for alias in child.names)
        else:
            inside = in_function or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from _statements(child, inside)


def imported_modules(module: str) -> set[str]:
    """The modules of this package that the module imports, a package's `__init__` standing for itself."""
    targets = set()
    for statement in imports(module):
        if statement.full in modules():
            targets.add(statement.full)
        elif statement.module in modules():
            targets.add(statement.module)
    return targets - {module}


def defining_module(statement: Import) -> str | None:
    """The module of this package that defines what is imported, or None for another package."""
    if statement.full in modules():
        return statement.full
    if statement.module not in modules():
        return None
    if modules()[statement.module].name == "__init__.py":
        for exported in imports(statement.module):
            if exported.name == statement.name:
                return defining_module(exported)
    return statement.module


def room(module: str) -> str:
    """The package that a module belongs to in the picture: `hdl.engine`, `host.cli`, `boards`."""
    parts = module.split(".")[1:]
    if not parts or parts == ["__main__"]:
        return PACKAGE
    depth = 1 if parts[0] == "boards" else 2
    folder = parts if modules()[module].name == "__init__.py" else parts[:-1]
    return ".".join(folder[:depth])


def room_imports() -> dict[str, set[str]]:
    """The rooms that each room imports. `hdl` and `pysim` only re-export names."""
    arrows: dict[str, set[str]] = {}
    for module in modules():
        importer = room(module)
        if importer in ("hdl", "pysim"):
            continue
        arrows.setdefault(importer, set())
        for statement in imports(module):
            target = defining_module(statement)
            if target is not None and room(target) not in (importer, "hdl", "pysim"):
                arrows[importer].add(room(target))
    return arrows


def order(arrows: Mapping[str, set[str]]) -> list[str]:
    """The rooms, each before every room that it imports. ValueError where there is a circle."""
    remaining = dict(sorted(arrows.items()))
    ordered: list[str] = []
    while remaining:
        free = [name for name in remaining if not any(name in targets for targets in remaining.values())]
        if not free:
            raise ValueError(f"these packages import each other in a circle: {', '.join(remaining)}")
        ordered.append(free[0])
        del remaining[free[0]]
    return ordered


def draw(arrows: Mapping[str, set[str]]) -> str:
    """The picture: a line for each room, a column for each room that others import."""
    rooms = order(arrows)
    columns = [name for name in rooms if any(name in targets for targets in arrows.values())]
    width = max(map(len, rooms)) + 1
    return "".join(f"{name:<{width}}{_cells(name, rooms, columns, arrows)}\n" for name in rooms)


def _cells(name: str, rooms: list[str], columns: list[str], arrows: Mapping[str, set[str]]) -> str:
    """One line of the picture, right of the room's name."""
    row = rooms.index(name)
    last = max((columns.index(target) for target in (*arrows[name], name) if target in columns), default=-1)
    cells = []
    for number, column in enumerate(columns):
        begun = any(column in arrows[earlier] for earlier in rooms[:row])
        passing = begun and rooms.index(column) > row
        on_line = number <= last
        if column == name:
            mark = "▼"
        elif column in arrows[name]:
            mark = "●"
        elif passing:
            mark = "┼" if on_line else "│"
        else:
            mark = "─" if on_line else " "
        cells.append(("──" if on_line else "  ") + mark)
    return "".join(cells).rstrip()


def page_with(picture: str) -> str:
    """The text of docs/architecture.md with the picture in its place."""
    head, rest = PAGE.read_text().split(BEGIN)
    _, tail = rest.split(END)
    return head + BEGIN + picture + END + tail


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="put the picture into docs/architecture.md")
    picture = draw(room_imports())
    if parser.parse_args().write:
        PAGE.write_text(page_with(picture))
    else:
        print(picture, end="")


if __name__ == "__main__":
    main()
