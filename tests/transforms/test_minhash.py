"""MinHash against exact Jaccard similarity, and what counts as a repetition."""

from __future__ import annotations

import random

import numpy as np
import polars as pl
import pytest

from lidr.transforms.minhash import PERMUTATIONS, bands_for, near_duplicates, signatures, similarity
from lidr.transforms.text_shingles import Shingles, mix, normal, shingles, whole

WORDS = [f"word{i}" for i in range(2_000)]


def texts(seed: int, changed: float, count: int, length: int = 200) -> pl.Series:
    """A text, and copies of it with a share of the words replaced."""
    random.seed(seed)
    first = random.choices(WORDS, k=length)
    copies = [[w if random.random() >= changed else random.choice(WORDS) for w in first] for _ in range(count - 1)]
    return pl.Series([" ".join(words) for words in [first, *copies]])


def jaccard(found: Shingles, one: int, other: int) -> float:
    sets = [set(found.hashes[found.offsets[i] : found.offsets[i + 1]].tolist()) for i in (one, other)]
    return len(sets[0] & sets[1]) / len(sets[0] | sets[1])


def distinct(rows: int) -> np.ndarray:
    return np.arange(rows, dtype=np.uint64)


def found_in(series: pl.Series, threshold: float = 0.8, **facts: np.ndarray) -> list[int]:
    signed = signatures(shingles(normal(series), 5))
    rows = len(series)
    known = {
        "groups": np.zeros(rows, np.uint64),
        "prompts": distinct(rows),
        "slots": np.zeros(rows, np.uint64),
        **facts,
    }
    return near_duplicates(signed, threshold=threshold, **known).tolist()


def test_signatures_estimate_the_jaccard_similarity():
    errors = []
    for seed in range(60):
        found = shingles(texts(seed, changed=seed / 1_000, count=2), 5)
        errors.append(similarity(signatures(found), 0, 1) - jaccard(found, 0, 1))
    assert abs(np.mean(errors)) < 0.02
    assert np.std(errors) < 1.5 * 0.5 / np.sqrt(PERMUTATIONS)


def test_bands_find_what_is_at_the_threshold():
    for threshold in (0.5, 0.7, 0.8, 0.9, 1.0):
        bands = bands_for(threshold)
        assert 1 - (1 - threshold**bands.rows) ** bands.count >= 0.99
        assert bands.count * bands.rows <= PERMUTATIONS


def test_nearly_equal_texts_are_found_and_others_are_not():
    alike = pl.concat([texts(1, 0.005, 3), texts(2, 0.005, 2), texts(3, 0.3, 2)])
    assert found_in(alike) == [-1, 0, 0, -1, 3, -1, -1]


def test_every_pair_above_the_threshold_is_found_in_a_thousand():
    series = pl.concat([texts(seed, 0.004, 2, length=120) for seed in range(500)])
    found = shingles(normal(series), 5)
    verdicts = found_in(series)
    clear = [n for n in range(0, 1000, 2) if jaccard(found, n, n + 1) >= 0.9]
    assert len(clear) > 300
    assert [n for n in clear if verdicts[n + 1] != n] == []
    assert [n for n in range(0, 1000, 2) if verdicts[n] >= 0] == []


def test_a_pair_that_goes_takes_no_other_with_it():
    chain = texts(5, 0, 1)[0].split()
    steps = [chain[:n] + [f"new{i}" for i in range(200 - n)] for n in (200, 188, 176)]  # each is near the next alone
    assert found_in(pl.Series([" ".join(words) for words in steps])) == [-1, 0, -1]


def test_only_the_same_language_is_compared_and_never_two_slots_of_one_prompt():
    series = texts(7, 0.0, 3)
    assert found_in(series, groups=np.array([0, 1, 0], np.uint64)) == [-1, -1, 0]
    prompts, slots = np.array([9, 9, 9], np.uint64), np.array([1, 2, 1], np.uint64)
    assert found_in(series, prompts=prompts, slots=slots) == [-1, -1, 0]


def test_many_copies_of_one_text_are_all_found():
    assert found_in(texts(8, 0.0, 400)) == [-1, *[0] * 399]


def test_texts_in_scripts_without_spaces_have_shingles_too():
    long = "蜂は花の蜜を集めて巣に運び冬の間の食べ物として大切に蓄えておきます。" * 3
    assert found_in(pl.Series([long, long + "多", "まったく別の短い文です。"])) == [-1, 0, -1]


def test_hashes_are_the_same_on_every_machine():
    found = shingles(normal(pl.Series(["Bees make honey, and wax."])), 2)
    assert [hex(int(value)) for value in found.hashes] == GOLDEN
    assert hex(int(whole(pl.Series(["Bienen heben Honig auf: süß"]))[0])) == WHOLE
    assert int(mix(np.array([1], np.uint64))[0]) == 6238072747940578789


def test_one_hash_stands_for_one_text():
    series = pl.Series([f"{a} {b}" for a in WORDS[:300] for b in WORDS[:100]])
    found = shingles(series, 2)
    assert len(set(found.hashes.tolist())) == len(series)
    assert len(set(whole(series).tolist())) == len(series)


def test_the_same_words_have_the_same_hash_wherever_they_stand():
    found = shingles(pl.Series(["a b c", "x y z a b c d", "b c"]), 2)
    parts = [found.hashes[a:b].tolist() for a, b in zip(found.offsets, found.offsets[1:], strict=False)]
    assert set(parts[0]) <= set(parts[1])
    assert parts[2] == parts[0][1:]


@pytest.mark.parametrize("rows", [0, 1])
def test_few_or_no_pairs_are_no_trouble(rows):
    assert found_in(pl.Series(["alone here with words"] * rows, dtype=pl.String)) == [-1] * rows


GOLDEN = ["0x5ea88c84b36eef39", "0xab75a000c8ffe97c", "0x3c56881a8d139847", "0x6a3eb16ef9b448d7"]
WHOLE = "0x8117d80e111c390"
