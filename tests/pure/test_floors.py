"""The floors of the house: imports go down only, nothing is hidden in a function, and one module runs candidates."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "assay"

FLOORS = [
    {"errors"},
    {"core"},
    {"machine"},
    {"native", "datasets", "launch"},
    {"sandbox", "sparse"},
    {"tasks", "build", "moe", "pruning", "export"},
    {"referee", "checkpoints"},
    {"search"},
    {"report"},
    {"archive", "claims"},
    {"engineer"},
    {"applied", "compress"},
    {"api", "cli"},
]
"""From the ground up; a package may import from its own floor's package and from lower floors only."""

FLOOR_OF = {name: number for number, names in enumerate(FLOORS) for name in names}
MODULES = [p for p in sorted(SOURCE.rglob("*.py")) if p.relative_to(SOURCE).parts[:2] != ("tasks", "builtin")]


def package_of(path):
    relative = path.relative_to(SOURCE)
    return relative.parts[0].removesuffix(".py")


def imports(path):
    """(imported assay package or module, whether the import stands inside a function) of a file."""
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide floors"
            names = [f"{node.module}.{alias.name}" if node.module == "assay" else node.module for alias in node.names]
        for name in names:
            if name and name.startswith("assay."):
                yield name, node.col_offset > 0


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_a_module_imports_only_from_its_own_package_and_lower_floors(path):
    package = package_of(path)
    if package == "__init__":
        assert not list(imports(path)), "importing assay must load nothing"
        return
    for name, _ in imports(path):
        target = name.split(".")[1]
        allowed = target == package or FLOOR_OF[target] < FLOOR_OF[package]
        assert allowed or {target, package} == {"api", "cli"}, f"{path.name} imports {name}, which is not below it"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_no_import_of_assay_is_hidden_in_a_function_or_condition(path):
    hidden = [name for name, inside in imports(path) if inside]
    assert not hidden


def test_modules_do_not_import_each_other_in_a_circle():
    names = {".".join(("assay", *p.relative_to(SOURCE).with_suffix("").parts)): p for p in MODULES}
    graph = {name: {t for t, _ in imports(path)} for name, path in names.items()}
    done, path_now = set(), []

    def visit(name):
        assert name not in path_now, " -> ".join([*path_now[path_now.index(name) :], name])
        if name in done or name not in graph:
            return
        path_now.append(name)
        for target in graph[name]:
            visit(target)
        path_now.pop()
        done.add(name)

    for name in graph:
        visit(name)


def test_only_the_zygotes_children_import_the_module_that_runs_candidates():
    users = [p for p in MODULES if any(name == "assay.referee.processes.worker" for name, _ in imports(p))]
    assert [p.name for p in users] in ([], ["oracle.py"]), "oracle shares `flatten` only"


def test_importing_assay_loads_neither_torch_nor_numpy():
    import subprocess
    import sys

    code = "import sys, assay; assert not {'torch', 'numpy', 'rich'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
