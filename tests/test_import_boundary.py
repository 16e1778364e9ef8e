"""Imports go one way: jobs -> pipeline -> gdpw, fit_deca; and each library is used in one layer."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = {
    "fit_deca": {"gdpw", "pipeline", "jobs"},
    "gdpw": {"fit_deca", "pipeline", "jobs"},
    "pipeline": {"jobs"},
}
ONLY_IN_JOBS = {"ray", "click", "tqdm"}
ONLY_IN_PIPELINE = {"webdataset", "pyarrow", "cv2", "decord", "av", "mediapipe", "PIL", "simplejpeg", "lz4"}
LIBRARIES = {
    "fit_deca": ONLY_IN_JOBS | ONLY_IN_PIPELINE,
    "gdpw": ONLY_IN_JOBS | ONLY_IN_PIPELINE,
    "pipeline": ONLY_IN_JOBS,
}


def imported(tree: ast.AST) -> set[str]:
    """Top-level names of all modules that the source imports, also inside functions."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return {name.split(".")[0] for name in names}


@pytest.mark.parametrize("layer", LAYERS)
def test_imports_go_one_way(layer: str) -> None:
    forbidden = LAYERS[layer] | LIBRARIES[layer]
    sources = sorted((ROOT / layer).rglob("*.py"))
    assert sources
    for source in sources:
        wrong = imported(ast.parse(source.read_text())) & forbidden
        assert not wrong, f"{source.relative_to(ROOT)} imports {', '.join(sorted(wrong))}"


def test_an_import_inside_a_function_is_seen() -> None:
    assert imported(ast.parse("def f():\n    import ray.data\n    from jobs.cli import main")) == {
        "ray",
        "jobs",
    }
