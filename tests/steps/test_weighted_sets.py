"""A run that starts from pairs of which each says how much it counts: weights are read, kept, trained, published."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoTokenizer

import lidr
from lidr.cli.main import main
from lidr.errors import RowError
from lidr.release.dataset_release import stage_dataset
from lidr.release.model_release import stage_model
from lidr.report import page, run_state_of
from lidr.rows import Pair
from lidr.store.artifact import open_artifact
from lidr.store.record import write_record
from tests.publishing import finished
from tests.tiny import tiny_model
from tests.train.runs import independent_sums, load64

TEXTS = ("two", "four and one more", "seven", "a dozen", "ten or so", "one")
WEIGHTS = (0.25, 1.0, 3.0, 0.5, 1.5, 2.0)
RECIPE = """\
schema: 1
name: mix
version: 0.1.0
languages: {{dominant: en, others: [es, de]}}
policy: {{model: {model}}}
chain:
  - pairs: {pairs}
  - filter: {{length_ratio: {{min: 0.01, max: 100}}}}{more}
runtime: {{{engine}, store: {folder}/runs}}
"""
SCRIPTED = {"model": '"openai:canned@http://127.0.0.1:9"', "engine": "engine: scripted, answers: answers.jsonl"}


def own_rows(language: str = "de") -> list[dict[str, Any]]:
    """Pairs with lidr's own columns."""
    found = []
    for number, text in enumerate(TEXTS):
        texts = {"prompt_text": f"How many, {number}?", "chosen_text": f"It is {text}.", "rejected_text": "Many."}
        row = dict.fromkeys(Pair.schema.names) | texts
        row |= {"pair_id": f"{language}{number}", "prompt_id": f"{language}{number}", "language": language}
        row |= {"other_language": "en", "kind": "non_dominant", "iteration": 1}
        for side, role in (("prompt", "user"), ("chosen", "assistant"), ("rejected", "assistant")):
            row[side] = [{"role": role, "content": texts[f"{side}_text"]}]
        found.append(row)
    return found


def write(path: Path, rows: list[dict[str, Any]], weights: Any = None, kind: Any = None) -> Path:
    """Rows of own columns, with the column `weight` where there are weights."""
    schema = Pair.schema
    if weights is not None:
        rows = [row | {"weight": weight} for row, weight in zip(rows, weights, strict=True)]
        schema = schema.append(pa.field("weight", kind or pa.float64()))
    pq.write_table(pa.Table.from_pylist(rows, schema), path)
    return path


def write_others(path: Path, weights: Any = WEIGHTS, name: str = "weight") -> Path:
    """A set in columns of its own."""
    rows = [{"prompt": f"Q{n}?", "chosen": f"A{n}.", "rejected": "B.", "language": "es"} for n in range(len(TEXTS))]
    rows = rows if weights is None else [row | {name: w} for row, w in zip(rows, weights, strict=True)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def recipe_of(folder: Path, pairs: str, *overrides: str, more: str = "", **words: str):
    file = folder / "mix.yaml"
    (folder / "answers.jsonl").touch()
    file.write_text(RECIPE.format(pairs=pairs, folder=folder, more=more, **(words or SCRIPTED)))
    return lidr.load_recipe(file, overrides=overrides)


def made(folder: Path, pairs: str, *overrides: str, step: str = "pairs"):
    """The artifact of a step."""
    planned = lidr.run(recipe_of(folder, pairs, *overrides), until=step)
    return open_artifact(planned.version_folder / f"iter_1/{step}")


def test_the_weights_of_a_set_of_lidr_come_through_pairs_filter_and_clean(tmp_path, capsys):
    set_ = write(tmp_path / "own.parquet", own_rows(), WEIGHTS)
    recipe = recipe_of(tmp_path, f"{{dataset: {set_}, license: mit}}", more="\n  - clean: {exact: true}", **SCRIPTED)
    planned = lidr.run(recipe)
    for step in ("pairs", "filter", "clean"):
        artifact = open_artifact(planned.version_folder / f"iter_1/{step}")
        assert pl.DataFrame(artifact.read())["weight"].to_list() == list(WEIGHTS)
        assert pq.read_schema(artifact.tables[0]).metadata[b"lidr.schema"] == b"2"
    (facts,) = open_artifact(tmp_path / "runs/mix/0.1.0/iter_1/pairs").record.counts["sets"]
    assert facts["pair_weights"] == "weight"
    assert facts["weight"] is None, "this is the set's part of the mixture"
    assert "weights_left_out" not in facts
    assert main(["validate", str(tmp_path / "mix.yaml")]) == 0
    said = capsys.readouterr().err
    assert "own.parquet: its column weight says how much a pair counts in training" in said


def test_whole_numbers_are_weights_and_nulls_alone_and_texts_are_none(tmp_path):
    pairs = f"{{dataset: {write(tmp_path / 'own.parquet', own_rows(), (1, 2, 1, 1, 5, 1), pa.int32())}}}"
    assert made(tmp_path, pairs).read()["weight"].to_pylist() == [1.0, 2.0, 1.0, 1.0, 5.0, 1.0]
    for version, (values, kind) in {"0.2.0": ([None] * 6, pa.null()), "0.3.0": (["heavy"] * 6, pa.string())}.items():
        pairs = f"{{dataset: {write(tmp_path / 'own.parquet', own_rows(), values, kind)}}}"
        assert "weight" not in made(tmp_path, pairs, f"version={version}").columns


def test_a_set_without_weights_in_a_mixture_counts_one_and_without_any_nothing_changes(tmp_path):
    one = write(tmp_path / "one.parquet", own_rows("de"), WEIGHTS)
    two = write(tmp_path / "two.parquet", own_rows("es"))
    three = write(tmp_path / "three.parquet", own_rows("de")[:2])
    artifact = made(tmp_path, f"{{sets: [{{dataset: {two}, weight: 1}}, {{dataset: {one}, weight: 1}}]}}")
    found = pl.DataFrame(artifact.read())
    by_set = {n: rows["weight"].to_list() for (n,), rows in found.group_by(pl.col("pair_id").str.split("/").list[0])}
    assert by_set == {"one.parquet": list(WEIGHTS), "two.parquet": [1.0] * 6}
    assert [(one["pair_weights"], one["weight"]) for one in artifact.record.counts["sets"]] == [
        (None, 1.0),
        ("weight", 1.0),
    ]
    plain = made(tmp_path, f"{{sets: [{{dataset: {two}}}, {{dataset: {three}}}]}}", "version=0.2.0")
    assert plain.columns == tuple(Pair.schema.names)
    assert all("pair_weights" not in one for one in plain.record.counts["sets"])
    weights = [one.get("weights") for one in artifact.record.identity["outside"]["sets"]]
    assert weights == [None, "weight"]
    assert all("weights" not in one for one in plain.record.identity["outside"]["sets"]), "taken over as it was"


def test_a_cap_takes_the_weights_of_the_rows_that_it_takes(tmp_path):
    set_ = write(tmp_path / "own.parquet", own_rows(), WEIGHTS)
    found = pl.DataFrame(made(tmp_path, f"{{dataset: {set_}, cap: 3}}").read())
    expected = {f"de{n}": weight for n, weight in enumerate(WEIGHTS)}
    assert dict(found.select("pair_id", "weight").iter_rows()) == {name: expected[name] for name in found["pair_id"]}
    assert found.height == 3


def test_a_column_map_names_the_weights_of_another_set(tmp_path):
    set_ = write_others(tmp_path / "others.jsonl", name="importance")
    columns = "prompt: prompt, chosen: chosen, rejected: rejected, language: language, weight: importance"
    artifact = made(tmp_path, f"{{dataset: {set_}, license: mit, columns: {{{columns}}}}}")
    assert artifact.read()["weight"].to_pylist() == list(WEIGHTS)
    assert artifact.record.counts["sets"][0]["pair_weights"] == "importance"
    with pytest.raises(RowError, match=r"pairs\.columns\.weight: others\.jsonl: no column 'importanc' for weight"):
        made(tmp_path, f"{{dataset: {set_}, columns: {{{columns[:-1]}}}}}", "version=0.2.0")


@pytest.mark.parametrize("is_ours", [True, False])
def test_a_map_that_says_only_the_weights_leaves_the_rest_as_without_a_map(is_ours, tmp_path):
    """Of lidr's own sets, and of others by the usual names."""
    if is_ours:
        rows = [row | {"margin": weight} for row, weight in zip(own_rows(), WEIGHTS, strict=True)]
        set_, name, ids = write(tmp_path / "own.parquet", rows, [9.0] * 6), "margin", [f"de{n}" for n in range(6)]
    else:
        set_, name = write_others(tmp_path / "others.jsonl", name="w"), "w"
        ids = [f"others.jsonl/{n}" for n in range(6)]
    found = pl.DataFrame(made(tmp_path, f"{{dataset: {set_}, license: mit, columns: {{weight: {name}}}}}").read())
    assert found["weight"].to_list() == list(WEIGHTS)
    assert found["pair_id"].to_list() == ids
    assert found["language"].unique().to_list() == ["de" if is_ours else "es"]


@pytest.mark.parametrize("is_ours", [True, False])
def test_weights_are_left_out_on_purpose(is_ours, tmp_path, capsys):
    path = tmp_path / ("own.parquet" if is_ours else "others.jsonl")
    set_ = write(path, own_rows(), WEIGHTS) if is_ours else write_others(path)
    without = write(tmp_path / "plain.parquet", own_rows()) if is_ours else write_others(tmp_path / "p.jsonl", None)
    out = made(tmp_path, f"{{dataset: {set_}, license: mit, columns: {{weight: null}}}}")
    plain = made(tmp_path, f"{{dataset: {without}, license: mit}}", "version=0.2.0")
    assert out.columns == plain.columns == tuple(Pair.schema.names)
    ids = ("pair_id",)
    assert pl.DataFrame(out.read()).drop(ids).equals(pl.DataFrame(plain.read()).drop(ids))
    (facts,) = out.record.counts["sets"]
    assert facts["weights_left_out"] == f"{path.name}: its column weight is left out by columns: {{weight: null}}"
    assert out.record.identity["config"]["sets"][0]["columns"] == {"weight": None}
    assert out.record.identity["version"] == 2
    recipe_of(tmp_path, f"{{dataset: {set_}, license: mit, columns: {{weight: null}}}}")
    capsys.readouterr()
    assert main(["validate", str(tmp_path / "mix.yaml")]) == 0
    assert "column weight" not in capsys.readouterr().err, "the user has said it"


@pytest.mark.parametrize("columns", ["", ", columns: {prompt: prompt, language: language}"])
def test_a_column_weight_of_another_set_is_not_taken_for_weights_unsaid_and_not_dropped_unsaid(
    columns, tmp_path, capsys
):
    pairs = f"{{dataset: {write_others(tmp_path / 'others.jsonl')}, license: mit{columns}}}"
    artifact = made(tmp_path, pairs)
    note = "others.jsonl: it has a column weight, and nothing says that it is how much a pair counts in training"
    assert artifact.columns == tuple(Pair.schema.names)
    assert note in artifact.record.counts["sets"][0]["weights_left_out"]
    assert note in capsys.readouterr().err
    assert main(["validate", str(tmp_path / "mix.yaml")]) == 0
    said = capsys.readouterr().err
    assert note in said
    assert "columns: {weight: weight} takes it" in said


BAD = [(None, "null"), (float("nan"), "NaN"), (float("inf"), "inf"), (-1.0, "-1.0"), (0.0, "0.0"), (1e-50, "1e-50")]


@pytest.mark.parametrize(("weight", "said"), BAD)
@pytest.mark.parametrize("is_ours", [True, False])
def test_what_is_no_weight_is_refused_by_its_row(is_ours, weight, said, tmp_path):
    weights = (*WEIGHTS[:3], weight, *WEIGHTS[4:])
    if is_ours:
        set_, columns = write(tmp_path / "own.parquet", own_rows(), weights), ""
    else:
        set_ = tmp_path / "others.parquet"
        pl.read_ndjson(write_others(tmp_path / "o.jsonl", None)).with_columns(
            pl.Series("weight", weights, dtype=pl.Float64)
        ).write_parquet(set_)
        columns = ", columns: {weight: weight}"
    where = rf"{'own' if is_ours else 'others'}\.parquet: column weight, row 4: {said} is no weight"
    with pytest.raises(RowError, match=where) as refused:
        made(tmp_path, f"{{dataset: {set_}, license: mit{columns}}}")
    assert "a finite number above 0" in str(refused.value)
    assert "columns: {weight: null}" in str(refused.value)
    with pytest.raises(RowError, match=where):
        lidr.load_pairs(str(set_), columns={} if is_ours else {"weight": "weight"})
    assert made(tmp_path, f"{{dataset: {set_}, license: mit, columns: {{weight: null}}}}").record.counts


NO_WEIGHTS = [
    ("high", "'high'", "row 4"),
    ("", "''", "row 4"),
    (0, "0", "row 4"),
    (-1, "-1", "row 4"),
    (None, "null", "row 4"),
    (True, "true", "row 1"),
    ("many", "'many'", "row 1"),
    ([2.0], "[2.0]", "row 1"),
]


@pytest.mark.parametrize(("weight", "said", "row"), NO_WEIGHTS)
def test_what_is_no_weight_is_refused_by_its_row_before_anything_runs(weight, said, row, tmp_path, capsys):
    """In one row, or in all of them, `validate` says what the run says."""
    weights = [weight] * 6 if row == "row 1" else [3, 1, 2, weight, 4, 2]
    set_ = write_others(tmp_path / "others.jsonl", weights, "w")
    where = f"{set_}: column w, {row}: {said} is no weight: how much a pair counts is a finite number above 0, in "
    pairs = f"{{dataset: {set_}, license: mit, columns: {{weight: w}}}}"
    recipe_of(tmp_path, pairs)
    assert main(["validate", str(tmp_path / "mix.yaml")]) == 2
    assert where in capsys.readouterr().err
    with pytest.raises(RowError, match=re.escape(where)):
        lidr.load_pairs(str(set_), columns={"weight": "w"})


@pytest.mark.parametrize("is_ours", [True, False])
@pytest.mark.parametrize(
    ("weights", "said"), [((True,) * 6, "row 1: true"), (("2", "1", *["high"] * 4), "row 3: 'high'")]
)
def test_truth_values_and_texts_in_parquet_are_no_weights(is_ours, weights, said, tmp_path, capsys):
    own = write(tmp_path / "own.parquet", own_rows(), weights, pa.bool_() if weights[0] is True else pa.string())
    set_ = own
    if not is_ours:
        set_ = tmp_path / "others.parquet"
        others = pl.read_ndjson(write_others(tmp_path / "o.jsonl", None))
        others.with_columns(weight=pl.Series(weights)).write_parquet(set_)
    recipe_of(tmp_path, f"{{dataset: {set_}, license: mit, columns: {{weight: weight}}}}")
    assert main(["validate", str(tmp_path / "mix.yaml")]) == 2
    where = f"{set_}: column weight, {said} is no weight"
    assert where in capsys.readouterr().err
    with pytest.raises(RowError, match=re.escape(where)):
        lidr.load_pairs(str(set_), columns={"weight": "weight"})


def test_the_row_is_that_of_its_file(tmp_path, capsys):
    (tmp_path / "two").mkdir()
    write_others(tmp_path / "two/iter_1.jsonl")
    bad = write_others(tmp_path / "two/iter_2.jsonl", (1, 2, 0, 1, 1, 1))
    recipe_of(tmp_path, f"{{dataset: {tmp_path}/two, license: mit, columns: {{weight: weight}}}}")
    assert main(["validate", str(tmp_path / "mix.yaml")]) == 2
    where = f"{bad}: column weight, row 3: 0 is no weight"
    assert where in capsys.readouterr().err
    with pytest.raises(RowError, match=re.escape(where)):
        lidr.load_pairs(str(tmp_path / "two"), columns={"weight": "weight"})


@pytest.mark.parametrize("is_ours", [True, False])
def test_texts_that_are_numbers_are_weights_where_a_map_names_their_column(is_ours, tmp_path, capsys):
    """CSV and TSV hold nothing but texts."""
    texts = [str(weight) for weight in WEIGHTS]
    if is_ours:
        set_ = write(tmp_path / "own.parquet", own_rows(), texts, pa.string())
    else:
        set_ = tmp_path / "others.csv"
        pl.read_ndjson(write_others(tmp_path / "o.jsonl", texts)).write_csv(set_)
    recipe_of(tmp_path, f"{{dataset: {set_}, license: mit, columns: {{weight: weight}}}}")
    assert main(["validate", str(tmp_path / "mix.yaml")]) == 0
    assert lidr.load_pairs(str(set_), columns={"weight": "weight"})["weight"] == list(WEIGHTS)


@pytest.mark.parametrize("name", ["others.jsonl", "others.json"])
def test_a_truth_value_among_weights_is_refused_by_its_line(name, tmp_path, capsys):
    set_ = write_others(tmp_path / "others.jsonl", (3, 1, 2, True, 4, 2), "w")
    if name == "others.json":
        rows = ",\n".join(set_.read_text().splitlines())
        set_.unlink()
        (set_ := tmp_path / name).write_text(f"[{rows}]")
    recipe_of(tmp_path, f"{{dataset: {set_}, license: mit, columns: {{weight: w}}}}")
    assert main(["validate", str(tmp_path / "mix.yaml")]) == 2
    assert f"{set_}:4: w is a truth value here and a number elsewhere" in capsys.readouterr().err


def test_a_column_that_some_files_lack_is_refused_before_anything_runs(tmp_path, capsys):
    (tmp_path / "two").mkdir()
    write(tmp_path / "two/iter_1-00000-of-00001.parquet", own_rows(), WEIGHTS)
    write(tmp_path / "two/iter_2-00000-of-00001.parquet", own_rows("es"))
    recipe_of(tmp_path, f"{{dataset: {tmp_path}/two, license: mit}}")
    assert main(["validate", str(tmp_path / "mix.yaml")]) == 2
    said = capsys.readouterr().err
    assert "iter_2-00000-of-00001.parquet: no numbers in a column weight, and other files of two have them" in said


def test_exports_and_load_pairs_read_the_weights_that_a_map_names(tmp_path):
    set_ = write_others(tmp_path / "others.jsonl", name="w")
    assert lidr.load_pairs(str(set_), columns={"weight": "w"})["weight"] == list(WEIGHTS)
    assert "weight" not in lidr.load_pairs(str(set_)).column_names
    own = write(tmp_path / "own.parquet", own_rows(), WEIGHTS)
    assert lidr.load_pairs(str(own))["weight"] == list(WEIGHTS)
    left = lidr.load_pairs(str(own), columns={"weight": None})
    assert left.column_names == Pair.schema.names
    assert left["pair_id"] == [f"de{n}" for n in range(6)]
    for columns, weights in (("weight=w", WEIGHTS), ("weight=-", None)):
        out = tmp_path / columns
        assert main(["pairs", "export", str(set_), "--columns", columns, "--to", "jsonl", str(out)]) == 0
        rows = [json.loads(line) for line in next(out.glob("*.jsonl")).read_text().splitlines()]
        assert [row.get("weight") for row in rows] == list(weights or [None] * 6)


def test_what_was_made_without_weights_is_taken_over_only_where_there_are_no_weights(tmp_path, monkeypatch):
    """The identity is set back to what it was before weights, a run is made, and then planned by that of now."""
    from lidr.steps import STEPS
    from lidr.steps.pairs import pairs_step

    plain = write(tmp_path / "plain.parquet", own_rows())
    weighted = write(tmp_path / "own.parquet", own_rows(), WEIGHTS)
    with monkeypatch.context() as patch:

        def outside_before(around, config):
            found = pairs_step.outside_pairs(around, config)
            return {"sets": [{name: one[name] for name in ("dataset", "digest")} for one in found["sets"]]}

        patch.setitem(STEPS, "pairs", replace(pairs_step.STEP, outside=outside_before))
        for n, set_ in enumerate((plain, weighted)):
            made(tmp_path, f"{{dataset: {set_}, license: mit}}", f"version=1.{n}.0")
    states = {}
    for n, set_ in enumerate((plain, weighted)):
        for version in (f"1.{n}.0", f"2.{n}.0"):
            recipe = recipe_of(tmp_path, f"{{dataset: {set_}, license: mit}}", f"version={version}")
            (step,) = [one for one in lidr.plan(recipe).steps if one.name == "pairs"]
            states[set_.stem, version[0]] = step.said
    assert states == {
        ("plain", "1"): "cached",
        ("plain", "2"): "taken over",
        ("own", "1"): "drifted",
        ("own", "2"): "new",
    }


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of a tiny model from a mixture, of which one set has weights."""
    folder = tmp_path_factory.mktemp("weighted")
    tiny_model(folder / "model", "smollm2")
    one = write(folder / "one.parquet", own_rows("de"), WEIGHTS)
    two = write(folder / "two.parquet", own_rows("es")[:2])
    train = "\n  - train: {learning_rate: 1.0e-2, batch: 8, lora: {rank: 4}, max_length: 400}"
    words = {"model": f"{folder}/model", "engine": "engine: transformers, threads: 1", "more": train}
    recipe_of(folder, f"{{sets: [{{dataset: {one}, license: mit}}, {{dataset: {two}, license: mit}}]}}", **words)
    return finished(folder / "mix.yaml", policy_licence="apache-2.0")


def test_training_counts_each_pair_by_its_weight(trained):
    """The first step against each pair alone, in this process and in float64."""
    folder = Path(trained.recipe.file).parent
    model, tokenizer = load64(folder / "model"), AutoTokenizer.from_pretrained(folder / "model")
    nlls = []
    with torch.inference_mode():
        for row in (*own_rows("de"), *own_rows("es")[:2]):
            sums = independent_sums(model, tokenizer, row)
            nlls.append(-sums.chosen / sums.chosen_tokens)
    weights, nll = torch.tensor((*WEIGHTS, 1.0, 1.0)), torch.stack(nlls)
    first = trained.written("policy", 1).record.counts["history"][0]
    assert first["nll"] == pytest.approx(float((weights * nll).sum() / weights.sum()), rel=1e-4)
    assert first["nll"] != pytest.approx(float(nll.mean()), rel=1e-4)


def test_a_release_publishes_the_weights_and_its_card_says_what_they_are(trained, tmp_path):
    staged = stage_dataset(trained, tmp_path / "staged", "lidr/p")
    (file,) = (tmp_path / "staged/all").glob("*.parquet")
    assert pq.read_table(file)["weight"].to_pylist() == [*WEIGHTS, 1.0, 1.0]
    card = staged.card(None)
    assert "`weight` says how much a pair counts in training" in card
    assert "those of `two.parquet` count 1" in card
    model = stage_model(trained, tmp_path / "model", "lidr/m").card(None)
    assert "Pairs counted in training by the weights that their sets give them." in model
    again = lidr.load_pairs(str(tmp_path / "staged/all"))
    assert again["weight"] == [*WEIGHTS, 1.0, 1.0]


def test_the_report_shows_which_sets_have_weights(trained):
    said = page(run_state_of(trained.recipe))
    assert "weight of a pair" in said
    assert "column weight" in said
    assert "all 1" in said


def test_the_report_shows_what_a_record_of_earlier_says_of_weights_that_are_left_out(tmp_path):
    artifact = made(tmp_path, f"{{dataset: {write(tmp_path / 'own.parquet', own_rows())}, license: mit}}")
    note = "own.parquet: its column weight, how much a pair counts, is left out here: all count alike"
    (facts,) = artifact.record.counts["sets"]
    said = page(run_state_of(lidr.load_recipe(tmp_path / "mix.yaml")))
    assert "weight of a pair" not in said
    counts = {**artifact.record.counts, "sets": [facts | {"weights_left_out": note}]}
    write_record(artifact.folder, replace(artifact.record, counts=counts))
    assert f"{note}." in page(run_state_of(lidr.load_recipe(tmp_path / "mix.yaml")))
