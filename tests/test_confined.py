"""Names that others wrote, and where they lead."""

from __future__ import annotations

import pytest

from lidr.confined import below, why_unconfined

OUT = [
    "", ".", "..", "../x", "a/../x", "a/..", "/etc/passwd", "//host/x", "~", "~/x", "C:/x", "c:x", "a\\b", "..\\x",
    "a\0b", "a\nb", "%2e%2e/x", "%252e%252e/x", "a/%2e%2e/b", "%2Fetc", "a%00b", "%5c..%5cx", "\uff0e\uff0e/x",
    "\u2025/x", "..\uff0fx", "..\u2215x", "a//b", "a/", "./a", ".. /x", "\u202eabc", "a\udc80", "x" * 256, "a/" * 600,
    "\uff43\uff1a/x",
]  # fmt: skip


@pytest.mark.parametrize("text", OUT, ids=ascii)
def test_what_leads_out_of_a_folder_is_none_of_its_names(text, tmp_path):
    assert why_unconfined(text)
    with pytest.raises(ValueError, match=":"):
        below(tmp_path, text)


@pytest.mark.parametrize("text", ["a", "a/b.jsonl", "..a", "a..b/c", "100% b", "\u00fc/\u4e2d.jsonl", ".hidden", "a b"])
def test_names_of_all_kinds_stay_what_they_are(text, tmp_path):
    assert below(tmp_path, text) == tmp_path / text


def test_a_link_on_the_way_is_followed_before_it_is_trusted(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/out").symlink_to(tmp_path)
    (tmp_path / "in/round").symlink_to("round")
    (tmp_path / "in/there").mkdir()
    (tmp_path / "in/to").symlink_to("there")
    assert below(tmp_path / "in", "to/x") == tmp_path / "in/to/x"
    with pytest.raises(ValueError, match="a link on the way leads out of its folder"):
        below(tmp_path / "in", "out/x")
    with pytest.raises(ValueError, match="round"):
        below(tmp_path / "in", "round/x")


def test_a_name_of_a_million_characters_is_refused_at_once():
    assert why_unconfined("%25" * 333_333)
