"""What stands around the text of a web page: menus, banners, sidebars, lists of links.

A page says what these are by its tags, roles, names of classes, or by holding hardly anything but links. Whatever rule would
take more than half of a page's text is not followed: that page is made otherwise.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from bs4 import BeautifulSoup
from bs4.element import NavigableString, PreformattedString, Tag

AROUND = ("nav", "footer", "aside", "header")
ROLES = frozenset("navigation banner contentinfo complementary search dialog alertdialog menu menubar".split())
BOXES = frozenset("div section aside header footer nav ul ol form table td span p a".split())
# Words of class names and ids, in any spelling: "mw-editsection", "cookieBanner", "share_buttons".
NAMES = re.compile(
    r"(?:^|[-_\s])(?:cookies?|consent|gdpr|breadcrumbs?|sidebar|side-?nav|nav(?:bar|igation)?|shar(?:e|ing)|newsletter|subscribe|"
    r"skip-?(?:link|to|nav)?|pagination|pager|logo|tagline|toc|table-of-contents|editsection|headerlink|site-?(?:header|footer)|"
    r"footer|masthead|popup|modal)(?=[-_\s]|$)",
    re.IGNORECASE,
)
# These are also names of what people read (the menu of an inn), so such a box must hold links too.
DOUBTFUL = re.compile(
    r"(?:^|[-_\s])(?:menu|social|related|recommended|most-read|popular|advert\w*|ads?|promo|sponsor\w*|widget|tags)(?=[-_\s]|$)",
    re.IGNORECASE,
)
SOME_LINKS = 0.3  # of the text of such a box
CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
UNSEEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
HEADING = re.compile("h[1-6]$")
LISTS = frozenset("div ul ol td p table center font".split())
MOST = 0.5  # of a page's text that one rule may leave out
LINKS = 0.75  # of the text of a list of links
FEWEST_LINKS = 2


@dataclass(slots=True)
class _Facts:
    """Of a tag: characters of text below it, of them in links, and how many links; what is around it, and below."""

    text: int = 0
    link_text: int = 0
    links: int = 0
    is_content: bool = False  # the page marks it as its text
    in_content: bool = False
    holds_content: bool = False
    headings: int = 0
    titles: int = 0  # headings of the first level

    def add(self, other: _Facts) -> None:
        """What a tag within it adds."""
        self.text += other.text
        self.link_text += other.link_text
        self.links += other.links
        self.holds_content |= other.is_content or other.holds_content
        self.headings += other.headings
        self.titles += other.titles


class _Page:
    """A page's tags in their order, and the facts of each: found in two passes, whatever the depth, where asking each tag for
    its ancestors takes minutes for a page of tags that are never closed."""

    def __init__(self, soup: BeautifulSoup) -> None:
        nodes = list(soup.descendants)
        self.tags = [node for node in nodes if isinstance(node, Tag)]
        self.facts: defaultdict[int, _Facts] = defaultdict(_Facts)
        for tag in self.tags:
            facts, above = self.of(tag), self.facts[id(tag.parent)]
            facts.is_content = tag.name in ("main", "article") or tag.get("role") in ("main", "article")
            facts.in_content = above.in_content or above.is_content
            facts.headings, facts.titles = int(bool(HEADING.match(tag.name))), int(tag.name == "h1")
        for node in reversed(nodes):  # what is within a tag before the tag itself
            if isinstance(node, Tag):
                facts = self.of(node)
                if node.name == "a":
                    facts.link_text, facts.links = facts.text, 1
                self.facts[id(node.parent)].add(facts)
            else:
                self.facts[id(node.parent)].text += _length(node)
        self.whole = self.facts[id(soup)]

    def of(self, tag: Tag) -> _Facts:
        return self.facts[id(tag)]

    def outermost(self, chosen: Iterable[Tag]) -> Iterator[Tag]:
        """The tags that are not within another of them."""
        left_out = {id(tag) for tag in chosen}
        within: set[int] = set()
        for tag in self.tags:
            if id(tag.parent) in within:
                within.add(id(tag))
            elif id(tag) in left_out:
                within.add(id(tag))
                yield tag


Rule = Callable[[_Page], Iterable[Tag]]


def leave_out(soup: BeautifulSoup) -> None:
    """Take out of the page what is not its text."""
    page = _Page(soup)
    for rule in RULES:
        found = list(page.outermost(rule(page)))
        if found and (rule is _hidden or sum(page.of(tag).text for tag in found) <= MOST * page.whole.text):
            for tag in found:
                tag.clear()
            page = _Page(soup)


def _length(node: object) -> int:
    is_text = isinstance(node, NavigableString) and not isinstance(node, PreformattedString)
    return len(str(node).strip()) if is_text else 0


def _hidden(page: _Page) -> Iterator[Tag]:
    """What no reader of the page sees."""
    for tag in page.tags:
        is_hidden = tag.has_attr("hidden") or tag.get("aria-hidden") == "true"
        if is_hidden or UNSEEN.search(str(tag.get("style") or "")):
            yield tag


def _around(page: _Page) -> Iterator[Tag]:
    """What its tag or role says to stand around the text; a header or aside within the text belongs to it."""
    for tag in page.tags:
        facts = page.of(tag)
        by_role = str(tag.get("role") or "").lower() in ROLES
        by_name = tag.name in AROUND and not (facts.in_content or facts.holds_content)
        # What holds the page's only main heading is its title, whatever stands beside that.
        is_title = tag.name == "header" and facts.titles == 1 == page.whole.titles
        if (tag.name == "nav" or by_role or by_name) and not is_title:
            yield tag


def _named(page: _Page) -> Iterator[Tag]:
    """What the names of its classes or its id say to be no text."""
    for tag in page.tags:
        facts = page.of(tag)
        if tag.name not in BOXES or facts.titles or facts.holds_content:
            continue
        names = _names(tag)
        if NAMES.search(names) or (facts.link_text > SOME_LINKS * facts.text and DOUBTFUL.search(names)):
            yield tag


def _names(tag: Tag) -> str:
    return CAMEL.sub("-", " ".join([*tag.get_attribute_list("class"), str(tag.get("id") or "")]))


def _beside_content(page: _Page) -> Iterator[Tag]:
    """All that stands beside the one element which the page marks as its text, but for the title."""
    marked = [tag for tag in page.tags if page.of(tag).is_content and not page.of(tag).in_content]
    if len(marked) != 1:
        return
    path = {id(marked[0]), *(id(above) for above in marked[0].parents)}
    for above in marked[0].parents:
        for tag in above.children:
            if isinstance(tag, Tag) and id(tag) not in path and tag.name not in ("head", "h1") and not page.of(tag).titles:
                yield tag


def _link_lists(page: _Page) -> Iterator[Tag]:
    """Boxes of hardly anything but links, unless the page marks its text: then those within it belong to it."""
    if page.whole.holds_content:
        return
    for tag in page.tags:
        facts = page.of(tag)
        if tag.name in LISTS and facts.links > FEWEST_LINKS and not facts.headings and facts.link_text >= LINKS * facts.text:
            yield tag


RULES: tuple[Rule, ...] = (_hidden, _around, _named, _beside_content, _link_lists)
