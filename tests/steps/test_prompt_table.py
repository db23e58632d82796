"""Prompts as people have them: one wide table, a row for each language, a file for each language; ids given or made."""

from __future__ import annotations

import json
import tracemalloc

import polars as pl
import pytest

from lidr.cli.main import main
from lidr.errors import RowError
from lidr.recipe import PromptColumns
from lidr.steps.prompts.prompt_table import parallel_prompts, read_prompts
from lidr.tables import text_files
from tests.scripted import write_world
from tests.steps.helpers import rows_of


def table(path, text):
    path.write_text(text, encoding="utf-8")
    return path


WIDE = 'id,en,es,de,note\n1,"Why, bees?",¿Abejas?,Bienen?,x\n2,Tea,Té,Tee,\n'


def test_one_wide_table_has_a_column_for_each_language(tmp_path):
    rows = read_prompts(table(tmp_path / "p.csv", WIDE), ["en", "de"])
    assert rows.rows() == [("1", "en", "Why, bees?"), ("2", "en", "Tea"), ("1", "de", "Bienen?"), ("2", "de", "Tee")]


def test_the_column_map_names_the_columns_of_a_wide_table(tmp_path):
    path = table(tmp_path / "p.tsv", "key\tEnglish\tGerman\nk\tBees?\tBienen?\n")
    columns = PromptColumns(id="key", prompt={"en": "English", "de": "German"})
    assert read_prompts(path, ["en", "de"], columns=columns).rows() == [("k", "en", "Bees?"), ("k", "de", "Bienen?")]


def test_one_long_table_has_a_row_for_each_language(tmp_path):
    path = table(tmp_path / "p.jsonl", "".join(
        json.dumps({"key": "k", "lang": code, "question": text, "context": "unused"}) + "\n"
        for code, text in [("de", "Bienen?"), ("en", "Bees?"), ("fr", "Abeilles ?")]))  # fmt: skip
    columns = PromptColumns(id="key", language="lang", prompt="question", input=None)
    assert read_prompts(path, ["en", "de"], columns=columns).rows() == [("k", "en", "Bees?"), ("k", "de", "Bienen?")]


def test_ids_are_made_of_the_dominant_text_and_stay_when_rows_are_moved(tmp_path):
    rows = ["Bees?,Bienen?", "Tea?,Tee?", "Bees?,Bienen noch einmal?"]
    made = read_prompts(table(tmp_path / "p.csv", "\n".join(["en,de", *rows])), ["en", "de"])
    moved = read_prompts(table(tmp_path / "q.csv", "\n".join(["en,de", rows[1], rows[0]])), ["en", "de"])
    ids = made.filter(language="en")["prompt_id"].to_list()
    assert ids[2] == f"{ids[0]}-2"
    assert moved.filter(language="de")["prompt_id"].to_list() == [ids[1], ids[0]]


def test_files_without_ids_are_joined_by_row_only_where_the_recipe_says_so(tmp_path):
    table(tmp_path / "en.csv", 'prompt\n"one\ntwo"\nthree\n')
    table(tmp_path / "de.csv", "prompt\neins\ndrei\n")
    with pytest.raises(RowError, match=r'en\.csv:1: no field "id".*found: prompt\. .*; or have ids made: ids: row'):
        read_prompts(tmp_path, ["en", "de"])
    rows = read_prompts(tmp_path, ["en", "de"], ids="row")
    assert rows["prompt_id"].to_list() == ["1", "2", "1", "2"]
    long = table(tmp_path / "long.csv", "language,prompt\nen,one\nde,eins\n")
    with pytest.raises(RowError, match=r"`columns` in the recipe names another, the same in every row of a prompt$"):
        read_prompts(long, ["en", "de"])
    with pytest.raises(RowError, match="ids: content would differ between languages"):
        read_prompts(tmp_path, ["en", "de"], ids="content")


def test_languages_of_rows_are_read_in_any_case_as_tags_and_by_name(tmp_path):
    rows = "a,EN,one\na,German,eins\nb,english,two\nb,de-AT,zwei\nb,French,deux\nb,easy,2\n"
    long = table(tmp_path / "long.csv", f"id,language,prompt\n{rows}")
    found = read_prompts(long, ["en", "de"])
    assert sorted(found.rows()) == [("a", "de", "eins"), ("a", "en", "one"), ("b", "de", "zwei"), ("b", "en", "two")]
    with pytest.raises(RowError, match=r"no rows in es; its column language has 'EN' \(1\), 'French' \(1\), "):
        read_prompts(long, ["en", "es"])


@pytest.mark.parametrize(("ids", "named"), [("row", ["1", "3"]), (None, None)])
def test_of_rows_in_several_languages_one_alone_needs_no_ids(tmp_path, ids, named):
    long = table(tmp_path / "long.csv", "language,prompt\nen,one\nde,eins\nen,two\n")
    found = read_prompts(long, ["en"], ids=ids)
    assert found["text"].to_list() == ["one", "two"]
    assert named is None or found["prompt_id"].to_list() == named
    assert found["prompt_id"].n_unique() == 2
    given = table(tmp_path / "given.csv", "id,language,prompt\na,en,one\na,de,eins\n")
    assert read_prompts(given, ["en"])["prompt_id"].to_list() == ["a"]


@pytest.mark.parametrize(
    ("text", "columns", "message"),
    [
        ("key,question\n1,x\n", None, r"p\.csv:1: which column holds which language\? Its columns: key, question\. Na"),
        ("id,en\n1,x\n", {"prompt": {"en": "en"}}, r"^prompts\.columns\.prompt: .*p\.csv:1: it names no column for de"),
        ("id,en\n1,x\n", {"prompt": {"en": "en", "de": "Deutsch"}}, r'p\.csv:1: no field "Deutsch"; found: id, en'),
        (
            "id,language,text\n1,en,x\n1,easy,y\n",
            None,
            r"p\.csv: no rows in de; its column language has 'easy' ",
        ),
        ("language,text\nen,x\nde,y\n", None, r'p\.csv:1: no field "id"'),
        ("\n\nlanguage,text\nen,x\nde,y\n", None, r'p\.csv:3: no field "id"'),
        ("id,en,de\n1,x,y\n1,z,w\n", None, r'p\.csv:3: id "1" already stands at .*p\.csv:2; ids must be unique'),
        ("id,en,de,context\n1,x,y,Bees.\n", None, r'p\.csv:2: field "context" looks like part of the prompt'),
        ("id, en,de\n1,x,y\n", None, r"Its columns: id, ' en', de"),
        ("id,en,de\n", None, r"p\.csv: no prompts in this file"),
    ],
)
def test_what_is_wrong_is_named_with_what_is_there(tmp_path, text, columns, message):
    path = table(tmp_path / "p.csv", text)
    with pytest.raises(RowError, match=message):
        read_prompts(path, ["en", "de"], columns=PromptColumns(**columns) if columns else None)


def wide_world(tmp_path, name="mine.csv"):
    """The scripted world, its prompts in one table."""
    recipe = write_world(tmp_path)
    rows: dict[str, dict[str, str]] = {}
    for code in ("en", "es", "de"):
        for line in (tmp_path / "prompts" / f"{code}.jsonl").read_text().splitlines():
            row = json.loads(line)
            rows.setdefault(row["id"], {"key": row["id"]})[f"in_{code}"] = row["instruction"]
    pl.DataFrame(list(rows.values())).write_csv(tmp_path / name)
    recipe.write_text(recipe.read_text().replace(f"{tmp_path}/prompts", f"{tmp_path}/{name}"))
    return recipe


COLUMNS = "prompts.columns={id: key, prompt: {en: in_en, es: in_es, de: in_de}}"


def test_a_run_from_one_table_makes_the_rows_of_a_run_from_folders(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    of_folder = rows_of(write_world(tmp_path / "a"), "iter_1/prompts")
    assert rows_of(wide_world(tmp_path / "b"), "iter_1/prompts", COLUMNS).equals(of_folder)


def test_a_wrong_column_is_said_by_plan_and_does_not_stand_in_the_way_of_the_next_try(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = str(wide_world(tmp_path))
    wrong = COLUMNS.replace("in_de", "in_ge")
    for command in ("plan", "run"):
        assert main([command, recipe, "--set", wrong]) == 2
        assert 'no field "in_ge"; found: key, in_en, in_es, in_de' in capsys.readouterr().err
    assert main(["run", recipe, "--set", COLUMNS]) == 0


def test_how_ids_were_made_stands_in_the_record(tmp_path):
    import lidr

    recipe = wide_world(tmp_path)
    plan = lidr.run(lidr.load_recipe(recipe, overrides=[COLUMNS.replace("id: key, ", "")]), until="prompts")
    record = json.loads((plan.folder(plan.steps[1]) / "record.json").read_text())
    assert record["counts"]["ids"] == "content"


LONG = "Bees make honey of what they gather and wax of what they eat. " * 3
HELD = {
    "en.jsonl": lambda number: json.dumps({"id": f"p{number}", "instruction": LONG}) + "\n",
    "en.csv": lambda number: f"p{number},{LONG}\n",
    "long.csv": lambda number: f"p{number},en,{LONG}\n",
}


@pytest.mark.parametrize("name", HELD)
def test_prompts_are_looked_at_without_being_held(tmp_path, monkeypatch, name):
    """Each further prompt of 190 characters takes less than 80 bytes; a list of them would take 400 and more."""
    monkeypatch.setattr(text_files, "_BLOCK", 1 << 14)
    header = {"en.csv": "id,prompt\n", "long.csv": "id,language,prompt\n"}.get(name, "")
    peaks = []
    for count in (1_000, 5_000):
        path = tmp_path / str(count) / name
        path.parent.mkdir()
        path.write_text(header + "".join(map(HELD[name], range(count))), encoding="utf-8")
        tracemalloc.start()
        assert parallel_prompts(path if header else path.parent, ["en"]) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 80 * 4_000


@pytest.mark.parametrize(
    ("german", "count"),
    [
        (["deb", "dea"], 2),  # the order does not matter
        (["b", "a"], 2),
        (["dea", "deb", "dec"], None),
        (["dea"], None),
        (["dea", "b"], None),  # `id_prefix` takes the code off all or none
        (["dea", "dea"], None),
    ],
)
def test_prompts_are_parallel_where_every_language_has_each_id_once(tmp_path, german, count):
    for code, ids in (("en", ["ena", "enb"]), ("de", german)):
        rows = (json.dumps({"id": id_, "instruction": "Bees?"}) + "\n" for id_ in ids)
        table(tmp_path / f"{code}.jsonl", "".join(rows))
    assert parallel_prompts(tmp_path, ["en", "de"], id_prefix="language") == count


def test_prompts_whose_ids_stand_twice_in_every_language_are_not_taken_for_parallel(tmp_path):
    for code in ("en", "de"):
        table(tmp_path / f"{code}.jsonl", '{"id": "a", "instruction": "Bees?"}\n' * 2)
    assert parallel_prompts(tmp_path, ["en", "de"]) is None
