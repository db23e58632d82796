from __future__ import annotations

import json
import re

import pytest

import lidr
from lidr.cli.main import main
from lidr.errors import PlanError, RowError
from lidr.resources import shared
from tests.scripted import write_world
from tests.steps.helpers import rows_of


def test_the_slice_stands_in_every_language_in_order(tmp_path):
    rows = rows_of(write_world(tmp_path), "iter_1/prompts")
    assert rows.height == 12
    assert rows["language"].to_list()[:3] == ["en", "es", "de"]


def test_an_empty_prompt_is_dropped_in_every_slot_with_its_reason(tmp_path):
    recipe = write_world(tmp_path)
    file = tmp_path / "prompts" / "de.jsonl"
    lines = file.read_text().splitlines()
    lines[1] = json.dumps({"id": "p1", "instruction": "  "})
    file.write_text("\n".join(lines))
    assert rows_of(recipe, "iter_1/prompts").height == 9
    dropped = rows_of(recipe, "iter_1/prompts", part="dropped")
    assert dropped["reason"].to_list() == ["empty_prompt"] * 4
    assert dropped["prompt_id"].to_list() == ["p1"] * 4


def test_ids_that_differ_between_languages_stop_the_run_with_the_ids(tmp_path):
    recipe = write_world(tmp_path)
    file = tmp_path / "prompts" / "de.jsonl"
    file.write_text("\n".join(file.read_text().splitlines()[1:]))
    with pytest.raises(RowError, match="p0"):
        rows_of(recipe, "iter_1/prompts")


def test_a_source_that_is_no_folder_is_said(tmp_path):
    recipe = write_world(tmp_path)
    with pytest.raises(PlanError, match=r"prompts.source: no file or folder .*nowhere; give a folder"):
        rows_of(recipe, "iter_1/prompts", f"prompts.source={tmp_path}/nowhere")


def test_a_file_that_is_not_there_is_no_data_set_of_the_hub_but_a_mistake_that_validate_finds(tmp_path, capsys):
    recipe = write_world(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "questions.csv").write_text("id,en\n1,What do bees make?\n")
    recipe.write_text(recipe.read_text().replace(f"{tmp_path}/prompts", "mine/question.csv"))
    assert main(["validate", str(recipe)]) == 2
    said = capsys.readouterr().err
    assert "no file or folder" in said
    assert re.search(r"did you mean \S*mine/questions\.csv\?", said)


def test_the_language_instruction_is_part_of_the_prompt_from_the_first_step_on(tmp_path):
    rows = rows_of(write_world(tmp_path), "iter_1/prompts", "prompts.language_instruction=true")
    text = rows.filter(prompt_id="p0", language="es")["text"].item()
    assert text.startswith("Below is an instruction that describes a task.")
    assert "Please answer in Spanish." in text
    assert "Spanish: tell me about bees" in text


def test_the_shipped_prompts_are_parallel_fresh_and_many(tmp_path):
    folder = shared("recipes") / "prompts" / "quickstart"
    ids = {}
    for code in ("en", "de", "es", "fr"):
        rows = [json.loads(line) for line in (folder / f"{code}.jsonl").read_text(encoding="utf-8").splitlines()]
        ids[code] = [row["id"] for row in rows]
        assert len({row["instruction"] for row in rows}) == len(rows) >= 64
    assert len(set(map(tuple, ids.values()))) == 1


@pytest.mark.parametrize(("name", "least"), [("word_problems", 24), ("open_instructions", 16)])
def test_the_shipped_evaluation_items_are_parallel(name, least):
    folder = shared("recipes") / "prompts" / name
    rows = {
        code: [json.loads(line) for line in (folder / f"{code}.jsonl").read_text(encoding="utf-8").splitlines()]
        for code in ("en", "de", "es", "fr")
    }
    ids = {code: [row["id"] for row in table] for code, table in rows.items()}
    assert all(len(table) >= least for table in rows.values())
    assert len(set(map(tuple, ids.values()))) == 1
    if name == "word_problems":
        assert len({tuple(row["response"] for row in table) for table in rows.values()}) == 1


def test_real_alpagasus_prompts_load_in_the_papers_slices(tmp_path, data_folder, monkeypatch):
    recipe = write_world(tmp_path)
    recipe.write_text(
        recipe.read_text().replace(f"{tmp_path}/prompts", "$LIDR_DATA/alpagasus").replace("0:4", "0:1000")
    )
    loaded = lidr.load_recipe(recipe, overrides=["iterations=[{prompts: '0:1000'}, {prompts: '1000:2000'}]"])
    planned = lidr.run(loaded, until="prompts")
    from lidr.store.artifact import open_artifact

    counts = [open_artifact(planned.folder(s)).record.counts for s in planned.steps if s.name == "prompts"]
    for each in counts:
        lost = sum(row["count"] for row in each["dropped"])
        assert each["prompts"] * 4 + lost == 4000


def test_prompts_of_which_none_can_be_used_stop_the_run_with_the_reasons(tmp_path):
    recipe = write_world(tmp_path)
    lines = [json.dumps({"id": f"p{i}", "instruction": " "}) for i in range(8)]
    (tmp_path / "prompts" / "de.jsonl").write_text("\n".join(lines))
    with pytest.raises(RowError, match=r"prompts 0:4: none can be used \(.*empty_prompt 4.*\); mend the files in"):
        rows_of(recipe, "iter_1/prompts")
