"""The address of a server in an identity, as records hold it."""

from __future__ import annotations

import pytest

from lidr.store.server_identity import ACCEPTED, address_of, without_address

A, B = "http://a:8000/v1", "http://b:8000/v1"


@pytest.mark.parametrize(
    ("outside", "found"),
    [
        ({"address": A, "model": "m"}, A),
        ({"translator": {"address": B}}, B),
        ({"address": A, "translator": {"address": B}}, A),  # who answers, before who translates
        ({"model": "m"}, None),
        ({"translator": {"model": "m"}}, None),
        ({"translator": "of an earlier lidr"}, None),
        ({"address": 8000}, None),
        (None, None),
    ],
)
def test_the_address_is_that_of_who_answers_else_of_who_translates(outside, found):
    assert address_of({"step": "generate", "outside": outside}) == found


def test_an_identity_without_a_server_has_no_address():
    assert address_of({"step": "pair"}) is None


def test_without_its_address_an_identity_is_as_earlier_versions_wrote_it():
    translator = {"address": B, "model": "t"}
    identity = {"step": "translate", "outside": {"address": A, "model": "m", "translator": translator}}
    assert without_address(identity) == {"step": "translate", "outside": {"model": "m", "translator": {"model": "t"}}}
    assert identity["outside"]["address"] == A  # it stays as it was
    assert without_address({"outside": {"translator": "none"}}) == {"outside": {"translator": "none"}}


def test_records_say_under_which_name_an_address_was_accepted():
    assert ACCEPTED == "accepted_server"
