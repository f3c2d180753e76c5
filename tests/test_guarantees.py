"""What docs/guarantees.md promises is held by a test that exists."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
GUARANTEES = (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")


def rows() -> list[str]:
    """The promises: the rows of tables whose second column names what proves them."""
    promised = GUARANTEES.partition("## What was tried")[0]
    table = [line for line in promised.splitlines() if line.startswith("|") and not set(line) <= set("|- ")]
    return [line for line in table if "proven by" not in line and line.count("|") == 3]


def functions(file: Path) -> set[str]:
    return {node.name for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("row", rows())
def test_a_promise_names_tests_that_exist(row: str) -> None:
    promise, proof = row.strip("|").split("|")
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", proof)
    targets = re.findall(r"`make ([\w-]+)`", proof)
    assert named or targets, f"nothing proves: {promise}"
    for file, test in named:
        assert (ROOT / file).is_file(), file
        assert not test or test in functions(ROOT / file), f"{file} has no {test}"
    for target in targets:
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE), target
