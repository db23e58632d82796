import json
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lidr.errors import RowError
from lidr.rows import Dropped, Prompt
from lidr.steps.prompts.prompt_table import read_prompts
from lidr.transforms.parallel_prompts import instruct, select_prompts

Rows = list[tuple[str, str, str]]

BEES: Rows = [
    ("bees", "en", "What do bees make?"),
    ("tea", "en", "How hot is tea?"),
    ("moon", "en", "Who walked on the moon?"),
    ("tea", "ru", "Какой температуры чай?"),
    ("bees", "ru", "Что делают пчёлы?"),
    ("moon", "ru", "Кто ходил по Луне?"),
    ("bees", "th", "ผึ้งทำอะไร"),
    ("moon", "th", "ใครเดินบนดวงจันทร์"),
    ("tea", "th", "ชาร้อนแค่ไหน"),
]


def frame(rows: Rows) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=["prompt_id", "language", "text"], orient="row")


def select(
    rows: Rows, start: int, stop: int, others: tuple[str, ...] = ("ru", "th")
) -> tuple[Rows, list[dict[str, Any]]]:
    result = select_prompts(frame(rows), dominant="en", others=others, start=start, stop=stop)
    return result.prompts.rows(), result.dropped.to_dicts()


def replaced(prompt_id: str, language: str, text: str) -> Rows:
    return [(id_, code, text if (id_, code) == (prompt_id, language) else old) for id_, code, old in BEES]


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def write(name: str, *rows: object) -> Path:
        lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
        (tmp_path / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
        return tmp_path

    return write


# What can be read


def test_the_columns_are_those_of_a_prompt_in_the_order_of_languages_and_files(write: Callable[..., Path]) -> None:
    write("ja.jsonl", {"id": "2", "instruction": "月について"}, {"id": "1", "instruction": "蜂は何を作る？"})
    folder = write("en.jsonl", {"id": "1", "instruction": "Bees?", "extra": 1}, {"id": "2", "instruction": "Moon?"})
    prompts = read_prompts(folder, ["en", "ja"])
    assert prompts.columns == Prompt.schema.names
    assert prompts.rows() == [
        ("1", "en", "Bees?"),
        ("2", "en", "Moon?"),
        ("2", "ja", "月について"),
        ("1", "ja", "蜂は何を作る？"),
    ]


def test_three_formats_and_both_names_of_a_field_give_the_same_prompts(write: Callable[..., Path]) -> None:
    write("en.jsonl", {"id": "a", "instruction": "Hi"}, "", {"id": "b", "instruction": "Sum", "input": "2 + 2"})
    folder = write("de.json", [{"prompt_id": "a", "text": "Hi"}, {"prompt_id": "b", "text": "Sum", "input": "2 + 2"}])
    pl.DataFrame({"id": ["a", "b"], "text": ["Hi", "Sum"], "input": [None, "2 + 2"]}).write_parquet(
        folder / "fr.parquet"
    )
    prompts = read_prompts(folder, ["en", "de", "fr"])
    for language in ("en", "de", "fr"):
        assert prompts.filter(language=language).drop("language").rows() == [("a", "Hi"), ("b", "Sum\n2 + 2")]


@pytest.mark.parametrize("empty", ["", "  ", None])
def test_an_empty_input_adds_nothing(write: Callable[..., Path], empty: str | None) -> None:
    folder = write("en.jsonl", {"id": "a", "instruction": "Hi", "input": empty})
    assert read_prompts(folder, ["en"])["text"].item() == "Hi"


def test_a_number_is_taken_as_an_id(write: Callable[..., Path]) -> None:
    assert read_prompts(write("de.json", [{"id": 7, "instruction": "Hallo"}]), ["de"])["prompt_id"].item() == "7"


def test_a_line_separator_and_a_byte_order_mark_do_not_break_lines(write: Callable[..., Path]) -> None:
    folder = write("ar.jsonl", '\ufeff{"id": "a", "instruction": "نحل\u2028عسل\u0085"}\r')
    assert read_prompts(folder, ["ar"])["text"].item() == "نحل\u2028عسل\u0085"


def test_a_megabyte_is_read(write: Callable[..., Path]) -> None:
    folder = write("zh.jsonl", {"id": "a", "instruction": "蜂" * 350_000})
    assert read_prompts(folder, ["zh"])["text"].str.len_bytes().item() == 1_050_000


def test_a_surrogate_pair_is_one_character(write: Callable[..., Path]) -> None:
    assert read_prompts(write("en.jsonl", r'{"id": "a", "instruction": "\ud83d\udc1d"}'), ["en"])["text"].item() == "🐝"


def test_the_language_prefix_of_gsm8k_ids_is_taken_off_so_that_they_join(write: Callable[..., Path]) -> None:
    write("en.jsonl", {"id": "gsm8k_0", "instruction": "a"}, {"id": "gsm8k_1", "instruction": "b"})
    folder = write("de.jsonl", {"id": "degsm8k_0", "instruction": "a"}, {"id": "degsm8k_1", "instruction": "b"})
    assert read_prompts(folder, ["en", "de"])["prompt_id"].to_list() == ["gsm8k_0", "gsm8k_1", "degsm8k_0", "degsm8k_1"]
    joined = read_prompts(folder, ["en", "de"], id_prefix="language")
    assert joined["prompt_id"].to_list() == ["gsm8k_0", "gsm8k_1"] * 2


# What cannot be read


@pytest.mark.parametrize(
    ("name", "rows", "message"),
    [
        ("en.jsonl", ['{"id": "a", "instruction": "x"}', '{"id": '], r"en\.jsonl:2:8: not JSON: Expecting value"),
        ("en.json", ["[", '{"id": "a"', "]"], r"en\.json:3:1: not JSON: Expecting ',' delimiter"),
        ("en.json", [{"id": "a"}], r"en\.json: expected a JSON array of objects \(\[\{\.\.\.\}, \.\.\.\]\)"),
        ("en.jsonl", ["[1]"], r"en\.jsonl:1: expected an object \(\{\.\.\.\}\), found list"),
        ("en.jsonl", [{"instruction": "x"}], r'en\.jsonl:1: no field "id" \(or "prompt_id"\); found: instruction'),
        ("en.jsonl", [{}], r'no field "id" \(or "prompt_id"\); found: no fields'),
        ("en.jsonl", [{"id": " ", "instruction": "x"}], r'en\.jsonl:1: field "id" is empty; each prompt needs an id'),
        ("en.jsonl", [{"id": True, "instruction": "x"}], 'field "id" must be text, found bool'),
        ("en.jsonl", [{"id": 1.5, "instruction": "x"}], 'field "id" must be text, found float'),
        ("en.jsonl", [{"id": "a", "query": "x"}], r'no field "instruction" \(or "text", "prompt"\); found: id, query'),
        ("en.jsonl", [{"id": "a", "instruction": None}], 'field "instruction" must be text, found NoneType'),
        ("en.jsonl", [{"id": "a", "text": 5}], 'field "text" must be text, found int'),
        ("en.jsonl", [{"id": "a", "text": "x", "input": ["y"]}], 'field "input" must be text, found list'),
        (
            "en.jsonl",
            ["", r'{"id": "a", "instruction": "bee \ud83d"}'],
            r"en\.jsonl:2: \\ud83d is half of a character: a surrogate without the other one",
        ),
        ("en.jsonl", [r'{"id": "\udc1d", "text": "x"}'], r"en\.jsonl:1: \\udc1d is half of a character"),
        (
            "en.jsonl",
            [{"id": "a", "text": "x"}, {"id": "b", "text": "x"}, {"id": "a", "text": "y"}],
            r'en\.jsonl:3: id "a" already stands at .*en\.jsonl:1; ids must be unique',
        ),
        (
            "en.json",
            ["[", '{"id": "a", "text": "x"},', "", '{"id": "a", "text": "y"}', "]"],
            r'en\.json:4: id "a" already stands at .*en\.json:2; ids must be unique',
        ),
        ("en.jsonl", ["", '{"id": "a", "text": "x", "id": "b"}'], r'en\.jsonl:2: the key "id" stands twice in one obj'),
        ("en.json", ['[{"id": "a", "text": "x", "text": "y"}]'], 'the key "text" stands twice in one object'),
        ("en.jsonl", ['{"id": "a", "text": "NaN", "n": NaN}'], r"en\.jsonl:1:33: NaN is no JSON; write null where"),
        ("en.json", ["[", '{"id": "a", "text": "x", "n": -Infinity}]'], r"en\.json:2:31: -Infinity is no JSON"),
        ("en.jsonl", [{"id": "\u200b", "text": "x"}], r'en\.jsonl:1: field "id" is empty'),
        (
            "en.jsonl",
            [{"id": "a", "text": "x", "system": "Be brief."}],
            r'field "system" looks like part of the prompt',
        ),
        ("en.jsonl", [{"id": "a", "text": "x", "context": "Bees."}], r'field "context" looks like part of the prompt'),
        ("en.jsonl", [{"id": "a", "text": "x", "tools": [{"name": "clock"}]}], r'field "tools" looks like part of'),
        ("en.jsonl", ["", " "], r"en\.jsonl: no prompts in this file"),
        ("en.json", ["[]"], r"en\.json: no prompts in this file"),
        ("en.parquet", ["not parquet"], r"en\.parquet: cannot be read as Parquet: "),
        ("en.jsonl", ["[" * 100_000], r"en\.jsonl:1: JSON that cannot be read: "),
        ("en.jsonl", ['{"id": ' + "1" * 5_000 + "}"], r"en\.jsonl:1: JSON that cannot be read: "),
    ],
)
def test_what_cannot_be_read_is_named_with_its_line(
    write: Callable[..., Path], name: str, rows: list[object], message: str
) -> None:
    with pytest.raises(RowError, match=message):
        read_prompts(write(name, *rows), ["en"])


@pytest.mark.parametrize("field", ["system", "context", "history", "tools", "images"])
@pytest.mark.parametrize("nothing", [None, "", "\u200b ", [], "[]"])
def test_a_field_that_could_be_part_of_the_prompt_and_holds_nothing_is_ignored(write, field, nothing) -> None:
    folder = write("en.jsonl", {"id": "a", "text": "x", field: nothing})
    assert read_prompts(folder, ["en"])["text"].to_list() == ["x"]


def test_every_type_of_arrow_that_holds_text_is_read(tmp_path: Path) -> None:
    texts = ["Bees?", "Ще?"]
    kinds = (
        pa.dictionary(pa.int32(), pa.string()),
        pa.large_string(),
        pa.string_view(),
        pa.binary(),
        pa.large_binary(),
    )
    for kind in kinds:
        held = pa.array(texts).dictionary_encode() if pa.types.is_dictionary(kind) else pa.array(texts).cast(kind)
        pq.write_table(pa.table({"id": pa.array(["a", "b"]), "text": held}), tmp_path / "en.parquet")
        assert read_prompts(tmp_path, ["en"])["text"].to_list() == texts


def test_bytes_in_a_parquet_file_that_are_not_utf8_are_named(tmp_path: Path) -> None:
    bad = pa.array([b"Bees", b"caf\xe9"])
    pq.write_table(pa.table({"id": ["a", "b"], "text": bad}), tmp_path / "en.parquet")
    with pytest.raises(RowError, match=r"column text, row 2: byte 4 of its value, 0xe9, is not UTF-8"):
        read_prompts(tmp_path, ["en"])
    pq.write_table(pa.table({"id": ["a", "b"], "text": bad.view(pa.string())}), tmp_path / "en.parquet")
    with pytest.raises(RowError, match=r"en\.parquet: column text, rows 1 to 2: .*UTF"):
        read_prompts(tmp_path, ["en"])


def test_a_parquet_row_is_named_by_its_number(tmp_path: Path) -> None:
    pl.DataFrame({"id": ["a", "a"], "text": ["x", "y"]}).write_parquet(tmp_path / "en.parquet")
    with pytest.raises(RowError, match=r'en\.parquet row 2: id "a" already stands at .*en\.parquet row 1'):
        read_prompts(tmp_path, ["en"])


def test_bytes_that_are_not_utf8_are_named_with_their_line(tmp_path: Path) -> None:
    (tmp_path / "fr.jsonl").write_bytes(b'{"id": "a", "text": "x"}\n{"id": "b", "text": "\xe9t\xe9"}\n')
    with pytest.raises(
        RowError, match=r"fr\.jsonl:2: byte 0xe9 is not UTF-8; save the file as UTF-8 \(byte 22 of the line\)"
    ):
        read_prompts(tmp_path, ["fr"])


def test_a_missing_language_says_which_are_there(write: Callable[..., Path]) -> None:
    write("ids.json", [])
    write("de.json", [])
    folder = write("en.jsonl", {"id": "a", "text": "x"})
    message = r'no prompts in "it" \(looked for it\.jsonl, it\.json, .*, it\.tsv\.gz\); languages there: de, en$'
    with pytest.raises(RowError, match=message):
        read_prompts(folder, ["en", "it"])


def test_an_empty_folder_has_no_language(tmp_path: Path) -> None:
    with pytest.raises(RowError, match="languages there: none"):
        read_prompts(tmp_path, ["en"])


def test_a_missing_folder_says_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(RowError, match="nowhere: no such folder; prompts are a folder with one file for each language"):
        read_prompts(tmp_path / "nowhere", ["en"])


def test_two_files_of_one_language_are_refused(write: Callable[..., Path]) -> None:
    write("en.json", [])
    with pytest.raises(RowError, match=r'en\.jsonl and en\.json both hold prompts in "en"; keep one of them'):
        read_prompts(write("en.jsonl"), ["en"])


def test_a_prefix_on_some_ids_only_is_refused(write: Callable[..., Path]) -> None:
    rows = [{"id": "degsm8k_0", "text": "a"}, {"id": "gsm8k_1", "text": "b"}, {"id": "gsm8k_2", "text": "c"}]
    message = "1 ids begin with the language's code de and 2 do not: gsm8k_1, gsm8k_2; with id_prefix: language"
    with pytest.raises(RowError, match=message):
        read_prompts(write("de.jsonl", *rows), ["de"], id_prefix="language")


# What an iteration takes


def test_prompts_come_by_position_then_dominant_then_the_other_languages_in_order() -> None:
    prompts, dropped = select(BEES, 0, 2, others=("th", "ru"))
    assert [row[:2] for row in prompts] == [
        ("bees", "en"),
        ("bees", "th"),
        ("bees", "ru"),
        ("tea", "en"),
        ("tea", "th"),
        ("tea", "ru"),
    ]
    assert dropped == []


def test_languages_that_are_not_asked_for_are_left_out() -> None:
    prompts, _ = select([*BEES, ("bees", "fr", "Que font les abeilles ?")], 0, 1, others=("th",))
    assert prompts == [("bees", "en", "What do bees make?"), ("bees", "th", "ผึ้งทำอะไร")]


@pytest.mark.parametrize("empty", ["", " \n\t", "\u3000", "\u200b", "\ufeff"])
def test_a_prompt_that_is_empty_in_one_language_goes_in_all(empty: str) -> None:
    prompts, dropped = select(replaced("tea", "th", empty), 0, 3)
    assert {row[0] for row in prompts} == {"bees", "moon"}
    common = {
        "prompt_id": "tea",
        "iteration": None,
        "step": "prompts",
        "reason": "empty_prompt",
        "detail": "empty in th",
    }
    assert dropped == [
        {**common, "language": "en", "other_language": "ru", "kind": "dominant"},
        {**common, "language": "ru", "other_language": "en", "kind": "non_dominant"},
        {**common, "language": "en", "other_language": "th", "kind": "dominant"},
        {**common, "language": "th", "other_language": "en", "kind": "non_dominant"},
    ]  # fmt: skip


def test_dropped_rows_have_the_columns_of_their_table() -> None:
    result = select_prompts(frame(replaced("tea", "en", "")), dominant="en", others=["ru"], start=0, stop=3)
    assert result.dropped.schema == pl.DataFrame(Dropped.schema.empty_table()).schema
    assert result.prompts.columns == Prompt.schema.names


def test_the_detail_names_every_empty_language() -> None:
    rows = [(id_, code, "" if id_ == "bees" and code != "ru" else text) for id_, code, text in BEES]
    assert {row["detail"] for row in select(rows, 0, 1)[1]} == {"empty in en, th"}


def test_a_repeated_dominant_text_goes_and_the_first_stays() -> None:
    prompts, dropped = select(replaced("moon", "en", " What do bees make?\n"), 0, 3)
    assert {row[0] for row in prompts} == {"bees", "tea"}
    assert {(row["reason"], row["detail"]) for row in dropped} == {("duplicate_prompt", "the same text in en as bees")}


def test_a_prompt_that_an_earlier_slice_had_is_a_duplicate_in_a_later_one() -> None:
    prompts, dropped = select(replaced("moon", "en", "What do bees make?"), 2, 3)
    assert prompts == []
    assert len(dropped) == 4


def test_a_repeat_of_a_prompt_that_was_itself_unusable_stays() -> None:
    rows = [
        (id_, code, "What do bees make?" if (id_, code) == ("moon", "en") else text)
        for id_, code, text in replaced("bees", "ru", "")
    ]
    prompts, dropped = select(rows, 0, 3)
    assert {row[0] for row in prompts} == {"tea", "moon"}
    assert {row["prompt_id"] for row in dropped} == {"bees"}


def test_a_text_repeated_in_another_language_only_is_no_duplicate() -> None:
    assert select(replaced("moon", "ru", "Что делают пчёлы?"), 0, 3)[1] == []


def test_two_ways_to_write_one_text_are_one_text() -> None:
    decomposed = unicodedata.normalize("NFD", "¿Qué es el té?")
    prompts, _ = select([("a", "en", "Tea?"), ("a", "es", decomposed)], 0, 1, others=("es",))
    assert prompts[1] == ("a", "es", "¿Qué es el té?")
    assert decomposed != "¿Qué es el té?"


def test_drops_do_not_move_the_next_slice() -> None:
    rows = replaced("bees", "ru", "")
    assert {row[0] for row in select(rows, 1, 2)[0]} == {"tea"}
    assert {row[0] for row in select(rows, 2, 3)[0]} == {"moon"}


@pytest.mark.parametrize(("start", "stop"), [(0, 4), (3, 4), (2, 2), (-1, 2), (2, 1)])
def test_a_slice_outside_the_file_says_how_many_there_are(start: int, stop: int) -> None:
    with pytest.raises(RowError, match=f"prompts {start}:{stop} go beyond the file: it has 3 prompts, so at most 0:3"):
        select(BEES, start, stop)


def test_missing_and_extra_ids_are_counted_and_the_first_five_named() -> None:
    rows = [(str(number), "en", f"Question {number}") for number in range(8)]
    rows += [("0", "ru", "Вопрос"), ("x", "ru", "Вопрос"), *((id_, "th", "คำถาม") for id_, _, _ in rows[:8])]
    message = (
        r'of the 8 ids in "en", "ru" lacks 7: 1, 2, 3, 4, 5, \.\.\.; "ru" has 1 more: x\. Give each prompt the same id '
        r"in every language, or take out those that are not in all; ids that begin .* need id_prefix: language"
    )
    with pytest.raises(RowError, match=message):
        select(rows, 0, 1)


def test_a_language_without_prompts_lacks_them_all() -> None:
    with pytest.raises(RowError, match='of the 3 ids in "en", "fr" lacks 3: bees, tea, moon'):
        select(BEES, 0, 1, others=("fr",))


def test_an_id_that_stands_twice_in_a_language_is_refused() -> None:
    with pytest.raises(RowError, match="1 prompt ids stand more than once: tea in ru; keep one row of each"):
        select([*BEES, ("tea", "ru", "Чай?")], 0, 1)


texts = st.sampled_from(["", " ", "Hi", "hi", "Hi ", "蜂", "🐝", "\u00e9", "e\u0301", "نحل"])


@settings(deadline=None)
@given(st.lists(st.tuples(texts, texts, texts), min_size=1, max_size=8), st.data())
def test_each_slot_is_kept_or_dropped_once_and_the_order_of_rows_says_nothing(
    table: list[tuple[str, str, str]], data: st.DataObject
) -> None:
    rows = [
        (str(number), language, text)
        for number, row in enumerate(table)
        for language, text in zip(("en", "ru", "th"), row, strict=True)
    ]
    start = data.draw(st.integers(0, len(table) - 1))
    stop = data.draw(st.integers(start + 1, len(table)))
    prompts, dropped = select(rows, start, stop)
    kept = {
        (id_, other, kind) for id_, _, _ in prompts for other in ("ru", "th") for kind in ("dominant", "non_dominant")
    }
    gone = [
        (row["prompt_id"], row["other_language"] if row["kind"] == "dominant" else row["language"], row["kind"])
        for row in dropped
    ]
    assert len(gone) == len(set(gone))
    assert not kept & set(gone)
    assert len(kept) + len(gone) == 2 * 2 * (stop - start)
    # other languages in any order; the dominant one's order is the file's and stays
    others = data.draw(st.permutations([row for row in rows if row[1] != "en"]))
    assert select([*others, *(row for row in rows if row[1] == "en")], start, stop) == (prompts, dropped)


@settings(deadline=None)
@given(st.lists(st.tuples(texts, texts), min_size=2, max_size=8), st.data())
def test_two_slices_are_the_halves_of_one(table: list[tuple[str, str]], data: st.DataObject) -> None:
    rows = [
        (str(number), language, text)
        for number, row in enumerate(table)
        for language, text in zip(("en", "ru"), row, strict=True)
    ]
    middle = data.draw(st.integers(1, len(table) - 1))
    first, second, whole = (
        select(rows, *at, others=("ru",)) for at in ((0, middle), (middle, len(table)), (0, len(table)))
    )
    assert (first[0] + second[0], first[1] + second[1]) == whole


# The language instruction


def test_the_language_instruction_is_the_papers() -> None:
    prompts = instruct(frame([("a", "ru", "Что {делают} пчёлы?")]), {"ru": "Russian", "en": "English"})
    assert prompts.rows() == [
        (
            "a",
            "ru",
            "Below is an instruction that describes a task. Write a response that appropriately completes the request "
            "in Russian. Please answer in Russian.\n\n### Instruction:\nЧто {делают} пчёлы?\n\n### Response:\n",
        )
    ]


def test_alpagasus_is_parallel_and_gives_every_prompt_of_both_iterations(data_folder: Path) -> None:
    prompts = read_prompts(data_folder / "alpagasus", ["en", "es", "ru", "de", "fr"])
    for start in (0, 1000):
        result = select_prompts(prompts, dominant="en", others=["es", "ru", "de", "fr"], start=start, stop=start + 1000)
        assert (len(result.prompts), len(result.dropped)) == (5000, 0)
        assert result.prompts["prompt_id"][0] == f"alpagasus-{start}"


def test_gsm8k_joins_once_the_language_is_taken_off_its_ids(data_folder: Path) -> None:
    prompts = read_prompts(data_folder / "gsm8k", ["de", "ru"], id_prefix="language")
    result = select_prompts(prompts, dominant="de", others=["ru"], start=0, stop=1000)
    assert result.prompts["prompt_id"][0] == "gsm8k_0"
    with pytest.raises(RowError, match='of the 1000 ids in "de", "ru" lacks 1000: degsm8k_0, degsm8k_1'):
        select_prompts(read_prompts(data_folder / "gsm8k", ["de", "ru"]), dominant="de", others=["ru"], start=0, stop=9)


def test_x_alpacaeval_prompts_are_read_from_arrays_with_numbers_for_ids(data_folder: Path) -> None:
    prompts = read_prompts(data_folder / "x_alpacaeval/prompts", ["en", "ru"])
    assert prompts.group_by("language").len().sort("language").rows() == [("en", 805), ("ru", 805)]
