"""Files of a release that hold rows a second time, and what a record counts: nobody compares them but these."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from types import SimpleNamespace

import polars as pl
import pytest

from lidr.errors import HubError
from lidr.hub.client import Target
from lidr.release.dataset_release import stage_dataset
from lidr.release.make_release import Destinations, release
from lidr.release.release_reader import Found, OpenedRelease
from lidr.reproduce.card_check import check_card
from lidr.reproduce.duplicate_rows import repeated
from tests.publishing import AT_ONCE, finished
from tests.reproduce.conftest import tamper

MIX = """\
schema: 1
name: mix
version: 0.1.0
languages: {{dominant: en, others: [de]}}
policy: {{model: "openai:canned@http://127.0.0.1:9"}}
chain:
  - pairs:
      sets:
        - {{dataset: {one}, language: de, license: mit}}
        - {{dataset: {two}, language: en, license: cc0-1.0}}
  - filter: {{length_ratio: {{min: 0.01, max: 100}}}}
runtime: {{engine: scripted, answers: {one}/../answers.jsonl, store: {one}/../runs}}
"""


@pytest.fixture
def staged(world, tmp_path) -> OpenedRelease:
    stage_dataset(world, tmp_path / "staged", "lidr/p")
    return OpenedRelease(Found(Target("http://hub"), "dataset", "lidr/p", "v0.1.0", "1" * 40), tmp_path / "staged")


def rewrite(release: OpenedRelease, path: str, change: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    rows = pl.read_parquet(file := release.folder / path)
    os.unlink(file)  # it may be a link to the store's own
    change(rows).write_parquet(file)


def test_an_untouched_release_holds_the_same_rows_everywhere(staged, world):
    assert list(repeated(staged, world.recipe)) == []


@pytest.mark.parametrize(
    "change", [lambda rows: rows.with_columns(chosen_text=pl.lit("bees")), lambda rows: rows.head(3)]
)
def test_rows_of_one_language_are_those_of_all(staged, world, change):
    """A release whose manifest was changed with them says nothing of it, and `all` is all that is made again."""
    path = "en-de/iter_2-00000-of-00001.parquet"
    rewrite(staged, path, change)
    (finding,) = repeated(staged, world.recipe)
    assert (finding.path, finding.text) == (path, "holds other rows than all/iter_2 has of en-de")


def test_rows_of_one_language_that_are_gone_or_no_table_are_named(staged, world):
    os.unlink(staged.folder / "en-de/iter_1-00000-of-00001.parquet")
    os.unlink(cut := staged.folder / "en-es/iter_1-00000-of-00001.parquet")
    cut.write_bytes(b"PAR1")
    found = {finding.path: finding.text for finding in repeated(staged, world.recipe)}
    assert found["en-de/iter_1"] == "holds other rows than all/iter_1 has of en-de"
    assert found["en-es/iter_1-00000-of-00001.parquet"].startswith("cannot be read: ")


def test_dropped_rows_are_those_of_run_json(tmp_path, world, staged):
    (file := staged.folder / "dropped/iter_1-00000-of-00001.parquet").parent.mkdir(exist_ok=True)
    row = {"prompt_id": "p0", "language": "de", "other_language": "en", "kind": "dominant", "iteration": 1,
           "step": "bees", "reason": "identical", "detail": None}  # fmt: skip
    pl.DataFrame([row], schema_overrides={"iteration": pl.Int32, "detail": pl.String}).write_parquet(file)
    found = {finding.text[:56] for finding in repeated(staged, world.recipe)}
    assert found == {f"holds other dropped rows of {step} than lidr/run.json says ("[:56] for step in ("pair", "bees")}


@pytest.fixture(scope="module")
def mixture(tmp_path_factory):
    """A run that starts from two sets of others, one of them with rows that are no pairs."""
    folder = tmp_path_factory.mktemp("mixture")
    for name, bad in (("one", "Bad."), ("two", "A good answer, 0.")):
        rows = [{"prompt": f"{name} {i}?", "chosen": f"A good answer, {i}.", "rejected": bad} for i in range(6)]
        (folder / name).mkdir()
        (folder / name / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "answers.jsonl").write_text("")
    (folder / "mix.yaml").write_text(MIX.format(one=folder / "one", two=folder / "two"))
    return finished(folder / "mix.yaml")


def test_the_card_of_a_mixture_has_each_of_its_sets_again(mixture, hub, new_name, reproduced):
    repo = new_name("mix")
    release(mixture, Destinations(repo, None), target=hub.target, patience=AT_ONCE)
    verdict = reproduced(f"{repo}@v0.1.0")
    kinds = {one["place"]: one["kind"] for one in verdict["verdicts"]}
    assert (verdict["findings"], kinds["card"]) == ([], "identical")


def test_dropped_rows_of_a_mixture_that_were_taken_out_are_missed(mixture, tmp_path):
    stage_dataset(mixture, tmp_path / "staged", "lidr/p")
    staged = OpenedRelease(Found(Target("http://hub"), "dataset", "lidr/p", "v0.1.0", "1" * 40), tmp_path / "staged")
    assert list(repeated(staged, mixture.recipe)) == []
    rewrite(staged, path := "dropped/iter_1-00000-of-00001.parquet", lambda rows: rows.head(0))
    (finding,) = repeated(staged, mixture.recipe)
    assert finding.path == path
    assert finding.text.startswith("holds other dropped rows of pairs than lidr/run.json says (")


def test_parents_of_another_number_than_the_run_has_are_no_names_for_them(mixture, tmp_path):
    stage_dataset(mixture, folder := tmp_path / "staged", "lidr/p")
    staged = OpenedRelease(Found(Target("http://hub"), "dataset", "lidr/p", "v0.1.0", "1" * 40), folder)
    (folder / "README.md").write_text("")
    staged.run["parents"] = staged.run["parents"][:1]
    assert check_card(staged, tmp_path).kind == "different"


def test_counts_of_a_record_that_what_is_made_again_does_not_have_are_named(pairs, hub, reproduced):
    """Weights and rows are identical, and yet a card would print these."""

    def better(text: bytes) -> bytes:
        record = json.loads(text)
        record["counts"]["kept"][0]["count"] += 40
        return json.dumps(record).encode()

    tamper(hub, pairs, "dataset", "lidr/records/iter_1/pair.json", better)
    verdict = reproduced(f"{pairs}@v0.1.0", "--from", "pair", rc=3)
    step = next(one for one in verdict["verdicts"] if one["place"] == "iter_1/pair")
    assert step["kind"] == "different"
    assert "but the record counts otherwise: kept[0].count: 4" in step["reason"]


def test_a_damaged_lock_is_a_finding_and_everything_else_is_compared(pairs, hub, reproduced, tmp_path):
    api = hub.target.api()
    api.upload_file(
        path_or_fileobj=b'{"schema": 2, ', path_in_repo="lidr/recipe.lock.json", repo_id=pairs, repo_type="dataset"
    )
    verdict = reproduced(pairs, "--from", "pair", rc=3)
    found = {one["path"]: one["text"] for one in verdict["findings"]}
    assert found["lidr/recipe.lock.json"] == "is no lock that can be read: damaged, no lock as lidr writes it"
    assert {one["kind"] for one in verdict["verdicts"] if one["place"].startswith("iter_1/f")} == {"identical"}


def test_json_that_is_nested_too_deep_is_no_release(tmp_path):
    (tmp_path / "lidr").mkdir()
    (tmp_path / "lidr/run.json").write_text("[" * 100_000)
    opened = OpenedRelease(SimpleNamespace(), tmp_path)  # type: ignore[arg-type]
    with pytest.raises(HubError, match=r"lidr/run\.json is no JSON object: nested too deep; the release is damaged$"):
        _ = opened.run


def test_an_empty_range_of_steps_is_refused(pairs, elsewhere):
    done = elsewhere.lidr("reproduce", f"{pairs}@v0.1.0", "--from", "pair", "--until", "generate")
    assert done.returncode == 2
    assert '--until "generate" comes before --from "pair"; the order: policy, prompts, generate' in done.stderr


def test_counts_of_another_lidr_are_not_compared(pairs, hub, reproduced):
    def older(text: bytes) -> bytes:
        record = json.loads(text)
        record["versions"]["lidr"] = "0.0.9"
        del record["counts"]["kept"][0]
        return json.dumps(record).encode()

    tamper(hub, pairs, "dataset", "lidr/records/iter_1/pair.json", older)
    verdict = reproduced(f"{pairs}@v0.1.0", "--from", "pair", "--until", "pair", rc=3)  # the record was touched
    step = next(one for one in verdict["verdicts"] if one["place"] == "iter_1/pair")
    assert step["kind"] == "identical"
