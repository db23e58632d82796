"""One row of each configuration for the card, as people read it: Markdown in which no text of a row is markup."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from lidr.languages import LANGUAGES

_LONGEST = 600  # characters of a text
_MARKUP = re.compile(r"([\\`*_\[\]<>#|~&$!{}])")
_AT_FIRST = re.compile(r"^([-+=]|\d+(?=[.)]))")


def sample_section(samples: Mapping[str, Mapping[str, Any]]) -> str:
    """The first row of each configuration; a pair that stands in two is shown once.

    Args:
        samples: configuration -> its first row.
    """
    parts, seen = [], set()
    for config, row in sorted(samples.items(), key=lambda one: one[0] == "all"):  # `all` repeats the first of another
        pair = row.get("pair_id")
        if pair is None or pair not in seen:
            parts.append(f"### `{config}`\n\n{sample_text(row)}")
        seen.add(pair)
    return "\n\n".join(parts)


def sample_text(row: Mapping[str, Any]) -> str:
    """One row: a pair with both sides, a candidate with its status, or a dropped slot with its reason."""
    if "chosen_text" in row:
        chosen, rejected = (_origin(row[f"{side}_key"]) for side in ("chosen", "rejected"))
        head = f"{_language(row['language'])}, {row['kind'].replace('_', '-')} pair, `{_plain(row['pair_id'])}`"
        return _blocks(head, (("Prompt", row["prompt_text"]), (f"Chosen{chosen}", row["chosen_text"]),
                              (f"Rejected{rejected}", row["rejected_text"])))  # fmt: skip
    if "reason" in row:
        detail = f" ({_literal(str(row['detail']))})" if row.get("detail") else ""
        return (
            f"`{_plain(row['prompt_id'])}`, {_language(row['language'])} with {_language(row['other_language'])}, "
            f"{row['kind'].replace('_', '-')} pair: dropped by `{row['step']}`, {_literal(row['reason'])}{detail}."
        )
    source = f", translated from {_language(row['source'])}" if row.get("source") else ""
    head = f"{_language(row['language'])}{source}, status `{row['status']}`, `{_plain(row['prompt_id'])}`"
    asked = (("Prompt", row["prompt_text"]),) if row.get("prompt_text") else ()
    return _blocks(head, (*asked, ("Text", row["text"])))


def _blocks(head: str, texts: Iterable[tuple[str, str | None]]) -> str:
    return "\n\n".join([head, *(f"**{title}**\n\n{_quoted(text or '')}" for title, text in texts)])


def _quoted(text: str) -> str:
    """A text as a quotation, line by line."""
    cut = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}... ({len(text):,} characters)"
    lines = [_literal(line) for line in cut.splitlines()] or ["(empty)"]
    return "\n".join(f"> {line}\\" if line and lines[k + 1 : k + 2] not in ([], [""]) else f"> {line}".rstrip()
                     for k, line in enumerate(lines))  # fmt: skip


def _literal(text: str) -> str:
    """A line in which Markdown and HTML mean nothing; white space around it, which could make it code, is cut."""
    escaped = _MARKUP.sub(r"\\\1", text.strip())
    return _AT_FIRST.sub(lambda found: f"{found[0]}\\" if found[0].isdigit() else f"\\{found[0]}", escaped)


def _plain(name: object) -> str:
    """A name in back quotes."""
    return re.sub(r"[`\s]+", " ", str(name))


def _language(code: str) -> str:
    return LANGUAGES[code].name if code in LANGUAGES else f"`{_plain(code)}`"


def _origin(key: str | None) -> str:
    """What a candidate's key says of it: `p1/en->de` is translated from English."""
    source, arrow, _ = (key or "").rpartition("/")[2].partition("->")
    return f" (translated from {_language(source)})" if arrow else " (its own answer)" if key else ""
