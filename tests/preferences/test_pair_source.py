"""Pushed pairs, read again: by reference, by commit, in part, and by other people's trainers."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

import lidr
from lidr.cli.main import main
from lidr.errors import HubError, RowError, StoreError
from lidr.hub.client import HUGGING_FACE, Target
from lidr.preferences.export_forms import FORMS, export_pairs
from lidr.preferences.mapped_rows import Mapped
from lidr.preferences.pair_source import open_pairs
from lidr.preferences.query import PairQuery
from lidr.release.make_release import Destinations, release
from lidr.release.parents.licences import Parent
from lidr.rows import Pair
from tests.preferences.trainer_forms import SPOILT, VALIDATORS, rows_of
from tests.publishing import AT_ONCE
from tests.scripted import RECIPE, write_world


@pytest.fixture(scope="module")
def pushed(trained, running):
    """Pairs of the trained run, published with a tag."""
    (found,) = release(trained, Destinations("lidr/reuse-prefs", None), target=running.target, patience=AT_ONCE)
    return found


@pytest.fixture
def store(trained, monkeypatch) -> Path:
    root = trained.folder.parents[1]
    monkeypatch.setenv("LIDR_STORE", str(root))
    return root


def scored(path: Path, trained) -> Path:
    """The run's pairs with margins 0, 1, 2, ..., as a file of their own."""
    frame = pl.DataFrame(trained.written("pairs", 1).read()).with_row_index("n")
    frame = frame.with_columns(margin=pl.col("n").cast(pl.Float64), judge=pl.lit("counted")).drop("n")
    frame.select(Pair.schema.names).write_parquet(path)
    return path


def test_a_runs_pairs_are_a_dataset_with_every_column(store, trained):
    pairs = lidr.load_pairs("run:tiny")
    assert pairs.column_names == Pair.schema.names
    assert pl.DataFrame(pairs.data.table).equals(pl.DataFrame(trained.written("pairs", 1).read()))


def test_languages_mean_the_non_dominant_one_of_either_kind(store):
    german = lidr.load_pairs("run:tiny@0.1.0/iter_1/pair", languages=["de"])
    assert {(row["language"], row["other_language"]) for row in german} == {("en", "de"), ("de", "en")}
    assert set(lidr.load_pairs("run:tiny", kinds=["non_dominant"])["kind"]) == {"non_dominant"}


def test_what_there_is_not_is_refused_with_what_there_is(store, tmp_path):
    with pytest.raises(RowError, match="no pairs of non-dominant language it; it has de, es"):
        lidr.load_pairs("run:tiny", languages=["it"])
    with pytest.raises(HubError, match="no iteration 3; it has iter_1"):
        lidr.load_pairs("run:tiny", iterations=[3])
    with pytest.raises(StoreError, match="has no run tini"):
        lidr.load_pairs("run:tini")
    with pytest.raises(StoreError, match="iter_1/generate holds responses, not pairs"):
        lidr.load_pairs("run:tiny@0.1.0/iter_1/generate")
    with pytest.raises(RowError, match="names a model, not pairs"):
        lidr.load_pairs("openai:m@http://x")
    with pytest.raises(RowError, match="Pairs are org/name"):
        lidr.load_pairs("what")
    with pytest.raises(HubError, match="no such folder, and no"):
        lidr.load_pairs(str(tmp_path / "none"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(HubError, match="no files of pairs"):
        lidr.load_pairs(str(tmp_path / "empty"))


def test_a_least_margin_of_unscored_pairs_is_refused_with_advice(store, trained, tmp_path):
    with pytest.raises(RowError, match=r"16 of 16 pairs have no margin: nobody has scored them.*score them first"):
        lidr.load_pairs("run:tiny", min_margin=0.5)
    kept = lidr.load_pairs(str(scored(tmp_path / "scored.parquet", trained)), min_margin=12)
    assert kept["margin"][:] == [12.0, 13.0, 14.0, 15.0]


def test_where_no_margin_is_large_enough_the_largest_is_said(trained, tmp_path, capsys):
    file = str(scored(tmp_path / "scored.parquet", trained))
    for least, said in (("15", False), ("15.5", True)):
        assert main(["pairs", "show", file, "--min-margin", least]) == 0
        assert ("no pair has a margin of at least 15.5; the largest is 15" in capsys.readouterr().out) is said


def test_a_data_set_is_read_at_the_commit_of_its_tag_and_never_another_one(pushed, hub, tmp_path):
    """With the Hub away, a commit that is here is read, and a tag is an error: not another cached revision."""
    code = f"""
import lidr
pairs = lidr.load_pairs("{pushed.repo}@{pushed.tag}", languages=["es"])
print(pairs.num_rows, sorted(set(pairs["kind"])))
print(lidr.load_pairs("{pushed.repo}@{pushed.sha}", config="en-de").num_rows)
"""
    assert hub.run(code).stdout.splitlines() == ["8 ['dominant', 'non_dominant']", "8"]
    hub.faults({"match": ".*", "status": 503, "times": None})
    away = hub.run(
        f"""
import lidr
print(lidr.load_pairs("{pushed.repo}@{pushed.sha}").num_rows)
try:
    lidr.load_pairs("{pushed.repo}@v9.9.9")
except lidr.HubError as error:
    print("HubError")
"""
    )
    assert away.stdout.splitlines() == ["16", "HubError"]


def test_a_recipe_that_starts_from_pushed_pairs_is_locked_and_its_card_names_them(pushed, running, trained, tmp_path):
    rows = [{"chosen": f"{n}? Ja.", "rejected": f"{n}? Nein."} for n in range(5)]
    (tmp_path / "others.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = f"""\
schema: 1
name: reuse
version: 0.1.0
languages: {{dominant: en, others: [es, de]}}
policy: {{model: {trained.recipe.policy.model}}}
chain:
  - pairs:
      sets:
        - {{dataset: {pushed.repo}, revision: {pushed.tag}, languages: [de]}}
        - {{dataset: ./others.jsonl, columns: {{prompt: null}}, language: de, license: cc-by-4.0}}
  - filter: {{length_ratio: {{min: 0.001, max: 1000}}}}
runtime: {{store: {tmp_path}/runs}}
"""
    (tmp_path / "reuse.yaml").write_text(recipe)
    code = f"""
import json, lidr
from lidr.release.dataset_release import stage_dataset
from lidr.release.finished import finished_run
from lidr.report.summary import summarise
from lidr.store.recipe_lock import read_whole_lock
from lidr.store.store import Store
from pathlib import Path
recipe = lidr.load_recipe("{tmp_path}/reuse.yaml")
try:
    lidr.run(recipe)
except lidr.PlanError as error:
    print(str(error).split("`")[1])
planned = lidr.run(recipe, allow_unpinned=True)
print(len(read_whole_lock(planned.version_folder).digest_of("datasets/{pushed.repo}", "{pushed.sha}")))
run = finished_run(recipe, Store(Path("{tmp_path}/runs")), policy_licence="apache-2.0")
print(run.licence.identifier, [(p.name, p.revision) for p in run.parents][0])
staged = stage_dataset(run, Path("{tmp_path}/staged"), "lidr/reuse-prefs")
card = staged.card(None)
print("{pushed.sha}" in card, "Nothing was generated for this release" in card, "candidates" in card)
print([row.counts for row in summarise(planned).account if row.label in ("rows of the sets", "kept")])
text = Path("{tmp_path}/reuse.yaml").read_text().replace("revision: {pushed.tag}", "revision: {pushed.sha}")
Path("{tmp_path}/pinned.yaml").write_text(text.replace("/runs", "/other"))
planned = lidr.run(lidr.load_recipe("{tmp_path}/pinned.yaml"))  # named by its commit; nobody has locked it
print(len(read_whole_lock(planned.version_folder).digest_of("datasets/{pushed.repo}", "{pushed.sha}")))
"""
    done = running.run(f"import os; os.chdir({str(tmp_path)!r})\n{code}", check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "lidr lock RECIPE",
        "64",
        f"cc-by-4.0 ('{pushed.repo}', '{pushed.sha}')",
        "True True False",
        "[(8, 13), (0, 13)]",
        "64",
    ]


def exported(trained, tmp_path, to: str, wanted: PairQuery | None = None) -> Path:
    source = open_pairs(f"{trained.folder}/iter_1/pair")
    return export_pairs(source, wanted or PairQuery(), to, tmp_path / to).folder


@pytest.mark.parametrize("to", VALIDATORS)
def test_every_export_has_the_form_that_its_trainer_documents(to, trained, tmp_path):
    folder = exported(trained, tmp_path, to)
    assert list(VALIDATORS[to](folder)) == []
    rows = rows_of(folder / FORMS[to].file)
    assert len(rows) == 16
    assert rows[0]["pair_id"] == "1/p0/en-es/dominant"


@pytest.mark.parametrize("to", VALIDATORS)
def test_the_validators_find_what_is_wrong(to, trained, tmp_path):
    folder = exported(trained, tmp_path, to)
    file = folder / FORMS[to].file
    rows = [SPOILT[to](row) for row in rows_of(file)]
    if file.suffix == ".parquet":
        pl.DataFrame(rows).write_parquet(file)
    else:
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert len(list(VALIDATORS[to](folder))) == 16


def test_an_export_holds_the_texts_of_the_pairs_in_every_form(trained, tmp_path):
    original = pl.DataFrame(trained.written("pairs", 1).read()).to_dicts()
    by_form = {to: rows_of(exported(trained, tmp_path, to) / FORMS[to].file) for to in FORMS}
    for n, pair in enumerate(original):
        assert by_form["jsonl"][n] == pair
        assert by_form["trl"][n]["prompt"] == by_form["axolotl"][n]["messages"] == pair["prompt"]
        assert by_form["llama-factory"][n]["conversations"] == pair["prompt"]
        for side in ("chosen", "rejected"):
            (answer,) = pair[side]
            assert by_form["trl"][n][side] == [answer]
            assert by_form["llama-factory"][n][side] == by_form["axolotl"][n][side] == answer
            assert by_form["open-instruct"][n][side] == [*pair["prompt"], answer]


@pytest.mark.parametrize("to", ["llama-factory", "axolotl", "open-instruct"])
def test_a_side_of_no_message_and_one_of_two_are_not_shifted_against_each_other(to):
    def said(*texts: str) -> list[dict[str, str]]:
        return [{"role": "assistant", "content": text} for text in texts]

    rows = [{"pair_id": "a", "chosen": said()}, {"pair_id": "b", "chosen": said("1", "2")}]
    whole = [{"prompt": [{"role": "user", "content": "?"}], "rejected": said("no"), **row} for row in rows]
    batch = pa.RecordBatch.from_pylist([dict.fromkeys(Pair.schema.names) | row for row in whole], Pair.schema)
    with pytest.raises(HubError, match="chosen of a: a side of a pair is one message of the assistant"):
        FORMS[to].shape(batch)


def test_licence_and_attribution_travel_with_an_export(trained, tmp_path):
    folder = exported(trained, tmp_path, "axolotl", PairQuery(languages=("de",), kinds=("non_dominant",)))
    text = (folder / "README.md").read_text()
    assert "license: other\n" in text
    assert "Only languages de; kinds non_dominant." in text
    assert "| prompts | `<folder>/prompts` |" in text
    assert "see-attribution" in text
    assert "licence unknown" in (folder / "LICENSE.md").read_text()
    facts = json.loads((folder / "lidr/export.json").read_text())
    assert facts["wanted"]["languages"] == ["de"]
    assert facts["file"]["rows"] == 4


def test_an_export_is_whole_or_not_there_and_overwrites_nothing(trained, tmp_path):
    source = open_pairs(f"{trained.folder}/iter_1/pair")
    with pytest.raises(RowError, match="have no margin"):
        export_pairs(source, PairQuery(min_margin=1), "trl", tmp_path / "x")
    assert list(tmp_path.iterdir()) == []
    folder = exported(trained, tmp_path, "trl")
    with pytest.raises(HubError, match="exists and is not empty; give another folder"):
        export_pairs(source, PairQuery(), "trl", folder)


def test_an_export_is_a_folder_that_can_be_read_again(trained, tmp_path):
    again = lidr.load_pairs(str(exported(trained, tmp_path, "jsonl")))
    assert pl.DataFrame(again.data.table).equals(pl.DataFrame(trained.written("pairs", 1).read()))
    other = lidr.load_pairs(
        str(exported(trained, tmp_path, "open-instruct")), columns={"prompt": None, "language": "language"}
    )
    assert other["chosen_text"][:] == again["chosen_text"][:]
    assert other["prompt"][:] == again["prompt"][:]


def test_a_set_of_others_is_read_by_a_column_map(tmp_path):
    rows = [{"q": "Tee?", "a": "Ja, bitte.", "b": "Nein."}, {"q": "Tee?", "a": "x", "b": "x"}]
    (tmp_path / "set.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    columns = {"prompt": "q", "chosen": "a", "rejected": "b"}
    with pytest.warns(UserWarning, match=r"^set\.jsonl: 1 row cannot be read as pairs: 1 identical$"):
        (pair,) = lidr.load_pairs(str(tmp_path / "set.jsonl"), columns=columns, language="de")
    assert (pair["language"], pair["kind"], pair["prompt_text"]) == ("de", "non_dominant", "Tee?")
    assert pair["pair_id"] == "set.jsonl/0"
    with pytest.raises(RowError, match="no column 'prompt' for prompt; its columns: q, a, b"):
        lidr.load_pairs(str(tmp_path / "set.jsonl"), columns={"chosen": "a", "rejected": "b", "prompt": "prompt"})
    with pytest.raises(RowError, match="'promt' is no column that pairs have; allowed: prompt, chosen"):
        lidr.load_pairs(str(tmp_path / "set.jsonl"), columns={"promt": "q"})


def test_splits_that_hold_other_things_are_not_read_together(tmp_path):
    for split in ("train_prefs", "test_prefs"):
        pl.DataFrame({"chosen": ["a b"], "rejected": ["a c"]}).write_parquet(
            tmp_path / f"{split}-00000-of-00001.parquet"
        )
    with pytest.raises(HubError, match="has the splits test_prefs, train_prefs: say which one, as --split test_prefs"):
        open_pairs(str(tmp_path))
    assert open_pairs(str(tmp_path), split="train_prefs").splits == ("train_prefs",)
    with pytest.raises(HubError, match="no split 'x'; its splits: test_prefs, train_prefs"):
        open_pairs(str(tmp_path), split="x")
    with pytest.raises(HubError, match="no configuration 'y'; it has none: leave it out"):
        open_pairs(str(tmp_path), config="y")


def test_a_file_that_is_no_table_says_so(tmp_path):
    (tmp_path / "x.parquet").write_bytes(b"PAR")
    with pytest.raises(RowError, match=r"x\.parquet: no rows in it that can be read"):
        lidr.load_pairs(str(tmp_path / "x.parquet"))
    (tmp_path / "x.jsonl").write_text("no json\n")
    with pytest.raises(RowError, match=r"x\.jsonl:1:1: not JSON: Expecting value"):
        lidr.load_pairs(str(tmp_path / "x.jsonl"))


def test_the_python_of_an_export_trains_where_there_is_no_gpu(trained, tmp_path, store, running, monkeypatch):
    folder = exported(trained, tmp_path, "trl")
    code = (folder / "README.md").read_text().partition("```python\n")[2].partition("```")[0]
    model = str(Path(trained.recipe.policy.model).resolve())
    monkeypatch.chdir(folder)
    code = code.replace("path/to/your-model", model).replace('"policy"', '"policy", max_steps=1, report_to="none"')
    assert "train_loss" in running.run(code).stdout


def test_a_folder_of_pairs_that_is_not_there_is_answered_with_its_neighbour(tmp_path):
    (tmp_path / "my-pairs").mkdir()
    with pytest.raises(HubError, match=r"mypairs: no such folder, and no such file; did you mean .*/my-pairs\?"):
        open_pairs(str(tmp_path / "mypairs"))


def test_trl_takes_a_step_on_an_export_and_on_load_pairs(trained, tmp_path, store, running):
    folder = exported(trained, tmp_path, "trl")
    shutil.copytree(trained.recipe.policy.model, tmp_path / "model")
    code = f"""
import lidr
from datasets import load_dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import DPOConfig, DPOTrainer
for pairs in (load_dataset("{folder}", split="train"), lidr.load_pairs("run:tiny", languages=["es"])):
    args = DPOConfig(output_dir="{tmp_path}/out", report_to="none", max_steps=1, save_strategy="no", bf16=False)
    trainer = DPOTrainer(AutoModelForCausalLM.from_pretrained("{tmp_path}/model"), args=args, train_dataset=pairs,
                         processing_class=AutoTokenizer.from_pretrained("{tmp_path}/model"))
    print(trainer.train_dataset.num_rows, trainer.train().global_step)
"""
    assert [line for line in running.run(code).stdout.splitlines() if line[0].isdigit()] == ["16 1", "8 1"]


def test_the_readme_of_an_export_links_to_no_other_hub_than_the_set_came_from(tmp_path, monkeypatch):
    path = tmp_path / "set.jsonl"
    path.write_text('{"prompt": "Two?", "chosen": "Yes.", "rejected": "No.", "language": "en"}\n')
    at = Parent("pairs", "lidr/x", "1" * 40, "mit", "https://huggingface.co/datasets/lidr/x/tree/" + "1" * 40)
    source = replace(open_pairs(str(path)), parents=(at,))
    mapped = Mapped()
    for endpoint, is_linked in (("http://127.0.0.1:8080", False), (HUGGING_FACE, True)):
        monkeypatch.setattr("lidr.preferences.export_forms.target_or_public", lambda url=endpoint: Target(url))
        out = export_pairs(source, PairQuery(), "trl", tmp_path / str(is_linked), mapped=mapped).folder
        text = (out / "README.md").read_text()
        assert "lidr/x" in text
        assert ("huggingface.co" in text) == is_linked


def test_a_configuration_that_holds_no_pairs_says_what_it_is_and_the_line_that_loads_it(world, running, new_name):
    to = Destinations(repo := new_name("no-pairs"), None)
    release(world, to, target=running.target, patience=AT_ONCE)
    ask = "from lidr.preferences.pair_source import open_pairs; open_pairs({!r}, config={!r})"
    for config in ("candidates", "dropped"):
        with pytest.raises(HubError, match=f"configuration {config} holds ") as of_a_run:
            open_pairs("run:scripted", config=config, store=world.folder.parents[1])
        for file in re.findall(r'polars\.read_parquet\("([^"]+)"\)', str(of_a_run.value)):
            assert pl.read_parquet(file).height
        said = running.run(ask.format(repo, config), check=False).stderr.strip().splitlines()[-1]
        assert f"configuration {config} holds " in said
        running.run(f"import datasets; assert {said.partition('to look at it: ')[2]}['iter_1'].num_rows")


def test_the_licence_of_a_run_in_the_store_is_the_one_that_its_recipe_decides_on(tmp_path):
    text = RECIPE.replace(
        "iterations:", "  - publish: {{pairs: a/b, license: {{id: cc-by-4.0, reason: all our own}}}}\niterations:", 1
    )
    ran = lidr.run(write_world(tmp_path / "w", text))
    source = open_pairs("run:scripted", store=ran.store.root)
    assert (source.licence.identifier, source.licence.reason) == (
        "cc-by-4.0",
        "decided by the publisher: all our own",
    )
    plain = lidr.run(write_world(tmp_path / "plain"))
    assert open_pairs("run:scripted", store=plain.store.root).licence.identifier == "other"
