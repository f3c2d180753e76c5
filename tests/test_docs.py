"""The docs say all that there is: commands, settings, routes, targets; and what is made from the product is not stale."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.routing import Mount, Route

from indexer.collection import Collection
from indexer.encoder import Encoder
from indexer.models import DEFAULT_MODEL
from indexer.ranking import CALIBRATIONS
from indexer.search import Query, search
from indexer.sync import Sync
from service.app import create_app
from service.service import SEEDS
from service.settings import PREFIX, Settings
from tools.commands import commands
from tools.diagram import diagram
from tools.made import made

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
# What is made lists everything by itself: a person's page must say it too.
MADE = made()
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
WRITTEN = "\n".join(page.read_text(encoding="utf-8") for page in PAGES if page not in MADE)
CODE = "\n".join(re.findall(r"```.*?```|`[^`\n]+`|^ {4,}\S[^\n]*$", WRITTEN, re.DOTALL | re.MULTILINE))


def links(page: Path) -> Iterator[str]:
    """What a page links to, other sites left out."""
    yield from re.findall(r"\]\((?!https?:)([^)\s]+)\)", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """The names of a page's headings, as forges make them."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def routes() -> list[str]:
    """Every route as it is written: "POST /v1/search"; names in braces left out, since the docs have shorter ones."""
    app = create_app(Path("unused"), DEFAULT_MODEL)
    found = [f"{verb} {route.path}" for route in app.routes if isinstance(route, Route) for verb in route.methods or ()]
    return [nameless(one) for one in found if not one.startswith("HEAD ")]


def nameless(route: str) -> str:
    return re.sub(r"\{[^}]*\}", "{}", route)


def test_every_command_is_in_a_page_that_a_person_wrote() -> None:
    assert [name for name, _ in commands() if not re.search(rf"{name}\b", named_commands())] == []


def named_commands() -> str:
    """The code of the pages; "`passages key add NAME`, `list`" of a table's row names both."""
    rows = re.findall(r"^\| `passages (\w+) \w+[^|]*\|", WRITTEN, re.MULTILINE)
    alike = [
        f"passages {group} {word}"
        for group in rows
        for row in re.findall(rf"^\| (`passages {group} [^|]*)\|", WRITTEN, re.MULTILINE)
        for word in re.findall(r"`(\w+)", row)
    ]
    return CODE + "\n" + "\n".join(alike)


def test_every_setting_is_in_a_table_of_settings() -> None:
    rows = "\n".join(re.findall(r"^\|[^|]*\|", WRITTEN, re.MULTILINE))
    settings = [PREFIX + name.upper() for name in Settings.model_fields]
    assert [name for name in settings if f"`{name}`" not in rows] == []


def test_every_setting_that_the_docs_name_is_one() -> None:
    named = set(re.findall(rf"\b{PREFIX}[A-Z_]*[A-Z]", WRITTEN))
    assert named - {PREFIX + name.upper() for name in Settings.model_fields} == set()


def test_every_route_is_in_a_page_that_a_person_wrote() -> None:
    named = {nameless(one) for one in re.findall(r"(?:GET|POST|PUT|PATCH|DELETE) /[^\s`?,]*", CODE)}
    named |= {f"GET {one}" for one in re.findall(r"`(/[^\s`?]*)", CODE)}  # a page is named by its address alone
    assert [one for one in routes() if one not in named] == []


def test_every_mounted_path_is_in_the_docs() -> None:
    mounted = [route.path for route in create_app(Path("unused"), DEFAULT_MODEL).routes if isinstance(route, Mount)]
    assert [path for path in mounted if f"`{path}" not in WRITTEN] == []


def test_every_make_target_is_in_the_docs() -> None:
    targets = re.search(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert targets
    assert [name for name in targets[1].split() if not re.search(rf"make {name}(?![\w-])", CODE)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_links_to_is_there(page: Path) -> None:
    for link in links(page):
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), f"{page.name} links to {link}"
        assert not anchor or anchor in anchors(target), f"{page.name} links to {link}, and {target.name} has no such heading"


def test_every_page_and_image_is_reached_from_the_readme() -> None:
    reached, waiting = set[Path](), [README]
    while waiting:
        page = waiting.pop().resolve()
        if page not in reached:
            reached.add(page)
            waiting += [page.parent / link.partition("#")[0] for link in links(page)] if page.suffix == ".md" else []
    there = [*PAGES, *(ROOT / "docs" / "images").iterdir(), *(ROOT / "deploy").iterdir()]
    assert [str(path.relative_to(ROOT)) for path in there if path.resolve() not in reached] == []


@pytest.mark.parametrize("path", sorted(MADE), ids=lambda path: path.name)
def test_what_is_made_from_the_product_is_what_make_docs_would_write(path: Path) -> None:
    if path.name == "CONTENTS.md" and sys.version_info[:2] != (3, 11):
        pytest.skip("the image has Python 3.11, and what packages need depends on it")
    assert path.read_text(encoding="utf-8") == MADE[path], "run: make docs"


def test_the_files_in_the_diagram_are_there() -> None:
    named = re.findall(r"\b\w+\.py\b", diagram())
    assert len(named) > 10
    assert [name for name in named if not (ROOT / "indexer" / name).is_file()] == []


def test_the_example_of_ranking_is_what_explain_says(tmp_path: Path, encoder: Encoder) -> None:
    """The figures may differ by what rounds differently on another processor."""
    page = (ROOT / "docs" / "ranking.md").read_text(encoding="utf-8")
    question = re.search(r"\*\*([^*]+\?)\*\*", page)
    rows = {name: (float(weight), float(best), float(second)) for name, weight, best, second in re.findall(
        r"^\| `(\w+)` \|[^|]*\| ([-.\d]+) \| ([.\d]+) \| ([.\d]+) \|$", page, re.MULTILINE
    )}  # fmt: skip
    scores = re.search(r"\*\*score\*\*[ |]*\*\*([.\d]+)\*\* \| \*\*([.\d]+)\*\*", page)
    assert question
    assert scores
    with Collection(tmp_path / "index", create=True, encoder=encoder) as collection:
        Sync(collection).run([SEEDS])
        answer = search(collection, Query(question[1], 2, explain=True))
    assert answer.weights is not None
    assert {name: weight for name, (weight, *_) in rows.items()} == {name: answer.weights[name] for name in rows}
    for place, result in enumerate(answer.results):
        assert result.signals is not None
        stated = {name: row[place + 1] for name, row in rows.items() if name != "bias"}
        assert stated == {name: pytest.approx(result.signals[name], abs=0.01) for name in stated}
        assert all(result.signals[name] * answer.weights[name] == 0 for name in result.signals.keys() - rows.keys())
        assert float(scores[place + 1]) == pytest.approx(result.score, abs=0.02)


def test_the_bounds_of_the_verdict_are_those_that_ship() -> None:
    constants = next(iter(CALIBRATIONS.values()))
    page = (ROOT / "docs" / "ranking.md").read_text(encoding="utf-8")
    assert f"*answered* from {constants['answered']:.2f} on, *nothing* below {constants['nothing']:.3f}" in page
