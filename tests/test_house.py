"""The house: each room imports only from rooms before it; only some reach for heavy libraries or the disk."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import bayesgmm

PACKAGE = Path(bayesgmm.__file__).parent
ROOMS = (
    "errors",
    "version",
    "progress",
    "files",
    "params",
    "data",
    "datasets",
    "kernels",
    "compilation",
    "families",
    "em",
    "partitions",
    "posterior",
    "model",
    "evidence",
    "sampling",
    "compare",
    "plots",
    "report",
    "io",
    "analyze",
    "table",
    "commands",
    "cli",
    "",  # bayesgmm/__init__.py: the public names
    "__main__",
)
ONLY_IN = {
    "pymc": ("model", "sampling"),
    "pytensor": ("model", "sampling"),
    "nutpie": ("model", "sampling"),
    "matplotlib": ("plots",),
    "arviz_plots": ("plots",),
}
WRITERS = {"write_text", "write_bytes", "to_netcdf", "to_zarr", "to_csv", "to_parquet"}
MAY_WRITE = {"files", "report", "io"}


class Import(NamedTuple):
    target: str
    line: int
    in_function: bool


def find_imports(source: str, module: str, *, is_package: bool) -> list[Import]:
    """Every import in source, wherever it stands, as absolute names; `from a import b` gives a.b."""

    def visit(node: ast.AST, in_function: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            for target in imported_names(child, module, is_package=is_package):
                yield Import(target, child.lineno, in_function)
            inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from visit(child, in_function or inside)

    return list(visit(ast.parse(source), in_function=False))


def imported_names(node: ast.AST, module: str, *, is_package: bool) -> list[str]:
    match node:
        case ast.Import(names=names):
            return [alias.name for alias in names]
        case ast.ImportFrom(module=origin, names=names, level=level):
            parents = module.split(".")
            base = parents[: len(parents) - level + is_package] if level else []
            prefix = ".".join([*base, *([origin] if origin else [])])
            return [f"{prefix}.{alias.name}" for alias in names]
        case ast.Call(func=ast.Name(id="__import__") | ast.Attribute(attr="import_module"), args=[ast.Constant(name), *_]):
            return [str(name)]
        case ast.Call(func=ast.Attribute(value=ast.Name(id="lazy_loader" | "lazy"), attr="load"), args=[ast.Constant(name), *_]):
            return [str(name)]
        case _:
            return []


def room_of(module: str) -> str:
    """The room of an absolute name under bayesgmm; a public name of the package itself belongs to the room ""."""
    room = module.split(".")[1] if "." in module else ""
    return room if room in ROOMS or (PACKAGE / room).is_dir() or (PACKAGE / f"{room}.py").exists() else ""


def find_breaches(source: str, module: str, *, is_package: bool = False) -> list[str]:
    """What a module's imports break of the house's rules, one line each."""
    room = room_of(module)
    breaches = []
    for target, line, in_function in find_imports(source, module, is_package=is_package):
        where = f"{module}, line {line}"
        if in_function:
            breaches.append(f"{where}: imports {target} inside a function")
        top = target.split(".")[0]
        if room not in ONLY_IN.get(top, (room,)):
            breaches.append(f"{where}: imports {target}, which only {' and '.join(ONLY_IN[top])}/ may")
        if top != "bayesgmm" or not room:
            continue
        target_room = room_of(target)
        if target_room not in ROOMS:
            breaches.append(f"{where}: imports {target}, and {target_room!r} is not in ROOMS")
        elif ROOMS.index(target_room) > ROOMS.index(room):
            breaches.append(f"{where}: {room} imports upward from {target_room or 'the package itself'}")
    return breaches


def list_modules() -> list[tuple[str, Path]]:
    paths = sorted(PACKAGE.rglob("*.py"))
    names = (".".join(("bayesgmm", *path.relative_to(PACKAGE).with_suffix("").parts)) for path in paths)
    return [(name.removesuffix(".__init__"), path) for name, path in zip(names, paths, strict=True)]


MODULES = list_modules()


@pytest.mark.parametrize(("module", "path"), MODULES, ids=[module for module, _ in MODULES])
def test_module_keeps_to_the_house(module: str, path: Path) -> None:
    assert room_of(module) in ROOMS, f"{module}: give its room a place in ROOMS"
    assert find_breaches(path.read_text(encoding="utf-8"), module, is_package=path.name == "__init__.py") == []


@pytest.mark.parametrize(("module", "path"), MODULES, ids=[module for module, _ in MODULES])
def test_only_report_and_io_write_files(module: str, path: Path) -> None:
    if room_of(module) in MAY_WRITE:
        return
    calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    methods = {node.func.attr for node in calls if isinstance(node.func, ast.Attribute)}
    assert methods & WRITERS == set()


def test_every_module_is_seen() -> None:
    modules = {module for module, _ in MODULES}
    assert {"bayesgmm", "bayesgmm.errors", "bayesgmm.data.read"} <= modules


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("from bayesgmm.em.fit import fit_em", "kernels imports upward from em"),
        ("import bayesgmm.em.fit", "kernels imports upward from em"),
        ("from bayesgmm import em", "kernels imports upward from em"),
        ("from bayesgmm import fit_em", "kernels imports upward from the package itself"),
        ("import bayesgmm", "kernels imports upward from the package itself"),
        ("from ..em import fit", "kernels imports upward from em"),
        ("from .. import em", "kernels imports upward from em"),
        ("if True:\n    from bayesgmm.cli import main", "line 2: kernels imports upward from cli"),
        ("import importlib\nimportlib.import_module('bayesgmm.io')", "kernels imports upward from io"),
        ("import lazy_loader\nio = lazy_loader.load('bayesgmm.io')", "kernels imports upward from io"),
        ("import lazy_loader as lazy\npm = lazy.load('pymc')", "imports pymc, which only model and sampling/ may"),
        ("import pymc as pm", "imports pymc, which only model and sampling/ may"),
        ("from pytensor.graph import Op", "imports pytensor.graph.Op, which only model and sampling/ may"),
        ("import matplotlib.pyplot as plt", "imports matplotlib.pyplot, which only plots/ may"),
    ],
)
def test_the_checker_sees_a_breach(source: str, said: str) -> None:
    (breach,) = find_breaches(source, "bayesgmm.kernels.moments")
    assert said in breach


def test_the_checker_sees_an_upward_import_inside_a_function() -> None:
    source = "class A:\n    async def f(self):\n        from bayesgmm.report import html\n"
    inside, upward = find_breaches(source, "bayesgmm.kernels.moments")
    assert "line 3: imports bayesgmm.report.html inside a function" in inside
    assert "line 3: kernels imports upward from report" in upward


def test_the_checker_sees_a_lazy_import_inside_a_function() -> None:
    source = "import lazy_loader\ndef f():\n    return lazy_loader.load('pandas').NA\n"
    (breach,) = find_breaches(source, "bayesgmm.kernels.moments")
    assert "line 3: imports pandas inside a function" in breach


def test_the_checker_resolves_relative_imports_of_a_package() -> None:
    assert find_breaches("from .moments import f", "bayesgmm.kernels", is_package=True) == []
    (breach,) = find_breaches("from ..em import f", "bayesgmm.kernels", is_package=True)
    assert "kernels imports upward from em" in breach


@pytest.mark.parametrize(
    "source",
    [
        "from bayesgmm.params import MixtureParams",
        "from bayesgmm.kernels.block import expect_block",
        "from .block import expect_block",
        "import numpy as np",
        "from bayesgmm import errors",
        "import lazy_loader\npd = lazy_loader.load('pandas')",
    ],
)
def test_the_checker_lets_downward_imports_pass(source: str) -> None:
    assert find_breaches(source, "bayesgmm.kernels.moments") == []
