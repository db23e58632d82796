"""A run that starts from pairs that somebody made: which rows it takes, and what becomes of the others."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import lidr
from lidr.cli.main import main
from lidr.errors import PlanError, RecipeError, RowError
from lidr.rows import Pair
from lidr.steps import STEPS
from lidr.steps.pairs.pairs_config import PairsConfig
from lidr.steps.step_kind import Scale
from lidr.store.artifact import open_artifact
from tests.scripted import write_world
from tests.tiny import tiny_model

RECIPE = """\
schema: 1
name: mix
version: 0.1.0
languages: {{dominant: en, others: [es, de]}}
policy: {{model: "openai:canned@http://127.0.0.1:9"}}
chain:
  - pairs: {pairs}
  - filter: {{length_ratio: {{min: 0.01, max: 100}}}}
runtime: {{engine: scripted, answers: {store}/../answers.jsonl, store: {store}}}
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    """A finished run in a store, and a small set of other people's pairs beside it."""
    folder = tmp_path_factory.mktemp("pairs") / "w"
    lidr.run(lidr.load_recipe(write_world(folder)))
    rows = []
    for i in range(40):
        good = f"A good answer, {i}."
        bad = f"Bad, {i}." if i % 10 else good
        rows.append({"question": f"Question {i}?", "good": good, "bad": bad, "lang": "fr" if i % 7 == 3 else "en"})
    (folder / "others").mkdir()
    (folder / "others" / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def recipe_of(world: Path, pairs: str, *overrides: str):
    file = world / "mix.yaml"
    file.write_text(RECIPE.format(pairs=pairs, store=world / "runs"))
    return lidr.load_recipe(file, overrides=overrides)


def made(world: Path, pairs: str, version: str) -> tuple[pl.DataFrame, pl.DataFrame, dict[str, object]]:
    """Pairs, dropped rows and counts of the step."""
    planned = lidr.run(recipe_of(world, pairs, f"version={version}"), until="pairs")
    artifact = open_artifact(planned.version_folder / "iter_1/pairs")
    return pl.DataFrame(artifact.read()), pl.DataFrame(artifact.read("dropped")), artifact.record.counts


OTHERS = "dataset: {w}/others, columns: {{prompt: question, chosen: good, rejected: bad, language: lang}}, license: mit"


def test_a_runs_pairs_come_through_unchanged_but_for_the_iteration(world):
    pairs, dropped, counts = made(world, "{dataset: 'run:scripted@0.1.0'}", "1.0.0")
    original = pl.concat(
        pl.DataFrame(open_artifact(world / f"runs/scripted/0.1.0/iter_{k}/filter").read()) for k in (1, 2)
    )
    assert pairs.drop("iteration").equals(original.drop("iteration"))
    assert pairs["iteration"].unique().to_list() == [1]
    assert dropped.height == 0
    assert counts["sets"][0]["taken"] == 32


def test_what_goes_on_in_another_column_is_in_the_prompt_and_what_is_more_than_text_is_dropped_by_name(world):
    row = {"instruction": "Translate.", "input": "house", "sys": "Be brief.", "chosen": "Haus", "rejected": "maison"}
    rows = [row, {**row, "tools": [{"name": "clock"}]}, {**row, "rejected": "Haus\u200b\n"}]
    (world / "alpaca.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    said = f"dataset: {world}/alpaca.jsonl, license: mit, language: de, columns: {{prompt: instruction, system: sys"
    pairs, dropped, _ = made(world, "{" + said + ", input: input}}", "1.0.1")
    assert pairs["prompt"].to_list() == [
        [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Translate.\nhouse"}]
    ]
    assert dropped.select("reason", "detail").rows() == [
        ("not_text", "alpaca.jsonl/1"),
        ("identical", "alpaca.jsonl/2"),
    ]
    with pytest.raises(RowError, match="column input looks like part of the prompt"):
        made(world, "{" + said + "}}", "1.0.2")
    pairs, _, _ = made(world, "{" + said + ", input: null}}", "1.0.3")
    assert pairs["prompt_text"].to_list() == ["Translate."]


def test_a_row_without_a_language_among_others_is_not_taken_for_one_of_the_dominant(world):
    rows = [{"prompt": "Q", "chosen": "A", "rejected": "B", "language": code} for code in ("de", None)]
    (world / "some.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(RowError, match=r"rows without a language, and other rows of some\.jsonl have one; unknown"):
        made(world, f"{{dataset: {world}/some.jsonl, license: mit}}", "1.0.4")
    pairs, _, _ = made(world, f"{{dataset: {world}/some.jsonl, license: mit, language: es}}", "1.0.5")
    assert pairs["language"].to_list() == ["de", "es"]


@pytest.mark.parametrize(
    ("row", "more", "is_said"),
    [
        ({"prompt": "Q"}, "", False),
        ({"question": "Q"}, ", columns: {prompt: question}", False),
        ({"question": "Q", "lang": "de"}, ", columns: {prompt: question, language: lang}", True),
        ({"prompt": "Q", "language": "de"}, "", True),
        ({"prompt": "Q"}, ", language: es", True),
    ],
)
def test_pairs_of_which_nobody_says_a_language_are_noted(world, capsys, row, more, is_said):
    (world / "mute.jsonl").write_text(json.dumps({**row, "chosen": "A", "rejected": "B"}) + "\n")
    recipe_of(world, f"{{dataset: {world}/mute.jsonl, license: mit{more}}}")
    assert main(["validate", str(world / "mix.yaml")]) == 0
    note = "mute.jsonl: no column says the language of its pairs, so all count as en; pairs.language or pairs.columns"
    assert (note in capsys.readouterr().err) is not is_said


@pytest.mark.parametrize(
    ("more", "note"),
    [
        ("", "some.jsonl: pairs in fi, fr are dropped, as the recipe has only en, es, de (languages.others)"),
        (", languages: [de]", None),  # the others are not asked for
        (", columns: {prompt: prompt}", None),  # the column is not read
    ],
)
def test_pairs_in_a_language_that_the_recipe_has_not_are_noted_before_a_run(world, capsys, more, note):
    codes = ("de", "Finnish", "fr", "DE")
    rows = [{"prompt": "Q", "chosen": "A", "rejected": "B", "language": code} for code in codes]
    (world / "some.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe_of(world, f"{{dataset: {world}/some.jsonl, license: mit{more}}}")
    assert main(["validate", str(world / "mix.yaml")]) == 0
    said = capsys.readouterr().err
    assert ("are dropped" in said) is (note is not None)
    assert (note or "") in said


def test_every_row_of_another_set_is_a_pair_or_dropped_with_its_reason(world):
    pairs, dropped, counts = made(world, "{" + OTHERS.format(w=world) + "}", "1.1.0")
    assert pairs.height + dropped.height == 40
    assert dict(dropped["reason"].value_counts().iter_rows()) == {"identical": 4, "other_language": 5}
    assert dropped["detail"].str.starts_with("others/").all()
    assert pairs.select("language", "other_language", "kind").unique().rows() == [("en", "en", "dominant")]
    (facts,) = counts["sets"]
    assert (facts["license"], facts["rows"], facts["taken"]) == ("mit", 40, 31)


@pytest.mark.parametrize(
    ("changed", "version", "reason"),
    [
        ({"language": None}, "1.1.1", "incomplete"),
        ({"other_language": None}, "1.1.2", "incomplete"),
        ({"chosen": []}, "1.1.3", "empty"),
        ({"language": "fr"}, "1.1.4", "other_language"),
    ],
)
def test_every_row_with_lidrs_own_columns_is_kept_or_dropped_with_its_reason(world, changed, version, reason):
    rows = open_artifact(world / "runs/scripted/0.1.0/iter_1/filter").read().to_pylist()
    last = rows[-1] | changed
    pq.write_table(pa.Table.from_pylist([*rows[:-1], last], Pair.schema), world / "own.parquet")
    pairs, dropped, counts = made(world, f"{{dataset: {world}/own.parquet}}", version)
    assert pairs.height == len(rows) - 1
    assert dropped.select("reason", "detail").rows() == [(reason, last["pair_id"])]
    (facts,) = counts["sets"]
    assert (facts["rows"], facts["usable"]) == (len(rows), len(rows) - 1)


def test_equal_ids_of_two_sets_of_a_mixture_stay_two_pairs_also_where_the_sets_have_one_name(world):
    pairs = open_artifact(world / "runs/scripted/0.1.0/iter_1/filter").read()
    for folder in ("one", "two"):
        (world / folder).mkdir()
        pq.write_table(pairs, world / folder / "p.parquet")
    sets = ", ".join(f"{{dataset: {world}/{folder}/p.parquet, license: mit}}" for folder in ("one", "two"))
    mixed, dropped, _ = made(world, f"{{sets: [{sets}]}}", "0.8.0")
    assert mixed["pair_id"].n_unique() == mixed.height == 2 * pairs.num_rows
    assert dropped.is_empty()
    ids = pairs["pair_id"].to_pylist()
    assert mixed["pair_id"].to_list() == [f"p.parquet/{i}" for i in ids] + [f"p.parquet#2/{i}" for i in ids]


def test_an_id_that_two_pairs_of_one_set_have_is_refused_with_both_and_iterations_may_share_ids(world):
    pairs = pl.DataFrame(open_artifact(world / "runs/scripted/0.1.0/iter_1/filter").read())
    file = world / "twice.parquet"
    again = pairs.tail(1)
    pl.concat([pairs, again.with_columns(prompt_id=pl.lit("another"))]).write_parquet(file)
    said = rf"pairs: twice\.parquet: pair_id '{again['pair_id'].item()}' is that of its pairs {len(pairs)} and "
    with pytest.raises(RowError, match=said + rf"{len(pairs) + 1} .*each pair needs an id of its own"):
        made(world, f"{{dataset: {file}, license: mit}}", "0.8.1")
    pl.concat([pairs, again.with_columns(iteration=pl.lit(2, pl.Int32))]).write_parquet(file)
    assert made(world, f"{{dataset: {file}, license: mit}}", "0.8.2")[0].height == len(pairs) + 1


def test_the_folder_of_a_step_is_a_set_by_a_path_of_one_word_too(world, monkeypatch):
    monkeypatch.chdir(world / "runs/scripted/0.1.0/iter_1")
    pairs, _, _ = made(world, "{dataset: ./filter}", "0.8.3")
    assert pairs.height


def test_a_mixture_has_the_proportions_of_its_weights_and_the_same_rows_again(world):
    pairs = (
        f"{{sets: [{{dataset: 'run:scripted@0.1.0', weight: 1}}, {{{OTHERS.format(w=world)}, weight: 2, cap: 20}}]}}"
    )
    first, _, counts = made(world, pairs, "1.2.0")
    assert [one["taken"] for one in counts["sets"]] == [10, 20]
    assert first["pair_id"].n_unique() == 30
    names = first["pair_id"].str.extract(r"^(run:scripted@0\.1\.0|others)/")
    assert names.value_counts(sort=True)["count"].to_list() == [20, 10]
    again, _, _ = made(world, pairs, "1.2.1")
    assert again.equals(first)
    other, _, _ = made(world, pairs[:-1] + ", seed: 7}", "1.2.2")
    assert set(other["pair_id"]) != set(first["pair_id"])


def test_rows_over_a_cap_are_not_requested_and_the_account_adds_up(world):
    pairs, dropped, counts = made(world, "{dataset: 'run:scripted@0.1.0', languages: [de], cap: 5}", "1.3.0")
    assert pairs.height == 5
    asked = {row["reason"]: row["count"] for row in counts["not_requested"]}
    assert set(asked) == {"pairs: cap", "pairs: not wanted"}
    assert sum(row["count"] for row in counts["not_requested"]) + pairs.height + dropped.height == 32


def test_the_plan_needs_no_prompts_and_only_what_is_chosen_counts_for_identity(world):
    recipe = recipe_of(world, "{dataset: 'run:scripted@0.1.0'}", "version=1.4.0")
    assert recipe.prompts is None
    assert [step.place for step in lidr.plan(recipe, until="filter").steps] == [
        "iter_0/policy",
        "iter_1/pairs",
        "iter_1/filter",
    ]


def test_scores_are_needed_for_a_least_margin(world):
    with pytest.raises(RowError, match="32 of 32 pairs have no margin: nobody has scored them"):
        made(world, "{dataset: 'run:scripted@0.1.0', min_margin: 1}", "1.5.0")


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        ("{}", "name the pairs: dataset, or sets for a mixture"),
        ("{dataset: './x', sets: [{dataset: './y'}]}", "dataset belongs to one set; write it into the entry"),
        ("{sets: [{cap: 3}]}", "each entry of sets names its dataset"),
        ("{sets: [{dataset: ./x}, {dataset: ./x, cap: 1}]}", "a set stands twice"),
        ("{dataset: 'openai:m@http://x'}", "names a model; pairs are org/name, ./folder, or run:NAME"),
        ("{dataset: ./x, revision: v1}", "revision belongs to a Hub data set written as org/name"),
        ("{dataset: a/b@v1, revision: v1}", "revision belongs to a Hub data set written as org/name"),
        (
            "{sets: [{dataset: a/b, revision: v1}, {dataset: a/b, revision: v2, split: x}]}",
            "stands here at two revisions",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused(world, pairs, said):
    with pytest.raises(RecipeError, match=said):
        recipe_of(world, pairs)


def test_prompts_are_missing_only_where_a_chain_does_not_start_from_pairs(world):
    text = RECIPE.format(pairs="{dataset: ./x}", store="runs")
    (world / "bad.yaml").write_text(text.replace("pairs: {dataset: ./x}", "generate: {max_tokens: 4}"))
    with pytest.raises(RecipeError, match="prompts: missing; it must be given"):
        lidr.load_recipe(world / "bad.yaml")
    (world / "bad.yaml").write_text(text + "iterations: [{prompts: '0:4'}]\n")
    with pytest.raises(RecipeError, match="a run that starts from pairs has no prompts; take it out"):
        lidr.load_recipe(world / "bad.yaml")


def test_pairs_that_the_chain_makes_itself_are_not_thrown_away_unseen(world):
    file = write_world(world / "both")
    chain = file.read_text().replace("  - filter:", "  - pairs: {dataset: ./x}\n  - filter:")
    file.write_text(chain)
    with pytest.raises(PlanError, match='"pairs" makes pairs anew, and "pair" before it has made them'):
        lidr.plan(lidr.load_recipe(file))


def test_a_set_of_which_nothing_can_be_used_says_why(world):
    pairs = "{" + OTHERS.format(w=world).replace("bad,", "good,") + "}"
    with pytest.raises(RowError, match=r"no row of others can be used \(identical"):
        made(world, pairs, "1.6.0")


def test_a_hub_set_that_is_not_locked_is_said_by_the_plan(world):
    recipe = recipe_of(world, "{dataset: org/x-prefs, revision: v1.0.0}", "version=1.7.0")
    (step,) = [step for step in lidr.plan(recipe).steps if step.name == "pairs"]
    assert step.state == "unresolved"
    assert "datasets/org/x-prefs@v1.0.0 is no commit: `lidr lock RECIPE`" in step.why[0]


def test_languages_in_any_spelling_are_read_and_the_record_says_how(world):
    (world / "spelt").mkdir()
    rows = [
        {"prompt": f"Q{n}", "chosen": f"A{n}", "rejected": "B", "language": language}
        for n, language in enumerate(["DE", "de", "English", "es-MX", "pt-BR"])
    ]
    (world / "spelt" / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    pairs, dropped, counts = made(world, f"{{dataset: {world}/spelt, license: mit}}", "0.81.0")
    assert pairs.select("language", "kind").rows() == [
        ("de", "non_dominant"),
        ("de", "non_dominant"),
        ("en", "dominant"),
        ("es", "non_dominant"),
    ]
    assert dropped.select("language", "reason").rows() == [("pt-BR", "other_language")]
    assert counts["sets"][0]["language_tags"] == {"DE": "de", "English": "en", "es-MX": "es"}
    rows[0]["language"] = "helpful"
    (world / "spelt" / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(RowError, match=r"column language: 'helpful': no language that lidr knows"):
        made(world, f"{{dataset: {world}/spelt, license: mit}}", "0.82.0")


@pytest.mark.parametrize(
    ("sets", "count", "note"),
    [
        ([{"cap": 12}, {"cap": 30}], 42, ""),
        ([{"cap": 12}, {}], 0, "all that the sets hold"),
        ([{"cap": 12, "weight": 1}, {"weight": 2}], 36, "at most; rows are left out until the weights hold"),
        ([{"weight": 1}, {"weight": 2}], 0, "at most; rows are left out until the weights hold"),
    ],
)
def test_a_plan_says_what_caps_and_weights_leave_as_far_as_it_is_known(sets, count, note):
    config = PairsConfig.model_validate({"sets": [{"dataset": f"./{n}.jsonl", **one} for n, one in enumerate(sets)]})
    found = STEPS["pairs"].expects(config, Scale(0, 1))
    assert (found.count, found.note) == (count, note)


def test_a_run_without_a_pair_step_that_keeps_nothing_names_no_setting_of_that_step(world):
    strict = "chain[1].filter.length_ratio={min: 99, max: 100}"
    recipe = recipe_of(world, "{dataset: 'run:scripted@0.1.0'}", "version=1.0.9", strict)
    with pytest.raises(RowError, match=r"look at filter\.length_ratio") as stopped:
        lidr.run(recipe)
    assert "pair.min_kept" not in str(stopped.value)
    assert str(stopped.value).endswith("All that was made stays; without a pair a run cannot go on")


def test_progress_is_of_all_rows_that_are_read(world, capsys):
    recipe_of(world, "{" + OTHERS.format(w=world) + ", cap: 30}")
    assert main(["run", str(world / "mix.yaml"), "--set", "version=1.9.0", "--until", "pairs"]) == 0
    assert "40/40" in capsys.readouterr().err


@pytest.mark.parametrize(("family", "is_said"), [("gemma", True), ("smollm2", False)])
def test_system_messages_that_the_policys_template_refuses_are_noted_before_a_run(tmp_path, capsys, family, is_said):
    tiny_model(tmp_path / "model", family)
    row = {"prompt": "Q", "sys": "Be brief.", "chosen": "A", "rejected": "B"}
    (tmp_path / "own.jsonl").write_text("".join(json.dumps({**row, "prompt": f"Q{i}"}) + "\n" for i in range(3)))
    pairs = f"{{dataset: {tmp_path}/own.jsonl, license: mit, language: en, columns: {{prompt: prompt, system: sys}}}}"
    (tmp_path / "own.yaml").write_text(
        "schema: 1\nname: own\nversion: 0.1.0\nlanguages: {dominant: en, others: [de]}\n"
        f"policy: {{model: {tmp_path}/model}}\nchain:\n  - pairs: {pairs}\n"
        "  - train: {learning_rate: 1.0e-5, batch: 2}\niterations: [{}]\nruntime: {engine: transformers}\n"
    )
    assert main(["validate", str(tmp_path / "own.yaml")]) == 0
    note = "own.jsonl: 3 of its first 3 pairs have a system message, which the policy's chat template does not take ("
    assert (note in capsys.readouterr().err) is is_said
