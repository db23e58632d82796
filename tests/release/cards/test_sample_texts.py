"""Samples of a card: readable, and no text of a row is Markdown or HTML."""

from __future__ import annotations

import re
from html import unescape

import pytest
from markdown_it import MarkdownIt

from lidr.release.cards.sample_texts import sample_section, sample_text

PAIR = {"pair_id": "1/p0/es-en/non_dominant", "language": "es", "kind": "non_dominant", "prompt_text": "¿Qué?",
        "chosen_text": "A", "rejected_text": "B", "chosen_key": "p0/en->es", "rejected_key": "p0/es"}  # fmt: skip
HOSTILE = [
    "<script>alert(1)</script>", "**bold** _it_ `code`", "# Title", "- a list", "+ a list", "1. one", "2) two",
    "> quote", "    code", "a\n===\nb", "a\n---\nb", "| a | b |\n|---|---|\n| 1 | 2 |", "[x](javascript:alert(1))",
    "![x](y.png)",
    "```\nfence\n```", "<!-- lidr:end -->", "&lt;b&gt; &amp; &copy;", "~~no~~", "\\*a\\*", "<http://a.b>", "[a]: http://b",
]  # fmt: skip


def test_a_pair_says_what_is_chosen_and_where_it_comes_from():
    said = sample_text(PAIR)
    assert said.startswith("Spanish, non-dominant pair, `1/p0/es-en/non_dominant`\n")
    assert "**Chosen (translated from English)**\n\n> A" in said
    assert "**Rejected (its own answer)**\n\n> B" in said


def test_dropped_rows_and_candidates_say_why_and_from_where():
    dropped = {"prompt_id": "p0", "language": "en", "other_language": "es", "kind": "dominant", "step": "pair",
               "reason": "translation_empty", "detail": None}  # fmt: skip
    assert sample_text(dropped).endswith("English with Spanish, dominant pair: dropped by `pair`, translation\\_empty.")
    candidate = {"prompt_id": "p0", "language": "es", "source": "en", "status": "ok", "prompt_text": None, "text": "A"}
    assert sample_text(candidate) == "Spanish, translated from English, status `ok`, `p0`\n\n**Text**\n\n> A"


def test_a_pair_that_stands_in_two_configurations_is_shown_once():
    said = sample_section({"all": PAIR, "en-es": PAIR})
    assert said.count("non-dominant pair") == 1
    assert said.startswith("### `en-es`")


@pytest.mark.parametrize("text", HOSTILE)
def test_a_text_is_read_as_it_is(text):
    html = (
        MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(sample_text({**PAIR, "chosen_text": text}))
    )
    quoted = re.search(r"Chosen.*?<blockquote>\n(.*?)\n</blockquote>", html, re.DOTALL)[1]
    assert set(re.findall(r"<(\w+)", quoted)) <= {"p", "br"}
    shown = unescape(re.sub(r"<br />\n?", "\n", quoted).replace("<p>", "").replace("</p>", ""))
    assert [line.strip() for line in shown.splitlines() if line] == [line.strip() for line in text.splitlines() if line]


def test_long_texts_are_cut_and_say_so():
    assert "(1,000 characters)" in sample_text({**PAIR, "chosen_text": "ä" * 1000})
