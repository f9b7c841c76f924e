"""What is installed: every folder, nothing beside `spikeveil/`, and imports that run one way."""

import ast
import io
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
from support.paths import ROOT
from support.scripts import load_script

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
FOLDERS = ("hdl", "pysim", "host", "boards")
FACE = "face"  # the folder that is `spikeveil` itself

#: what each part may import besides the standard library and itself
ALLOWED = {
    "pysim": {"numpy", "lazy_loader"},
    "hdl": {"numpy", "lazy_loader", "amaranth", "spikeveil.pysim"},
    "boards": {"numpy", "lazy_loader", "amaranth", "amaranth_boards", "spikeveil.pysim", "spikeveil.hdl"},
    "host/privacy": {
        "numpy",
        "lazy_loader",
        "scipy",
        "dp_accounting",
        "cryptography",
        "pyarrow",
        "spikeveil.pysim",
        "spikeveil.host.extras",
        "spikeveil.host.known_keys",
        "spikeveil.host.secret_files",
    },
}


def imports(path: Path) -> set[str]:
    """Every module that the file imports, at its top or inside a function."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add(node.module or "")
    return found


def test_each_dependency_has_a_licence_on_the_page() -> None:
    project, groups = PROJECT["project"], PROJECT["dependency-groups"]
    requirements = [*project["dependencies"], *groups["dev"]]
    requirements += [name for extra in project["optional-dependencies"].values() for name in extra]
    names = {re.match(r"[\w-]+", requirement)[0] for requirement in requirements}  # type: ignore[index]
    rows = [line.split("|")[1] for line in (ROOT / "docs" / "licences.md").read_text().splitlines() if line[:2] == "| "]
    assert {name.strip() for row in rows[1:] for name in row.split(",")} == names


def test_an_sdist_depends_on_its_content_alone(tmp_path: Path) -> None:
    """Times, owners and the order of the members of the archive change nothing."""
    archives = []
    for number, names in enumerate((("a", "b"), ("b", "a"))):
        path = tmp_path / f"{number}.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            for name in names:
                member = tarfile.TarInfo(name)
                member.size, member.mtime, member.uid, member.uname = 4, number + 1, number, f"user{number}"
                archive.addfile(member, io.BytesIO(name.encode() * 4))
        archives.append(load_script("dist").normalised(path.read_bytes(), 1_700_000_000))
    assert archives[0] == archives[1]
    with tarfile.open(fileobj=io.BytesIO(archives[0])) as archive:
        assert [(member.name, member.mtime) for member in archive] == [("a", 1_700_000_000), ("b", 1_700_000_000)]


@pytest.mark.parametrize("part", ALLOWED)
def test_imports_run_one_way(part: str) -> None:
    own = "spikeveil." + part.replace("/", ".")
    permitted = ALLOWED[part] | {own}
    for path in (ROOT / part).rglob("*.py"):
        for module in imports(path):
            if module.split(".")[0] in sys.stdlib_module_names:
                continue
            assert any(module == name or module.startswith(f"{name}.") for name in permitted), f"{path}: {module}"


def test_every_folder_with_code_is_a_listed_package() -> None:
    folders = {path.parent.relative_to(ROOT) for folder in FOLDERS for path in (ROOT / folder).rglob("__init__.py")}
    expected = {"spikeveil", *("spikeveil." + ".".join(folder.parts) for folder in folders)}
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == expected


def test_typings_show_every_folder() -> None:
    for folder in FOLDERS:
        assert (ROOT / "typings" / "spikeveil" / folder).resolve() == ROOT / folder


def test_every_dependency_has_its_reason_beside_it() -> None:
    lines = (ROOT / "pyproject.toml").read_text().splitlines()
    start = lines.index("dependencies = [")
    end = lines.index("[project.scripts]")
    wanted = [line for line in lines[start:end] if line.startswith('    "')]
    assert len(wanted) > 15
    assert [line for line in wanted if "#" not in line] == []


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"  # setuptools leaves a build folder beside what it builds
    shutil.copytree(ROOT, source, symlinks=True, ignore=shutil.ignore_patterns(".*", "build", "out", "*.egg-info"))
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(source)],
        check=True,
        capture_output=True,
    )
    (built,) = folder.glob("*.whl")
    return built


def test_wheel_holds_only_spikeveil(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert tops == {"spikeveil", f"spikeveil-{PROJECT['project']['version']}.dist-info"}
    for folder in FOLDERS:
        missing = [
            str(path)
            for path in (ROOT / folder).rglob("*")
            if path.is_file() and path.suffix != ".pyc" and path.name != "README.md" and "__pycache__" not in path.parts
            if f"spikeveil/{path.relative_to(ROOT)}" not in names
        ]
        assert missing == []


def test_wheel_imports_in_a_clean_environment(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "clean")
    site = Path(sysconfig.get_path("purelib", vars={"base": str(tmp_path / "clean")}))
    zipfile.ZipFile(wheel).extractall(site)
    # the dependencies, and not the editable install: a path in a .pth file does not have its own .pth files read
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    modules = list(PROJECT["tool"]["setuptools"]["packages"])
    program = f"import importlib\nfor name in {modules!r}:\n    print(importlib.import_module(name).__file__)"
    shown = subprocess.run(
        [str(tmp_path / "clean/bin/python"), "-c", program], check=True, capture_output=True, text=True, cwd=tmp_path
    ).stdout.split()
    assert len(shown) == len(modules)
    assert all(Path(path).is_relative_to(site) for path in shown)
