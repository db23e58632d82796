"""The fenced blocks of README and docs, and what becomes of each in the tests.

sh, python    run, in the order of the page, in one shell in a fresh clone: tests/documents/test_pages.py, or the
              test that `WALKS` names
yaml          a recipe, or a part of one: read by the recipe's own models
text          what something prints
others        need the line `<!-- not run: WHY -->` above them; it spares any block from being run
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
WALKS = {
    "docs/walks/publish.md": "tests/test_walks.py",
    "docs/walks/train.md": "tests/release/test_walk_train.py",
    "docs/walks/evaluate.md": "tests/test_walks.py",
    "docs/walks/reproduce.md": "tests/reproduce/test_walk.py",
}
"""Pages whose blocks a test of their own runs."""
SHOWN = ("text", "yaml")
_FENCE = re.compile(
    r"(?:<!-- not run: (?P<why>[^\n]+?) -->\n)?(?P<in> *)```(?P<language>\w*)\n(?P<text>.*?)(?P=in)```\n", re.S
)


class Block(NamedTuple):
    """One block; `why` it is not run, where the line above says so."""

    page: str
    line: int
    language: str
    text: str
    why: str | None


def pages() -> list[str]:
    """README and the pages of docs."""
    return ["README.md", *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md"))]


@cache
def blocks(page: str, *languages: str) -> tuple[Block, ...]:
    """The blocks of a page, of these languages, or all."""
    text = (ROOT / page).read_text(encoding="utf-8")
    found = (
        Block(page, text.count("\n", 0, one.start("text")), one["language"], one["text"], one["why"])
        for one in _FENCE.finditer(text)
    )
    return tuple(one for one in found if not languages or one.language in languages)


def to_run(page: str, *languages: str) -> list[str]:
    """The texts of the blocks of a page that are run."""
    return [one.text for one in blocks(page, *(languages or ("sh", "python"))) if one.why is None]


def script(page: str) -> str:
    """All blocks of a page that are run, as lines of one shell."""
    lines = [
        one.text if one.language == "sh" else f"python - <<'END_OF_PYTHON'\n{one.text}END_OF_PYTHON\n"
        for one in blocks(page, "sh", "python")
        if one.why is None
    ]
    return "\n".join(lines)
