import json
import re
import time
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lidr.rows import Dropped
from lidr.transforms.filters import FilterResult, NgramLimit, PairFilter, ngram_share, repeated_line

MIEL = "Las abejas guardan la miel en pequeñas celdas de cera para el invierno."
HONEY = "The bees keep their honey in small wax cells for the winter."
МЁД = "Пчёлы хранят мёд на зиму в маленьких восковых сотах."


def pair(**columns: Any) -> dict[str, Any]:
    row = {
        "pair_id": "p1",
        "prompt_id": "bees",
        "language": "es",
        "other_language": "en",
        "kind": "non_dominant",
        "iteration": 1,
        "prompt_text": "¿Qué hacen las abejas?",
        "chosen_text": "Miel y cera.",
        "rejected_text": "Hacen miel.",
    }
    return {**row, **columns}


def frame(*rows: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema_overrides={"iteration": pl.Int32})


def sort_out(*rows: dict[str, Any], **filters: Any) -> FilterResult:
    return PairFilter(languages=["en", "es", "ru", "ja"], **filters)(frame(*rows))


def detail(row: dict[str, Any], **filters: Any) -> str | None:
    """The detail of the only filter that is on, None if the pair passed."""
    result = sort_out(row, **filters)
    if result.kept.height:
        assert result.kept.to_dicts() == [row]
        assert result.dropped.is_empty()
        return None
    (dropped,) = result.dropped.to_dicts()
    (reason,) = filters.keys() - {"language_of"}
    assert dropped == {
        **{name: row[name] for name in ("prompt_id", "language", "other_language", "kind", "iteration")},
        "step": "filter",
        "reason": {"language_confidence": "language"}.get(reason, reason),
        "detail": dropped["detail"],
    }
    text: str = dropped["detail"]
    return text


# Repetition


@pytest.mark.parametrize(
    ("text", "times", "line"),
    [
        ("Sí.\n \n  Sí.\nSí.", 3, ("Sí.", 3)),
        ("Sí.\nSí.", 3, None),
        ("Sí. Sí. Sí.", 3, None),  # one line
        ("はい。\nいいえ。\nはい。\nいいえ。", 2, ("いいえ。", 2)),  # the first in code point order of two that tie
        ("}\n}\n}\n```\n```\n```\n---\n---\n---", 3, None),  # no letter or digit
        ("\n\n\n\n", 2, None),
        ("نعم\r\nنعم\r\n", 2, ("نعم", 2)),
        ("1.\n1.", 2, ("1.", 2)),
        ("", 2, None),
        (None, 2, None),
    ],
)
def test_the_line_that_stands_most_often(text: str | None, times: int, line: tuple[str, int] | None) -> None:
    found = repeated_line(pl.Series(["otra\notra\notra", text], dtype=pl.String), times)
    assert found.row(0) == ("otra", 3)
    assert found.row(1) == (line or (None, None))
    assert found.height == 2  # one row a text, also where several lines repeat


@pytest.mark.parametrize(
    ("text", "n", "expected"),
    [
        ("a b c a b c", 3, 3 / 6),  # the second "a b c"
        ("a b c a b d", 3, 0.0),
        ("a a a a", 2, 3 / 4),  # starts 1 and 2 repeat start 0, and cover tokens 1 to 3
        ("a b\na\tb\u3000a  b", 2, 4 / 6),  # any space
        ("Пчёлы. пчёлы.", 1, 0.0),  # as written: case counts
        ("蜂蜜蜂蜜", 2, 2 / 4),  # each character a token
        ("กินกิน", 3, 3 / 6),  # ก ิ น ก ิ น
        ("蜂蜜 honey 蜂蜜 honey", 3, 3 / 6),  # 蜂 蜜 honey 蜂 蜜 honey
        ("नमस्ते दुनिया नमस्ते दुनिया", 2, 2 / 4),  # words
        ("a b", 3, 0.0),
        ("", 1, 0.0),
        (None, 2, 0.0),
    ],
)
def test_the_share_of_repeated_ngrams_is_worked_by_hand(text: str | None, n: int, expected: float) -> None:
    shares = ngram_share(pl.Series([text, "a b c d", text], dtype=pl.String), n).to_list()
    assert shares == [expected, 0.0, expected]  # equal texts of two rows are not repetitions of each other


@settings(deadline=None)
@given(st.lists(st.lists(st.sampled_from("ab蜂"), max_size=14), min_size=1, max_size=4), st.integers(1, 5))
def test_the_share_of_repeated_ngrams_is_that_of_the_definition(rows: list[list[str]], n: int) -> None:
    def share(tokens: list[str]) -> float:
        grams = [tuple(tokens[at : at + n]) for at in range(len(tokens) - n + 1)]
        again = [at for at, gram in enumerate(grams) if gram in grams[:at]]
        return len({at + ahead for at in again for ahead in range(n)}) / max(len(tokens), 1)

    texts = pl.Series([" ".join(tokens) for tokens in rows])
    assert ngram_share(texts, n).to_list() == pytest.approx([share(tokens) for tokens in rows])


def test_a_repeated_line_is_shown_with_its_count_and_side() -> None:
    line = "Esta línea se repite tanto que su final no cabe en el detalle."
    looping = pair(rejected_text="\n".join([line] * 5))
    assert detail(looping, repetition_lines=5) == (
        'rejected has the line "Esta línea se repite tanto que su final " 5 times; fewer than 5 pass'
    )
    assert detail(looping, repetition_lines=6) is None


def test_repeated_ngrams_are_shown_with_their_share_and_side() -> None:
    looping = pair(chosen_text="miel y cera " * 4)  # 12 tokens, all but the first 3 repeat
    assert detail(looping, repetition_ngram=NgramLimit(3, 0.7)) == "repeated 3-grams cover 0.75 of chosen; at most 0.7"
    assert detail(looping, repetition_ngram=NgramLimit(3, 0.75)) is None
    said = detail(pair(chosen_text="miel cera " * 3), repetition_ngram=NgramLimit(2, 0.5))
    assert said == "repeated 2-grams cover 0.667 of chosen; at most 0.5"


# Length


@pytest.mark.parametrize(
    ("chosen", "rejected", "expected"),
    [
        ("a" * 123, "b" * 10, "chosen is 12.3 times as long as rejected (123 / 10 characters); at most 5.0"),
        ("a", "b" * 10, "chosen is 0.1 times as long as rejected (1 / 10 characters); at least 0.2"),
        ("蜂" * 50, "b" * 10, None),  # characters, not bytes; 5.0 itself passes
        ("a" * 2, "b" * 10, None),
        ("", "b", "chosen is 0.0 times as long as rejected (0 / 1 characters); at least 0.2"),
        ("a", "", "rejected is empty"),
        ("", "", "rejected is empty"),
    ],
)
def test_the_length_ratio_is_shown_with_its_limit(chosen: str, rejected: str, expected: str | None) -> None:
    assert detail(pair(chosen_text=chosen, rejected_text=rejected), length_ratio=(0.2, 5.0)) == expected


# Copies


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"chosen_text": "Qué hacen las abejas"}, "chosen is the prompt again"),
        ({"rejected_text": "  ¿QUÉ HACEN LAS ABEJAS?\n"}, "rejected is the prompt again"),
        ({"rejected_text": "¿Qué hacen las avispas?"}, None),
        ({"rejected_text": "¿Qué hacen las abejas? Miel."}, None),
        ({"prompt_text": "7 · 6 = ?", "chosen_text": "7 · 6 ="}, None),  # no letters
        ({"prompt_text": "蜂は何を作る？", "chosen_text": "蜂は、何を作る"}, "chosen is the prompt again"),
        ({"prompt_text": "«" * 40 + "Мёд", "chosen_text": "мёд"}, "chosen is the prompt again"),
    ],
)
def test_a_side_that_says_the_prompt_again_is_named(columns: dict[str, str], expected: str | None) -> None:
    assert detail(pair(**columns), copied_source=True) == expected


# Script and language


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("ru", "мёд honey", "0.375 of the letters of chosen are Cyrillic, the script of ru; at least 0.5"),  # 3 of 8
        ("ru", "мёд и воск, honey", None),  # 8 of 13
        ("ru", "мёд wax", None),  # 3 of 6: the bound itself passes
        ("ko", "honey 꿀", "0.167 of the letters of chosen are Hangul or Han, the script of ko; at least 0.5"),
        ("ja", "ハチミツー", None),
        ("ru", "```python\nprint(honey)\n```", None),  # code is no text
        ("th", "น้ำผึ้ง", None),
        ("ar", "عسل honey wax", "0.273 of the letters of chosen are Arabic, the script of ar; at least 0.5"),  # 3 of 11
        ("hi", "शहद", None),
        ("es", "42", None),
        ("es", "", None),
    ],
)  # fmt: skip
def test_the_share_of_the_script_is_shown_with_its_limit(language: str, text: str, expected: str | None) -> None:
    assert detail(pair(language=language, chosen_text=text), script_share=0.5) == expected


def test_rows_of_several_languages_keep_their_own_scripts() -> None:
    rows = [
        pair(language=code, chosen_text=text) for code, text in (("ru", МЁД), ("es", МЁД), ("es", MIEL), ("ru", MIEL))
    ]
    result = sort_out(*rows, script_share=0.5)
    assert result.kept["chosen_text"].to_list() == [МЁД, MIEL]
    assert result.dropped["language"].to_list() == ["es", "ru"]


def test_chosen_in_another_language_is_dropped_with_the_confidence() -> None:
    said = detail(pair(chosen_text=HONEY), language_confidence=0.8)
    assert re.fullmatch(r"chosen is in en with confidence 0\.9\d* \(at least 0\.8\); the pair is in es", said or "")
    assert detail(pair(chosen_text=MIEL), language_confidence=0.8) is None
    assert detail(pair(chosen_text="Sí."), language_confidence=0.8) is None  # undecidable


def test_rejected_in_another_language_stays_unless_both_are_asked_for() -> None:
    off_target = pair(chosen_text=MIEL, rejected_text=HONEY)
    assert detail(off_target, language_confidence=0.8) is None
    said = detail(off_target, language_confidence=0.8, language_of="both")
    assert re.fullmatch(r"rejected is in en with confidence 0\.9\d* \(at least 0\.8\); the pair is in es", said or "")
    off_script = pair(chosen_text=MIEL, rejected_text=МЁД)
    assert detail(off_script, script_share=0.5) is None
    assert detail(off_script, script_share=0.5, language_of="both") == (
        "0.0 of the letters of rejected are Latin, the script of es; at least 0.5"
    )


def test_a_language_that_the_recipe_does_not_have_is_named() -> None:
    thai = pair(chosen_text="ผึ้งทำน้ำผึ้งและขี้ผึ้ง")
    assert (
        detail(thai, language_confidence=0.8) == "chosen is in th with confidence 1.0 (at least 0.8); the pair is in es"
    )


# Duplicates


def test_a_pair_of_equal_texts_is_dropped_and_the_first_stays() -> None:
    first, second = pair(language="en", other_language="es"), pair(language="en", other_language="ru", pair_id="p2")
    assert sort_out(first, second).kept.height == 2  # off by default
    result = sort_out(first, second, duplicates=True)
    assert result.kept.to_dicts() == [first]
    assert result.dropped["detail"].item() == "prompt, chosen and rejected are those of bees (en, es)"
    assert sort_out(first, {**second, "rejected_text": "Cera."}, duplicates=True).dropped.is_empty()


def test_duplicates_are_known_from_one_frame_to_the_next_and_not_to_another_filter() -> None:
    pair_filter = PairFilter(languages=["en", "es"], duplicates=True)
    assert [pair_filter(frame(pair())).kept.height for _ in range(3)] == [1, 0, 0]
    assert PairFilter(languages=["en", "es"], duplicates=True)(frame(pair())).kept.height == 1


def test_a_repeat_of_a_pair_that_was_dropped_is_judged_by_the_other_filters_alone() -> None:
    rows = [pair(language="ru"), pair(language="es")]
    result = sort_out(*rows, script_share=0.5, duplicates=True)
    assert result.dropped["reason"].to_list() == ["script_share"]
    assert result.kept["language"].to_list() == ["es"]


# All together

EVERYTHING: dict[str, Any] = {
    "repetition_lines": 3,
    "repetition_ngram": NgramLimit(3, 0.5),
    "length_ratio": (0.2, 5.0),
    "copied_source": True,
    "script_share": 0.5,
    "language_confidence": 0.8,
    "duplicates": True,
}


def test_the_first_filter_in_order_gives_the_reason() -> None:
    reasons = []
    for name in ["", *EVERYTHING]:
        filters = {
            key: value
            for key, value in EVERYTHING.items()
            if not name or list(EVERYTHING).index(key) >= list(EVERYTHING).index(name)
        }
        prompt = "\n".join(["honey wax bees"] * 3)
        worst = pair(language="ru", prompt_text=prompt, chosen_text=prompt, rejected_text="Да")
        reasons.append(sort_out(worst, **filters).dropped["reason"].to_list())
    assert reasons == [
        ["repetition_lines"], ["repetition_lines"], ["repetition_ngram"], ["length_ratio"], ["copied_source"],
        ["script_share"], [], [],
    ]  # fmt: skip


def test_no_filter_keeps_every_pair_as_it_is() -> None:
    result = sort_out(pair(), pair())
    assert result.kept.equals(frame(pair(), pair()))
    assert result.dropped.is_empty()


@pytest.mark.parametrize("filters", [{}, EVERYTHING])
def test_no_pairs_are_no_pairs(filters: dict[str, Any]) -> None:
    empty = frame(pair()).clear()
    kept, dropped = PairFilter(languages=["en", "es"], **filters)(empty)
    assert kept.equals(empty)
    assert dropped.is_empty()


def test_dropped_rows_have_the_columns_of_their_table() -> None:
    expected = pl.DataFrame(Dropped.schema.empty_table()).schema
    assert sort_out(pair(), length_ratio=(10.0, 11.0)).dropped.schema == expected
    assert sort_out(pair()).dropped.schema == expected


texts = st.sampled_from(
    [
        "",
        "Miel.",
        MIEL,
        HONEY,
        МЁД,
        "蜂蜜を作る",
        "蜂蜜" * 9,
        "عسل",
        "น้ำผึ้ง",
        "¿Qué hacen las abejas?",
        "no\nno\nno",
        "e\u0301",
    ]
) | st.text(st.characters(codec="utf-8"), max_size=12)
pairs = st.builds(pair, language=st.sampled_from(["es", "ru", "ja"]), chosen_text=texts, rejected_text=texts)


@settings(deadline=None, max_examples=60)
@given(st.lists(pairs, max_size=6), st.sets(st.sampled_from(sorted(EVERYTHING))), st.data())
def test_kept_and_dropped_are_the_pairs_and_their_order_says_nothing(
    rows: list[dict[str, Any]], names: set[str], data: st.DataObject
) -> None:
    rows = [{**row, "prompt_id": str(number)} for number, row in enumerate(rows)]
    pair_filter = {name: EVERYTHING[name] for name in names - {"duplicates"}}

    def verdicts(rows: list[dict[str, Any]]) -> dict[str, tuple[str, str] | None]:
        kept, dropped = PairFilter(languages=["en", "es", "ru", "ja"], **pair_filter)(
            pl.DataFrame(rows, schema=frame(pair()).schema)
        )
        assert kept.height + dropped.height == len(rows)
        ids = [row["prompt_id"] for row in rows]
        assert kept["prompt_id"].to_list() == [id_ for id_ in ids if id_ in set(kept["prompt_id"])]
        assert dropped["prompt_id"].to_list() == [id_ for id_ in ids if id_ in set(dropped["prompt_id"])]
        reasons = dropped.select("reason", "detail").iter_rows()
        return {**dict.fromkeys(kept["prompt_id"]), **dict(zip(dropped["prompt_id"], reasons, strict=True))}

    together = verdicts(rows)
    assert together == verdicts(data.draw(st.permutations(rows)))
    assert together == {id_: verdict for row in rows for id_, verdict in verdicts([row]).items()}


def test_texts_of_a_megabyte_are_filtered_in_seconds() -> None:
    began = time.monotonic()
    rows = [
        pair(language="ru", chosen_text=text, rejected_text=text[::-1])
        for text in ("a" * 1_000_000, "蜂蜜" * 175_000, "\n" * 1_000_000, "<` " * 350_000, "मधु " * 100_000)
    ]
    assert sort_out(*rows, **EVERYTHING).dropped.height >= 3
    assert time.monotonic() - began < 30


def test_batches_do_not_show() -> None:
    rows = [pair(prompt_id=str(number), chosen_text="Miel. " * (number % 7)) for number in range(2_500)]
    whole = sort_out(*rows, length_ratio=(0.5, 2.0))
    assert whole.kept.height + whole.dropped.height == 2_500
    assert whole.kept["prompt_id"].to_list() == [str(number) for number in range(2_500) if number % 7 in (1, 2, 3)]


def test_llama3s_own_french_pairs_lose_four_of_922(data_folder: Path) -> None:
    lines = Path(data_folder, "llama3_m0", "en_to_fr.jsonl").read_text("utf-8").splitlines()
    rows = [
        pair(prompt_id=row["id"], language="fr", prompt_text=row["prompt"], chosen_text=row["en2fr_reponse"],
             rejected_text=row["response"])
        for row in map(json.loads, lines) if row["en2fr_reponse"] != "Translation Error"
    ]  # fmt: skip
    filters = {**EVERYTHING, "repetition_lines": 5, "repetition_ngram": NgramLimit(8, 0.3)}
    kept, dropped = PairFilter(languages=["en", "fr"], **filters)(frame(*rows))
    assert kept.height + dropped.height == 922
    assert Counter(dropped["reason"]) == {"repetition_lines": 1, "repetition_ngram": 3}
