from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lidr.errors import StoreError
from lidr.store.fingerprints import difference, file_sha256, fingerprint, folder_sha256

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text("ab", max_size=3),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text("ab", max_size=2), children, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text("abc", max_size=2), plain))
def test_the_order_of_keys_does_not_change_the_fingerprint(identity):
    assert fingerprint(identity) == fingerprint(dict(reversed(identity.items())))
    assert difference(identity, dict(reversed(identity.items()))) == []


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (math.nan, "identity.x: nan has no deterministic form for a fingerprint; give a finite number"),
        (math.inf, "identity.x: inf has no deterministic form"),
        (Path("a"), "identity.x: a PosixPath has no deterministic form for a fingerprint; allowed: text, numbers"),
        ({1: 2}, "identity.x: the key 1 is no text"),
        ([{"y": object()}], "identity.x\\[0\\].y: a object has no deterministic form"),
    ],
)
def test_a_value_without_a_deterministic_form_is_refused(value, message):
    with pytest.raises(StoreError, match=message):
        fingerprint({"x": value})


def test_a_difference_names_the_field_with_its_old_and_new_value():
    old, new = {"a": {"b": 1, "c": [1]}, "d": "x"}, {"a": {"b": 2, "c": (1,)}, "e": None}
    assert difference(old, new) == ["a.b: 1 -> 2", "d: x -> (absent)", "e: (absent) -> null"]


def test_digests_depend_on_content_and_names_and_not_on_order(tmp_path):
    (tmp_path / "a").write_bytes(b"x")
    assert file_sha256(tmp_path / "a") == "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
    assert folder_sha256({"a": "1", "b": "2"}) == folder_sha256({"b": "2", "a": "1"})
    assert folder_sha256({"a": "1"}) != folder_sha256({"b": "1"})


def test_two_long_texts_are_shown_where_they_begin_to_differ():
    prompt = "Translate the answer below into the language that is asked for, and write nothing else. "
    (said,) = difference({"a": f"{prompt}Keep names.{prompt}"}, {"a": f"{prompt}Keep the numbers."})
    old, new = said.removeprefix("a: ").split(" -> ")
    assert re.match(r"\.\.\..*nothing else\. Keep names\.Translate", old)
    assert re.fullmatch(r"\.\.\..*nothing else\. Keep the numbers\.", new)
    assert old.endswith("...")
    (said,) = difference({"a": "x" * 100}, {"a": "x" * 101})
    assert said.split(" -> ")[0] != f"a: {said.split(' -> ')[1]}"


def test_digests_are_named_as_such_and_each_by_its_own_place():
    old, new = ["0" * 64, "1" * 64], ["0" * 64, "2" * 64]
    assert difference({"rows": {"de": old}}, {"rows": {"de": new}}) == [
        f"rows.de[1]: sha256 {'1' * 12} -> sha256 {'2' * 12}"
    ]
    assert difference({"sets": [{"digest": "a" * 64}]}, {"sets": [{"digest": "b" * 64}]}) == [
        f"sets[0].digest: sha256 {'a' * 12} -> sha256 {'b' * 12}"
    ]
    assert difference({"a": ["en", "es"]}, {"a": ["en", "de"]}) == ['a: ["en", "es"] -> ["en", "de"]']
    assert difference({"a": [{"b": 1}]}, {"a": [{"b": 1}, {"c": 2}]}) == ['a: [{"b": 1}] -> [{"b": 1}, {"c": 2}]']


def test_long_values_are_shortened_in_a_difference():
    assert difference({"a": "x" * 72}, {"a": "y" * 73}) == [f"a: {'x' * 72} -> {'y' * 69}..."]
    assert difference({"a": [1] * 24}, {"a": None}) == [f"a: {'[' + '1, ' * 23 + '1]'} -> null"]
    assert difference({"a": [1] * 25}, {"a": None}) == [f"a: {('[' + '1, ' * 24)[:69]}... -> null"]
