"""What holds the house together: who imports whom, how long a file is, what no code may call."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import medjax

ROOT = Path(medjax.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))
SYSTEMS = sorted(path.parent.name for path in ROOT.glob("systems/*/system.py"))
LONGEST_FILE = 400


def name_of(path: Path) -> str:
    """Return the dotted name of a module of the package."""
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path) -> set[str]:
    """Return every module of the package that a file imports, at its top or inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.startswith("medjax.")}


def inside(name: str, package: str) -> bool:
    """Tell whether a dotted name lies in a package."""
    return name == package or name.startswith(f"{package}.")


def forbidden(importer: str) -> Iterator[str]:
    """Yield the packages that a module must not import."""
    layers = tuple(
        f"medjax.{name}" for name in ("nn", "losses", "metrics", "data", "text", "weights")
    )
    if any(inside(importer, layer) for layer in layers):
        yield from ("medjax.run", "medjax.systems", "medjax.main")
    if inside(importer, "medjax.run"):
        yield "medjax.systems"
    for system in SYSTEMS:
        if inside(importer, f"medjax.systems.{system}"):
            yield from (f"medjax.systems.{s}" for s in SYSTEMS if s != system)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_go_one_way(path):
    for package in forbidden(name_of(path)):
        against = [name for name in imports_of(path) if inside(name, package)]
        assert not against, f"{name_of(path)} imports {against}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_file_can_be_seen_whole(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST_FILE


def test_a_system_and_its_config_bear_the_same_name():
    configs = sorted(path.stem for path in (ROOT.parent / "configs").glob("*.py"))
    assert configs == SYSTEMS


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_code_runs_what_a_file_says(path):
    """No eval, pickle, yaml, shell or archive extraction; arrays are read without objects."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = {alias.name for alias in node.names} | {getattr(node, "module", None)}
            assert not names & {"pickle", "dill", "joblib", "marshal", "shelve", "yaml"}
        if isinstance(node, ast.Call):
            called = getattr(node.func, "id", getattr(node.func, "attr", ""))
            is_method = isinstance(node.func, ast.Attribute)
            assert called not in {"eval", "exec"} or is_method, f"{called} at line {node.lineno}"
            assert called not in {"extractall", "system", "popen"}
            keywords = {k.arg: getattr(k.value, "value", None) for k in node.keywords}
            assert not keywords.get("allow_pickle") and not keywords.get("shell")
