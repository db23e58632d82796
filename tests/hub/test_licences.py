import pytest

from lidr.errors import HubError
from lidr.hub.licences import IDENTIFIERS, Parent, licence_text, overridden, strictest


def parents(*licences: str | None) -> list[Parent]:
    return [Parent(f"p{i}", f"name{i}", None, licence, f"http://x/{i}") for i, licence in enumerate(licences)]


@pytest.mark.parametrize(
    ("licences", "expected"),
    [
        (("cc0-1.0",), "cc0-1.0"),
        (("cc0-1.0", "apache-2.0"), "apache-2.0"),
        (("apache-2.0", "mit"), "mit"),
        (("cc-by-4.0", "apache-2.0"), "cc-by-4.0"),
        (("cc-by-nc-4.0", "apache-2.0"), "cc-by-nc-4.0"),
        (("cc-by-nc-4.0", "llama3"), "cc-by-nc-4.0"),
        (("cc-by-4.0", "llama3.1"), "llama3.1"),
        (("cc-by-sa-4.0", "apache-2.0"), "cc-by-sa-4.0"),
        (("CC-BY-NC-4.0", "Apache-2.0"), "cc-by-nc-4.0"),
        (("cc-by-nc-sa-4.0", "apache-2.0"), "cc-by-nc-sa-4.0"),
        # no licence satisfies both
        (("cc-by-sa-4.0", "cc-by-nc-4.0"), "other"),
        (("cc-by-sa-4.0", "gpl-3.0"), "other"),
        (("cc-by-sa-4.0", "llama3"), "other"),
        (("llama3", "gemma"), "other"),
        (("cc-by-nd-4.0", "mit"), "other"),
        # not known
        (("apache-2.0", None), "other"),
        (("apache-2.0", "proprietary"), "other"),
        (("unknown",), "other"),
        ((), "other"),
    ],
)
def test_the_strictest_licence_of_all_parents_wins(licences, expected):
    found = strictest(parents(*licences))
    assert found.identifier == expected
    assert bool(found.name and found.link) == (expected == "other")
    assert strictest(parents(*reversed(licences))).identifier == expected


def test_an_unknown_licence_links_to_where_it_came_from():
    assert strictest(parents("mit", None)).link == "http://x/1"


def test_the_identifiers_are_those_of_the_embedded_hub():
    from lidr.hub.server.cards import LICENSES

    assert IDENTIFIERS <= LICENSES


def test_an_override_needs_a_reason_and_a_known_licence():
    assert "because we wrote them" in overridden("cc-by-4.0", "because we wrote them").reason
    for arguments in (("cc-by-4.0", " "), ("cc-by-9", "x"), ("other", "x")):
        with pytest.raises(HubError, match=r"publish\.license"):
            overridden(*arguments)


def test_the_licence_file_lists_every_parent():
    text = licence_text(strictest(parents("cc-by-sa-4.0", None)), parents("cc-by-sa-4.0", None))
    assert "name0" in text
    assert "licence unknown (http://x/1)" in text
