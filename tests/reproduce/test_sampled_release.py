"""A release whose pairs were chosen by scores: it loads, is read, traced, reported, and comes out identical."""

from __future__ import annotations

import json

import polars as pl
import pytest

from lidr.cli.main import main
from lidr.release.dataset_release import configs_of
from lidr.release.make_release import Destinations, release
from tests.publishing import AT_ONCE, finished
from tests.scripted import RECIPE, write_world
from tests.steps.test_score import TEXTS

SAMPLED = (
    RECIPE.replace("max_tokens: 64", "max_tokens: 64, n: 4, temperature: 0.9")
    .replace("translate: {{max_tokens: 80, check_language: false}}", "score: {{consistency: {{}}, language: {{}}}}")
    .replace("pair: {{drop: joint}}", "pair: {{from: scores, by: consistency}}")
)


@pytest.fixture(scope="module")
def sampled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sampled") / "w"
    recipe = write_world(folder, SAMPLED.replace('127.0.0.1:9"}}', '127.0.0.1:9", dtype: auto}}'))
    rules = [{"match": f"{name}: tell me about", "texts": texts} for name, texts in TEXTS.items()]
    (folder / "answers.jsonl").write_text("".join(json.dumps(rule) + "\n" for rule in rules), encoding="utf-8")
    return finished(recipe, policy_licence="apache-2.0")


@pytest.fixture(scope="module")
def published(sampled, running):
    (found,) = release(sampled, Destinations("lidr/sampled-prefs", None), target=running.target, patience=AT_ONCE)
    return found


def test_there_is_a_configuration_for_each_language_and_candidates_have_numbers(sampled, published, hub, tmp_path):
    assert configs_of(sampled) == ("all", "en", "es", "de", "candidates", "dropped")
    code = f"""
from datasets import concatenate_datasets, load_dataset
for config in {configs_of(sampled)[:-1]!r}:
    splits = load_dataset("lidr/sampled-prefs", config, revision="v0.1.0")
    concatenate_datasets(list(splits.values())).to_parquet(f"{tmp_path}/{{config}}.parquet")
"""
    done = hub.run(code, check=False)
    assert done.returncode == 0, done.stderr[-800:]
    rows = {config: pl.read_parquet(tmp_path / f"{config}.parquet") for config in configs_of(sampled)[:-1]}
    assert set(rows["es"]["language"]) == {"es"}
    assert sum(rows[code].height for code in ("en", "es", "de")) == rows["all"].height
    assert set(rows["candidates"]["sample"]) == {0, 1, 2, 3}
    dropped = sum(row["count"] for one in sampled.records for row in one.counts.get("dropped", ()))
    assert rows["all"].height + dropped == 2 * 4 * 3


def test_the_card_says_what_the_pairs_were_chosen_by(published, hub):
    code = "from huggingface_hub import hf_hub_download as get\n"
    text = hub.run(f"{code}print(open(get('lidr/sampled-prefs', 'README.md', repo_type='dataset')).read())").stdout
    assert "compared by the score `consistency`. Chosen is the answer that the scorer values more" in text
    assert "translated its own answers" not in text
    assert "Every slot (prompt, language) is a pair or stands in the configuration `dropped`" in text


def test_it_comes_out_identical_from_nothing_but_the_hub(published, elsewhere):
    verdict = elsewhere.reproduce("lidr/sampled-prefs@v0.1.0")
    assert (verdict["verdict"], verdict["findings"]) == ("identical", [])
    found = {one["place"]: one["kind"] for one in verdict["verdicts"]}
    names = ("generate", "score", "pair", "filter")
    assert {found[f"iter_{k}/{name}"] for k in (1, 2) for name in names} == {"identical"}


def test_from_pair_it_starts_from_the_published_scores(published, reproduced):
    verdict = reproduced("lidr/sampled-prefs@v0.1.0", "--from", "pair")
    assert verdict["verdict"] == "identical"


def test_a_pair_is_traced_to_its_two_answers(sampled, published, hub, monkeypatch, capsys):
    for name, value in hub.environment.items():
        monkeypatch.setenv(name, value)
    (row, *_) = pl.DataFrame(sampled.written("pairs", 1).read()).iter_rows(named=True)
    assert main(["lineage", f"lidr/sampled-prefs@v0.1.0/{row['pair_id']}"]) == 0
    said = capsys.readouterr().out
    for side in ("chosen", "rejected"):
        assert row[f"{side}_key"] in said
        assert row[f"{side}_text"][:20] in said
    assert f"margin {row['margin']}" in said


def test_its_report_and_its_pairs_are_shown(sampled, capsys, tmp_path, monkeypatch):
    recipe = sampled.recipe.file
    assert main(["report", recipe, "--out", str(tmp_path / "report.html")]) == 0
    assert "15 of 24 slots" in capsys.readouterr().out
    assert "sampled" in (tmp_path / "report.html").read_text(encoding="utf-8")
    monkeypatch.setenv("LIDR_STORE", str(sampled.recipe.runtime.store))
    assert main(["pairs", "show", "run:scripted", "--kind", "sampled", "--langs", "es", "--min-margin", "0.1"]) == 0
    assert "sampled" in capsys.readouterr().out
